"""`vla-sae bag info`: what a bag holds, and what it lacks."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from vla_sae_ros.bags.bag_argument import add_bag
from vla_sae_ros.core.one_line import printable
from vla_sae_ros.study.bag_commands.edits import EditWindow
from vla_sae_ros.study.bag_commands.facts import BagFacts, EpisodeFacts, read_facts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the bag and the form of the answer."""
    add_bag(parser)
    parser.add_argument(
        "--json", action="store_true", help="print everything as JSON, for programs"
    )


def run(args: argparse.Namespace) -> int:
    """Print what the bag holds, and what of it could not be read."""
    facts, status = read_facts(args.bag, args.namespace)
    if args.json:
        print(json.dumps(_plain(facts.as_data()), indent=2, allow_nan=False))
    else:
        print("\n".join(in_words(facts)))
    return status


def in_words(facts: BagFacts) -> Iterator[str]:
    """Yield the lines of a report for people."""
    begun = datetime.fromtimestamp(facts.start_ns * 1e-9, UTC)
    yield (
        f"{facts.folder}: {facts.messages} messages in {facts.seconds:.1f} s from "
        f"{begun:%Y-%m-%d %H:%M:%S} UTC on, {facts.bytes / 1e6:.1f} MB"
    )
    yield from _section("episodes", [_episode(each) for each in facts.episodes])
    yield from _section("steering", [_edit(each, facts) for each in facts.edits])
    yield from _section(
        "refused", [f"{each.owner or 'somebody'}: {each.reason}" for each in facts.refusals]
    )
    yield from _section(
        "remarks",
        [f"{each.author or 'somebody'}, {_place(each)}: {each.text}" for each in facts.annotations],
    )
    yield from _section("topics", _topics(facts))
    yield from _section("could not be read", facts.left_out)
    yield from _section("changed while reading", facts.changed)
    yield from _section("notes", facts.notes)
    yield from _section("completeness", list(_lost(facts)))
    yield from _section("what ran", list(_identities(facts)))


def _section(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield f"\n{title}"
        yield from (f"  {printable(line)}" for line in lines)


def _episode(each: EpisodeFacts) -> str:
    where = f"{each.suite} task {each.task}, state {each.init_state}, " if each.suite else ""
    counts = {
        "missed deadlines": each.missed_deadlines,
        "held ticks": each.held_ticks,
        "dropped chunks": each.dropped_chunks,
    }
    troubles = "".join(f", {count} {name}" for name, count in counts.items() if count)
    told = "".join(f", from step {since} “{text}”" for since, text in each.instructions[1:])
    first = each.instructions[0][1] if each.instructions else each.instruction
    return (
        f"{each.episode_id}: {each.status} after {each.steps} steps{troubles}; {where}seed "
        f"{each.seed}, {each.clock}, {each.begin:.1f} to {each.end:.1f} s: "
        f"“{first}”{told}"
    )


def _edit(each: EditWindow, facts: BagFacts) -> str:
    begin = (each.since_ns - facts.start_ns) * 1e-9
    until = each.until_ns or facts.start_ns + round(facts.seconds * 1e9)
    times = f"{begin:.1f} to {(until - facts.start_ns) * 1e-9:.1f} s"
    if each.episode_id:
        last = each.last_step if each.last_step >= 0 else "..."
        times += f", from step {each.first_step} to {last} of {each.episode_id}"
    if each.mode == "BYPASS":
        return f"bypassed: {times}"
    if each.mode == "INJECTION":
        return f"another episode's stream injected at {each.site}: {times}"
    unit = {"OBSERVED_MAX": " x observed maximum", "RESIDUAL_NORM": " x residual norm"}
    value = "" if each.mode == "PROJECT_OUT" else f" {each.value:g}{unit.get(each.unit, '')}"
    mode = each.mode.lower().replace("_", " ")
    return f"{each.owner}: {mode} feature {each.feature} of {each.site}{value}; {times}"


def _place(annotation: Any) -> str:
    if not annotation.episode_id:
        return "outside an episode"
    return f"step {annotation.step} of {annotation.episode_id}"


def _topics(facts: BagFacts) -> list[str]:
    width = max((len(each.name) for each in facts.topics), default=0)
    lines = [f"{'':{width}}  messages      Hz  longest gap"] if facts.topics else []
    for each in facts.topics:
        line = f"{each.name:{width}}  {each.messages:8}"
        if each.messages > 1:
            rate = "-" if math.isnan(each.rate) else f"{each.rate:.1f}"
            line += f"{rate:>8}  {each.longest_gap:.2f} s, at {each.longest_gap_at:.1f} s"
        lines.append(line)
    return lines


def _lost(facts: BagFacts) -> Iterator[str]:
    for name, value in facts.recorder.items():
        yield f"{name.removeprefix('vla_sae_ros.')}: {value}"
    for each in facts.losses:
        if each.missing:
            yield f"{each.sequence}: {each.missing} of {each.present + each.missing} are missing"
    if not any(each.missing for each in facts.losses):
        numbered = sum(each.present for each in facts.losses)
        yield f"no gaps: {numbered} numbered messages in {len(facts.losses)} unbroken sequences"


def _identities(facts: BagFacts) -> Iterator[str]:
    for each in facts.descriptions:
        told = [
            f"{name} {value}"
            for name, value in each.values.items()
            if not name.startswith("parameter.")
        ]
        yield f"{each.node} {each.software_version}: {', '.join(told)}"


def _plain(value: Any) -> Any:
    """Return the value with null for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
