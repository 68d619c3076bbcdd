"""The steps of the check; each returns what it found and whether that is fine."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from vla_sae_ros.robot.check.rehearsal import CheckStopped, Rehearsal, Sample
from vla_sae_ros.robot.driver import Joints

JOG = 0.1
"""[rad]"""
_NEAR = 0.4
"""Share of a jog that may be missing: an impedance leaves an error, friction too."""
_MOVES = 0.01
"""[rad/s] from which a joint counts as moving."""
_STILL = 0.01
"""[rad/s] below which it counts as standing."""
_PATIENCE = 4.0
"""[s] for a jog or a stop."""
_WATCHED = 2.0
"""[s]"""
BINS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5)
"""[s] edges of the latency histogram."""


@dataclass(frozen=True)
class StepResult:
    """One line of the table."""

    step: str
    ok: bool
    detail: str
    values: dict[str, object] = field(default_factory=dict)
    """Numbers for the JSON file, SI units."""


def connection(rehearsal: Rehearsal, not_realtime: str) -> StepResult:
    """Watch the state for a while; nothing moves."""
    samples = rehearsal.watch(_WATCHED)
    drift = float(np.abs(samples[-1].q - samples[0].q).max())
    late = rehearsal.pacer.late_percentile(99)
    fault = rehearsal.reading.fault
    detail = f"{len(samples)} states in {_WATCHED:g} s, ticks {late * 1e3:.1f} ms late (p99)"
    detail += f"; {not_realtime}" if not_realtime else "; real-time priority"
    detail += f"; FAULT {fault}: {rehearsal.reading.detail}" if fault else ""
    values = {
        "states": len(samples),
        "drift": drift,
        "late_p99": late,
        "fault": fault,
        "not_realtime": not_realtime,
    }
    return StepResult("connection", not fault and drift < 0.01, detail, values)


def place(rehearsal: Rehearsal) -> StepResult:
    """Say where the arm stands: a lab compares it with what it sees."""
    settings, q = rehearsal.settings, rehearsal.reading.q
    free = np.minimum(q - settings.limits.lower, settings.limits.upper - q)
    joint = int(np.argmin(free))
    detail = f"joint {joint + 1} is nearest to an end of its range, {free[joint]:.2f} rad away"
    ok = bool(free.min() > settings.margin + 2 * JOG)
    values: dict[str, object] = {"q": q.tolist(), "free": free.tolist()}
    if settings.place is not None:
        points = settings.place.kinematics.points(q)
        inside = -float(settings.place.workspace.outside(points))
        x, y, z = points[-1]
        detail += f"; tool at x {x:.3f}, y {y:.3f}, z {z:.3f} m, {inside:.3f} m inside the box"
        ok = ok and inside > 0
        values |= {"tool": points[-1].tolist(), "inside": inside}
    return StepResult("limits", ok, detail, values)


def jog(rehearsal: Rehearsal, joint: int) -> StepResult:
    """Move one joint (from 0) away from its nearer end and back."""
    settings, start = rehearsal.settings, rehearsal.reading.q
    middle = (settings.limits.lower + settings.limits.upper) / 2
    target = start.copy()
    target[joint] += JOG if start[joint] < middle[joint] else -JOG
    wanted = target - start
    rehearsal.enable()
    try:
        samples = rehearsal.go(target, _PATIENCE, _NEAR * JOG)
    except CheckStopped as stop:  # an arm that moves the wrong way is stopped before the time is up
        moved = rehearsal.reading.q - start
        detail = f"asked {wanted[joint]:+.3f} rad, moved {moved[joint]:+.3f}: {stop}"
        found: dict[str, object] = {"asked": float(wanted[joint]), "moved": float(moved[joint])}
        return StepResult(f"joint {joint + 1}", False, detail, found)
    asked = rehearsal.asked_at
    rehearsal.go(start, _PATIENCE, _NEAR * JOG, _STILL)
    moved = samples[-1].q - start
    others = float(np.abs(np.delete(moved, joint)).max())
    latency = _latency(samples, joint, asked)
    ok = bool(moved[joint] * np.sign(wanted[joint]) > (1 - 2 * _NEAR) * JOG and others < JOG / 2)
    begins = "never moves" if latency is None else f"moves after {latency * 1e3:.0f} ms"
    detail = (
        f"asked {wanted[joint]:+.3f} rad, moved {moved[joint]:+.3f}, others up to "
        f"{others:.3f}; {begins}"
    )
    values: dict[str, object] = {
        "asked": float(wanted[joint]),
        "moved": float(moved[joint]),
        "others": others,
        "latency": latency,
    }
    return StepResult(f"joint {joint + 1}", ok, detail, values)


def stop_distance(rehearsal: Rehearsal) -> StepResult:
    """Stop the first joint in the middle of a motion."""
    settings, start = rehearsal.settings, rehearsal.reading.q
    target = start.copy()
    target[0] += 3 * JOG * (-1.0 if start[0] > 0 else 1.0)
    rehearsal.enable()
    moving = rehearsal.go(target, _PATIENCE, 2 * JOG)[-1]
    samples = rehearsal.stop(_PATIENCE, _STILL)
    rest = samples[-1]
    took = rest.stamp - rehearsal.asked_at
    angle = float(np.abs(rest.q - moving.q).max())
    values: dict[str, object] = {
        "speed": float(np.abs(moving.dq).max()),
        "time": took,
        "angle": angle,
    }
    detail = f"from {values['speed']:.2f} rad/s: {took * 1e3:.0f} ms, {angle:.3f} rad"
    if settings.place is not None:
        tool = settings.place.kinematics.tool(np.stack([moving.q, rest.q]))
        way = float(np.linalg.norm(tool[1] - tool[0]))
        values["tool"] = way
        detail += f", {way * 1e3:.0f} mm at the tool"
    return StepResult("stop", bool(np.abs(rest.dq).max() < _STILL), detail, values)


def latency(jogs: list[StepResult]) -> StepResult:
    """Count the jogs' latencies per bin."""
    known = [jog.values["latency"] for jog in jogs if jog.values.get("latency") is not None]
    counts, _ = np.histogram(np.array(known, float), BINS)
    edges = [f"{low * 1e3:g}-{high * 1e3:g} ms" for low, high in pairwise(BINS)]
    found = {edge: int(count) for edge, count in zip(edges, counts, strict=True)}
    shown = ", ".join(f"{edge}: {count}" for edge, count in found.items() if count)
    return StepResult("latency", bool(known), shown or "no joint has moved", {"counts": found})


def _latency(samples: list[Sample], joint: int, asked: float) -> float | None:
    """Return the time [s] until the joint moved; None when it never did."""
    speeds: Joints = np.array([abs(sample.dq[joint]) for sample in samples])
    moving = np.flatnonzero(speeds > _MOVES)
    return samples[moving[0]].stamp - asked if len(moving) else None
