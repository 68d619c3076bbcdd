"""What the panel asks of the policy, the bridge and the recorder. Every method returns at once."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from vla_sae_ros.core.steering import Edit
from vla_sae_ros.msg import Annotation, SteeringEdit, SteeringLease
from vla_sae_ros.panel.ros.episode_requests import EpisodeRequests
from vla_sae_ros.panel.ros.hand_commands import HandCommands
from vla_sae_ros.panel.ros.requests import Requests
from vla_sae_ros.panel.state.incoming import Incoming
from vla_sae_ros.panel.state.values import (
    EpisodeGoal,
    EpisodeView,
    FeatureName,
    RobotView,
    TakeoverView,
)
from vla_sae_ros.panel.widgets.guard import guarded
from vla_sae_ros.srv import (
    AnnotateFeature,
    ApplyPreset,
    SelectHeatmap,
    SetInstruction,
    SetSteering,
    StartRecording,
)
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import NANOSECONDS, to_header
from vla_sae_ros.wire.robot_words import RECOVERY, enabled_for, handed_back_by, taken_over_by
from vla_sae_ros.wire.steady import steady_timer
from vla_sae_ros.wire.steering_messages import from_edit

FIRST_LEASE = 2.0
"""[s] for which one heartbeat keeps this panel's edits, until the operator changes it."""

BEAT_PERIOD = 0.5
"""[s] between heartbeats."""

ROBOT_LEASE = 1.0
"""[s] for which one heartbeat keeps a robot enabled."""

ROBOT_BEAT_PERIOD = 0.2
"""[s] between them: some may be lost."""

_GUI_LIMIT = 1.0  # [s] a GUI silent for longer is frozen: its heartbeat stops, its edits end
_GRANT = 4.0  # [s] the bridge waits for the heartbeats of others to end, and for the arm to stand
_SLOW = 10.0  # [s] for an answer of a recorder or a bundle's file

_SERVICES = {
    "steering/set": SetSteering,
    "steering/preset": ApplyPreset,
    "steering/bypass": SetBool,
    "steering/reset": Trigger,
    "record/start": StartRecording,
    "record/stop": Trigger,
    "instruction/set": SetInstruction,
    "policy/select_heatmap": SelectHeatmap,
    "policy/annotate_feature": AnnotateFeature,
    "bridge/enable": SetBool,
    "bridge/takeover": SetBool,
    "bridge/stop": Trigger,
    "bridge/recover": Trigger,
}


