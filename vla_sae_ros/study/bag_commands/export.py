"""`vla-sae bag export`: a bag's features, actions, states and steering for other tools."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet

from vla_sae_ros.bags.bag_argument import add_bag, tell
from vla_sae_ros.bags.reading import Bag, read_bag
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.resources import resource
from vla_sae_ros.study.bag_commands.tables import column_rows, tables

FORMATS = ("parquet", "csv", "lerobot")
COLUMNS = "columns.csv"
"""File beside CSV tables that says what their columns are."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the bag, the format and the folder."""
    add_bag(parser)
    parser.add_argument(
        "--to",
        choices=FORMATS,
        required=True,
        help="parquet or csv: tables; lerobot: a LeRobotDataset with pictures",
    )
    parser.add_argument("--output", type=Path, help="default: <bag>_<format>; must not exist")
    parser.add_argument(
        "--contract",
        type=Path,
        help="lerobot: contract file that defines the observations; default: LIBERO's",
    )
    parser.add_argument(
        "--max-age",
        type=int,
        default=0,
        metavar="TICKS",
        help="lerobot: maximum age of a frame's observation (default: 0)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the export and say what is in it."""
    output = args.output or args.bag.with_name(f"{args.bag.name}_{args.to}")
    if output.exists():
        raise ConfigurationError(
            complaint(
                "the folder exists already",
                str(output),
                "a new folder",
                "Name another with --output.",
            )
        )
    if args.to == "lerobot":
        # Importing lerobot and torch takes seconds that tables need not wait for.
        from vla_sae_ros.study.bag_commands.lerobot import export_lerobot

        contract = args.contract or resource("config", "contracts", "libero.yaml")
        said, findings = export_lerobot(args.bag, output, contract, args.max_age, args.namespace)
        print(said)
        return tell(findings)
    bag = read_bag(args.bag, pictures=False, namespace=args.namespace)
    for name, table in export_tables(bag, output, args.to).items():
        print(f"{table.num_rows:8} rows  {output / name}.{args.to}")
    return tell(bag.findings)


def export_tables(bag: Bag, output: Path, kind: str) -> dict[str, pa.Table]:
    """Write every table of a bag into the new folder `output` as "parquet" or "csv" files."""
    made = tables(bag)
    output.mkdir(parents=True)
    for name, table in made.items():
        path = output / f"{name}.{kind}"
        if kind == "csv":
            arrow_csv.write_csv(table, path)
        else:
            parquet.write_table(table, path, compression="zstd")
    if kind == "csv":
        with (output / COLUMNS).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("table", "column", "unit", "meaning"), *column_rows()])
    return made
