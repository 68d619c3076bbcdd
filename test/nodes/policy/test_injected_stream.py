"""Another episode's stream in the episodes of a simulation: whose stream an inference has, what is
told about it, and that no robot gets one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from fake_bridge import INSTRUCTION, PERIOD, FakeBridge, served
from patience import eventually
from rclpy.context import Context
from std_srvs.srv import SetBool

from vla_sae_ros.bags.opened_bag import open_bag
from vla_sae_ros.bags.recorded_frames import RecordedFrames
from vla_sae_ros.bags.recorded_inferences import recorded_inferences
from vla_sae_ros.core.contract import load_contract
from vla_sae_ros.core.errors import ConfigurationError, ObservationError, VlaSaeError
from vla_sae_ros.core.readout import INJECTED
from vla_sae_ros.core.steering import Snapshot
from vla_sae_ros.msg import (
    ActionChunk,
    EpisodeState,
    FeatureActivations,
    NodeDescription,
    SteeringEvent,
    SteeringState,
)
from vla_sae_ros.nodes.policy.backend import make_injected
from vla_sae_ros.nodes.policy.donor_reading import injected_stream
from vla_sae_ros.nodes.policy.inference_worker import Job
from vla_sae_ros.nodes.policy.injected_stream import Donor, InjectedStream
from vla_sae_ros.nodes.policy.parameters import PolicyParameters
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.inference import Inference
from vla_sae_ros.policy.taps.injection import OtherStream
from vla_sae_ros.resources import resource

CONTRACT = load_contract(resource("config", "contracts", "libero.yaml"))
LAST_READ = "expert.2"
"""From what leaves this layer of the tiny policy its actions are read."""
ON, OFF = Snapshot(injection="wherever"), Snapshot()


def parameters(bag: Path, site: str, **more: Any) -> PolicyParameters:
    return PolicyParameters(inject=str(bag), inject_site=site, **more)


def jobs_of(bag: Path) -> list[Job]:
    """Return the jobs that an unsteered policy would have had of a bag's only episode."""
    with open_bag(bag) as reader:
        steps = {one.step: one for one in recorded_inferences(reader).inferences}
        frames = dict(
            (one.step, frame)
            for one, frame in RecordedFrames(reader, CONTRACT).of(list(steps.values()))
        )
    return [
        Job(
            dict(frames[step]),
            one.instruction,
            one.episode_id,
            one.stamp_ns,
            one.start_ns,
            one.seed,
            step,
        )
        for step, one in sorted(steps.items())
    ]


def elsewhere(job: Job) -> Job:
    """Return the job of another episode: other pictures, another state, the same noise."""
    draw = np.random.default_rng(job.step)
    frame = {
        name: draw.integers(0, 256, value.shape, np.uint8)
        if value.ndim == 3
        else draw.normal(size=value.shape).astype(np.float32)
        for name, value in job.frame.items()
    }
    return replace(job, frame=frame, episode_id="other")


def plain(engine: PolicyEngine, job: Job) -> np.ndarray:
    return engine.infer(job.frame, job.instruction, (job.seed, job.step)).actions


def told_share(inference: Inference) -> tuple[str, float]:
    site = inference.sites[-1]
    return site.site, site.edit_norm_ratio


@pytest.mark.parametrize("site", ["backbone.1", LAST_READ])
def test_an_episodes_own_stream_gives_its_own_actions_to_the_bit(
    serve: Callable[..., Path], engine: PolicyEngine, site: str
) -> None:
    bag = serve(requests=4)
    said: list[str] = []
    stream = injected_stream(engine, parameters(bag, site), CONTRACT, said.append)
    for job in jobs_of(bag):
        before = plain(engine, job)
        inference = stream.infer(job, ON)
        assert inference.actions.tobytes() == before.tobytes()
        assert told_share(inference) == (site + INJECTED, 0.0)
    assert "2 of the donor's 4 chunks, inferred without steering, are as recorded" in said[-1]
    assert stream.facts == {
        "injection.site": site,
        "injection.tokens": list(engine.adapter.sites[site].token_groups),
        "injection.bag": str(bag),
        "injection.episode": "e1",
        "injection.inferences": 4,
    }


def test_at_the_last_layer_that_is_read_the_donors_stream_gives_the_donors_actions(
    serve: Callable[..., Path], engine: PolicyEngine
) -> None:
    bag = serve(requests=3)
    stream = injected_stream(engine, parameters(bag, LAST_READ), CONTRACT, lambda _: None)
    for donor in jobs_of(bag):
        job = elsewhere(donor)
        own, wanted = plain(engine, job), plain(engine, donor)
        injected = stream.infer(job, ON)
        assert np.abs(own - wanted).max() > 1e-3
        np.testing.assert_allclose(injected.actions, wanted, rtol=0, atol=1e-5)
        assert told_share(injected)[1] > 0.01
    beyond = replace(job, step=job.step + 1)
    inference = stream.infer(beyond, ON)
    assert inference.actions.tobytes() == plain(engine, beyond).tobytes()
    assert told_share(inference) == (LAST_READ + INJECTED, 0.0)


