"""The bridge over real DDS, with a fake policy and a fake environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import lerobot_stand_ins
import numpy as np
import pytest
import rclpy
from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from patience import PATIENCE, answer_of, eventually
from rclpy.context import Context
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from second_domain import SECOND_DOMAIN
from sensor_msgs.msg import Image, JointState
from sim_graph import Graph
from std_srvs.srv import SetBool

from vla_sae_ros.core.episode_status import EpisodeStatus
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.picture_record import PictureRecord
from vla_sae_ros.msg import (
    ChunkRequest,
    EpisodeState,
    ExecutedAction,
    InstructionChange,
    NodeDescription,
    SteeringLease,
    TakeoverState,
)
from vla_sae_ros.nodes.base.node_description import DescriptionPublisher
from vla_sae_ros.nodes.base.told_pictures import picture_facts
from vla_sae_ros.nodes.sim.bridge import SimBridge
from vla_sae_ros.sim.lerobot_envs.benchmark import LerobotBenchmark
from vla_sae_ros.srv import SetInstruction
from vla_sae_ros.study.rollouts.simulated import policy_frame
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_floats, to_ns, to_time
from vla_sae_ros.wire.person_topics import PersonPublisher


@pytest.fixture
def graph(environment, find_task, fake_policy) -> Iterator[Callable[..., Graph]]:
    made: list[Graph] = []

    def make(**parameters: Any) -> Graph:
        made.append(Graph(environment, find_task, fake_policy, **parameters))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_lockstep_episode_runs_to_its_end_and_tells_everything(graph, environment):
    system = graph()

    def hear_feedback() -> None:  # what is still on its way is lost when the result overtakes it
        begun = len(environment.actions)
        eventually(lambda: any(state.step == begun for state in system.feedback))

    environment.on_step = hear_feedback
    status, result = system.run(task=1)
    assert status == GoalStatus.STATUS_SUCCEEDED
    assert (result.success, result.steps, result.message) == (False, 12, "no success in 12 steps")
    assert (result.held_ticks, result.dropped_chunks, result.missed_deadlines) == (0, 0, 0)
    system.until(lambda: len(system.executed) == 12)
    assert [action.step for action in system.executed] == list(range(12))
    assert [action.chunk_index for action in system.executed] == [0, 1, 2, 3, 4] * 2 + [0, 1]
    sent = np.array([list(action.action) for action in system.executed])
    assert np.array_equal(sent, environment.actions)
    system.until(lambda: system.states[-1].status == EpisodeState.FAILED)
    last = system.states[-1]
    assert (last.suite, last.task, last.instruction) == ("fake_suite", 1, "reach the thing")
    assert (last.step, last.max_steps, last.clock) == (12, 12, EpisodeState.LOCKSTEP)
    assert {state.step for state in system.feedback} <= set(range(13))
    assert system.feedback[0].episode_id == result.episode_id


def test_the_policy_sees_one_observation_of_one_moment(graph):
    system = graph()
    system.run()
    assert [request.step for request in system.policy.requests] == [0, 5, 10]
    for frame in system.policy.frames:
        assert frame["observation.images.agentview"].shape == (256, 256, 3)
        assert (frame["observation.images.wrist"] == 1).all()
        assert frame["observation.state"].shape == (8,)
    assert system.policy.frames[0]["observation.state"][0] == pytest.approx(0.07)


def test_the_same_seed_gives_the_same_actions_to_the_bit_and_another_does_not(graph):
    system = graph()
    hashes = [system.run(seed=seed)[1].actions_sha256 for seed in (3, 3, 4)]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        ({"suite": "nonsense"}, "Unknown suite: got 'nonsense'; allowed: fake_suite"),
        ({"task": 5}, "Unknown task of fake_suite: got 5"),
        ({"init_state": 9}, "Unknown init state: got 9"),
        ({"clock": "sundial"}, "allowed: lockstep, realtime"),
        ({"max_steps": -1}, "max_steps: got -1"),
        ({"seed": 2**40}, "The seed"),
    ],
)
def test_a_goal_that_cannot_be_run_is_refused_with_the_reason(graph, environment, goal, words):
    system = graph()
    status, result = system.run(**goal)
    assert status == GoalStatus.STATUS_ABORTED
    assert words in result.message
    assert environment.actions == []
    assert system.run()[0] == GoalStatus.STATUS_SUCCEEDED, "the bridge serves on"


def test_a_second_goal_is_refused_and_the_first_goes_on(graph):
    system = graph()
    system.policy.silent = True
    first = system.send()
    assert system.policy.asked.wait(PATIENCE)
    status, result = system.run()
    assert status == GoalStatus.STATUS_ABORTED
    assert "An episode is running" in result.message
    system.policy.silent = False
    system.policy.publish(system.policy.requests[-1])
    assert answer_of(first.get_result_async()).result.steps == 12


@pytest.mark.parametrize("clock", ["lockstep", "realtime"])
def test_a_cancel_ends_the_episode_even_with_a_silent_policy(graph, clock):
    system = graph()
    system.policy.silent = True
    handle = system.send(clock=clock, max_steps=100_000)
    assert system.policy.asked.wait(PATIENCE)
    assert len(answer_of(handle.cancel_goal_async()).goals_canceling) == 1
    answer = answer_of(handle.get_result_async())
    assert answer.status == GoalStatus.STATUS_CANCELED
    assert "canceled at step" in answer.result.message
    system.until(lambda: system.states[-1].status == EpisodeState.CANCELED)


def test_a_silent_policy_ends_lockstep_with_an_error_that_says_so(graph, environment):
    system = graph(chunk_timeout=0.6, resend_after=0.2)
    system.policy.silent = True
    status, result = system.run()
    assert status == GoalStatus.STATUS_ABORTED
    assert "no action chunk for step 0 within 0.6 s" in result.message
    assert environment.actions == []
    # How often it is asked again, on a clock of the test's own: nodes/episode/test_runner.py.
    assert {request.step for request in system.policy.requests} == {0}
    system.until(lambda: system.diagnosis.level == DiagnosticStatus.ERROR)
    assert "no action chunk" in system.diagnosis.message


def test_realtime_holds_still_and_counts_while_the_policy_is_silent(graph, environment):
    system = graph(clock="realtime")
    system.policy.silent = True
    status, result = system.run()
    assert status == GoalStatus.STATUS_SUCCEEDED
    assert (result.steps, result.held_ticks) == (12, 12)
    assert not np.any(environment.actions)
    system.until(lambda: len(system.executed) == 12)
    assert all(action.held and action.chunk_id == 0 for action in system.executed)


def test_realtime_executes_each_action_at_its_own_tick(graph):
    system = graph(clock="realtime")
    handle = system.send(max_steps=100_000)
    planned = lambda: [action for action in system.executed if not action.held]  # noqa: E731
    system.until(lambda: len(planned()) >= 15)
    answer_of(handle.cancel_goal_async())
    result = answer_of(handle.get_result_async()).result
    assert result.steps - result.held_ticks >= 15
    steps = {request.step for request in system.policy.requests}
    assert all(action.step - action.chunk_index in steps for action in planned())


def test_a_chunk_that_comes_twice_late_or_for_another_episode_is_counted(graph, environment):
    system = graph()

    def disturb() -> None:
        if len(environment.actions) == 3:
            request = system.policy.requests[-1]
            before = system.policy.chunks
            system.policy.publish(request, episode_id="of-yesterday")
            wait_for_mail(system, 1)
            system.policy.chunks = before - 1
            system.policy.publish(request)  # the very chunk that is being executed
            wait_for_mail(system, 2)

    environment.on_step = disturb
    _, result = system.run()
    assert result.steps == 12
    assert result.dropped_chunks == 2


def wait_for_mail(system: Graph, count: int) -> None:
    """Wait until the bridge's mailbox holds chunks, so that two do not merge on a depth of 1."""
    mailbox = system.bridge._mailbox
    with mailbox._condition:
        assert mailbox._condition.wait_for(lambda: len(mailbox._chunks) >= count, PATIENCE)


