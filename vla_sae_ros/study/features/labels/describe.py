"""`vla-sae label --describe`: a vision model proposes names for features, and is tested on them.

For each feature the model sees the moments of training episodes at which it is most active, and
moments of the same episodes at which it is silent; it proposes a name. Then it sees pictures of
held-out episodes, half of them of moments at which the feature fires, with nothing but its own name
to tell them apart (detection scoring, Paulo et al. 2024, "Automatically interpreting millions of
features in large language models", section 4).
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.activations.frames import read_frame
from vla_sae_ros.core.errors import ConfigurationError, bounded, complaint
from vla_sae_ros.core.progress import CommandProgress
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.features.labels.proposals import (
    PROPOSALS_FILE,
    Moment,
    Proposal,
    add_proposal,
    best,
    read_proposals,
)
from vla_sae_ros.study.features.labels.sheets import TESTED, Sheet, make_sheets
from vla_sae_ros.study.features.labels.vision_endpoint import KEY_VARIABLE, VisionEndpoint

LONGEST_NAME, LONGEST_DESCRIPTION = 80, 400
PIXELS_PER_TOKEN = 28 * 28
"""Of one picture, as Qwen2-VL counts; other models count otherwise."""
CHARACTERS_PER_TOKEN = 4


def add_describing_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that `label` takes beside its own."""
    group = parser.add_argument_group(
        "names by a vision model",
        "Pictures of the collected episodes are sent to the address that you name, after you have "
        f"agreed. A key is read from {KEY_VARIABLE}. What the model proposes is kept in "
        f"{PROPOSALS_FILE} beside the catalogue; no label is changed.",
    )
    group.add_argument(
        "--describe",
        metavar="URL",
        help="base of an OpenAI-compatible interface: http://localhost:8000/v1",
    )
    group.add_argument("--model", default="default", help="its name there; default %(default)s")
    group.add_argument(
        "--features", type=int, nargs="+", metavar="N", help="default: those without a label"
    )
    group.add_argument(
        "--most", type=int, default=10, help="features, the most active first; default %(default)s"
    )
    group.add_argument("--plan", action="store_true", help="say what would be sent, and stop")
    group.add_argument("--yes", action="store_true", help="send without asking first")


def propose_names(
    args: argparse.Namespace,
    bundle: SaeBundle,
    dataset: ActivationDataset,
    held_out: Sequence[str],
    by_activity: Sequence[int],
) -> None:
    """Do what `--describe` says, as far as the user agrees.

    Args:
        args: see `add_describing_arguments`.
        bundle: from the folder `args.bundle`.
        dataset: of the bundle's policy.
        held_out: ids of the episodes to test on.
        by_activity: features that fire, the most active first.

    Raises:
        ConfigurationError: a feature that never fires, pictures that were not collected, a wrong
            address.
        EndpointError: no answer.
    """
    endpoint = VisionEndpoint(args.describe, args.model)
    try:
        known = read_proposals(args.bundle, bundle.bundle_id)
        chosen = _chosen(args, bundle, by_activity)
        sheets = make_sheets(bundle, dataset, held_out, chosen)
        if not all(sheet.shown for sheet in sheets):
            raise ConfigurationError(
                f"{dataset.folder} has no pictures of moments at which these features fire: "
                f"{[sheet.feature for sheet in sheets if not sheet.shown]}. Collect with pictures."
            )
        print(plan_in_words(sheets, dataset.folder, endpoint.url, endpoint.model))
        if args.plan or not (args.yes or _agreed()):
            print("Nothing was sent.")
            return
        _all(args.bundle, bundle, dataset.folder, sheets, endpoint, known)
    finally:
        endpoint.close()


def _chosen(args: argparse.Namespace, bundle: SaeBundle, by_activity: Sequence[int]) -> list[int]:
    if args.most < 1:
        raise ConfigurationError(complaint("--most", args.most, "1 or more"))
    if args.features is None:
        entries = (bundle.catalogue.get(feature) for feature in by_activity)
        labelled = {entry.feature for entry in entries if entry and entry.label}
        return [feature for feature in by_activity if feature not in labelled][: args.most]
    silent = sorted(set(args.features) - set(by_activity))
    if silent:
        raise ConfigurationError(
            complaint("--features", silent, "features that fire in these activations")
        )
    return list(dict.fromkeys(args.features))


def _agreed() -> bool:
    try:
        return input("Send these pictures? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _all(
    folder: Path,
    bundle: SaeBundle,
    pictures: Path,
    sheets: Sequence[Sheet],
    endpoint: VisionEndpoint,
    known: Sequence[Proposal],
) -> None:
    with CommandProgress() as progress:
        bar = progress.add_task("features", total=len(sheets))
        for proposal in describe(bundle, pictures, sheets, endpoint, known):
            add_proposal(folder, proposal)
            progress.advance(bar)
    wanted = {sheet.feature for sheet in sheets}
    proposals = read_proposals(folder, bundle.bundle_id)
    for feature, one in sorted(best(proposals).items()):
        if feature in wanted:
            print(f"{feature}: {one.name} ({one.score} pictures right). {one.description}")
    unread = [one.feature for one in proposals if one.feature in wanted and not one.name]
    if unread:
        print(f"Answers without a name that can be read, of features {unread}: see the file.")
    print(f"Every answer is in {folder / PROPOSALS_FILE}; no label was changed.")