class FakeInjection:
    """Notes the stream that the engine would have; `refuses` what it cannot have."""

    def __init__(self) -> None:
        self.site = SimpleNamespace(name="backbone.1")
        self.given: object = None
        self.had: list[object] = []
        self.refuses: object = None

    def give(self, donor: object) -> None:
        self.given = donor

    @property
    def ratio(self) -> float:
        return 0.5 if self.had[-1] is not None else 0.0

    def infer(self, *_asked: object) -> Inference:
        if self.given is not None and self.given == self.refuses:
            raise OtherStream("other tokens")
        self.had.append(self.given)
        return Inference(np.zeros((1, 7), np.float32), tuple, 0, False, 1.0)


@pytest.fixture
def fake() -> FakeInjection:
    return FakeInjection()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def stream(fake: FakeInjection, said: list[str]) -> InjectedStream:
    """Of a donor with three inferences."""
    donor = Donor("donor", ("first", "second", "third"), {})  # type: ignore[arg-type]
    return InjectedStream(fake, fake, donor, said.append)  # type: ignore[arg-type]


def job(step: int, episode: str = "e1") -> Job:
    return Job({}, INSTRUCTION, episode, step * PERIOD, 0, 1, step)


def test_the_nth_observation_has_the_donors_nth_stream_and_after_its_last_one_its_own(
    stream: InjectedStream, fake: FakeInjection, said: list[str]
) -> None:
    for step in (0, 5, 5, 9, 14, 15):  # the second of step 5 is a replan
        stream.infer(replace(job(step), replan=step == 5), ON)
    assert fake.had == ["first", "second", "second", "third", None, None]
    assert said == [
        "e1 has its own residual stream from step 14 on: the donor had 3 inferences",
    ]
    stream.infer(job(0, "e2"), ON)
    assert fake.had[-1] == "first" and fake.given is None


def test_what_is_switched_off_still_counts(stream: InjectedStream, fake: FakeInjection) -> None:
    for step, snapshot in ((0, ON), (5, OFF), (10, ON)):
        stream.infer(job(step), snapshot)
    assert fake.had == ["first", None, "third"]


def test_an_episode_whose_beginning_was_missed_keeps_its_own_stream(
    stream: InjectedStream, fake: FakeInjection, said: list[str]
) -> None:
    for step in (20, 25):
        stream.infer(job(step), ON)
    assert fake.had == [None, None]
    assert said == [
        "e1 has its own residual stream: the first observation heard of it is of step 20"
    ]


def test_a_donors_stream_of_other_tokens_refuses_the_observation_and_nothing_else(
    stream: InjectedStream, fake: FakeInjection
) -> None:
    fake.refuses = "first"
    with pytest.raises(ObservationError, match="other tokens"):
        stream.infer(job(0), ON)
    stream.infer(job(0), OFF)
    stream.infer(job(5), ON)
    assert fake.had == [None, "second"]


def test_only_an_announced_episode_of_a_simulation_gets_a_stream(stream: InjectedStream) -> None:
    with pytest.raises(ConfigurationError, match="simulation's bridge"):
        stream.check(job(0))
    stream.episode_changed(EpisodeState(episode_id="e1", suite="libero_object", task=0))
    stream.check(job(0))
    stream.episode_changed(EpisodeState(episode_id="e2", task=-1, init_state=-1))  # a robot's
    for episode in ("e1", "e2", ""):
        with pytest.raises(ConfigurationError, match="On a robot, start the policy node without"):
            stream.check(job(0, episode))


@pytest.mark.parametrize(
    "more, words",
    [
        ({"inject_site": "backbone.77"}, "not a site of this policy"),
        ({"inject_tokens": ("action",)}, "token groups of backbone.1"),
        ({"inject_episode": "2"}, "no such episode"),
        ({"inject": "/nowhere"}, "nowhere"),
        ({"backend": "onnx"}, "backend of a policy with an injected stream"),
        ({"compile": "if_possible"}, "compile of a policy with an injected stream"),
    ],
)
def test_what_cannot_be_injected_is_refused_when_the_policy_is_loaded(
    serve: Callable[..., Path], engine: PolicyEngine, more: dict[str, Any], words: str
) -> None:
    values = replace(parameters(serve(requests=1), "backbone.1"), **more)
    with pytest.raises(VlaSaeError, match=words):
        make_injected(engine, values, CONTRACT, lambda _: None)


