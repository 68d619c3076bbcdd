"""A person's commands through the envelope: they move the tool as asked, and nothing ever jumps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from lagging_arm import LaggingArm

from vla_sae_ros.core.commander import Commander
from vla_sae_ros.core.person import FRAME, PersonInput, PersonLimits
from vla_sae_ros.robot.action_space import ActionSpace, JointTargets, Target
from vla_sae_ros.robot.command import ArmCommand
from vla_sae_ros.robot.driver import RobotReading
from vla_sae_ros.robot.droid import DroidActions
from vla_sae_ros.robot.envelope.envelope import SafetyEnvelope
from vla_sae_ros.robot.machine.events import Event, Kind
from vla_sae_ros.robot.outcome import TickOutcome
from vla_sae_ros.robot.person_actions import PersonActions
from vla_sae_ros.robot.reasons import Refused, Status
from vla_sae_ros.robot.settings import RobotSettings
from vla_sae_ros.robot.settings_file import load_robot

LIMITS = PersonLimits(linear=0.25, angular=1.0, joint=1.0, timeout=0.25)
NAMES = ("droid", "joint_positions")


def space_of(name: str, settings: RobotSettings) -> ActionSpace:
    if name == "droid":
        return DroidActions()
    return JointTargets(settings.limits.lower, settings.limits.upper)


@dataclass
class Scene:
    """An enabled arm that follows late, with a person beside it."""

    settings: RobotSettings
    space: ActionSpace
    now: float = 10.0
    sent: list[np.ndarray] = field(default_factory=list)
    ticks: int = 0

    def __post_init__(self) -> None:
        self.arm = LaggingArm(self.settings.reset_pose, frequency=18.0, damping=1.0)
        self.envelope = SafetyEnvelope(self.settings, self.space, self.clock)
        self.person = PersonInput(LIMITS, 7, self.clock)
        self.actions = PersonActions(self.person, self.envelope, self.settings, self.space)
        self.tick(None)
        self.envelope.enable("test", self.settings.lease)
        self.sent.append(self.arm.q.copy())

    def clock(self) -> float:
        return self.now

    def reading(self) -> RobotReading:
        return RobotReading(self.now, self.arm.q.copy(), self.arm.dq.copy(), 1.0, True)

    def switch(self, kind: Kind) -> None:
        assert not self.envelope.request(Event(kind, self.envelope.ticket(), "test")).refusal
        self.person.note(self.envelope.takeover)

    def by_hand(self) -> TickOutcome:
        asked = self.actions.action(self.reading(), 0.0)
        return self.tick(asked.values, Commander.PERSON)

    def tick(
        self, values: np.ndarray | None, commander: Commander = Commander.POLICY
    ) -> TickOutcome:
        command = ArmCommand(self.now, values, commander=commander)
        outcome = self.envelope.tick(self.ticks, self.reading(), command)
        self.ticks += 1
        if outcome.status is Status.ENABLED:
            self.envelope.renew("test", self.settings.lease)
            if outcome.sent is not None:
                self.arm.follow(self.sent[-1], outcome.sent, self.settings.period)
                self.sent.append(outcome.sent)
        self.now += self.settings.period
        return outcome

    def tool(self) -> np.ndarray:
        return self.settings.place.kinematics.tool(self.arm.q)


@pytest.fixture(params=NAMES)
def scene(request: pytest.FixtureRequest) -> Scene:
    settings = load_robot("panda")
    return Scene(settings, space_of(request.param, settings))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("speed", [0.05, -0.1])
def test_the_tool_moves_along_the_axis_and_with_the_speed_that_are_asked_for(
    scene: Scene, axis: int, speed: float
) -> None:
    scene.switch(Kind.TAKE_OVER)
    twist = np.zeros(6)
    twist[axis] = speed
    for _ in range(10):
        scene.person.twist(twist, FRAME, 0.0)
        scene.by_hand()
    begin, turned = scene.tool(), scene.settings.place.kinematics.flange(scene.arm.q)[:3, :3]
    for _ in range(5):
        scene.person.twist(twist, FRAME, 0.0)
        scene.by_hand()
    moved = (scene.tool() - begin) / (5 * scene.settings.period)
    np.testing.assert_allclose(moved, twist[:3], atol=0.15 * abs(speed))
    now = scene.settings.place.kinematics.flange(scene.arm.q)[:3, :3]
    np.testing.assert_allclose(now, turned, atol=0.03)


def test_a_turn_about_the_tool_leaves_it_where_it_is(scene: Scene) -> None:
    scene.switch(Kind.TAKE_OVER)
    begin = scene.tool()
    for _ in range(15):
        scene.person.twist(np.array([0, 0, 0, 0, 0, 0.4]), FRAME, 0.0)
        scene.by_hand()
    np.testing.assert_allclose(scene.tool(), begin, atol=0.01)
    assert np.abs(scene.arm.q - scene.settings.reset_pose).max() > 0.2


def test_a_person_who_falls_silent_leaves_an_arm_that_stands(scene: Scene) -> None:
    scene.switch(Kind.TAKE_OVER)
    for _ in range(10):
        scene.person.twist(np.array([0.2, 0, 0, 0, 0, 0]), FRAME, 0.0)
        scene.by_hand()
    outcomes = [scene.by_hand() for _ in range(30)]
    assert outcomes[-1].status is Status.ENABLED and outcomes[-1].requested is None
    np.testing.assert_array_equal(scene.sent[-1], scene.sent[-10])
    assert np.abs(scene.arm.dq).max() < 1e-3


def test_what_is_recorded_asks_for_the_same_as_what_was_followed(scene: Scene) -> None:
    scene.switch(Kind.TAKE_OVER)
    for _ in range(10):
        scene.person.twist(np.array([0.1, 0.05, 0, 0, 0, 0]), FRAME, 0.0)
        reading = scene.reading()
        values = scene.actions.action(reading, 0.0).values
        outcome = scene.tick(values, Commander.PERSON)
        asked = scene.space.target(values.astype(np.float32).astype(float), reading.q)
        np.testing.assert_allclose(asked.q, outcome.requested, atol=1e-6)


def test_an_action_space_s_action_asks_for_its_target() -> None:
    settings, rng = load_robot("panda"), np.random.default_rng(3)
    for name in NAMES:
        space = space_of(name, settings)
        for _ in range(20):
            q = settings.reset_pose + rng.uniform(-0.1, 0.1, 7)
            target = Target(q + rng.uniform(-0.2, 0.2, 7), float(rng.integers(2)))
            again = space.target(space.action(target, q), q)
            np.testing.assert_allclose(again.q, target.q, atol=1e-12)
            assert again.closing == target.closing


def test_who_does_not_command_is_refused_in_the_same_tick(scene: Scene) -> None:
    policy = scene.space.action(Target(scene.arm.q + 0.05, 0.0), scene.arm.q)
    scene.tick(policy)
    scene.switch(Kind.TAKE_OVER)
    before = scene.sent[-1]
    outcome = scene.tick(policy)
    assert outcome.refused is Refused.NOT_IN_CHARGE and outcome.requested is None
    assert "a person commands" in outcome.detail
    scene.switch(Kind.HAND_BACK)
    outcome = scene.tick(policy, Commander.PERSON)
    assert outcome.refused is Refused.NOT_IN_CHARGE and "the policy commands" in outcome.detail
    assert np.abs(scene.sent[-1] - before).max() < 0.05


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(4))
def test_no_tick_jumps_whoever_takes_over_or_hands_back_whenever(name: str, seed: int) -> None:
    """Random policies and persons, who change at random ticks; also a policy far away."""
    settings, rng = load_robot("panda"), np.random.default_rng(seed)
    limits, period, place = settings.limits, settings.period, settings.place
    space = space_of(name, settings)
    switches = 0
    while switches < 25:
        scene = Scene(settings, space)
        goal = settings.reset_pose.copy()
        twist = np.zeros(6)
        for tick in range(150):
            if tick % 9 == 0:
                goal = settings.reset_pose + rng.uniform(-0.4, 0.4, 7)
                direction = rng.normal(size=3)
                twist = np.append(
                    0.2 * direction / np.linalg.norm(direction), rng.uniform(-0.4, 0.4, 3)
                )
            if rng.random() < 0.15:
                taken = scene.envelope.taken_over
                scene.switch(Kind.HAND_BACK if taken else Kind.TAKE_OVER)
                switches += 1
            if scene.envelope.taken_over:
                if rng.random() < 0.7:
                    scene.person.twist(twist, FRAME, 0.0)
                outcome = scene.by_hand()
            else:
                outcome = scene.tick(
                    space.action(Target(goal, 0.0), scene.arm.q) if rng.random() < 0.9 else None
                )
            if outcome.status is not Status.ENABLED:
                break
        sent = np.array(scene.sent)
        v = np.diff(sent, axis=0, prepend=sent[:1]) / period
        a = np.diff(v, axis=0) / period
        assert (np.abs(v) <= limits.velocity + 1e-9).all()
        assert (np.abs(a) <= limits.acceleration + 1e-6).all()
        tools = place.kinematics.tool(sent)
        assert np.linalg.norm(np.diff(tools, axis=0), axis=1).max() <= place.max_ee_step + 1e-5


def test_after_a_hand_back_the_policy_s_lead_grows_at_the_rate_of_steering(scene: Scene) -> None:
    """From nothing: a policy that wants to be far away pulls as gently as a new revision."""
    goal = scene.settings.reset_pose + 0.15
    for _ in range(3):
        scene.tick(scene.space.action(Target(goal, 0.0), scene.arm.q))
    scene.switch(Kind.TAKE_OVER)
    for _ in range(40):
        scene.by_hand()
    scene.switch(Kind.HAND_BACK)
    allowed = scene.settings.steering_slew * scene.settings.period
    stands = scene.sent[-1]
    for tick in range(1, 4):
        measured = scene.arm.q.copy()
        outcome = scene.tick(scene.space.action(Target(measured + 0.19, 0.0), measured))
        assert "steering_slew" in outcome.limits
        assert (
            np.abs(outcome.sent - stands) <= tick * allowed + np.abs(measured - stands) + 1e-9
        ).all()