def test_a_malformed_chunk_never_reaches_the_robot(graph, environment):
    system = graph(clock="realtime")
    publish = system.policy.publish
    system.policy.publish = lambda request: publish(request, actions=to_floats([float("nan")] * 70))
    handle = system.send(max_steps=100_000)
    system.until(lambda: bool(system.states) and system.states[-1].dropped_chunks > 0)
    answer_of(handle.cancel_goal_async())
    result = answer_of(handle.get_result_async()).result
    assert result.steps == result.held_ticks == len(environment.actions)
    assert not np.any(environment.actions)


def test_autorun_starts_an_episode_when_there_is_a_policy(graph, environment):
    system = graph(autorun=True, suite="fake_suite", task=1, init_state=2, seed=5)
    system.until(lambda: bool(system.states) and system.states[-1].status == EpisodeState.FAILED)
    assert environment.resets == [("fake_suite", 1, 2, 5)]


def test_an_unexpected_failure_ends_the_episode_and_not_the_bridge(graph, environment):
    system = graph()

    def explode() -> None:
        raise ZeroDivisionError("of the simulator")

    environment.on_step = explode
    status, result = system.run()
    assert status == GoalStatus.STATUS_ABORTED
    assert "ZeroDivisionError" in result.message
    system.until(lambda: system.states[-1].status == EpisodeState.ERROR)
    environment.on_step = lambda: None
    assert system.run()[0] == GoalStatus.STATUS_SUCCEEDED


