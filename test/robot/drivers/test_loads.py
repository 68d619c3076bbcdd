"""A load in the hand of a strict robot: named it is carried, unnamed it is told and stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from patience import eventually
from strict_arm import OwnThread, strict_robot

from vla_sae_ros.robot.admission import EnableRefused
from vla_sae_ros.robot.command import ArmCommand
from vla_sae_ros.robot.driver import RobotReading
from vla_sae_ros.robot.drivers.franky_driver import FrankyDriver
from vla_sae_ros.robot.droid import RESET_POSE, DroidActions
from vla_sae_ros.robot.envelope.envelope import SafetyEnvelope
from vla_sae_ros.robot.loop.loop import ControlLoop
from vla_sae_ros.robot.reasons import Status, Stop
from vla_sae_ros.robot.settings import Payload, RobotSettings
from vla_sae_ros.robot.settings_file import load_robot
from vla_sae_ros.robot.strict_sim.process import StrictRobotProcess

SETTINGS = replace(load_robot("fr3"), watchdog=0.5, max_reading_age=0.5, lease=10.0)
LOAD = 0.5  # [kg]
IN_THE_HAND = Payload(LOAD, np.array([0.0, 0.0, 0.1]), np.zeros(3))
TOOL = SETTINGS.place.kinematics.tool


def height(robot: StrictRobotProcess) -> float:
    return float(TOOL(np.array(robot.orders.order("status")["q"]))[2])


@contextmanager
def holding(robot: StrictRobotProcess, settings: RobotSettings) -> Iterator[FrankyDriver]:
    """Hold the reset pose in joint impedance."""
    thread, driver = OwnThread(), FrankyDriver(robot.host, settings, with_hand=False)
    thread(driver.connect)
    thread(driver.send, RESET_POSE)
    eventually(lambda: thread(driver.read).in_control)
    driver.on = thread  # type: ignore[attr-defined]
    yield driver
    thread(driver.close)
    thread.close()


def settled(robot: StrictRobotProcess) -> float:
    """Wait until the arm rests under what hangs on it; return its tool's height [m]."""
    last = [height(robot), 0]

    def rests() -> bool:
        time.sleep(0.05)
        now = height(robot)
        last[1] = last[1] + 1 if abs(now - last[0]) < 2e-5 else 0
        last[0] = now
        return last[1] >= 5

    eventually(rests)
    return last[0]


def test_a_load_that_is_named_takes_the_sag_away() -> None:
    at_rest = float(TOOL(RESET_POSE)[2])
    with strict_robot(21) as robot:
        robot.orders.order("load", kilograms=LOAD)
        with holding(robot, SETTINGS):
            sunk = at_rest - settled(robot)
    with strict_robot(22) as robot:
        robot.orders.order("load", kilograms=LOAD)
        with holding(robot, replace(SETTINGS, payload=IN_THE_HAND)):
            named = at_rest - settled(robot)
    assert sunk > 0.005, "DROID's spring is soft"
    assert abs(named) < 0.0005


def test_a_stop_holds_an_arm_whose_load_nobody_named() -> None:
    with strict_robot(23) as robot, holding(robot, SETTINGS) as driver:
        robot.orders.order("load", kilograms=LOAD)
        settled(robot)
        before = height(robot)
        driver.on(driver.stop)
        eventually(lambda: not driver.on(driver.read).in_control)
        assert abs(height(robot) - before) < 0.005, "damping alone let it sink by 150 mm"
        assert robot.orders.order("status")["aborts"] == []
        driver.on(driver.send, RESET_POSE)  # and it can be moved again
        eventually(lambda: driver.on(driver.read).in_control)


class Source:
    """Asks for one action again and again."""

    def __init__(self) -> None:
        self.action = np.zeros(8)

    def next(self, reading: RobotReading, now: float) -> ArmCommand:
        return ArmCommand(now, self.action.copy())


class Beating:
    """Keeps an enable."""

    def __init__(self, loop: ControlLoop) -> None:
        self._loop, self._ended = loop, threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while not self._ended.wait(0.2):
            try:
                self._loop.renew("test", 10.0)
            except EnableRefused:
                continue

    def end(self) -> None:
        self._ended.set()


@pytest.fixture
def robot() -> Iterator[StrictRobotProcess]:
    with strict_robot(24) as process:
        yield process


def test_an_arm_that_sinks_to_the_edge_is_stopped_there_and_driven_back_in(
    robot: StrictRobotProcess,
) -> None:
    floor = float(TOOL(RESET_POSE)[2]) - 0.03
    workspace = SETTINGS.place.workspace
    lower = np.array([*workspace.lower[:2], floor])
    settings = replace(
        SETTINGS, place=replace(SETTINGS.place, workspace=replace(workspace, lower=lower))
    )
    source = Source()
    envelope = SafetyEnvelope(settings, DroidActions(), time.monotonic)
    driver = FrankyDriver(robot.host, settings, with_hand=False)
    loop = ControlLoop(driver, envelope, source, "fr3", settings.period)
    loop.start()
    beating = Beating(loop)
    try:
        eventually(lambda: loop.state().envelope.status is Status.DISABLED)
        loop.enable("test", 10.0)
        eventually(lambda: loop.state().envelope.sent > 3)
        robot.orders.order("load", kilograms=4 * LOAD)
        eventually(lambda: loop.state().envelope.status is Status.STOPPED)
        state = loop.state().envelope
        assert state.reason is Stop.WORKSPACE and "load" in state.detail
        lowest = settled(robot) - floor
        assert lowest > -0.02, "what brakes it holds it, too"
        robot.orders.order("load", kilograms=0.0)
        loop.recover("test")
        source.action = np.array([0, -0.5, 0, 0, 0, 0, 0, 0.0])
        loop.enable("test", 10.0)
        eventually(lambda: height(robot) > floor + 0.02)
        assert loop.state().envelope.status is Status.ENABLED
    finally:
        beating.end()
        loop.close()
