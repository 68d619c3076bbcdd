"""Read a bag of the recorder into plain arrays, without any ROS installation."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from vla_sae_ros.bags.drafts import Drafts
from vla_sae_ros.bags.episode_trace import Annotation, EpisodeTrace
from vla_sae_ros.bags.opened_bag import OpenedBag, messages, open_bag
from vla_sae_ros.bags.storage.findings import Findings
from vla_sae_ros.bags.timeline import Tick, Timeline, stamp_of
from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry, FeatureTest
from vla_sae_ros.core.errors import VlaSaeError


@dataclass(frozen=True)
class Bag:
    """The content of one bag."""

    episodes: tuple[EpisodeTrace, ...]
    """In the order of their start."""
    catalogues: dict[str, Catalogue]
    """By site."""
    descriptions: tuple[Description, ...]
    """What each node said about itself, in the order of arrival; a node that was started again
    appears again."""
    annotations: tuple[Annotation, ...]
    """Every remark, also those outside an episode, in the order of arrival."""
    outside: EpisodeTrace
    """What lies in no episode, e.g. steering events between two; its steps are -1."""
    findings: Findings
    """What could not be read."""


@dataclass(frozen=True)
class Description:
    """A node's description of itself."""

    node: str
    """Full name."""
    software_version: str
    values: dict[str, str]
    """E.g. "policy_id", "clock", "parameter.control_rate"."""


def read_bag(folder: Path, pictures: bool = True, namespace: str | None = None) -> Bag:
    """Read the bag in `folder`; without `pictures` the camera images are skipped.

    Of a bag of several systems the one in `namespace`; None: see OpenedBag.
    What cannot be read is left out and said in the bag's findings.

    Raises RecordingError when there is no bag.
    """
    with open_bag(folder, namespace) as bag:
        timeline = timeline_of(bag)
        drafts = Drafts(bag, timeline)
        drafts.read(pictures)
        remarks = remarks_of(bag)
        return Bag(
            tuple(drafts.finished(episode, remarks) for episode in timeline.spans),
            _catalogues(bag),
            descriptions(bag),
            remarks,
            drafts.finished("", remarks),
            bag.findings,
        )


def timeline_of(bag: OpenedBag) -> Timeline:
    """Return where the episodes of a bag lie, also of those that no EpisodeState tells of."""
    ticks = [
        Tick(each.episode_id, int(getattr(each, step)), stamp_of(each), received)
        for name, step in (("executed_action", "step"), ("policy/features", "observation_step"))
        for received, each in messages(bag, name)
    ]
    timeline = Timeline(messages(bag, "episode"), ticks)
    for episode in _over_before(timeline, {tick.episode_id for tick in ticks}):
        del timeline.spans[episode]
        bag.findings.note(f"the episode {episode} was over before the recording began")
    for span in timeline.spans.values():
        if not span.told:
            bag.findings.note(
                f"there is no EpisodeState of {span.episode_id}: its task and result are unknown, "
                "and its start and rate are estimated from its actions and features"
            )
    return timeline


def _over_before(timeline: Timeline, recorded: Set[str]) -> list[str]:
    """Return the episodes of which nothing is in the bag but the last, latched state."""
    return [
        span.episode_id
        for span in timeline.spans.values()
        if span.first_received == span.last_received
        and span.status.ended
        and span.episode_id not in recorded
    ]


def remarks_of(bag: OpenedBag) -> tuple[Annotation, ...]:
    """Return every remark, in the order of arrival."""
    return tuple(
        Annotation(
            each.episode_id, each.step, each.author, each.text, (received - bag.start_time) * 1e-9
        )
        for received, each in messages(bag, "annotation")
    )


def descriptions(bag: OpenedBag) -> tuple[Description, ...]:
    """Return what the nodes said about themselves, in the order of arrival."""
    return tuple(
        Description(
            each.node, each.software_version, dict(zip(each.names, each.values, strict=True))
        )
        for _, each in messages(bag, "description")
    )


def _catalogues(bag: OpenedBag) -> dict[str, Catalogue]:
    entries: dict[str, dict[int, FeatureEntry]] = {}
    for received, message in messages(bag, "policy/catalogue"):  # the last one holds
        entries = {site: {} for site in message.sites}
        for each in message.features:
            try:
                entry = _entry(each)
            except VlaSaeError as error:
                why = f"feature {each.feature} of {each.site}: {error}"
                bag.findings.leave_out("policy/catalogue", why, received)
                continue
            entries.setdefault(each.site, {})[entry.feature] = entry
    return {site: Catalogue(site, list(each.values())) for site, each in entries.items()}


def _entry(info: Any) -> FeatureEntry:
    """Return a FeatureInfo of today, or of an older bag that lacks some of its fields."""
    known = [each.name for each in fields(FeatureEntry) if hasattr(info, each.name)]
    values = {name: getattr(info, name) for name in known}
    names = [each.name for each in fields(FeatureTest)]
    tests = tuple(
        FeatureTest(**{name: getattr(test, name) for name in names})
        for test in values.get("tests", ())
    )
    return FeatureEntry(**{**values, "tests": tests})