def test_a_donor_without_one_of_its_pictures_is_refused_by_its_step(
    serve: Callable[..., Path], engine: PolicyEngine
) -> None:
    seen = {"pictures": 0}

    def change(topic: str, message: Any) -> Any:
        seen["pictures"] += topic == "observation/image/wrist"
        lost = topic == "observation/image/wrist" and seen["pictures"] == 2
        return None if lost else message

    values = parameters(serve(requests=4, change=change), "backbone.1")
    with pytest.raises(ConfigurationError, match=r"not whole.*\[3\]"):
        make_injected(engine, values, CONTRACT, lambda _: None)


def test_the_node_injects_in_a_simulation_says_so_and_is_switched_off_at_run_time(
    serve: Callable[..., Path],
    ros_context: Context,
    tiny_policy_folder: Path,
    untouched: LoadedPolicy,
) -> None:
    bag = serve(requests=2)
    given = {"inject": str(bag), "inject_site": "backbone.1"}
    with served(ros_context, policy=str(tiny_policy_folder), **given) as (_node, bridge):
        first = first_chunk(bridge)
        features = bridge.wait_for(FeatureActivations)
        assert features.site == "backbone.1" + INJECTED
        assert features.edit_norm_ratio > 0.01
        assert bridge.wait_for(SteeringState).injection == "backbone.1"
        bridge.wait_for(
            DiagnosticArray, lambda m: "stream is injected at backbone.1" in m.status[0].message
        )
        described = bridge.wait_for(NodeDescription, lambda m: "injection.bag" in m.names)
        facts = dict(zip(described.names, described.values, strict=True))
        assert (facts["injection.bag"], facts["injection.episode"]) == (str(bag), "e1")
        assert bridge.call("inject", SetBool.Request(data=False)).success
        replanned = bridge.wait_for(ActionChunk, lambda m: m.steering_revision == 1)
        event = bridge.wait_for(SteeringEvent, lambda m: m.kind == SteeringEvent.INJECTION)
        assert (event.site, event.reason, event.revision) == ("backbone.1", "off", 1)
        assert bridge.wait_for(SteeringState, lambda m: m.revision == 1).injection == ""
        assert list(replanned.actions) != list(first.actions)
        assert np.array_equal(replanned.actions, plain_answer(untouched, 0))


def test_the_node_answers_no_robot_while_it_has_a_donor(
    serve: Callable[..., Path], ros_context: Context, tiny_policy_folder: Path
) -> None:
    given = {"inject": str(serve(requests=1)), "inject_site": "backbone.1"}
    with served(ros_context, policy=str(tiny_policy_folder), **given) as (_node, bridge):
        bridge.begin_episode(suite="", task=-1)
        bridge.observe(0)
        bridge.request(0)
        bridge.wait_for(DiagnosticArray, lambda m: refused_observations(m) > 0)
        assert bridge.got[ActionChunk] == []


def test_a_policy_without_a_donor_refuses_an_injection(
    ros_context: Context, tiny_policy_folder: Path
) -> None:
    with served(ros_context, policy=str(tiny_policy_folder)) as (_node, bridge):
        answer = bridge.call("inject", SetBool.Request(data=True))
        assert not answer.success and "without a stream to inject" in answer.message
        event = bridge.wait_for(SteeringEvent)
        assert (event.kind, event.reason) == (SteeringEvent.REFUSED, answer.message)


def first_chunk(bridge: FakeBridge) -> ActionChunk:
    """Announce an episode and ask until the node has heard of it, as a bridge asks again."""
    bridge.begin_episode()
    bridge.observe(0)

    def answered() -> bool:
        bridge.request(0)
        return bool(bridge.got[ActionChunk] and bridge.got[FeatureActivations])

    eventually(answered, "no chunk came")
    return bridge.wait_for(ActionChunk)


def plain_answer(loaded: LoadedPolicy, step: int) -> np.ndarray:
    """Return what a policy of its own answers to the fake bridge's observation."""
    picture = np.random.default_rng(step).integers(0, 256, (256, 256, 3), np.uint8)
    state = np.array([0.1, 0.2, 0.3, np.pi, 0.0, 0.0, 0.01, -0.01], np.float32)
    frame = {
        "observation.images.agentview": picture,
        "observation.images.wrist": picture,
        "observation.state": state,
    }
    return PolicyEngine(loaded).infer(frame, INSTRUCTION, (3, step)).actions.ravel()


def refused_observations(message: DiagnosticArray) -> int:
    values = {each.key: each.value for each in message.status[0].values}
    return int(values.get("refused observations", 0))
