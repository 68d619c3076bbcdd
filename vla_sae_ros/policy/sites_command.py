"""`vla-sae sites`: where a policy can be read and steered, and why not everywhere."""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Mapping
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vla_sae_ros.core.catalogue import Catalogue
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.terminal import plain_console
from vla_sae_ros.core.user_notes import notes_files
from vla_sae_ros.policy.checkpoints.input_features import observed_features
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.families.adapter import PolicyAdapter
from vla_sae_ros.policy.families.registry import FAMILIES, adapter_of
from vla_sae_ros.policy.load_options import add_load_arguments, load_options
from vla_sae_ros.policy.loading import load_policy

INSTRUCTION = "pick up the object and place it in the basket"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("policy", help="a policy's folder, or owner/name on the hub")
    parser.add_argument(
        "--instruction", default=INSTRUCTION, help="instruction whose tokens are counted"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    add_load_arguments(parser)


def run(args: argparse.Namespace) -> int:
    loaded = load_policy(args.policy, options=load_options(args))
    described = describe(loaded, args.instruction)
    if args.json:
        print(json.dumps(described, indent=2))
    else:
        _show(described, plain_console())
    return 0


def describe(loaded: LoadedPolicy, instruction: str) -> dict[str, Any]:
    """Return what the command shows: the policy, its cameras' tokens and its sites.

    Raises:
        ConfigurationError: no adapter reads the policy.
    """
    adapter = adapter_of(loaded)
    batch = loaded.preprocessor(_blank_frame(loaded, instruction))
    return {
        "policy": loaded.name,
        "policy_id": loaded.policy_id,
        "cameras": _cameras(adapter, batch),
        "sites": [
            {
                "name": site.name,
                "width": site.width,
                "tokens": {
                    group: int(mask[0].sum())
                    for group, mask in adapter.token_masks(site.name, batch).items()
                },
                "runs_per_inference": site.runs_per_inference,
                "may_stop_early": site.may_stop_early,
                "can_steer": site.can_steer,
                "why_not": site.why_not,
            }
            for site in adapter.sites.values()
        ],
        "notes": _notes(adapter.sites),
        "unknown": _unknown(loaded),
    }


def _notes(sites: Collection[str]) -> list[dict[str, Any]]:
    """Return what the user wrote about features of sites of these names, by bundle; of a file that
    cannot be read, why."""
    found: list[dict[str, Any]] = []
    for path in notes_files():
        try:
            notes = Catalogue.load(path)
        except ConfigurationError as error:
            found.append({"bundle_id": path.stem, "problem": str(error)})
            continue
        if notes.site in sites:
            found.append(
                {"site": notes.site, "bundle_id": path.stem, "features": len(notes.entries)}
            )
    return found


def _unknown(loaded: LoadedPolicy) -> list[str]:
    """Return what cannot be known of a policy without an adapter of its own."""
    if loaded.policy.name in FAMILIES:
        return []
    from vla_sae_ros.policy.families.modules import UNKNOWN

    return list(UNKNOWN)


def _cameras(adapter: PolicyAdapter, batch: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    return [
        {"camera": place.camera, "rows": place.rows, "columns": place.columns}
        for place in adapter.camera_patches(next(iter(adapter.sites)), batch)
    ]


def _blank_frame(loaded: LoadedPolicy, instruction: str) -> dict[str, Any]:
    frame: dict[str, Any] = {"task": instruction}
    for key, feature in observed_features(loaded.policy.config).items():
        frame[key] = torch.zeros(*feature.shape)
    return frame


def _runs(site: Mapping[str, Any]) -> str:
    return f"{'up to ' if site['may_stop_early'] else ''}{site['runs_per_inference']}"


def _show(described: Mapping[str, Any], console: Console) -> None:
    console.print(f"{described['policy']}  id {described['policy_id']}", style="bold")
    for camera in described["cameras"]:
        console.print(f"  {camera['camera']}: {camera['rows']} x {camera['columns']} patches")
    table = Table("site", "width", "tokens", "runs per inference", "can steer")
    table.columns[0].overflow = "fold"
    reasons: dict[str, int] = {}
    for site in described["sites"]:
        tokens = ", ".join(f"{group} {count}" for group, count in site["tokens"].items())
        mark = "yes"
        if not site["can_steer"]:
            mark = f"no ({reasons.setdefault(site['why_not'], len(reasons) + 1)})"
        table.add_row(site["name"], str(site["width"]), tokens, _runs(site), mark)
    console.print(table)
    for reason, number in reasons.items():
        console.print(f"({number}) {reason}")
    for note in described["notes"]:
        if "problem" in note:
            console.print(note["problem"])
            continue
        console.print(
            f"{note['site']}: your labels and notes on {note['features']} feature(s) of bundle "
            f"{note['bundle_id']} (vla-sae notes lists them and writes them into a bundle)"
        )
    if described["unknown"]:
        console.print(
            "This policy has no adapter: its modules are its sites. Unknown for such a policy:"
        )
        for words in described["unknown"]:
            console.print(f"  - {words}", highlight=False)
