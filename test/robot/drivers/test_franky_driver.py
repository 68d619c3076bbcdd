"""franky and the strict robot: what a Franka does to a client, and how the driver tells it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace

import franky
import numpy as np
import pytest
from patience import eventually
from strict_arm import OwnThread, loopback, strict_robot

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.robot.driver import RobotFault, RobotUnreachable
from vla_sae_ros.robot.drivers.error_flags import ERROR_FLAGS
from vla_sae_ros.robot.drivers.franky_driver import FrankyDriver, _flags
from vla_sae_ros.robot.drivers.model_check import misfit, model_of
from vla_sae_ros.robot.droid import RESET_POSE
from vla_sae_ros.robot.limits import PUBLISHED
from vla_sae_ros.robot.reasons import Stop
from vla_sae_ros.robot.settings_file import load_robot
from vla_sae_ros.robot.strict_sim.process import StrictRobotProcess
from vla_sae_ros.robot.strict_sim.rules import MOST_MISSED
from vla_sae_ros.robot.strict_sim.urdf import urdf_for

SETTINGS = load_robot("fr3")
NEAR = RESET_POSE + 0.02 * np.array([1, 0, 0, 1, 0, -1, 1])


@pytest.fixture(scope="module")
def robot() -> Iterator[StrictRobotProcess]:
    with strict_robot(1) as process:
        yield process


@pytest.fixture
def on_thread() -> Iterator[OwnThread]:
    thread = OwnThread()
    yield thread
    thread.close()


@pytest.fixture
def driver(robot: StrictRobotProcess, on_thread: OwnThread) -> Iterator[FrankyDriver]:
    made = connected(robot, on_thread)
    yield made
    on_thread(made.close)


def connected(
    robot: StrictRobotProcess, on_thread: OwnThread, mode: str = "joint_impedance"
) -> FrankyDriver:
    driver = FrankyDriver(robot.host, SETTINGS, mode)
    on_thread(driver.connect)
    on_thread(driver.recover)
    return driver


def fault_of(driver: FrankyDriver, on_thread: OwnThread) -> str:
    return eventually(lambda: on_thread(driver.read).fault)


@pytest.mark.parametrize("mode", ["joint_impedance", "joint_velocity", "cartesian_velocity"])
def test_every_mode_moves_towards_the_target_and_stops_without_a_reflex(
    robot: StrictRobotProcess, on_thread: OwnThread, mode: str
) -> None:
    before = len(robot.orders.order("status")["aborts"])
    driver = connected(robot, on_thread, mode)
    start = on_thread(driver.read)
    assert not start.in_control and not start.fault
    away = tool_error(start.q)

    def closer() -> bool:
        on_thread(driver.send, NEAR)
        reading = on_thread(driver.read)
        assert reading.in_control
        return tool_error(reading.q) < 0.7 * away

    eventually(closer)
    on_thread(driver.stop)
    eventually(lambda: not on_thread(driver.read).in_control)
    status = robot.orders.order("status")
    assert status["aborts"][before:] == [] and not status["moving"]
    eventually(lambda: max(map(abs, robot.orders.order("status")["dq"])) < 1e-3)
    driver_home(driver, on_thread)
    on_thread(driver.close)


def tool_error(q: np.ndarray) -> float:
    """Return the distance [m] of the tool: Cartesian velocity leaves the elbow to the robot."""
    tool = SETTINGS.place.kinematics.tool
    return float(np.linalg.norm(tool(q) - tool(NEAR)))


def driver_home(driver: FrankyDriver, on_thread: OwnThread) -> None:
    """Go back so that the next test has a way to go."""
    for _ in range(3):
        on_thread(driver.send, RESET_POSE)
    on_thread(driver.stop)


def test_a_collision_is_told_with_its_flag_and_refuses_until_recovered(
    robot: StrictRobotProcess, driver: FrankyDriver, on_thread: OwnThread
) -> None:
    on_thread(driver.send, RESET_POSE)
    robot.orders.order("reflex", flag="cartesian_reflex")
    assert fault_of(driver, on_thread) == Stop.COLLISION_REFLEX
    assert "cartesian_reflex" in on_thread(driver.read).detail
    with pytest.raises(RobotFault) as refusal:
        on_thread(driver.send, RESET_POSE)
    assert "cartesian_reflex" in refusal.value.flags
    on_thread(driver.recover)
    on_thread(driver.send, RESET_POSE)
    assert on_thread(driver.read).in_control


def test_the_user_stop_holds_until_it_is_released(
    robot: StrictRobotProcess, driver: FrankyDriver, on_thread: OwnThread
) -> None:
    on_thread(driver.send, RESET_POSE)
    robot.orders.order("user_stop", pressed=True)
    assert fault_of(driver, on_thread) == Stop.USER_STOP
    with pytest.raises(RobotFault, match="release it"):
        on_thread(driver.recover)
    robot.orders.order("user_stop", pressed=False)
    eventually(lambda: not on_thread(driver.read).fault)
    on_thread(driver.recover)
    on_thread(driver.send, RESET_POSE)


def test_twenty_lost_commands_are_a_loss_of_communication(
    robot: StrictRobotProcess, driver: FrankyDriver, on_thread: OwnThread
) -> None:
    on_thread(driver.send, RESET_POSE)
    eventually(lambda: on_thread(driver.read).in_control)
    robot.orders.order("drop", commands=MOST_MISSED)
    assert fault_of(driver, on_thread) == Stop.COMM_LOSS
    on_thread(driver.recover)


def test_a_robot_that_freezes_is_seen_by_the_age_of_its_state(
    robot: StrictRobotProcess, driver: FrankyDriver, on_thread: OwnThread
) -> None:
    on_thread(driver.send, RESET_POSE)
    eventually(lambda: on_thread(driver.read).in_control)
    first = on_thread(driver.read).stamp
    assert eventually(lambda: on_thread(driver.read).stamp > first)
    robot.orders.order("cut", seconds=1.5)
    ages = []

    def old() -> bool:
        ages.append(driver._clock() - on_thread(driver.read).stamp)
        return ages[-1] > SETTINGS.max_reading_age

    eventually(old)
    eventually(lambda: driver._clock() - on_thread(driver.read).stamp < 0.02)
    on_thread(driver.recover)


def test_the_hand_opens_and_closes_beside_the_arm(
    robot: StrictRobotProcess, driver: FrankyDriver, on_thread: OwnThread
) -> None:
    driver.gripper(1.0)
    eventually(lambda: robot.orders.order("status")["hand"] < 0.001)
    eventually(lambda: on_thread(driver.read).opening < 0.05)
    driver.gripper(0.0)
    eventually(lambda: on_thread(driver.read).opening > 0.95)


def test_a_robot_that_is_restarted_is_gone_until_recovered(on_thread: OwnThread) -> None:
    with strict_robot(2) as first:
        driver = connected(first, on_thread)
        on_thread(driver.send, RESET_POSE)
        first.kill()

        def lost() -> bool:
            try:
                return on_thread(driver.read).fault == Stop.DISCONNECTED
            except RobotUnreachable:
                return True

        eventually(lost)
        with pytest.raises(RobotUnreachable):
            on_thread(driver.recover)
    with strict_robot(2):
        on_thread(driver.recover)
        assert not on_thread(driver.read).fault
        on_thread(driver.close)


def test_a_robot_whose_state_stands_still_for_seconds_is_gone(
    robot: StrictRobotProcess, on_thread: OwnThread
) -> None:
    now = [0.0]
    driver = FrankyDriver(robot.host, SETTINGS, clock=lambda: now[0])
    on_thread(driver.connect)
    driver._robot = SimpleNamespace(state=driver._robot.state, is_in_control=True)  # one that hangs
    on_thread(driver.read)
    now[0] = 2.9
    assert on_thread(driver.read).stamp == 0.0
    now[0] = 3.1
    with pytest.raises(RobotUnreachable, match="no new state for 3 s"):
        on_thread(driver.read)

    def recovers() -> bool:
        try:
            on_thread(driver.recover)
        except RobotUnreachable:  # it takes the robot a moment to notice that its client is gone
            return False
        return True

    eventually(recovers)
    assert on_thread(driver.read).stamp == now[0]
    on_thread(driver.close)


def test_the_hand_of_a_robot_that_is_switched_on_after_us_is_found(on_thread: OwnThread) -> None:
    driver = FrankyDriver(loopback(3), SETTINGS)
    with pytest.raises(RobotUnreachable):
        on_thread(driver.connect)
    assert driver._hand is None, "without an arm nobody looks for its hand, or says that it fails"
    with strict_robot(3):
        on_thread(driver.connect)
        eventually(lambda: not np.isnan(on_thread(driver.read).opening))
        on_thread(driver.close)


def test_no_robot_at_an_address_is_said(on_thread: OwnThread) -> None:
    driver = FrankyDriver("127.250.250.250", SETTINGS, with_hand=False)
    with pytest.raises(RobotUnreachable, match=r"127\.250"):
        on_thread(driver.connect)
    with pytest.raises(RobotUnreachable, match="recover"):
        on_thread(driver.read)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="joint_impedance"):
        FrankyDriver("127.0.0.1", SETTINGS, "teleport")


def test_every_flag_arrives_under_its_name(
    robot: StrictRobotProcess, driver: FrankyDriver, on_thread: OwnThread
) -> None:
    for flag in ERROR_FLAGS:
        robot.orders.order("reflex", flag=flag)
        eventually(lambda: _flags(driver._robot.state))
        assert _flags(driver._robot.state) == (flag,)
        on_thread(driver.recover)


def test_franky_s_own_limits_are_a_trap_that_the_strict_robot_catches(
    robot: StrictRobotProcess, on_thread: OwnThread
) -> None:
    def careless() -> None:
        theirs = franky.Robot(robot.host, realtime_config=franky.RealtimeConfig.Ignore)
        theirs.move(franky.JointVelocityMotion([0.5] + [0.0] * 6, franky.Duration(300)))

    with pytest.raises(franky.ControlException, match="velocity_discontinuity"):
        on_thread(careless)


def test_a_second_client_is_turned_away_and_the_first_goes_on(
    robot: StrictRobotProcess, driver: FrankyDriver, on_thread: OwnThread
) -> None:
    on_thread(driver.send, RESET_POSE)
    other, second = OwnThread(), FrankyDriver(robot.host, SETTINGS, with_hand=False)
    with pytest.raises(RobotUnreachable):
        other(second.connect)
    other.close()
    assert on_thread(driver.read).in_control


def test_another_model_than_the_settings_is_read_and_may_not_be_moved(
    robot: StrictRobotProcess, on_thread: OwnThread
) -> None:
    other = FrankyDriver(robot.host, load_robot("panda"), with_hand=False)
    on_thread(other.connect)
    blocked = on_thread(other.read).blocked
    on_thread(other.close)
    assert "'fr3'" in blocked and "'panda'" in blocked and "joint" in blocked


def test_a_robot_whose_libfranka_tells_no_model_is_connected_to(
    robot: StrictRobotProcess, on_thread: OwnThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """franky has `model_urdf` from libfranka 0.15 on; a Panda's is 0.9.2."""
    (owner,) = (each for each in franky.Robot.__mro__ if "model_urdf" in vars(each))
    monkeypatch.delattr(owner, "model_urdf")
    driver = FrankyDriver(robot.host, SETTINGS, with_hand=False)
    on_thread(driver.connect)
    blocked = on_thread(driver.read).blocked
    on_thread(driver.close)
    assert blocked == ""


def test_a_model_that_says_nothing_of_an_end_is_no_other_robot() -> None:
    urdf = re.sub(r' (lower|upper)="[^"]*"', "", urdf_for(PUBLISHED["fr3"]))
    model = model_of(urdf)
    assert model is not None and misfit(model, SETTINGS) == ""


def test_what_a_robot_tells_of_itself_fits_its_own_limits_only() -> None:
    for name in ("panda", "fr3"):
        model = model_of(urdf_for(PUBLISHED[name]))
        assert model is not None and model.name == name
        assert misfit(model, load_robot(name)) == ""
        other = "fr3" if name == "panda" else "panda"
        assert "joint" in misfit(model, load_robot(other))
    assert model_of("no XML") is None
