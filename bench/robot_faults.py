"""The fault matrix: what a robot does when something breaks, on a strict simulated Franka.

    python bench/robot_faults.py [--only NAME ...] [--out FILE]

Before each fault the arm waves under a policy's chunks. Times are from the fault to rest (every
joint below 0.01 rad/s, asked from the simulator every few milliseconds) and to the latched stop as
a subscriber of robot_state sees it.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rclpy
from robot_rig import REST, Rig

from vla_sae_ros.core.errors import SimulationError
from vla_sae_ros.msg import RobotCommand, RobotState, SteeringLease
from vla_sae_ros.wire import qos

WATCHED = 8.0  # [s] after a fault
NAMES = {
    RobotState.OFFLINE: "offline",
    RobotState.DISABLED: "disabled",
    RobotState.ENABLED: "enabled",
    RobotState.STOPPED: "stopped",
}
NAN = float("nan")


@dataclass(frozen=True)
class Fault:
    """One row: what is broken, and what has to come of it."""

    name: str
    inject: Callable[[Rig], object]
    final: tuple[str, ...]
    """Reasons of the stop, or a status, any of which is right."""
    rest: bool = True
    """The arm has to come to rest."""
    mend: Callable[[Rig], object] = lambda rig: None
    limit: str = ""
    """Limit that has to be named in robot_command."""


def order(do: str, **arguments: object) -> Callable[[Rig], object]:
    def inject(rig: Rig) -> object:
        assert rig.robot is not None
        return rig.robot.orders.order(do, **arguments)

    return inject


def ask(**behaviour: object) -> Callable[[Rig], object]:
    return lambda rig: rig.ask(**behaviour)


def kill(name: str) -> Callable[[Rig], object]:
    return lambda rig: rig.signal(name, signal.SIGKILL)


def joint(number: int, value: float) -> Callable[[Rig], object]:
    return ask(kind="joint", joint=number, value=value)


def go_silent(rig: Rig) -> None:
    rig.beating = rig.filming = False
    rig.signal("policy", signal.SIGSTOP)


def speak_again(rig: Rig) -> None:
    rig.signal("policy", signal.SIGCONT)


def second_bridge(rig: Rig) -> None:
    rig.second = rig.node.create_publisher(RobotCommand, "robot_command", qos.EXECUTED)


def other_heartbeat(rig: Rig) -> None:
    """Another client is heard of instead of the owner."""
    rig.beating = False
    rig.other = rig.node.create_timer(0.1, lambda: _beat_as_other(rig))


def second_client(rig: Rig) -> None:
    """Another client asks for the arm while its owner moves it."""
    _beat_as_other(rig)
    time.sleep(0.2)
    answer = rig.call("enable", data=True)
    if answer.success:
        raise SimulationError(f"a second client was enabled: {answer.message}")


def recover_moving(rig: Rig) -> None:
    answer = rig.call("recover")
    if answer.success:
        raise SimulationError("a moving arm was recovered")


def stop_amid_recovery(rig: Rig) -> None:
    """Stop, recover, and stop again before that has been answered."""
    rig.call("stop")
    kind, client = rig._services["recover"]
    client.call_async(kind.Request())
    rig.call("stop")


def expect(refused: bool, name: str, rig: Rig, **fields: object) -> None:
    answer = rig.call(name, **fields)
    if answer.success is refused:
        raise SimulationError(f"{name} was answered {answer.success}: {answer.message}")


def disable_then_enable(rig: Rig) -> None:
    """The enable has to wait until the arm stands."""
    expect(False, "enable", rig, data=False)
    expect(False, "enable", rig, data=True)


def enable_while_stopped(rig: Rig) -> None:
    rig.call("stop")
    expect(True, "enable", rig, data=True)


def many_stops(rig: Rig) -> None:
    kind, client = rig._services["stop"]
    for _ in range(20):
        client.call_async(kind.Request())


def then(*steps: Callable[[Rig], object]) -> Callable[[Rig], object]:
    def inject(rig: Rig) -> None:
        for step in steps:
            step(rig)

    return inject


def hold(rig: Rig) -> object:
    return rig.call("enable", data=False)


def stop(rig: Rig) -> object:
    return rig.call("stop")


def recover_in_the_background(rig: Rig) -> None:
    kind, client = rig._services["recover"]
    client.call_async(kind.Request())


def flood_of_heartbeats(rig: Rig) -> None:
    """More clients than a bridge keeps, each heard of once, and a name that is none."""
    for number in range(150):
        rig._beats.publish(SteeringLease(owner=f"client {number}", duration=0.5))
    for duration in (NAN, -math.inf, math.inf):
        rig._beats.publish(SteeringLease(owner="", duration=duration))


def another_program(rig: Rig) -> None:
    """Connect to the robot while the bridge has it."""
    with socket.create_connection((rig.host, 1337), timeout=5.0) as other:
        other.settimeout(5.0)
        with contextlib.suppress(OSError):
            other.recv(1)


def freeze_bridge(rig: Rig) -> None:
    rig.signal("bridge", signal.SIGSTOP)
    time.sleep(1.0)
    rig.signal("bridge", signal.SIGCONT)


def wait(seconds: float) -> Callable[[Rig], object]:
    return lambda rig: time.sleep(seconds)


def _beat_as_other(rig: Rig) -> None:
    rig._beats.publish(SteeringLease(owner="other", duration=1.0))


def restart_bridge(rig: Rig) -> None:
    rig.processes["bridge"].kill()
    rig.processes["bridge"].wait()
    rig.state = RobotState()
    rig.start_bridge()
    rig.until(lambda: rig.state.status in (RobotState.DISABLED, RobotState.STOPPED), "the bridge")


def set_attribute(name: str, value: object) -> Callable[[Rig], object]:
    return lambda rig: setattr(rig, name, value)


HOUR = 3600 * 10**9
FAULTS = (
    Fault("stop button", lambda rig: rig.call("stop"), ("operator_stop",)),
    Fault("stop, recover, stop at once", stop_amid_recovery, ("operator_stop",)),
    Fault("recover of a moving arm", recover_moving, ("enabled",), rest=False),
    Fault("a second client asks", second_client, ("enabled",), rest=False),
    Fault(
        "another's heartbeat instead of the owner's",
        other_heartbeat,
        ("lease_expired",),
        mend=lambda rig: rig.node.destroy_timer(rig.other),
    ),
    Fault("hold still", lambda rig: rig.call("enable", data=False), ("disabled",)),
    Fault("NaN chunk", ask(kind="nan"), ("stale_command",)),
    Fault("giant chunk (5000 rows)", ask(kind="wave", rows=5000), ("stale_command",)),
    Fault("old chunk (100 ticks)", ask(kind="wave", age=100), ("stale_command",)),
    Fault("chunk of 7 numbers", ask(kind="narrow"), ("stale_command",)),
    Fault("chunk for 50 Hz", ask(kind="wave", rate=50.0), ("stale_command",)),
    Fault("action of 50", joint(0, 50.0), ("stale_command",)),
    Fault("into the table", joint(1, 1.0), ("enabled", "workspace"), limit="workspace"),
    Fault("to the end of joint 7", joint(6, 1.0), ("enabled",), limit="joint_margin"),
    Fault(
        "full speed, then back at once",
        joint(0, 1.0),
        ("enabled",),
        rest=False,
        limit="acceleration",
    ),
    Fault(
        "steering reverses the motion",
        ask(kind="joint", joint=0, value=-0.8, revision=9),
        ("enabled",),
        rest=False,
        limit="steering_slew",
    ),
    Fault("policy killed", kill("policy"), ("stale_command",), mend=lambda rig: rig.start_policy()),
    Fault(
        "policy frozen",
        lambda rig: rig.signal("policy", signal.SIGSTOP),
        ("stale_command",),
        mend=speak_again,
    ),
    Fault("panel killed (no heartbeat)", set_attribute("beating", False), ("lease_expired",)),
    Fault(
        "recorder killed",
        kill("recorder"),
        ("enabled",),
        rest=False,
        mend=lambda rig: rig.start_recorder(),
    ),
    Fault(
        "DDS cut (all others silent)",
        go_silent,
        ("lease_expired", "stale_command"),
        mend=speak_again,
    ),
    Fault("cameras frozen", set_attribute("filming", False), ("stale_command",)),
    Fault(
        "cameras' clock an hour back", set_attribute("camera_shift_ns", -HOUR), ("stale_command",)
    ),
    Fault(
        "cameras' clock an hour ahead", set_attribute("camera_shift_ns", HOUR), ("stale_command",)
    ),
    Fault(
        "two bridges",
        second_bridge,
        ("operator_stop",),
        mend=lambda rig: rig.node.destroy_publisher(rig.second),
    ),
    Fault(
        "collision (cartesian reflex)",
        order("reflex", flag="cartesian_reflex"),
        ("collision_reflex",),
    ),
    Fault("collision (joint reflex)", order("reflex", flag="joint_reflex"), ("collision_reflex",)),
    Fault("power limit", order("reflex", flag="power_limit_violation"), ("reflex",)),
    Fault(
        "user stop pressed",
        order("user_stop", pressed=True),
        ("user_stop",),
        mend=order("user_stop", pressed=False),
    ),
    Fault("40 commands lost on the cable", order("drop", commands=40), ("comm_loss",)),
    Fault(
        "cable out for 3 s",
        order("cut", seconds=3.0),
        ("disconnected", "comm_loss", "stale_reading", "control_lost"),
    ),
    Fault(
        "robot frozen for 2 s",
        order("freeze", seconds=2.0),
        ("stale_reading", "disconnected", "comm_loss", "control_lost"),
    ),
    Fault(
        "robot restarted",
        lambda rig: rig.restart_robot(),
        ("disconnected", "stale_reading", "control_lost", "comm_loss"),
    ),
    Fault("twenty stops at once", many_stops, ("operator_stop",)),
    Fault("enable while stopped", enable_while_stopped, ("operator_stop",)),
    Fault("hold, then enable at once", disable_then_enable, ("enabled",), rest=False),
    Fault("stop while it brakes", then(hold, stop), ("operator_stop",)),
    Fault(
        "collision while it brakes",
        then(hold, order("reflex", flag="joint_reflex")),
        ("collision_reflex",),
    ),
    Fault(
        "user stop during a recovery",
        then(stop, recover_in_the_background, order("user_stop", pressed=True)),
        ("operator_stop", "user_stop"),
        mend=order("user_stop", pressed=False),
    ),
    Fault("heartbeats of 150 clients", flood_of_heartbeats, ("enabled",), rest=False),
    Fault("another program connects to the robot", another_program, ("enabled",), rest=False),
    Fault("infinite action", joint(0, math.inf), ("stale_command",)),
    Fault("action of 1e30", joint(0, 1e30), ("stale_command",)),
    Fault(
        "robot is guided by hand",
        order("mode", mode="guiding"),
        ("reflex", "control_lost"),
        mend=order("mode", mode=""),
    ),
    Fault(
        "robot's brakes close (mode Other)",
        order("mode", mode="other"),
        ("reflex", "control_lost"),
        mend=order("mode", mode=""),
    ),
    Fault(
        "joint states repeat themselves",
        order("repeat", seconds=2.0),
        ("stale_reading",),
        mend=wait(2.0),
    ),
    Fault(
        "half a kilogram that nobody named",
        order("load", kilograms=0.5),
        ("enabled", "workspace"),
        rest=False,
        mend=order("load", kilograms=0.0),
    ),
    Fault(
        "stop under a load that nobody named",
        then(order("load", kilograms=0.5), wait(1.0), stop),
        ("operator_stop", "workspace"),
        mend=order("load", kilograms=0.0),
    ),
    Fault(
        "bridge frozen for 1 s",
        freeze_bridge,
        ("comm_loss", "late_tick", "control_lost", "stale_reading", "lease_expired", "reflex"),
    ),
    Fault(
        "bridge told to end (SIGINT)",
        lambda rig: rig.signal("bridge", signal.SIGINT),
        ("gone",),
        mend=restart_bridge,
    ),
    Fault("bridge killed", kill("bridge"), ("gone",), mend=restart_bridge),
    Fault(
        "bridge frozen",
        lambda rig: rig.signal("bridge", signal.SIGSTOP),
        ("gone",),
        mend=restart_bridge,
    ),
)


@dataclass
class FaultOutcome:
    """What came of a fault."""

    name: str
    to_rest: float
    to_stop: float
    final: str
    resets: int
    limits: str
    safe: bool


def run(rig: Rig, fault: Fault) -> FaultOutcome:
    rig.ready()
    rig.stopped_at, rig.resets = 0.0, 0
    rig.commands.clear()
    began = time.monotonic()
    fault.inject(rig)
    to_rest = watch(rig, began, fault)
    final = "gone" if fault.final == ("gone",) else final_of(rig)
    limits = sorted({limit for each in rig.commands for limit in each.limits})
    to_stop = rig.stopped_at - began if rig.stopped_at > began else NAN
    at_rest = not math.isnan(to_rest) or not fault.rest
    safe = final in fault.final and at_rest and (not fault.limit or fault.limit in limits)
    outcome = FaultOutcome(fault.name, to_rest, to_stop, final, rig.resets, ", ".join(limits), safe)
    fault.mend(rig)
    return outcome


def watch(rig: Rig, began: float, fault: Fault) -> float:
    """Return after how long the arm stood for good, NaN if it did not [s]."""
    stood: float = NAN
    end = max(began, time.monotonic() - WATCHED / 2) + WATCHED  # injecting may itself take long
    while (now := time.monotonic()) < end:
        speed = rig.speed()
        if speed >= REST:
            stood = NAN
        elif math.isnan(stood) and not math.isnan(speed):
            stood = now - began
        as_expected = final_of(rig) in fault.final and (not fault.rest or not math.isnan(stood))
        if now - began > 3.0 and as_expected:
            break
        time.sleep(0.003)
    return stood


def final_of(rig: Rig) -> str:
    """Return the reason of a stop, else the status."""
    return rig.state.reason or NAMES[rig.state.status]


def table(outcomes: list[FaultOutcome]) -> str:
    lines = [
        "| fault | to rest [s] | to the latched stop [s] | final state | steering reset | "
        "limits named | safe |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.name} | {number(each.to_rest)} | {number(each.to_stop)} | {each.final} | "
        f"{'yes' if each.resets else ''} | {each.limits} | {'yes' if each.safe else 'NO'} |"
        for each in outcomes
    ]
    return "\n".join(lines)


def number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], help="faults whose names contain these")
    parser.add_argument("--out", type=Path, help="file for the table")
    args = parser.parse_args()
    chosen = [
        fault for fault in FAULTS if not args.only or any(part in fault.name for part in args.only)
    ]
    rig, outcomes = Rig(), []
    try:
        rig.start_recorder()
        for fault in chosen:
            try:
                outcomes.append(run(rig, fault))
            except SimulationError as error:
                outcomes.append(FaultOutcome(f"{fault.name}: {error}", NAN, NAN, "", 0, "", False))
            print(outcomes[-1], flush=True)
    finally:
        rig.close()
        rclpy.try_shutdown()
    text = table(outcomes)
    print(text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")
    rests = [each.to_rest for each in outcomes if not math.isnan(each.to_rest)]
    print(
        f"{sum(each.safe for each in outcomes)} of {len(outcomes)} safe; to rest median "
        f"{np.median(rests) if rests else NAN:.2f} s, worst {max(rests, default=NAN):.2f} s"
    )
    return 0 if all(each.safe for each in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
