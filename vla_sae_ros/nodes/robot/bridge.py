"""The robot bridge: episodes on an arm, through the control loop and its safety envelope."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger

from vla_sae_ros.action import RunEpisode
from vla_sae_ros.core.contract import Contract, load_contract
from vla_sae_ros.core.contract.messages import split_joint
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.person import PersonInput
from vla_sae_ros.msg import ActionChunk
from vla_sae_ros.nodes.base.node_description import DescriptionPublisher
from vla_sae_ros.nodes.base.parameters import declare_parameters
from vla_sae_ros.nodes.episode.episode import EpisodeClock, EpisodeGoal, Progress, Told
from vla_sae_ros.nodes.episode.instruction import InstructionService
from vla_sae_ros.nodes.episode.messages import from_chunk
from vla_sae_ros.nodes.episode.person import InCharge, PersonTopics
from vla_sae_ros.nodes.episode.person_parameters import person_limits
from vla_sae_ros.nodes.episode.server import EpisodeServer
from vla_sae_ros.nodes.robot.admission import RobotAdmission
from vla_sae_ros.nodes.robot.episode import EpisodeSource
from vla_sae_ros.nodes.robot.messages import to_diagnostic
from vla_sae_ros.nodes.robot.missing_robot import MissingRobot
from vla_sae_ros.nodes.robot.parameters import RobotBridgeParameters, pacing, with_contract
from vla_sae_ros.nodes.robot.publisher import RobotPublisher
from vla_sae_ros.nodes.robot.run import RobotRun
from vla_sae_ros.nodes.robot.topic_driver import TopicDriver
from vla_sae_ros.resources import share_folder
from vla_sae_ros.robot.action_space import ActionSpace, JointTargets
from vla_sae_ros.robot.driver import Driver
from vla_sae_ros.robot.droid import DroidActions
from vla_sae_ros.robot.envelope.envelope import SafetyEnvelope
from vla_sae_ros.robot.loop.audit import AuditLog
from vla_sae_ros.robot.loop.loop import ControlLoop
from vla_sae_ros.robot.next_steps import THEN, with_next_step
from vla_sae_ros.robot.person_actions import PersonActions
from vla_sae_ros.robot.reasons import Status
from vla_sae_ros.robot.report import Report
from vla_sae_ros.robot.settings import RobotSettings
from vla_sae_ros.robot.settings_file import load_robot
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header
from vla_sae_ros.wire.steady import steady_timer

DROID_CONTRACT = "config/contracts/droid.yaml"

MakeDriver = Callable[[Node, RobotBridgeParameters, RobotSettings], Driver]


class RobotBridge(Node):
    """Serves `run_episode` on an arm that somebody has enabled.

    The control loop ticks on a thread of its own and never waits for ROS: what it did comes to
    `_told`, on the thread of its sinks, and is published there.

    Raises ConfigurationError when parameters, contract and robot do not fit together.
    """

    def __init__(self, make_driver: MakeDriver, **node_options: Any) -> None:
        super().__init__("bridge", **node_options)
        values = declare_parameters(self, RobotBridgeParameters, self._changed)
        contract = load_contract(values.contract or share_folder() / DROID_CONTRACT)
        self._values = values = with_contract(values, contract)
        settings = load_robot(values.robot)
        space = _action_space(values.actions, settings)
        names = _fit(contract, settings, space)
        self._source = EpisodeSource(
            contract.action,
            pacing(values, contract.fps),
            values.policy_timeout,
            values.longest_chunk,
            space.outside,
        )
        kinematics = settings.place.kinematics if settings.place is not None else None
        self._output = RobotPublisher(self, names, kinematics, contract.fps)
        self._audit = self._make_audit(values.audit_folder)
        self._run: RobotRun | None = None
        self._lock = threading.Lock()  # the run: executor's thread and sinks' thread
        self._finished: Future | None = None
        self._chunks_without_episode = 0
        self._last_refusal = ""
        self._stops = 0
        self._said: Status | None = None
        warn = self.get_logger().warning
        self._missing = MissingRobot(values.start_patience, time.monotonic, warn)
        self._person = PersonInput(person_limits(values), settings.joints, time.monotonic)
        self._loop = self._make_loop(make_driver, settings, space)
        self._person_topics = PersonTopics(
            self, self._person, self._in_charge, names, twists=settings.place is not None
        )
        self._admission = RobotAdmission(self, self._loop, settings.lease, self._held, self._rivals)
        self._reset_steering = self.create_client(
            Trigger, "steering/reset", qos_profile=qos.SERVICE
        )
        self.create_subscription(ActionChunk, "policy/action_chunk", self._on_chunk, qos.CHUNK)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        steady_timer(self, 1.0, self._diagnose)
        self._description = DescriptionPublisher(
            self,
            {
                "robot_type": contract.robot_type,
                "control_rate": contract.fps,
                "robot": settings.robot,
            },
        )
        self._server = EpisodeServer(self, self._plan, self._start, self._cancel)
        self._output.on_state = self._server.feed_back
        self._instruction = InstructionService(self, self._progress, self._tell)
        self._output.progress(RobotRun.idle())
        self._loop.start()

    def _changed(self, values: RobotBridgeParameters) -> None:
        """Take what can change while the node runs."""
        self._source.policy_timeout = values.policy_timeout

    def before_end(self) -> None:
        """End the episode, so that the arm holds, and give its goal its result."""
        self._server.end(1.0)

    def destroy_node(self) -> None:
        """Stop the arm, end the episode, then the node."""
        self._loop.close()
        self._end("the bridge ends", canceled=True)
        if self._audit is not None:
            self._audit.close()
        self._server.destroy()
        super().destroy_node()

    def _make_audit(self, folder: str) -> AuditLog | None:
        """Every arm has a log of its own: its namespace tells it from others."""
        return AuditLog(Path(folder, self.get_namespace().strip("/"))) if folder else None

    def _make_loop(
        self, make_driver: MakeDriver, settings: RobotSettings, space: ActionSpace
    ) -> ControlLoop:
        envelope = SafetyEnvelope(settings, space, time.monotonic)
        self._source.person = PersonActions(self._person, envelope, settings, space)
        driver = self._driver = make_driver(self, self._values, settings)
        sinks = [self._told] + ([self._audit] if self._audit is not None else [])
        return ControlLoop(driver, envelope, self._source, settings.robot, settings.period, sinks)

    def _told(self, report: Report) -> None:
        """Take in what the control loop did; on the thread of its sinks."""
        self._output.report(report)
        self._missing.note(report.event)
        stamp_ns = 0
        if report.reading is not None and report.outcome is not None and report.outcome.tick >= 0:
            stamp_ns = self._output.reading(report.reading)
        with self._lock:
            if self._run is not None and report.outcome is not None:
                self._run.take(report.outcome, stamp_ns, self._output)
                self._run.note_dropped(self._source.dropped, self._last_refusal)
        envelope = self._loop.state().envelope  # the report may be from before an enable
        self._say_status(envelope.status)
        if envelope.status is Status.STOPPED:
            self._stopped(envelope.stops, envelope.said, envelope.next_step)
        elif envelope.status is not Status.ENABLED:
            self._end(f"the arm is {envelope.status.name.lower()}")
        elif self._run is not None and self._run.over:
            self._end("")

    def _say_status(self, status: Status) -> None:
        if status is not self._said:
            self._said = status
            self.get_logger().info(f"the arm is {status.name.lower()}")

    def _stopped(self, stops: int, why: str, next_step: str) -> None:
        """End the episode after a latched stop, and let steering go back to neutral, once."""
        if self._source.lost_policy:
            timeout = self._source.policy_timeout
            why += f"; the policy has not answered for {timeout:g} s (policy_timeout)"
        next_step = f"{next_step} {THEN}".strip()
        self._end(f"stopped, {why}", next_step=next_step)
        if stops == self._stops:
            return
        self._stops = stops
        self.get_logger().error(f"STOPPED: {with_next_step(why, next_step)}")
        if self._reset_steering.service_is_ready():
            self._reset_steering.call_async(Trigger.Request())

    def _rivals(self) -> tuple[str, ...]:
        """Name who else commands the arm, as far as its driver can see that."""
        driver = self._driver
        return driver.rivals() if isinstance(driver, TopicDriver) else ()

    def _in_charge(self) -> InCharge:
        envelope = self._loop.state().envelope
        return InCharge(envelope.owner if envelope.taken_over else "", envelope.takeovers)

    def _held(self) -> None:
        self._end("motion was disabled", canceled=True)

    def _end(self, why: str, canceled: bool = False, next_step: str = "") -> None:
        """End the episode that runs: chunks are thrown away. Empty `why`: at its step limit."""
        with self._lock:
            run, self._run = self._run, None
            self._source.end()
            if run is None:
                return
            result = run.finish(why, canceled, next_step)
            self._output.progress(result.progress)
            if self._finished is not None:
                self._finished.set_result(result)
                self._finished = None

    def _start(self, goal: EpisodeGoal, finished: Future) -> None:
        with self._lock:
            self._finished = finished
            self._run = RobotRun(goal)
            self._source.start(goal)

    def _cancel(self) -> None:
        self._end("canceled", canceled=True)

    def _progress(self) -> Progress:
        with self._lock:
            return RobotRun.idle() if self._run is None else self._run.progress

    def _tell(self, episode_id: str, told: Told) -> bool:
        """Let the running episode's policy hear another instruction; False: it runs no more."""
        with self._lock:
            run = self._run
            goal = None if run is None else run.progress.goal
            if run is None or goal is None or goal.episode_id != episode_id:
                return False
            run.tell(told)
            self._source.ask_anew()
            return True

    def _plan(self, request: RunEpisode.Goal) -> EpisodeGoal:
        """Return what to run; raises ConfigurationError with the reason why not."""
        if request.suite:
            raise ConfigurationError(
                complaint("suite", request.suite, "nothing: a robot's task is its instruction")
            )
        if request.clock not in ("", EpisodeClock.REALTIME):
            raise ConfigurationError(complaint("clock", request.clock, "realtime"))
        if not request.instruction.strip():
            raise ConfigurationError(
                complaint(
                    "instruction",
                    request.instruction,
                    "a non-empty text: what the policy has to do",
                )
            )
        if not self._output.stamp_ns():
            raise ConfigurationError(
                "use_sim_time is set, but no /clock has been received, so observations would have "
                "no stamp. Start the simulator that publishes /clock, or set use_sim_time to false."
            )
        envelope = self._loop.state().envelope
        if envelope.status is not Status.ENABLED:
            state = f"The arm is {envelope.status.name.lower()}"
            if envelope.reason is not None:
                stopped = with_next_step(f"{state} ({envelope.said})", envelope.next_step)
                raise ConfigurationError(f"{stopped} {THEN} Then enable it.")
            raise ConfigurationError(
                f"{state}. Enable it first (panel), or use vla-sae run --robot, which enables it."
            )
        return EpisodeGoal(
            episode_id=f"robot-{uuid.uuid4().hex[:8]}",
            task=None,
            init_state=-1,
            seed=request.seed,
            instruction=request.instruction,
            max_steps=request.max_steps or self._values.max_steps,
            clock=EpisodeClock.REALTIME,
        )

    def _on_chunk(self, message: ActionChunk) -> None:
        if self._run is None:
            self._chunks_without_episode += 1
            return
        refusal = self._source.push(from_chunk(message))
        if refusal:
            self._last_refusal = refusal
            self.get_logger().warning(refusal, throttle_duration_sec=2.0)

    def _diagnose(self) -> None:
        state = self._loop.state()
        envelope = state.envelope
        status = to_diagnostic(
            state,
            f"{self.get_name()}: robot",
            {
                "taken over by": envelope.owner if envelope.taken_over else "",
                "takeovers": envelope.takeovers,
                "person's commands refused": self._person.refused,
                "last refused command": self._person.refusal,
                "last refused chunk": self._last_refusal,
                "audit lines lost": 0 if self._audit is None else self._audit.lost,
                "chunks without an episode": self._chunks_without_episode,
            },
        )
        now_ns = self.get_clock().now().nanoseconds
        self._diagnostics.publish(DiagnosticArray(header=to_header(now_ns), status=[status]))


def _action_space(meaning: str, settings: RobotSettings) -> ActionSpace:
    if meaning == "droid":
        return DroidActions()
    return JointTargets(settings.limits.lower, settings.limits.upper)


def _fit(contract: Contract, settings: RobotSettings, space: ActionSpace) -> tuple[str, ...]:
    """Return the joint names of `joint_states`; raises ConfigurationError for what does not fit."""
    if contract.fps != settings.rate:
        raise ConfigurationError(
            complaint("The contract's fps", contract.fps, f"{settings.rate:g}, the robot's rate")
        )
    width = sum(source.channel_width for source in contract.action.sources)
    if width != space.size:
        raise ConfigurationError(
            complaint(
                "Size of the contract's action",
                width,
                f"{space.size}, for this robot and meaning",
            )
        )
    for entry in contract.observations:
        for source in entry.sources:
            if source.channel.topic == "joint_states":
                names = tuple(split_joint(path)[1] for path in source.select)
                if len(names) == settings.joints:
                    return names
    raise ConfigurationError(
        f"The contract has no observation from `joint_states` with the {settings.joints} joint "
        "positions of this robot, base to flange. Add it: the bridge publishes the joints under "
        "these names."
    )
