"""`vla-sae report`: one HTML page about a bundle or a study, or one to label features on."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from vla_sae_ros.activations.codes import coded_episodes
from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.experiment.records.table import STUDY_FILE, TABLE_FILE
from vla_sae_ros.study.experiment.report.study_report import MOST_FRAMES, write_study_report
from vla_sae_ros.study.features.feature_activity import FeatureActivity, feature_activity
from vla_sae_ros.study.reports.contact_frames import ContactFrames, Sheet, contact_frames
from vla_sae_ros.study.reports.labelling_page import sample_alive, write_labelling_page
from vla_sae_ros.study.reports.report_page import write_report
from vla_sae_ros.study.reports.report_rows import FeatureRow, Known, feature_rows

TOP = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `report`."""
    parser.add_argument(
        "folder", type=Path, help="folder of a bundle, or of a study (vla-sae evaluate)"
    )
    parser.add_argument(
        "--activations",
        type=Path,
        help="folder of activations of the bundle's policy, for contact sheets and traces",
    )
    parser.add_argument("--out", type=Path, required=True, help="HTML file to write")
    parser.add_argument(
        "--most-frames",
        type=float,
        default=MOST_FRAMES,
        metavar="MB",
        help="limit for all pictures, or all videos of a study, together; default %(default)s",
    )
    parser.add_argument(
        "--labelling",
        type=int,
        metavar="N",
        help="write a page instead on which you label N random features as general or memorized",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed for --labelling and for a study's intervals"
    )


def run(args: argparse.Namespace) -> int:
    """Write one page and say where; return the exit status."""
    if not (math.isfinite(args.most_frames) and args.most_frames >= 0):
        raise ConfigurationError(complaint("--most-frames", args.most_frames, "0 MB or more"))
    if args.seed < 0:
        raise ConfigurationError(complaint("--seed", args.seed, "0 or more"))
    if (args.folder / TABLE_FILE).is_file():
        _study(args)
    elif (study := args.folder / STUDY_FILE).is_file():
        raise ConfigurationError(
            f"{args.folder} is the folder of a study of which no run is finished. Make some with: "
            f"vla-sae evaluate {study} --out {args.folder}"
        )
    else:
        _bundle(args)
        print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB; it opens without a network.")
    return 0


def _study(args: argparse.Namespace) -> None:
    if args.activations or args.labelling is not None:
        raise ConfigurationError(
            f"{args.folder} is a study's folder: --activations and --labelling are about a bundle."
        )
    write_study_report(args.folder, args.out, args.seed, args.most_frames)


def _bundle(args: argparse.Namespace) -> None:
    bundle = SaeBundle.load(args.folder)
    dataset = ActivationDataset.open(args.activations) if args.activations else None
    activity = feature_activity(coded_episodes(bundle, dataset), TOP) if dataset else None
    if args.labelling is not None:
        _labelling(args, bundle, dataset, activity)
    else:
        _report(args, bundle, dataset, activity)


def _labelling(
    args: argparse.Namespace,
    bundle: SaeBundle,
    dataset: ActivationDataset | None,
    activity: FeatureActivity | None,
) -> None:
    if dataset is None or activity is None:
        raise ConfigurationError(
            "--labelling shows the features' best episodes: give their --activations."
        )
    features = sample_alive(activity, args.labelling, args.seed)
    write_labelling_page(args.out, bundle, dataset, activity, features, args.most_frames)


def _report(
    args: argparse.Namespace,
    bundle: SaeBundle,
    dataset: ActivationDataset | None,
    activity: FeatureActivity | None,
) -> None:
    known = Known.of(args.folder, bundle, activity)
    rows = feature_rows(known, TOP)
    frames = _frames(dataset, bundle, rows, args.most_frames) if dataset else None
    write_report(args.out, known, rows, frames, TOP)


def _frames(
    dataset: ActivationDataset, bundle: SaeBundle, rows: list[FeatureRow], limit: float
) -> ContactFrames:
    first = sorted(rows, key=lambda row: row.weight, reverse=True)
    sheets = [Sheet(row.entry.feature, row.top) for row in first]
    return contact_frames(dataset.folder, bundle.bundle_id, sheets, limit)
