"""`vla-sae export`: a policy and its SAEs for ONNX Runtime, to serve without PyTorch."""

from __future__ import annotations

import argparse
from pathlib import Path

from vla_sae_ros.core.errors import VlaSaeError
from vla_sae_ros.core.picture_record import read_picture_record, write_picture_record
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.export.verification import TOLERANCE, compare
from vla_sae_ros.policy.export.writing import Source, write_export
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.onnx.names import EXPORT_FOLDER
from vla_sae_ros.sae import SaeBundle


class ExportFailed(VlaSaeError):
    """The exported graphs do not compute what the policy does."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("policy", type=Path, help="policy folder of a lerobot checkpoint")
    parser.add_argument(
        "--output",
        type=Path,
        help=f"folder to make; default: {EXPORT_FOLDER}/ inside the policy folder, where the "
        "policy node looks for it",
    )
    parser.add_argument(
        "--bundles", type=Path, nargs="*", default=[], help="SAE bundle folders, one per site"
    )


def run(args: argparse.Namespace) -> int:
    """Export, compare with PyTorch, and say how large the difference is."""
    folder: Path = args.output or args.policy / EXPORT_FOLDER
    loaded = load_policy(args.policy)
    bundles = tuple(SaeBundle.load(path) for path in args.bundles)
    source = Source(loaded, bundles, tuple(args.bundles))
    write_export(source, folder, lambda text: print(f"exporting {text} ...", flush=True))
    pictures = read_picture_record(args.policy)
    if pictures is not None:
        write_picture_record(folder, pictures)
    engine = PolicyEngine(loaded, bundles)
    try:
        difference = compare(engine, folder)
    finally:
        engine.close()
    print(
        f"largest difference of a normalised action from PyTorch: {difference.plain:.1e} plain, "
        f"{difference.edited:.1e} edited; wanted: {TOLERANCE:.0e}"
    )
    if not difference.is_fine:
        raise ExportFailed(
            f"{folder} computes other actions than PyTorch; do not serve it. Delete it, and report "
            "the policy's configuration."
        )
    print(f"{folder} is ready: start the policy node with backend:=onnx policy:={folder}")
    return 0
