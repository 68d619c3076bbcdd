"""Analyse a recording in pandas: what was active, what steering changed, what the hand did.

    vla-sae demo                                              # leaves a bag in out/demo/bag
    vla-sae bag export out/demo/bag --to parquet              # makes out/demo/bag_parquet
    python examples/analyse_in_pandas.py out/demo/bag_parquet

You see four tables: the episodes, the most active features, what the edits changed, and how far
the hands of two episodes were apart. Only pandas and pyarrow are needed, so this runs where neither
ROS nor this package is installed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

KEYS = ["episode_id", "site", "inference"]


def episodes(tables: Path) -> pd.DataFrame:
    """Return a row per episode: its result, its length, and for how long edits acted."""
    found = pd.read_parquet(tables / "episodes.parquet").set_index("episode_id")
    inferences = pd.read_parquet(tables / "inferences.parquet")
    steered = inferences[inferences.edit_norm_ratio > 0].groupby("episode_id").inference.nunique()
    every = inferences.groupby("episode_id").inference.nunique()
    found["seconds"] = found.steps / found.control_rate
    found["steered"] = (steered / every).reindex(found.index).fillna(0.0)
    return found[["task", "instruction", "status", "seconds", "steered"]]


def most_active(tables: Path, count: int = 5) -> pd.DataFrame:
    """Return the features with the largest mean activation before any edit, per site.

    A feature that an inference does not list was 0 in it: the mean is over all inferences.
    """
    features = pd.read_parquet(tables / "features.parquet")
    inferences = pd.read_parquet(tables / "inferences.parquet").groupby("site").size()
    by_feature = features.groupby(["site", "feature"]).natural.agg(["sum", "max", "size"])
    total = inferences.reindex(by_feature.index.get_level_values("site")).to_numpy()
    found = pd.DataFrame(
        {
            "mean": by_feature["sum"] / total,
            "largest": by_feature["max"],
            "active in": by_feature["size"] / total,
        }
    )
    return found.sort_values("mean", ascending=False).groupby("site").head(count).sort_index()


def edited(tables: Path) -> pd.DataFrame:
    """Return each edited feature's activation before and after the edits, while they acted."""
    features = pd.read_parquet(tables / "features.parquet")
    steps = pd.read_parquet(tables / "inferences.parquet")[[*KEYS, "step", "edit_norm_ratio"]]
    acted = features[features.natural != features.applied].merge(
        steps.drop(columns="step"), on=KEYS
    )
    return acted.groupby(["episode_id", "site", "feature"]).agg(
        first_step=("step", "min"),
        last_step=("step", "max"),
        before=("natural", "mean"),
        after=("applied", "mean"),
        edit_norm=("edit_norm_ratio", "mean"),
    )


def hands_apart(tables: Path, first: str, second: str) -> pd.DataFrame:
    """Return the distance [m] between the hands of two episodes at their common steps."""
    states = pd.read_parquet(tables / "states.parquet").dropna(subset=["x", "y", "z"])
    one, other = (
        states[states.episode_id == episode].set_index("step")[["x", "y", "z"]]
        for episode in (first, second)
    )
    way = (one - other).dropna()
    return pd.DataFrame({"apart": np.linalg.norm(way.to_numpy(), axis=1)}, index=way.index)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", type=Path, help="folder of `vla-sae bag export --to parquet`")
    tables = parser.parse_args().tables
    pd.set_option("display.width", 200)
    pd.set_option("display.max_columns", None)
    pd.set_option("display.precision", 3)
    found = episodes(tables)
    print("Episodes; `steered` is the share of inferences in which an edit acted\n")
    print(found.reset_index(drop=True).to_string())
    print("\nThe most active features [SAE units]\n")
    print(most_active(tables))
    print("\nEdited features, while the edits acted [SAE units]\n")
    print(edited(tables).reset_index("episode_id", drop=True))
    if len(found) > 1:
        apart = hands_apart(tables, *found.index[:2])
        print("\nHow far the hands of the first two episodes were apart [m]\n")
        print(apart.iloc[:: max(len(apart) // 8, 1)].T.to_string())


if __name__ == "__main__":
    main()
