"""The monitor node: `policy/features` in; score, threshold and alarm of every inference out."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.monitors.monitor import Monitor
from vla_sae_ros.monitors.scores import NEEDS
from vla_sae_ros.monitors.watch import Verdict, Watch
from vla_sae_ros.msg import FeatureActivations, FeatureCatalogue, MonitorState
from vla_sae_ros.nodes.base.node_description import DescriptionPublisher
from vla_sae_ros.nodes.base.parameters import declare_parameters
from vla_sae_ros.nodes.base.running import run_node
from vla_sae_ros.nodes.monitor.fit_check import why_not
from vla_sae_ros.nodes.monitor.hand_speed import HandSpeed
from vla_sae_ros.nodes.monitor.messages import NOTHING, alarm_words, to_sample, to_state
from vla_sae_ros.nodes.monitor.parameters import MonitorParameters
from vla_sae_ros.nodes.monitor.response import Response
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header, to_ns
from vla_sae_ros.wire.steady import steady_timer

_MISSING = {
    "": "",
    "fvu": "the tap measured no FVU",
    "pooled": "the message has no pooled activation: set the policy node's parameter "
    "publish_pooled",
    "speed": "the hand's speed is not known: it takes ee_pose at two inferences",
}


class MonitorNode(Node):
    """Scores the inferences of one site.

    Raises:
        ConfigurationError: no monitor named, or a folder that is none.
    """

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("monitor", **node_arguments)
        self._values = declare_parameters(self, MonitorParameters, self._changed)
        monitor = _load(self._values.monitor)
        self._card = card = monitor.card
        self._name = monitor.chosen(self._values.score)
        self._told = (monitor.monitor_id, self._name, card.false_alarms)
        self._watch = Watch(monitor.scores[self._name], card.control_rate)
        self._episode, self._step = "", -1
        self._said, self._cause = NOTHING, ""
        self._why = why_not(card, None)
        self._scored = self._late = self._unknown = self._alarms = 0
        self._hand, self._response = HandSpeed(self), Response(self)
        self._states = self.create_publisher(MonitorState, "monitor/state", qos.FEATURES)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        for kind, topic, take, profile in (
            (FeatureCatalogue, "policy/catalogue", self._take_catalogue, qos.LATCHED),
            (FeatureActivations, "policy/features", self._take, qos.FEATURES),
        ):
            self.create_subscription(kind, topic, take, profile)
        self._timer = steady_timer(self, 1.0, self._diagnose)
        self._description = DescriptionPublisher(self, self._facts())
        self.get_logger().info(
            f"watching {self._name} at {card.site}, {card.false_alarms:g} false alarms per episode"
        )

    def _changed(self, values: MonitorParameters) -> None:
        self._values = values

    def _facts(self) -> dict[str, object]:
        card = self._card
        return {
            "monitor_id": self._told[0],
            "score": self._name,
            "calibrated_on.policy_id": card.policy_id,
            "calibrated_on.bundle_id": card.bundle_id,
            "calibrated_on.episodes": card.calibration_episodes,
            "false_alarms": card.false_alarms,
        }

    def _take_catalogue(self, message: FeatureCatalogue) -> None:
        self._why = why_not(self._card, message)
        if self._why:
            self.get_logger().error(f"nothing is scored: {self._why}")

    def _take(self, message: FeatureActivations) -> None:
        if message.site != self._card.site:
            return
        if message.episode_id != self._episode:
            self._episode, self._step = message.episode_id, message.observation_step
            self._said, self._cause = NOTHING, ""
            for part in (self._watch, self._hand, self._response):
                part.begin()
        if message.observation_step < self._step:
            self._late += 1
            return
        self._step = message.observation_step
        if self._why:
            self._publish(message, NOTHING, self._why)
            return
        self._score(message)

    def _score(self, message: FeatureActivations) -> None:
        speed = self._hand.since_before(to_ns(message.header.stamp))
        said = self._watch.feed(to_sample(message, self._card.width, speed))
        unknown = math.isnan(said.score)
        self._scored += 1
        self._unknown += unknown
        if said.alarm and not self._said.alarm:
            self._alarms += 1
            self._cause = alarm_words(self._name, said, message)
        self._said = said
        detail = _MISSING[NEEDS[self._name]] if unknown else ""
        if said.alarm:  # what keeps the robot safe comes first, what tells of it second
            self._response.act(self._values.on_alarm, message, self._cause)
            detail = "; ".join(filter(None, (self._cause, self._response.words, detail)))
        self._publish(message, said, detail)

    def _publish(self, heard: FeatureActivations, said: Verdict, detail: str) -> None:
        acted = said.alarm and self._response.acted
        on_alarm = self._values.on_alarm
        self._states.publish(to_state(heard, said, self._told, on_alarm, acted, detail))

    def _diagnose(self) -> None:
        level, message = self._state()
        values = {
            "score": self._name,
            "scored inferences": self._scored,
            "of them without a score": self._unknown,
            "late inferences, left out": self._late,
            "episodes with an alarm": self._alarms,
            "on_alarm": self._values.on_alarm,
        }
        status = DiagnosticStatus(
            level=level,
            name=f"{self.get_name()}: alarm",
            hardware_id=self._told[0],
            message=message,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )
        header = to_header(self.get_clock().now().nanoseconds)
        self._diagnostics.publish(DiagnosticArray(header=header, status=[status]))

    def _state(self) -> tuple[bytes, str]:
        if self._why:
            return DiagnosticStatus.ERROR, f"nothing is scored: {self._why}"
        if self._said.alarm and not self._response.acted:
            return DiagnosticStatus.ERROR, f"ALARM; {self._response.words or 'no answer yet'}"
        if self._said.alarm:
            return DiagnosticStatus.WARN, f"ALARM: {self._cause}"
        if self._said.step >= 0 and math.isnan(self._said.score):
            return DiagnosticStatus.WARN, _MISSING[NEEDS[self._name]]
        return DiagnosticStatus.OK, "no alarm"


def _load(folder: str) -> Monitor:
    if not folder:
        raise ConfigurationError(
            complaint(
                "no monitor named",
                folder,
                "a folder that vla-sae monitor fit wrote",
                "Set the parameter `monitor`.",
            )
        )
    return Monitor.load(Path(folder).expanduser())


def main(args: list[str] | None = None) -> int:
    """Run the monitor node until SIGINT or SIGTERM."""
    return run_node(MonitorNode, args)


if __name__ == "__main__":
    sys.exit(main())