def test_a_goal_whose_bridge_ends_gets_a_result(graph, environment):
    system = graph()
    system.policy.silent = True
    result = system.send(suite="fake_suite", task=1).get_result_async()
    system.until(lambda: bool(system.states) and system.states[-1].status == EpisodeState.RUNNING)
    system.bridge.before_end()
    answer = answer_of(result)
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert "canceled" in answer.result.message


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (
            {"clock": "sundial", "execute_steps": 0},
            ["'clock': got 'sundial'", "'execute_steps': got 0; allowed: an integer from 1"],
        ),
        ({"chunk_timeout": 5}, ["'chunk_timeout': got 5", "decimal point"]),
        ({"chunktimeout": 5.0}, ["Unknown parameter: got 'chunktimeout'", "'chunk_timeout'?"]),
        ({"contract": "nowhere.yaml"}, ["Cannot read nowhere.yaml"]),
    ],
)
def test_wrong_parameters_are_refused_all_at_once_with_the_reasons(
    environment, find_task, parameters, words
):
    context = Context()
    rclpy.init(context=context, domain_id=SECOND_DOMAIN)
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    try:
        with pytest.raises(Exception) as refusal:
            SimBridge(
                lambda values: environment,
                find_task,
                context=context,
                parameter_overrides=overrides,
            )
        for part in words:
            assert part in str(refusal.value)
    finally:
        context.try_shutdown()


def test_a_simulation_with_another_rate_than_the_contract_is_refused(environment, find_task):
    environment.control_rate_hz = 10.0
    context = Context()
    rclpy.init(context=context, domain_id=SECOND_DOMAIN)
    try:
        with pytest.raises(ConfigurationError, match=r"fps: got 20\.0; allowed: 10"):
            SimBridge(
                lambda values: environment,
                find_task,
                context=context,
                parameter_overrides=[Parameter("suite", value="fake_suite")],
            )
    finally:
        context.try_shutdown()


def test_destroying_the_bridge_cancels_the_episode_and_closes_the_simulator(graph, environment):
    system = graph()
    system.policy.silent = True
    system.send()
    assert system.policy.asked.wait(PATIENCE)
    system.close()
    assert environment.closed
    assert system.bridge._output.latest.status is EpisodeStatus.CANCELED


def test_observations_carry_one_stamp(graph):
    system = graph()
    stamps: dict[str, list[int]] = {}
    for kind, topic in (
        (Image, "observation/image/agentview"),
        (Image, "observation/image/wrist"),
        (JointState, "joint_states"),
        (PoseStamped, "ee_pose"),
        (JointState, "gripper"),
    ):
        system._listen(
            kind,
            topic,
            qos.OBSERVATION,
            lambda message, topic=topic: stamps.setdefault(topic, []).append(
                to_ns(message.header.stamp)
            ),
        )
    system.until(lambda: system.bridge.count_subscribers("joint_states") > 0)
    system.run()
    system.until(lambda: len(stamps) == 5 and all(len(seen) == 4 for seen in stamps.values()))
    assert len({tuple(seen) for seen in stamps.values()}) == 1


@pytest.mark.parametrize("allowed", [False, True])
def test_goals_are_refused_for_a_policy_of_other_pictures_unless_told(
    graph, environment, allowed: bool
):
    environment.picture_record = PictureRecord("full", "3.3.0")
    system = graph(allow_other_pictures=allowed)
    DescriptionPublisher(system.node, picture_facts("trained on", PictureRecord("quick", "3.3.0")))
    eventually(lambda: system.bridge._pictures._other)
    status, result = system.run()
    refused = status == GoalStatus.STATUS_ABORTED
    assert refused != allowed
    assert ("another render quality" in result.message) == refused