class Commands:
    """Sends requests; their outcomes come as words. Methods return a ticket, 0 = not sent."""

    def __init__(self, node: Node, incoming: Incoming) -> None:
        """Create the clients on `node` and start the heartbeat."""
        self.owner = f"panel_{os.getpid()}_{id(self) & 0xFFFF:04x}"
        self.lease = FIRST_LEASE
        self._gui_seen = time.monotonic()
        self._node = node
        self._requests = Requests(incoming.outcomes)
        self._clients = {
            name: node.create_client(kind, name, qos_profile=qos.SERVICE)
            for name, kind in _SERVICES.items()
        }
        self._heartbeat = node.create_publisher(SteeringLease, "steering/heartbeat", qos.HEARTBEAT)
        self._remarks = node.create_publisher(Annotation, "annotation", qos.EVENTS)
        self._episodes = EpisodeRequests(node, incoming.outcomes)
        self._timer = steady_timer(node, BEAT_PERIOD, self._beat)
        self._robot_heartbeat = node.create_publisher(
            SteeringLease, "bridge/heartbeat", qos.HEARTBEAT
        )
        self._robot_timer = steady_timer(node, ROBOT_BEAT_PERIOD, self._beat_robot)
        self._holds_robot = self._robot_was_mine = False
        self._hand = HandCommands(node)

    @property
    def busy(self) -> bool:
        """A request waits for its answer."""
        return self._requests.waiting > 0

    def offers(self, service: str) -> bool:
        """Say whether somebody offers a service, by its relative name."""
        return bool(self._clients[service].service_is_ready())

    @property
    def can_run_episodes(self) -> bool:
        """Somebody offers run_episode."""
        return self._episodes.offered

    def gui_alive(self) -> None:
        """Say that the GUI still runs; without it the heartbeat stops."""
        self._gui_seen = time.monotonic()

    def steer(
        self,
        edits: Sequence[Edit],
        release: Sequence[FeatureName] = (),
        ramp: float = 0.0,
        words: str = "steering",
    ) -> int:
        """Set edits and release others in one step.

        Args:
            ramp: [s] over which the released ones go back to natural; 0 = each edit's own.
        """
        leaving = [SteeringEdit(site=site, feature=feature, ramp=ramp) for site, feature in release]
        request = SetSteering.Request(
            edits=[from_edit(edit) for edit in edits],
            release=leaving,
            owner=self.owner,
            lease=self.lease,
        )
        return self._ask("steering/set", request, words, _accepted)

    def apply_preset(self, text: str) -> int:
        """Set the edits of a preset (YAML) and release every other edit of this panel."""
        request = ApplyPreset.Request(preset=text, owner=self.owner, lease=self.lease)
        return self._ask("steering/preset", request, "preset", _accepted)

    def set_bypass(self, bypass: bool) -> int:
        """Switch all edits off or on again."""
        return self._ask(
            "steering/bypass",
            SetBool.Request(data=bypass),
            "bypass on" if bypass else "bypass off",
            _success,
        )

    def reset(self) -> int:
        """Release every edit of every owner, and lift the bypass."""
        return self._ask("steering/reset", Trigger.Request(), "release all", _success)

    def run_episode(self, goal: EpisodeGoal) -> bool:
        """Ask for an episode; its outcome is told when it ends. False if nobody offers it."""
        return self._episodes.run(goal)

    def cancel_episode(self) -> bool:
        """Cancel the episode that runs, whoever started it; False if no bridge is there."""
        return self._episodes.cancel()

    def tell(self, instruction: str, episode_id: str) -> int:
        """Tell the policy something else in the middle of this episode."""
        request = SetInstruction.Request(
            instruction=instruction, episode_id=episode_id, owner=self.owner
        )
        return self._ask("instruction/set", request, "instruction", _accepted)

    def start_recording(self, uri: str = "", images: bool = True) -> int:
        """Start a bag; an empty uri leaves its name to the recorder."""
        request = StartRecording.Request(uri=uri, images=images)
        return self._ask("record/start", request, "recording", _success, _SLOW)

    def stop_recording(self) -> int:
        """Close the bag."""
        return self._ask("record/stop", Trigger.Request(), "stop recording", _success, _SLOW)

    def annotate(self, text: str, episode: EpisodeView | None) -> None:
        """Publish a remark, so that a bag keeps it beside what happened."""
        under_way = episode is not None and episode.running
        stamp = self._node.get_clock().now().nanoseconds
        if episode is not None and under_way and episode.time:
            stamp = round(episode.time * NANOSECONDS)
        self._remarks.publish(
            Annotation(
                header=to_header(stamp),
                author=self.owner,
                text=text,
                episode_id=episode.episode_id if episode is not None and under_way else "",
                step=episode.step if episode is not None and under_way else -1,
            )
        )

    def select_heatmap(self, name: FeatureName | None) -> int:
        """Choose the feature of `policy/feature_heatmap`, None = none."""
        site, feature = name or ("", 0)
        return self._ask(
            "policy/select_heatmap",
            SelectHeatmap.Request(site=site, feature=feature),
            "heatmap",
            _accepted,
        )

    def annotate_feature(self, name: FeatureName, label: str, notes: str) -> int:
        """Name a feature (empty = leave the label) and replace its notes, in the user's folder."""
        request = AnnotateFeature.Request(
            site=name[0], feature=name[1], label=label, notes=notes, author=self.owner
        )
        return self._ask(
            "policy/annotate_feature", request, f"notes on {name[0]} #{name[1]}", _accepted, _SLOW
        )

    def enable_bridge(self, enable: bool) -> int:
        """Let a robot's bridge move, or hold still.

        While it is enabled by this panel, the panel's heartbeat keeps it so: a panel that is
        closed, killed or frozen stops the robot.
        """
        self._holds_robot, self._robot_was_mine = enable, False
        self._beat_robot()
        return self._ask(
            "bridge/enable",
            SetBool.Request(data=enable),
            "enable robot" if enable else "hold robot",
            self._judge_enable,
            _GRANT,
        )

    def robot_told(self, robot: RobotView) -> None:
        """Take note of the robot's state: an enable that has ended needs no heartbeat."""
        mine = robot.enabled and robot.owner == self.owner
        if self._robot_was_mine and not mine:
            self._holds_robot = False
        self._robot_was_mine = mine and self._holds_robot

    def take_over(self, on: bool) -> int:
        """Command the arm by hand from now on, or hand it back to the policy.

        In a simulation nobody enables: the heartbeat then lasts as long as the takeover.
        """
        held, self._holds_robot = self._holds_robot, True
        self._beat_robot()
        wanted = (taken_over_by if on else handed_back_by)(self.owner)

        def judge(answer: Any) -> tuple[bool, str]:
            granted = answer.success and answer.message == wanted
            if not granted:
                self._holds_robot = held
                return False, answer.message
            self._hand.switch(on)
            self._holds_robot = on or self._robot_was_mine
            return _success(answer)

        words = "take over" if on else "hand back"
        return self._ask("bridge/takeover", SetBool.Request(data=on), words, judge, _GRANT)

    def takeover_told(self, takeover: TakeoverView) -> None:
        """Take note of who commands: a takeover that has ended needs no publisher."""
        self._hand.told(takeover.taken_over and takeover.owner == self.owner)

    def move_by_hand(self, linear: tuple[float, float, float]) -> None:
        """Ask for a tool velocity [m/s] in the base frame, while this panel has taken over."""
        self._hand.move(linear)

    def grip_by_hand(self, closing: float) -> None:
        """Ask for the gripper, 0 = open, 1 = closed, likewise."""
        self._hand.grip(closing)

    def stop_bridge(self) -> int:
        """Stop the robot now."""
        return self._ask("bridge/stop", Trigger.Request(), "STOP robot", _success)

    def recover_bridge(self) -> int:
        """Recover the robot after a stop or a fault."""
        return self._ask("bridge/recover", Trigger.Request(), "recover robot", _success, RECOVERY)

    def close(self) -> None:
        """Take everything off the node; this panel's edits end with their lease."""
        self._node.destroy_timer(self._timer)
        for client in self._clients.values():
            self._node.destroy_client(client)
        self._node.destroy_timer(self._robot_timer)
        for publisher in (self._heartbeat, self._robot_heartbeat, self._remarks):
            self._node.destroy_publisher(publisher)
        self._hand.switch(False)
        self._episodes.close()

    def _ask(self, service: str, request: Any, words: str, judge: Any, limit: float = 2.0) -> int:
        return self._requests.send(self._clients[service], request, words, judge, limit)

    @guarded()
    def _beat(self) -> None:
        self._requests.give_up_late_ones()
        if self._gui_is_alive():
            self._heartbeat.publish(self._lease_message(self.lease))

    @guarded()
    def _beat_robot(self) -> None:
        if self._holds_robot and self._gui_is_alive():
            self._robot_heartbeat.publish(self._lease_message(ROBOT_LEASE))

    def _gui_is_alive(self) -> bool:
        return time.monotonic() - self._gui_seen <= _GUI_LIMIT

    def _lease_message(self, duration: float) -> SteeringLease:
        message = SteeringLease(owner=self.owner, duration=duration)
        message.header.stamp = self._node.get_clock().now().to_msg()
        return message

    def _judge_enable(self, answer: Any) -> tuple[bool, str]:
        if not answer.success:
            self._holds_robot = False
        elif self._holds_robot and answer.message != enabled_for(self.owner):
            self._holds_robot = False
            return False, f"not enabled for this panel: {answer.message}"
        return _success(answer)


def _accepted(answer: Any) -> tuple[bool, str]:
    return answer.accepted, answer.reason


def _success(answer: Any) -> tuple[bool, str]:
    return answer.success, answer.message
