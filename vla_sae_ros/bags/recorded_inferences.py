"""The inferences of a bag: what each was asked, with which steering, and what it gave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_sae_ros.bags.opened_bag import OpenedBag, messages
from vla_sae_ros.bags.timeline import nanoseconds, stamp_of
from vla_sae_ros.core.errors import VlaSaeError
from vla_sae_ros.core.readout import INJECTED, SiteReadout
from vla_sae_ros.core.steering import Snapshot, policy_start_of, snapshot_of, to_view

SECOND = 1e9  # [ns]
Actions = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RecordedInference:
    """One chunk of a bag with the request it answers.

    Attributes:
        chunk_id: counts within one policy process.
        policy_start_ns: [ns] which process that was.
        episode_id, instruction, seed, step: as requested.
        stamp_ns, start_ns: [ns] stamps of the observation and of the episode's first one.
        received_ns: [ns] when the recorder got the chunk.
        revision: of the steering that was applied.
        replan: computed because the steering changed.
        actions: (H, A) float32.
        sites: read-outs by site; `tap_ms` is the recorded one.
        snapshot: the steering that was applied; None when the bag does not tell.
        injected: mean ||dx|| / ||x|| of an injection; None where the bag tells of none.
        continued: chunk id of the chunk that real-time chunking continued, of the same process; 0:
            none.
        continued_delay: [ticks] of it that were expected to be executed meanwhile.
    """

    chunk_id: int
    policy_start_ns: int
    episode_id: str
    instruction: str
    seed: int
    step: int
    stamp_ns: int
    start_ns: int
    received_ns: int
    revision: int
    replan: bool
    actions: Actions
    sites: dict[str, SiteReadout]
    snapshot: Snapshot | None
    injected: float | None = None
    continued: int = 0
    continued_delay: int = 0

    @property
    def time(self) -> float:
        """Seconds of observation time since the episode's first observation."""
        return (self.stamp_ns - self.start_ns) / SECOND


@dataclass(frozen=True)
class RecordedInferences:
    """Every inference of a bag, in the order in which they were made.

    Attributes:
        inferences: those whose request is in the bag.
        unasked: number of chunks whose request is missing, e.g. made before the recording began.
    """

    inferences: tuple[RecordedInference, ...]
    unasked: int


def recorded_inferences(bag: OpenedBag) -> RecordedInferences:
    """Read chunks, requests, features and steering states; no pictures.

    A steering state that names a mode or unit unknown to this software is left out, so that what
    its inferences applied is not known.
    """
    chunks = sorted(
        messages(bag, "policy/action_chunk"),
        key=lambda each: (each[1].policy_start, each[1].chunk_id),
    )
    requests = {_asked(m, m.step): m for _, m in messages(bag, "policy/request")}
    readouts = _readouts(bag)
    snapshots = _matched(
        [_state_key(chunk) for _, chunk in chunks],
        list(_snapshots(bag)),
    )
    made = []
    for (received, chunk), snapshot in zip(chunks, snapshots, strict=True):
        request = requests.get(_asked(chunk, chunk.observation_step))
        if request is not None:
            sites = _told(readouts, int(chunk.policy_start), chunk.chunk_id, stamp_of(chunk))
            made.append(_inference(received, chunk, request, sites, snapshot))
    return RecordedInferences(tuple(made), len(chunks) - len(made))


def _asked(message: Any, step: int) -> tuple[str, int, int]:
    """Return what tells which request a chunk answers: episode, step, instruction's revision.

    Another instruction may ask once more from the same step; older bags know of none.
    """
    return message.episode_id, int(step), int(getattr(message, "instruction_revision", 0))


StateKey = tuple[int, int, int]
"""(policy_start [ns], stamp [ns], revision) of a steering state; policy_start is 0 where the bag
does not tell, as older ones."""
Readouts = dict[tuple[int, int, int], dict[str, SiteReadout]]
"""(policy_start [ns] or 0, chunk id, stamp [ns]) -> site -> read-out."""


def to_snapshot(message: Any) -> tuple[StateKey, Snapshot]:
    """Return what a SteeringState says an inference applies, with its key."""
    key = policy_start_of(message), stamp_of(message), int(message.revision)
    return key, snapshot_of(to_view(message))


def _snapshots(bag: OpenedBag) -> Iterator[tuple[StateKey, Snapshot]]:
    for received, message in messages(bag, "steering/state"):
        try:
            yield to_snapshot(message)
        except (VlaSaeError, ValueError) as error:
            bag.findings.leave_out("steering/state", str(error), received)


def _state_key(chunk: Any) -> StateKey:
    # The steering counts in seconds: its stamps have been through a float.
    stamp = round(stamp_of(chunk) / SECOND * SECOND)
    return int(chunk.policy_start), stamp, int(chunk.steering_revision)


def _matched(
    wanted: Sequence[StateKey], states: Sequence[tuple[StateKey, Snapshot]]
) -> list[Snapshot | None]:
    """Return the state that each inference applied; both are in the order of publication.

    A state is published at the beginning of every inference that it changed for, with the stamp
    of the observation. One that has none of its own applied the state of its revision that was
    published last before it.
    """
    own = {key: place for place, (key, _) in enumerate(states)}
    of_revision: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place, ((start, _, revision), _) in enumerate(states):
        of_revision[start, revision].append(place)
    found: list[Snapshot | None] = []
    end = len(states)
    for start, stamp, revision in reversed(wanted):
        exact = own.get((start, stamp, revision), own.get((0, stamp, revision)))
        if exact is not None:
            end = min(end, exact)
            found.append(states[exact][1])
            continue
        known = of_revision.get((start, revision)) or of_revision.get((0, revision), [])
        earlier = [place for place in known if place < end]
        found.append(states[earlier[-1]][1] if earlier else None)
    return found[::-1]


def _told(readouts: Readouts, start: int, chunk_id: int, stamp: int) -> dict[str, SiteReadout]:
    exact = readouts.get((start, chunk_id, stamp))
    return exact if exact is not None else readouts.get((0, chunk_id, stamp), {})


def _readouts(bag: OpenedBag) -> Readouts:
    found: Readouts = defaultdict(dict)
    for _, each in messages(bag, "policy/features"):
        found[policy_start_of(each), each.chunk_id, stamp_of(each)][each.site] = SiteReadout(
            each.site,
            each.index,
            each.natural,
            each.applied,
            each.fvu,
            each.residual_norm,
            each.edit_norm_ratio,
            bool(each.capped),
            each.tap_ms,
        )
    return found


def _inference(
    received: int,
    chunk: Any,
    request: Any,
    sites: dict[str, SiteReadout],
    snapshot: Snapshot | None,
) -> RecordedInference:
    own = {name: one for name, one in sites.items() if not name.endswith(INJECTED)}
    injected = [one.edit_norm_ratio for name, one in sites.items() if name not in own]
    return RecordedInference(
        chunk_id=int(chunk.chunk_id),
        policy_start_ns=int(chunk.policy_start),
        episode_id=chunk.episode_id,
        instruction=request.instruction,
        seed=int(request.seed),
        step=int(chunk.observation_step),
        stamp_ns=stamp_of(chunk),
        start_ns=nanoseconds(request.start),
        received_ns=received,
        revision=int(chunk.steering_revision),
        replan=bool(chunk.replan),
        actions=np.asarray(chunk.actions, np.float32).reshape(chunk.horizon, chunk.action_dim),
        sites=own,
        snapshot=snapshot,
        injected=max(injected, default=None),
        continued=int(getattr(chunk, "continued_chunk", 0)),
        continued_delay=int(getattr(chunk, "continued_delay", 0)),
    )
