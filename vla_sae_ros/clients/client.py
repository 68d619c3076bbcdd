"""A plain Python client of a running system: run episodes, steer, record, without writing ROS code.

with Client("my_script") as client:
    client.wait_until_ready()
    client.set_steering([Edit(feature=12, mode=Mode.CLAMP, value=4.0, unit=Unit.OBSERVED_MAX)])
    result = client.run_episode(suite="libero_object", task=0, init_state=41, seed=7)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import rclpy
from action_msgs.msg import GoalStatus
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.parameter import Parameter
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from vla_sae_ros.action import RunEpisode
from vla_sae_ros.core.errors import (
    ConfigurationError,
    RecordingError,
    SimulationError,
    SteeringRefused,
    VlaSaeError,
)
from vla_sae_ros.core.steering import Edit, Preset, format_preset
from vla_sae_ros.environment import check_domain
from vla_sae_ros.msg import EpisodeState, SteeringEdit, SteeringLease
from vla_sae_ros.robot.admission import EnableRefused
from vla_sae_ros.srv import ApplyPreset, SetInstruction, SetSteering, StartRecording
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.action_client import ActionClient
from vla_sae_ros.wire.guarded_executor import GuardedExecutor
from vla_sae_ros.wire.leaving import leave_graph
from vla_sae_ros.wire.person_topics import PersonPublisher
from vla_sae_ros.wire.robot_words import RECOVERY, enabled_for, handed_back_by, taken_over_by
from vla_sae_ros.wire.steady import steady_timer
from vla_sae_ros.wire.steering_messages import from_edit

SERVICE_TIMEOUT = 10.0  # [s]
SETTLING = 2.0
"""[s] that a client waits after its start before it first steers. A second policy of the same name
is discovered within that time; the first one that answers says nothing about others."""
STATE_TIMEOUT = 2.0  # [s] for a lifecycle node that is there to tell its state
CHECK_PERIOD = 0.2  # [s]
LEASE = 5.0  # [s]
ROBOT_LEASE = 1.0  # [s]

SERVICES: dict[str, Any] = {
    "steering/set": SetSteering,
    "steering/preset": ApplyPreset,
    "steering/bypass": SetBool,
    "steering/reset": Trigger,
    "steering/inject": SetBool,
    "instruction/set": SetInstruction,
    "bridge/enable": SetBool,
    "bridge/takeover": SetBool,
    "bridge/recover": Trigger,
    "record/start": StartRecording,
    "record/stop": Trigger,
}

OFFERED_BY = {
    "steering": "the policy node",
    "instruction": "the bridge",
    "run_episode": "the bridge",
    "bridge": "the bridge",
    "record": "the recorder",
}
"""First part of a service's or an action's name -> the node that offers it."""
HINT = "Is a system running (vla-sae up sim), in this ROS_DOMAIN_ID?"


class NoAnswer(VlaSaeError):
    """A service or action of the system did not answer in time."""


class InstructionRefused(VlaSaeError):
    """The bridge did not take another instruction; the message says why."""


class RecoverRefused(VlaSaeError):
    """A stopped robot could not be recovered; the message says why."""


class Client:
    """Talks to a running system from a script; every call blocks until answered or timed out.

    Args:
        name: node name, and the owner of the edits set through this client. While the client lives,
            its heartbeat keeps them; when it is gone they ramp back to natural.
        check: called now and then while a call waits; whatever it raises ends the wait.

    Raises:
        ConfigurationError: ROS_DOMAIN_ID is no domain.
    """

    def __init__(self, name: str, check: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self._check = check
        check_domain()
        self._context = Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node(name, context=self._context)
        self._episodes = ActionClient(self._node, RunEpisode, "run_episode")
        self._services = {
            name: self._node.create_client(kind, name, qos_profile=qos.SERVICE)
            for name, kind in SERVICES.items()
        }
        self._heartbeat = self._node.create_publisher(
            SteeringLease, "steering/heartbeat", qos.HEARTBEAT
        )
        steady_timer(self._node, LEASE / 5, self._beat)
        self._robot_heartbeat = self._node.create_publisher(
            SteeringLease, "bridge/heartbeat", qos.HEARTBEAT
        )
        steady_timer(self._node, ROBOT_LEASE / 5, self._beat_for_robot)
        self._holds_robot = False
        self._person: PersonPublisher | None = None
        self._policy_state = self._node.create_client(GetState, "policy/get_state")
        self._settled_at = time.monotonic() + SETTLING
        self._executor = GuardedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(
            target=self._executor.spin, name=f"{name} executor", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._thread.join()
        self._episodes.destroy()
        leave_graph(self._node)

    def wait_until_ready(
        self,
        timeout: float = 300.0,
        recording: bool = False,
        waiting_for: Callable[[str], None] = lambda nodes: None,
    ) -> None:
        """Wait until policy and bridge (and recorder) offer their services.

        Args:
            timeout: [s], infinity for no end; loading a policy takes its time.
            recording: wait for the recorder, too.
            waiting_for: told now and then which nodes are missing, e.g. "the policy node".

        Raises:
            NoAnswer: naming what is missing.
        """
        names = ["steering/set", "steering/bypass", "steering/reset"]
        wanted = {
            name: self._services[name].service_is_ready
            for name in names + (["record/start"] if recording else [])
        }
        wanted["run_episode"] = self._episodes.server_is_ready
        deadline = time.monotonic() + timeout
        pause = threading.Event()
        while missing := sorted(name for name, is_ready in wanted.items() if not is_ready()):
            self._check()
            waiting_for(" and ".join(_by_node(missing)))
            if time.monotonic() > deadline:
                raise NoAnswer(
                    f"after {timeout:.0f} s there is no answer from {_offered_by(missing)}. "
                    f"{self._hint(missing[-1])}"
                )
            pause.wait(CHECK_PERIOD)

    def run_episode(
        self,
        suite: str,
        task: int,
        init_state: int = 0,
        seed: int = 0,
        instruction: str = "",
        max_steps: int = 0,
        clock: str = "",
        timeout: float = 600.0,
        on_state: Callable[[EpisodeState], None] = lambda state: None,
    ) -> RunEpisode.Result:
        """Run one episode and return its result; the arguments are those of RunEpisode.action.

        Args:
            timeout: [s] after which the episode is canceled.
            on_state: called on another thread with every feedback.

        Raises:
            SimulationError: the bridge refused the goal or the episode broke off.
            NoAnswer: no result within the timeout.
        """
        goal = RunEpisode.Goal(
            suite=suite,
            task=task,
            init_state=init_state,
            seed=seed,
            instruction=instruction,
            max_steps=max_steps,
            clock=clock,
        )
        if not self._episodes.wait_for_server(SERVICE_TIMEOUT):
            raise NoAnswer(f"there is no answer from {_offered_by(['run_episode'])}. {HINT}")
        sent = self._episodes.send_goal_async(
            goal, lambda message: on_state(message.feedback.state)
        )
        handle = self._wait(sent, SERVICE_TIMEOUT, "run_episode")
        if not handle.accepted:
            raise SimulationError(
                f"the bridge refused {suite} task {task}, state {init_state}; see its log."
            )
        try:
            answer = self._wait(handle.get_result_async(), timeout, "run_episode")
        except (NoAnswer, KeyboardInterrupt):
            handle.cancel_goal_async()
            raise
        if answer.status != GoalStatus.STATUS_SUCCEEDED:
            raise SimulationError(f"the episode did not run to its end: {answer.result.message}")
        return answer.result

    def tell(self, instruction: str, episode_id: str = "") -> int:
        """Tell the policy something else in the middle of an episode; return the revision.

        The next inference hears it; the episode's task and its success predicate stay.

        Args:
            instruction: what the policy is told from now on.
            episode_id: the episode that is meant; empty: the one that runs.

        Raises:
            InstructionRefused: with the bridge's reason, e.g. that no episode runs.
        """
        request = SetInstruction.Request(
            instruction=instruction, episode_id=episode_id, owner=self.name
        )
        response = self._call("instruction/set", request)
        if not response.accepted:
            raise InstructionRefused(response.reason)
        return int(response.revision)

    def enable_robot(self) -> None:
        """Let a robot's bridge move; it stops when this client is no longer heard of.

        Raises:
            EnableRefused: with the bridge's reason.
        """
        self._holds_robot = True
        self._beat_for_robot()
        response = self._call("bridge/enable", SetBool.Request(data=True))
        if not response.success or response.message != enabled_for(self.name):
            self._holds_robot = False
            raise EnableRefused(f"Not enabled for {self.name}: {response.message}")

    def recover_robot(self) -> None:
        """Clear a robot's latched stop; the arm is disabled then.

        Raises:
            RecoverRefused: with the bridge's reason; the stop stays.
        """
        response = self._call("bridge/recover", Trigger.Request(), RECOVERY)
        if not response.success:
            raise RecoverRefused(response.message)

    def disable_robot(self) -> None:
        """Let a robot's bridge hold still."""
        self._call("bridge/enable", SetBool.Request(data=False))
        self._holds_robot = False

    def takeover(self, on: bool) -> None:
        """Command the arm by hand from now on (True), or hand it back to the policy.

        On a robot this client must have enabled it. The policy goes on to infer meanwhile. What
        is asked for with `teleop_twist` and the others is good for a quarter of a second; without
        it the arm holds still until this client hands back.

        Raises:
            EnableRefused: with the bridge's reason; nothing was changed.
        """
        held, self._holds_robot = self._holds_robot, True
        self._beat_for_robot()
        response = self._call("bridge/takeover", SetBool.Request(data=on))
        wanted = (taken_over_by if on else handed_back_by)(self.name)
        if not response.success or response.message != wanted:
            self._holds_robot = held
            raise EnableRefused(f"Not {wanted}: {response.message}")
        if self._person is not None:
            self._person.close()
        self._person = PersonPublisher(self._node) if on else None

    def teleop_twist(
        self, linear: Sequence[float], angular: Sequence[float] = (0.0, 0.0, 0.0)
    ) -> None:
        """Ask for a velocity of the tool, after `takeover(True)`; returns at once.

        Args:
            linear: (3,) m/s along the axes of the arm's base, x forward, z up.
            angular: (3,) rad/s about them.

        Raises:
            EnableRefused: this client has not taken over.
        """
        self._by_hand().twist(linear, angular)

    def teleop_joints(self, velocities: Mapping[str, float]) -> None:
        """Ask for velocities of all joints by name [rad/s]; as `teleop_twist` otherwise."""
        self._by_hand().joints(velocities)

    def teleop_gripper(self, closing: float) -> None:
        """Ask for a gripper, 0 = open, 1 = closed; as `teleop_twist` otherwise."""
        self._by_hand().gripper(closing)

    def _by_hand(self) -> PersonPublisher:
        if self._person is None:
            raise EnableRefused(f"{self.name} has not taken over: call takeover(True) first.")
        return self._person

    def set_steering(self, edits: Sequence[Edit], release: Sequence[tuple[str, int]] = ()) -> int:
        """Set and release edits in one step; return the new revision.

        Raises:
            SteeringRefused: with the policy's reason; nothing was changed.
        """
        request = SetSteering.Request(
            edits=[from_edit(edit) for edit in edits],
            release=[SteeringEdit(site=site, feature=feature) for site, feature in release],
            owner=self.name,
            lease=LEASE,
        )
        return self._steer("steering/set", request)

    def apply_preset(self, preset: Preset) -> int:
        """Set a preset's edits and release every other one of this client; return the revision.

        Raises:
            SteeringRefused: with the policy's reason; nothing was changed.
        """
        text = format_preset(preset.name, preset.edits, preset.bundles)
        request = ApplyPreset.Request(preset=text, owner=self.name, lease=LEASE)
        return self._steer("steering/preset", request)

    def bypass(self, on: bool) -> None:
        """Let no edit act, or all again.

        Raises:
            SteeringRefused: two policies have this service; switched on is at least one of them.
        """
        if not on:  # what makes edits act is done to one policy or to none
            self._refuse_two_policies("nothing was changed by this request")
        self._call("steering/bypass", SetBool.Request(data=on))
        self._refuse_two_policies("at least one of them was switched")

    def inject(self, on: bool) -> None:
        """Let the simulation's policy have the donor's residual stream, or its own again.

        Raises:
            SteeringRefused: with the policy's reason, e.g. it was started without a donor; or two
                policies have this service.
        """
        self._refuse_two_policies("nothing was changed by this request")
        answer = self._call("steering/inject", SetBool.Request(data=on))
        if not answer.success:
            raise SteeringRefused(answer.message)

    def reset_steering(self) -> None:
        """Let every edit ramp back to natural.

        Raises:
            SteeringRefused: two policies have this service; at least one of them was reset.
        """
        self._call("steering/reset", Trigger.Request())
        self._refuse_two_policies("at least one of them was reset")

    def start_recording(
        self, uri: str = "", images: bool = True, topics: Sequence[str] = ()
    ) -> str:
        """Start a bag and return its folder.

        Raises:
            RecordingError: with the recorder's reason.
        """
        request = StartRecording.Request(uri=uri, images=images, topics=list(topics))
        response = self._call("record/start", request)
        if not response.success:
            raise RecordingError(response.message)
        return response.uri

    def stop_recording(self) -> str:
        """Close the bag; return what the recorder says about it.

        Raises:
            RecordingError: with the recorder's reason.
        """
        response = self._call("record/stop", Trigger.Request())
        if not response.success:
            raise RecordingError(response.message)
        return response.message

    def set_parameter(self, node: str, name: str, value: bool | int | float | str) -> None:
        """Change a live parameter of a node, e.g. set_parameter("bridge", "image_rate", 10.0).

        Raises:
            ConfigurationError: with the node's reason.
        """
        service = f"{node}/set_parameters"
        if service not in self._services:
            self._services[service] = self._node.create_client(SetParameters, service)
        parameter = Parameter(name, value=value).to_parameter_msg()
        response = self._call(service, SetParameters.Request(parameters=[parameter]))
        (result,) = response.results
        if not result.successful:
            raise ConfigurationError(f"{node} refused {name} = {value!r}: {result.reason}")

    def _steer(self, name: str, request: Any) -> int:
        self._services[name].wait_for_service(SERVICE_TIMEOUT)
        threading.Event().wait(max(0.0, self._settled_at - time.monotonic()))
        self._refuse_two_policies("nothing was changed by this request")
        response = self._call(name, request)
        if not response.accepted:
            raise SteeringRefused(response.reason)
        self._refuse_two_policies("this request may have changed either, or both")
        return response.revision

    def _refuse_two_policies(self, so_far: str) -> None:
        """Two services of one name both act, and one of the answers is heard."""
        policies = max(
            self._node.count_publishers("steering/state"),
            self._node.count_services("steering/set"),
        )
        if policies > 1:
            raise SteeringRefused(
                f"{policies} policies are steered by the same name, "
                f"{self._node.resolve_topic_name('steering/state')}; {so_far}. End all but one, or "
                "give each a namespace (vla-sae up ... --namespace left)."
            )

    def _call(self, name: str, request: Any, least: float = 0.0) -> Any:
        """Return the answer; some take at least so long [s]."""
        client = self._services[name]
        if not client.wait_for_service(SERVICE_TIMEOUT):
            raise NoAnswer(f"there is no answer from {_offered_by([name])}. {self._hint(name)}")
        return self._wait(client.call_async(request), max(SERVICE_TIMEOUT, least), name)

    def _hint(self, missing: str) -> str:
        """Return what to do where a service is missing: a policy that is inactive offers none."""
        if not missing.startswith("steering/"):
            return HINT
        if not self._policy_state.wait_for_service(STATE_TIMEOUT):
            return HINT
        try:
            asked = self._policy_state.call_async(GetState.Request())
            state = self._wait(asked, STATE_TIMEOUT, "policy/get_state").current_state.label
        except NoAnswer:
            return HINT
        return (
            f"The policy node is {state}: it serves once it is active "
            "(ros2 lifecycle set /policy activate, after configure)."
        )

    def _wait(self, future: Future, timeout: float, name: str) -> Any:
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        deadline = time.monotonic() + timeout
        while not done.wait(CHECK_PERIOD):
            self._check()
            if time.monotonic() > deadline:
                raise NoAnswer(f"{name} did not answer within {timeout:.0f} s.")
        return future.result()

    def _beat(self) -> None:
        self._heartbeat.publish(self._lease_message(LEASE))

    def _beat_for_robot(self) -> None:
        if self._holds_robot:
            self._robot_heartbeat.publish(self._lease_message(ROBOT_LEASE))

    def _lease_message(self, duration: float) -> SteeringLease:
        message = SteeringLease(owner=self.name, duration=duration)
        message.header.stamp = self._node.get_clock().now().to_msg()
        return message


def _offered_by(names: Sequence[str]) -> str:
    """Return which nodes offer these services and actions, with their names."""
    return " and ".join(f"{node} ({', '.join(each)})" for node, each in _by_node(names).items())


def _by_node(names: Sequence[str]) -> dict[str, list[str]]:
    """Return node -> which of these services and actions it offers."""
    by_node: dict[str, list[str]] = {}
    for name in names:
        first = name.partition("/")[0]
        by_node.setdefault(OFFERED_BY.get(first, f"the node {first}"), []).append(name)
    return by_node
