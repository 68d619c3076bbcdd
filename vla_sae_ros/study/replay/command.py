"""`vla-sae bag replay`: the recorded observations to the policy again, to the bit or what-if."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.progress import track

from vla_sae_ros.bags.bag_argument import add_bag, tell
from vla_sae_ros.bags.episode_choice import chosen_episode
from vla_sae_ros.bags.opened_bag import open_bag
from vla_sae_ros.bags.recorded_frames import RecordedFrames
from vla_sae_ros.bags.recorded_inferences import RecordedInference, recorded_inferences
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.terminal import plain_console
from vla_sae_ros.study.replay.policy_arguments import add_policy_arguments
from vla_sae_ros.study.replay.provenance import deviations, present_facts, recorded_facts
from vla_sae_ros.study.replay.replay import (
    Comparison,
    InstructionOf,
    Replayed,
    recorded_instruction,
    recorded_steering,
    replay,
)
from vla_sae_ros.study.replay.replay_engine import contract_for, engine_for
from vla_sae_ros.study.replay.what_if import (
    WhatIf,
    other_instruction,
    other_steering,
    read_edits,
)
from vla_sae_ros.study.replay.what_if_report import print_what_if, write_what_if

REPORT = "replay.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the bag, the policy and what to ask."""
    add_bag(parser, "folder of the bag, recorded with pictures")
    add_policy_arguments(parser)
    parser.add_argument("--episode", help="only this episode: its id, or its number from 1")
    steering = parser.add_mutually_exclusive_group()
    steering.add_argument(
        "--edits",
        type=Path,
        metavar="PRESET",
        help="counterfactual: use this preset's edits instead of the recorded steering",
    )
    steering.add_argument(
        "--no-steering", action="store_true", help="counterfactual: no steering at all"
    )
    parser.add_argument(
        "--instruction",
        metavar="TEXT",
        help="counterfactual: give the policy this instruction instead",
    )
    parser.add_argument(
        "--from-step",
        type=int,
        default=0,
        metavar="N",
        help="control step from which --instruction applies; default %(default)s",
    )
    parser.add_argument("--output", type=Path, help="folder for the report, table and plot")


def run(args: argparse.Namespace) -> int:
    """Replay; status 0 when all is equal to the bit or the what-if question is answered."""
    console = plain_console()
    preset = read_edits(args.edits) if args.edits else None
    with open_bag(args.bag, args.namespace) as bag:
        recorded = recorded_inferences(bag)
        contract = contract_for(args)
        frames = RecordedFrames(bag, contract)
        chosen = chosen_episode(recorded.inferences, args.episode, args.bag)
        facts = recorded_facts(bag)
        engine = engine_for(args, facts)
        apart = deviations(facts, present_facts(engine))
        _tell_before(console, chosen, recorded.unasked, frames.lossy, apart)
        engine.warm_up()
        other = preset is not None or args.no_steering
        steering_of = (
            other_steering(engine.steering_sites(), preset, chosen) if other else recorded_steering
        )
        instructed = instruction_of(args)
        asks = other or instructed is not recorded_instruction
        replayed = track(
            replay(engine, frames, chosen, steering_of, instructed),
            "replaying",
            len(chosen),
            console=plain_console(stderr=True),
            transient=True,
        )
        if asks:
            robot_type = contract.robot_type
            status = _answer(console, replayed, robot_type, args.output)
        else:
            comparison = Comparison(recorded.inferences)
            status = _compare(console, replayed, comparison, apart, args.output)
        told = tell(bag.findings)
        return status or told


def instruction_of(args: argparse.Namespace) -> InstructionOf:
    """Return what the policy is told. Raises ConfigurationError for arguments that mean nothing."""
    if args.from_step < 0:
        raise ConfigurationError(complaint("--from-step", args.from_step, "0 or more"))
    if args.instruction is None:
        if args.from_step:
            raise ConfigurationError(
                complaint("--from-step", args.from_step, "only with --instruction")
            )
        return recorded_instruction
    if not args.instruction.strip():
        raise ConfigurationError(complaint("--instruction", args.instruction, "words"))
    return other_instruction(args.instruction.strip(), args.from_step)


def _tell_before(
    console: Console, chosen: list[RecordedInference], unasked: int, lossy: bool, apart: list[str]
) -> None:
    episodes = len({each.episode_id for each in chosen})
    console.print(f"{len(chosen)} inferences of {episodes} episode(s)")
    if unasked:
        console.print(f"{unasked} chunks have no request in the bag and are left out")
    if lossy:
        console.print(
            "the pictures are JPEG: they differ from those that the policy saw, so numbers will "
            "differ"
        )
    for line in apart:
        console.print(f"  not the same: {line}", highlight=False)
    if not apart:
        console.print("same policy, bundles and software as recorded")


def _compare(
    console: Console,
    replayed: Iterable[Replayed],
    comparison: Comparison,
    apart: list[str],
    output: Path | None,
) -> int:
    for each in replayed:
        comparison.add(each)
    for reason, count in comparison.reasons.items():
        console.print(f"{count} not replayed: {reason}", highlight=False)
    if comparison.unread:
        console.print(
            "the recording ended before the last inference was read out at "
            f"{', '.join(comparison.unread)}: not compared",
            highlight=False,
        )
    if comparison.identical:
        console.print(
            f"{comparison.replayed} of {comparison.total} inferences: features and "
            "actions are bit-identical"
        )
    elif comparison.first is not None:
        recorded, difference = comparison.first
        console.print(
            f"{comparison.parted} of {comparison.replayed} replayed inferences differ; first "
            f"inference {recorded.chunk_id} (episode {recorded.episode_id}, step {recorded.step}, "
            f"revision {recorded.revision}):\n  {difference}",
            highlight=False,
        )
        for kind, size in sorted(comparison.largest.items()):
            console.print(f"  largest difference of {kind}: {size:.3g}", highlight=False)
    elif comparison.replayed:
        console.print(
            f"the other {comparison.replayed} of {comparison.total} inferences: features and "
            "actions are bit-identical"
        )
    if output is not None:
        _write(output / REPORT, _report(comparison, apart))
    return 0 if comparison.identical else 1


def _report(comparison: Comparison, apart: list[str]) -> dict[str, object]:
    first = None
    if comparison.first is not None:
        recorded, difference = comparison.first
        first = {
            "chunk_id": recorded.chunk_id,
            "episode_id": recorded.episode_id,
            "step": recorded.step,
            "revision": recorded.revision,
            "what": str(difference),
        }
    return {
        "identical": comparison.identical,
        "inferences": comparison.total,
        "replayed": comparison.replayed,
        "parted": comparison.parted,
        "first": first,
        "largest": comparison.largest,
        "not_read_out": comparison.unread,
        "not_replayed": comparison.reasons,
        "not_the_same": apart,
    }


def _answer(
    console: Console, replayed: Iterable[Replayed], robot_type: str, output: Path | None
) -> int:
    answer = WhatIf.of(replayed)
    print_what_if(console, answer, robot_type)
    if output is not None:
        write_what_if(output, answer, robot_type)
        console.print(f"written to {output}")
    return 0 if answer.inferences else 1


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
