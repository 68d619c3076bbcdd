"""`vla-sae verdicts`: what a study found out, how it gets into a bundle, and what is in one."""

from __future__ import annotations

import argparse
from pathlib import Path

from vla_sae_ros.core.catalogue import CATALOGUE_FILE, Catalogue, said_test
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.folders import BUNDLE_FILE
from vla_sae_ros.sae.bundle import SaeBundle
from vla_sae_ros.study.experiment.measure.analysis import analyse
from vla_sae_ros.study.experiment.report.tested_features import tested
from vla_sae_ros.study.experiment.report.verdict_rows import verdict_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the study, or the bundle to be read, and the bundles to write into."""
    parser.add_argument(
        "study",
        type=Path,
        metavar="STUDY",
        help="folder of a study (vla-sae evaluate); or a bundle: which of its features were tested",
    )
    parser.add_argument(
        "--into",
        type=Path,
        nargs="+",
        default=[],
        metavar="BUNDLE",
        help="write the verdicts on these bundles' features into their catalogues; "
        "the panel, reports and `steer` then show them",
    )


def run(args: argparse.Namespace) -> int:
    """Print every verdict; write those on the named bundles' features into them."""
    if (args.study / BUNDLE_FILE).is_file():
        if args.into:
            raise ConfigurationError(complaint("STUDY", args.study, "a study's folder for --into"))
        _tell_tests(SaeBundle.load(args.study).catalogue)
        return 0
    bundles = [(folder, SaeBundle.load(folder)) for folder in args.into]
    analysis = analyse(args.study)
    print(verdict_table(analysis))
    catalogues = [(folder, tested(analysis, bundle)) for folder, bundle in bundles]
    for folder, catalogue in catalogues:  # only when every bundle fits
        try:
            catalogue.save(folder / CATALOGUE_FILE)
        except OSError as error:
            raise ConfigurationError(f"Cannot write into {folder}: {error.strerror}.") from error
        print(f"{folder}:")
        _tell_tests(catalogue)
    return 0


def _tell_tests(catalogue: Catalogue) -> None:
    """Print every test of every feature, a line each."""
    lines = [
        f"  #{entry.feature} {test.study}, {said_test(test)}"
        for entry in catalogue.entries
        for test in entry.tests
    ]
    print("\n".join(lines) or "No feature was tested. `vla-sae evaluate` tests features.")