def test_an_environment_with_its_own_contract_is_shown_live_as_it_is_offline(fake_policy):
    """RoboCasa's spaces: three cameras, a state of 16 numbers, an action of 12; a stand-in."""
    lerobot_stand_ins.register()
    benchmark = LerobotBenchmark("robocasa_stand_in")
    system = Graph(
        benchmark.environment(),
        benchmark.find_task,
        lambda node: fake_policy(node, benchmark.contract()),
        suite="CloseFridge",
    )
    try:
        _, result = system.run(suite="CloseFridge", seed=7)
        assert (result.success, result.steps) == (True, lerobot_stand_ins.STEPS)
        system.until(lambda: len(system.executed) == lerobot_stand_ins.STEPS)
        assert {len(tick.action) for tick in system.executed} == {12}
    finally:
        system.close()
    alone = benchmark.environment()
    offline = policy_frame(alone, alone.reset(benchmark.tasks()[0], 0, 7))
    alone.close()
    live = system.policy.frames[0]
    assert live.keys() == offline.keys()
    assert all(np.array_equal(live[key], offline[key]) for key in live)


class Person:
    """A client with a heartbeat that takes over, and a tool that publishes twists."""

    def __init__(self, system: Graph, name: str = "hand") -> None:
        self._system, self.name, self.beating, self.linear = system, name, True, None
        self._beats = system.node.create_publisher(SteeringLease, "bridge/heartbeat", qos.HEARTBEAT)
        self._service = system.node.create_client(SetBool, "bridge/takeover")
        self.publisher = PersonPublisher(system.node)
        system.node.create_timer(0.05, self._tick)
        assert self._service.wait_for_service(PATIENCE)

    def _tick(self) -> None:
        if self.beating:
            self._beats.publish(SteeringLease(owner=self.name, duration=1.0))
        if self.linear is not None:
            self.publisher.twist(self.linear, (0.0, 0.0, 0.0))

    def take_over(self, on: bool) -> SetBool.Response:
        return answer_of(self._service.call_async(SetBool.Request(data=on)))


@pytest.fixture
def takeovers() -> list[TakeoverState]:
    return []


@pytest.mark.parametrize("clock", ["lockstep", "realtime"])
def test_a_person_takes_over_a_simulated_hand_and_hands_back(graph, takeovers, clock):
    system = graph(teleop_timeout=2.0)
    system._listen(TakeoverState, "bridge/takeover_state", qos.LATCHED, takeovers.append)
    person = Person(system)
    handle = system.send(max_steps=100_000, clock=clock)
    system.until(lambda: any(each.source == ExecutedAction.POLICY for each in system.executed))
    assert person.take_over(True).message == "taken over by hand"
    system.until(lambda: takeovers and takeovers[-1].silent)
    person.linear = (0.0, 0.0, 0.125)
    moved = lambda: [e for e in system.executed if e.source == 1 and not e.held]  # noqa: E731
    system.until(lambda: len(moved()) > 5)
    assert all(each.action[2] == pytest.approx(0.5) for each in moved())
    assert person.take_over(False).message == "handed back by hand"
    last = max(each.step for each in moved())
    system.until(lambda: [e for e in system.executed if e.step > last + 1 and e.source == 0])
    back = next(e for e in system.executed if e.step > last and e.source == 0)
    assert back.step - back.chunk_index > last
    assert takeovers[-1].takeovers == 1
    answer_of(handle.cancel_goal_async())


def test_who_is_not_heard_of_moves_nothing_and_another_may_then_hand_back(graph, takeovers):
    system = graph(teleop_timeout=2.0)
    system._listen(TakeoverState, "bridge/takeover_state", qos.LATCHED, takeovers.append)
    person = Person(system)
    handle = system.send(max_steps=100_000, clock="realtime")
    assert person.take_over(True).success
    person.linear = (0.1, 0.0, 0.0)
    system.until(lambda: any(e.source == 1 and not e.held for e in system.executed))
    person.beating = False
    system.until(lambda: system.executed[-1].source == 1 and system.executed[-1].held)
    refused = person.take_over(False)
    assert not refused.success and "heartbeat" in refused.message
    other = Person(system, "other")
    assert other.take_over(False).message == "handed back by other"
    system.until(lambda: not takeovers[-1].taken_over)
    answer_of(handle.cancel_goal_async())


def test_two_who_are_heard_of_are_told_apart_or_refused(graph):
    system = graph()
    person, other = Person(system), Person(system, "other")
    answers: list[SetBool.Response] = []

    def refused() -> bool:  # once both have been heard
        answers.append(person.take_over(True))
        return not answers[-1].success

    eventually(refused)
    assert "'hand', 'other'" in answers[-1].message
    other.beating = False
    assert person.take_over(True).success


