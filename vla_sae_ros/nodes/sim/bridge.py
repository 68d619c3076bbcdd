"""The simulation bridge: owns time, runs episodes, executes the policy's chunks."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.task import Future

from vla_sae_ros.action import RunEpisode
from vla_sae_ros.core.contract import Contract, load_contract
from vla_sae_ros.core.errors import ConfigurationError, VlaSaeError, complaint
from vla_sae_ros.core.person import PersonInput
from vla_sae_ros.core.picture_record import RecordsPictures
from vla_sae_ros.msg import ActionChunk
from vla_sae_ros.nodes.base.node_description import DescriptionPublisher
from vla_sae_ros.nodes.base.parameters import declare_parameters
from vla_sae_ros.nodes.base.told_pictures import ToldPictures, picture_facts
from vla_sae_ros.nodes.episode.autorun import Autorun
from vla_sae_ros.nodes.episode.episode import EpisodeClock, EpisodeGoal, Told
from vla_sae_ros.nodes.episode.hand import Takeover
from vla_sae_ros.nodes.episode.instruction import InstructionService
from vla_sae_ros.nodes.episode.mailbox import ChunkMailbox
from vla_sae_ros.nodes.episode.messages import from_chunk, to_diagnostic
from vla_sae_ros.nodes.episode.person import PersonTopics
from vla_sae_ros.nodes.episode.person_parameters import person_limits
from vla_sae_ros.nodes.episode.publisher import EpisodePublisher
from vla_sae_ros.nodes.episode.runner import EpisodeRunner
from vla_sae_ros.nodes.episode.server import EpisodeServer
from vla_sae_ros.nodes.sim.parameters import LARGEST_SEED, SimBridgeParameters, pacing
from vla_sae_ros.nodes.sim.sim_hand import SimHand
from vla_sae_ros.sim.benchmark import LIBERO_CONTRACT
from vla_sae_ros.sim.environment import Environment, TaskSpec
from vla_sae_ros.sim.own_contract import OwnContract
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.steady import steady_timer

OWN_ACTIONS = (
    "This environment has its own actions; a person's velocities are defined for LIBERO's arm "
    "only. Steer the policy, or cancel the episode."
)
SHUTDOWN_LIMIT = 0.8
"""Seconds that an episode, and then the simulator, is given to end with the process."""


class SystemTime:
    """The machine's clocks."""

    def wall_ns(self) -> int:
        """Return nanoseconds since the epoch."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        return time.monotonic()


class SimBridge(Node):
    """Serves `run_episode`, each episode on a thread of its own.

    Raises ConfigurationError when a parameter or the contract does not fit.
    """

    def __init__(
        self,
        make_environment: Callable[[SimBridgeParameters], Environment],
        find_task: Callable[[str, int], TaskSpec],
        **node_options: Any,
    ) -> None:
        super().__init__("bridge", **node_options)
        self._values = declare_parameters(self, SimBridgeParameters, self._changed)
        self._runner: EpisodeRunner | None = None
        self._find_task = find_task
        given = load_contract(self._values.contract) if self._values.contract else None
        self._environment = make_environment(self._values)
        try:  # what cannot be is refused now, not at the first goal
            find_task(self._values.suite, self._values.task)
            contract = given or _contract_of(self._environment)
            rate = _common_rate(contract, self._environment)
        except VlaSaeError:
            self._environment.close()
            raise
        self._action = contract.action
        self._pacing = pacing(self._values, rate)
        scene = self._environment
        vectors = scene.vectors if isinstance(scene, OwnContract) else None
        self._output = EpisodePublisher(self, self._environment.cameras, contract.fps, vectors)
        self._person = PersonInput(person_limits(self._values), 0, time.monotonic)
        self._takeover = Takeover(self, self._person, OWN_ACTIONS if vectors is not None else "")
        self._hand = SimHand(self._person, self._takeover)
        self._person_topics = PersonTopics(self, self._person, lambda: self._takeover.in_charge)
        self._mailbox: ChunkMailbox | None = None  # there is one exactly while an episode runs
        # Kept beyond that: an executor that is shut down drops the coroutine that awaits the end.
        self._episode: tuple[threading.Thread, ChunkMailbox] | None = None
        self._chunks_without_episode = 0
        self.create_subscription(ActionChunk, "policy/action_chunk", self._on_chunk, qos.CHUNK)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        steady_timer(self, 1.0, self._diagnose)
        drawn = scene.picture_record if isinstance(scene, RecordsPictures) else None
        self._pictures = ToldPictures(self, "drawn", drawn, self._values.allow_other_pictures)
        self._description = DescriptionPublisher(
            self,
            {
                "robot_type": contract.robot_type,
                "control_rate": contract.fps,
                "cameras": list(self._environment.cameras),
                **picture_facts("drawn", drawn),
            },
        )
        self._server = EpisodeServer(self, self._plan, self._start, self._cancel)
        self._output.on_state = self._server.feed_back
        self._instruction = InstructionService(self, lambda: self._output.latest, self._tell)
        self._autorun: Autorun | None = None
        if self._values.autorun:
            self._autorun = Autorun(self, self._own_goal(), self._output.has_policy)
        if drawn is not None:
            self.get_logger().info(f"pictures: {drawn}")
        self.get_logger().info("offers run_episode")

    def before_end(self) -> None:
        """Give a running goal its result."""
        self._server.end(SHUTDOWN_LIMIT)

    def destroy_node(self) -> None:
        """End the episode and free the simulator, within a limit, then the node."""
        if self._episode is not None:
            thread, mailbox = self._episode
            mailbox.cancel()
            thread.join(SHUTDOWN_LIMIT)
        # A simulator in the middle of a reset cannot be interrupted; the process ends regardless.
        closing = threading.Thread(target=self._environment.close, daemon=True)
        closing.start()
        closing.join(SHUTDOWN_LIMIT)
        if self._autorun is not None:
            self._autorun.destroy()
        self._server.destroy()
        super().destroy_node()

    def _changed(self, values: SimBridgeParameters) -> None:
        """Take what can change while the node runs, the episode that runs included."""
        self._values = values
        self._pacing = replace(self._pacing, image_rate=values.image_rate)
        if self._runner is not None:
            self._runner.image_rate = values.image_rate

    def _start(self, goal: EpisodeGoal, finished: Future) -> None:
        self._mailbox = mailbox = ChunkMailbox()
        finished.add_done_callback(lambda _: self._ended(mailbox))
        thread = threading.Thread(
            target=self._run, args=(goal, mailbox, finished), name="episode", daemon=True
        )
        self._episode = (thread, mailbox)
        thread.start()

    def _cancel(self) -> None:
        mailbox = self._mailbox
        if mailbox is not None:
            mailbox.cancel()

    def _ended(self, mailbox: ChunkMailbox) -> None:
        if self._mailbox is mailbox:  # the next episode may have begun already
            self._mailbox = self._runner = None

    def _tell(self, episode_id: str, told: Told) -> bool:
        """Let the running episode's policy hear another instruction; False: it runs no more."""
        runner = self._runner
        if runner is None or self._output.latest.goal is None:
            return False
        if self._output.latest.goal.episode_id != episode_id:
            return False
        runner.tell(told)
        return True

    def _run(self, goal: EpisodeGoal, mailbox: ChunkMailbox, finished: Future) -> None:
        next_ns = self._output.latest.stamp_ns + round(self._pacing.period * 1e9)
        runner = self._runner = EpisodeRunner(
            goal,
            self._environment,
            self._action,
            self._pacing,
            mailbox,
            self._output,
            SystemTime(),
            next_ns,
            self._hand,
        )
        try:
            finished.set_result(runner.run())
        except Exception as error:  # handed to who waits for the result
            finished.set_exception(error)

    def _own_goal(self) -> RunEpisode.Goal:
        values = self._values
        return RunEpisode.Goal(
            suite=values.suite,
            task=values.task,
            init_state=values.init_state,
            seed=values.seed,
            clock=values.clock,
        )

    def _plan(self, request: RunEpisode.Goal) -> EpisodeGoal:
        """Return what to run; raises ConfigurationError with the reason why not."""
        self._pictures.check()
        suite = request.suite or self._values.suite
        index = request.task if request.suite else self._values.task
        clock = request.clock or self._values.clock
        if clock not in list(EpisodeClock):
            raise ConfigurationError(complaint("Unknown clock", clock, ", ".join(EpisodeClock)))
        if request.seed > LARGEST_SEED:
            raise ConfigurationError(complaint("The seed", request.seed, f"0 to {LARGEST_SEED}"))
        if request.max_steps < 0:
            raise ConfigurationError(complaint("max_steps", request.max_steps, "0 or more"))
        task = self._find_task(suite, index)
        return EpisodeGoal(
            episode_id=f"{task.suite}-{index}-{request.init_state}-{uuid.uuid4().hex[:8]}",
            task=task,
            init_state=request.init_state,
            seed=request.seed,
            instruction=request.instruction or task.instruction,
            max_steps=request.max_steps or task.max_steps,
            clock=EpisodeClock(clock),
        )

    def _on_chunk(self, message: ActionChunk) -> None:
        if self._mailbox is None:
            self._chunks_without_episode += 1
        else:
            self._mailbox.put(from_chunk(message))

    def _diagnose(self) -> None:
        charge, person = self._takeover.in_charge, self._person
        told = {
            "taken over by": charge.owner,
            "takeovers": charge.takeovers,
            "person's commands refused": person.refused,
            "last refused command": person.refusal,
        }
        message = DiagnosticArray(
            status=[to_diagnostic(self._output.latest, self._chunks_without_episode, told)]
        )
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


def _contract_of(environment: Environment) -> Contract:
    """Return an environment's own contract, or LIBERO's."""
    if isinstance(environment, OwnContract):
        return environment.contract
    return load_contract(LIBERO_CONTRACT)


def _common_rate(contract: Contract, environment: Environment) -> float:
    rate = environment.control_rate_hz
    if contract.fps != rate:
        raise ConfigurationError(
            complaint("The contract's fps", contract.fps, f"{rate:g}, the control rate simulated")
        )
    return rate