def plan_in_words(sheets: Sequence[Sheet], folder: Path, url: str, model: str) -> str:
    """Return how many questions, pictures and tokens will be sent, and where to."""
    parts = [part for sheet in sheets for part in _naming(sheet, folder)]
    parts += [part for one in sheets if one.tested for part in _testing(one, folder, "", "")]
    pictures = [part for part in parts if isinstance(part, bytes)]
    letters = sum(len(part) for part in parts if isinstance(part, str))
    pixels = _pixels(pictures[0]) if pictures else 0
    tokens = len(pictures) * math.ceil(pixels / PIXELS_PER_TOKEN) + letters / CHARACTERS_PER_TOKEN
    untested = sum(not sheet.tested for sheet in sheets)
    words = (
        f"{len(sheets)} features, {2 * len(sheets) - untested} questions with {len(pictures)} "
        f"pictures ({sum(map(len, pictures)) / 1e6:.1f} MB), about {tokens:,.0f} tokens (one for "
        f"every {PIXELS_PER_TOKEN} pixels and every {CHARACTERS_PER_TOKEN} letters), to {model} "
        f"at {url}."
    )
    if untested:
        words += (
            f" {untested} of them cannot be tested: they fire, or are silent, in fewer than "
            f"{TESTED // 2} pictures of held-out episodes."
        )
    return words


def describe(
    bundle: SaeBundle,
    folder: Path,
    sheets: Sequence[Sheet],
    endpoint: VisionEndpoint,
    known: Sequence[Proposal],
) -> Iterator[Proposal]:
    """Ask about each feature that was not asked about in the same way, and yield what came back.

    Raises:
        EndpointError: no answer.
        CollectionError: damaged pictures.
    """
    asked = {(one.model, one.question) for one in known}
    for sheet in sheets:
        question = _naming(sheet, folder)
        key = _digest(question)
        if (endpoint.model, key) not in asked:
            yield _ask(bundle.bundle_id, folder, sheet, endpoint, question, key)


def _ask(
    bundle_id: str,
    folder: Path,
    sheet: Sheet,
    endpoint: VisionEndpoint,
    question: Sequence[str | bytes],
    key: str,
) -> Proposal:
    named = endpoint.ask(question)
    said = _json(named.text)
    name = _text(said.get("name"), LONGEST_NAME)
    description = _text(said.get("description"), LONGEST_DESCRIPTION)
    answers, tokens, right = [named.text], named.tokens, None
    if name and sheet.tested:
        told = endpoint.ask(_testing(sheet, folder, name, description))
        answers.append(told.text)
        tokens += told.tokens
        right = _right(_json(told.text).get("active"), sheet.fires)
    return Proposal(
        bundle_id,
        sheet.feature,
        endpoint.url,
        endpoint.model,
        datetime.now(UTC).isoformat(timespec="seconds"),
        key,
        sheet.shown,
        sheet.contrast,
        tuple(answers),
        name,
        description,
        sheet.tested,
        sheet.fires,
        right,
        tokens,
    )


def _naming(sheet: Sheet, folder: Path) -> list[str | bytes]:
    trace = ", ".join(map(str, sheet.trace))
    return [
        "A robot policy has an internal feature. Each picture shows what the robot's cameras see, "
        "side by side, at one moment. At these moments the feature is most active:",
        *(_picture(folder, moment) for moment in sheet.shown),
        "At these moments of the same episodes it is silent:",
        *(_picture(folder, moment) for moment in sheet.contrast),
        "Its mean activation in each tenth of an episode, in percent of the largest: "
        f"{trace}. What makes it active? Answer with JSON alone: "
        '{"name": "six words at most", "description": "one sentence"}',
    ]


def _testing(sheet: Sheet, folder: Path, name: str, description: str) -> list[str | bytes]:
    parts: list[str | bytes] = [
        f"An internal feature of a robot policy was named {json.dumps(name)}: "
        f"{json.dumps(description)}. Each picture shows what the robot's cameras see at one moment."
    ]
    for number, moment in enumerate(sheet.tested, 1):
        parts += [f"Picture {number}:", _picture(folder, moment)]
    parts.append(
        "In which pictures is the feature active? Answer with JSON alone: "
        '{"active": [numbers of the pictures]}'
    )
    return parts


def _right(active: Any, fires: Sequence[bool]) -> int | None:
    """Return how many pictures were told rightly; None where the answer names no pictures."""
    if not isinstance(active, list) or not all(type(one) is int for one in active):
        return None
    return sum((number in active) == fired for number, fired in enumerate(fires, 1))


def _json(text: str) -> dict[str, Any]:
    """Return the JSON object in an answer, whatever stands around it; empty without one."""
    try:
        found = json.loads(text[text.index("{") : text.rindex("}") + 1])
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: Any, longest: int) -> str:
    return bounded(" ".join(value.split()), longest) if isinstance(value, str) else ""


def _picture(folder: Path, moment: Moment) -> bytes:
    picture = read_frame(folder, *moment)
    assert picture is not None, "only moments with a picture are chosen"
    return picture


def _pixels(picture: bytes) -> int:
    with Image.open(io.BytesIO(picture)) as image:
        return image.width * image.height


def _digest(parts: Sequence[str | bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()