def test_the_picture_rate_changes_in_the_middle_of_an_episode_and_the_bag_is_told(
    graph, environment
):
    made = graph(execute_steps=4)
    told: list[NodeDescription] = []
    made._listen(NodeDescription, "description", qos.DESCRIPTION, told.append)

    def change() -> None:
        if len(environment.actions) == 6:
            made.bridge.set_parameters([Parameter("image_rate", value=20.0)])

    environment.on_step = change
    status, _ = made.run(max_steps=12)
    assert status == GoalStatus.STATUS_SUCCEEDED
    # Asked for after 0, 4 and 8 ticks, the end after 12; from the seventh on one after each, too.
    assert environment.rendered // len(environment.cameras) == 4 + 5
    made.until(
        lambda: any(
            dict(zip(one.names, one.values, strict=True))["parameter.image_rate"] == "20.0"
            for one in told
        )
    )
    (refused,) = made.bridge.set_parameters([Parameter("image_rate", value=1000.0)])
    assert not refused.successful and made.bridge.get_parameter("image_rate").value == 20.0


@pytest.mark.parametrize("seconds", [None, 5])
def test_a_bridge_keeps_its_own_time_whatever_the_clock_says(graph, seconds):
    made = graph(use_sim_time=True)
    if seconds is not None:  # a clock that stands
        publisher = made.node.create_publisher(Clock, "/clock", 10)
        eventually(publisher.get_subscription_count, "nobody follows the clock")
        publisher.publish(Clock(clock=to_time(seconds * 1_000_000_000)))
    status, result = made.run(max_steps=8)
    assert (status, result.steps) == (GoalStatus.STATUS_SUCCEEDED, 8)
    made.until(lambda: len(made.executed) == 8)
    stamps = [to_ns(each.header.stamp) for each in made.executed]
    assert set(np.diff(stamps)) == {50_000_000}, "a control period of 20 Hz"


def test_autorun_says_that_it_does_not_wait_for_a_clock(graph, capfd):
    made = graph(use_sim_time=True, autorun=True)
    made.until(lambda: any(state.status == EpisodeState.FAILED for state in made.states))
    assert "does not wait for /clock" in capfd.readouterr().err


def test_another_instruction_in_the_middle_of_an_episode(graph, environment):
    system = graph()
    told: list[InstructionChange] = []
    system._listen(InstructionChange, "instruction", qos.EVENTS, told.append)
    requests: list[ChunkRequest] = []
    system._listen(ChunkRequest, "policy/request", qos.EVENTS, requests.append)
    client = system.node.create_client(SetInstruction, "instruction/set", qos_profile=qos.SERVICE)
    eventually(client.service_is_ready)
    eventually(lambda: system.bridge.count_subscribers("instruction") > 0)

    def ask(**fields: str) -> SetInstruction.Response:
        return answer_of(client.call_async(SetInstruction.Request(owner="me", **fields)))

    assert "No episode runs" in ask(instruction="wave").reason
    answers: list[SetInstruction.Response] = []

    def say() -> None:
        if len(environment.actions) == 6:
            answers.extend(
                [
                    ask(instruction=" \n"),
                    ask(instruction="x" * 501),
                    ask(instruction="wave", episode_id="another"),
                    ask(instruction=" wave\tslowly  now "),
                ]
            )

    environment.on_step = say
    _, result = system.run(instruction="reach")
    assert [answer.accepted for answer in answers] == [False, False, False, True]
    assert [answer.revision for answer in answers] == [0, 0, 0, 1]
    assert all(answer.reason for answer in answers[:3])
    system.until(lambda: len(told) == 1 and len(requests) >= 3)
    (change,) = told
    assert (change.instruction, change.previous) == ("wave slowly now", "reach")
    assert (change.owner, change.episode_id, change.revision) == ("me", result.episode_id, 1)
    said = [(r.step, r.instruction, r.instruction_revision) for r in requests]
    assert said[:3] == [(0, "reach", 0), (5, "reach", 0), (7, "wave slowly now", 1)]
    system.until(lambda: system.states[-1].status == EpisodeState.FAILED)
    last = system.states[-1]
    assert (last.instruction, last.instruction_revision) == ("wave slowly now", 1)
    environment.on_step = lambda: None
    system.run(instruction="reach")
    system.until(lambda: system.states[-1].status == EpisodeState.FAILED)
    assert (system.states[-1].instruction, system.states[-1].instruction_revision) == ("reach", 0)
