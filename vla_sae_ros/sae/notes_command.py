"""`vla-sae notes`: labels and notes given in the panel, and how they get into a bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from vla_sae_ros.core.catalogue import CATALOGUE_FILE, Catalogue
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.one_line import one_line
from vla_sae_ros.core.user_notes import notes_file, notes_files, notes_folder, overlaid
from vla_sae_ros.sae.bundle import SaeBundle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the bundles to write into."""
    parser.add_argument(
        "--into",
        type=Path,
        nargs="+",
        default=[],
        metavar="BUNDLE",
        help="write the notes on these bundles into their catalogues",
    )


def run(args: argparse.Namespace) -> int:
    """List every note, or write those of the bundles named into them."""
    if not args.into:
        print(f"in {notes_folder()}:")
        for path in notes_files():
            _list(path)
        return 0
    for folder in args.into:
        _export(folder)
    return 0


def _list(path: Path) -> None:
    catalogue = Catalogue.load(path)
    for entry in catalogue.entries:
        notes = f"  ({one_line(entry.notes)})" if entry.notes else ""
        label = one_line(entry.label)
        print(f"{catalogue.site} #{entry.feature}  {label}{notes}   bundle {path.stem}")


def _export(folder: Path) -> None:
    bundle = SaeBundle.load(folder)
    written = notes_file(bundle.bundle_id)
    if not written.exists():
        print(f"{folder}: no notes on bundle {bundle.bundle_id}")
        return
    catalogue = overlaid(bundle.catalogue, bundle.bundle_id)
    try:
        catalogue.save(folder / CATALOGUE_FILE)
    except OSError as error:
        raise ConfigurationError(f"Cannot write into {folder}: {error.strerror}.") from error
    print(f"{folder}: {len(Catalogue.load(written))} notes written into {CATALOGUE_FILE}")
