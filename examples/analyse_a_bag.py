"""Analyse a recording: which features go with the height of the hand?

    vla-sae demo                                        # leaves a bag in out/demo/bag
    python examples/analyse_a_bag.py out/demo/bag

You see, for every episode and site, the five features whose activation is most correlated with the
hand's height at the same control step. No ROS is needed: `read_bag` gives plain arrays. A feature
that an edit changed is left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from vla_sae_ros.bags.episode_trace import EpisodeTrace, FeatureStream
from vla_sae_ros.bags.reading import read_bag


def correlations(episode: EpisodeTrace, stream: FeatureStream) -> dict[int, float]:
    """Return feature -> Pearson's r with the hand's height [m], over the N inferences."""
    heights = dict(zip(episode.position.step, episode.position.values[:, 2], strict=True))
    seen = [row for row, step in enumerate(stream.step) if step in heights]
    height = np.array([heights[stream.step[row]] for row in seen])
    features = sorted(set(stream.index.tolist()) - set(stream.edited()))
    natural, _ = stream.dense(features)
    activation = natural[seen]  # (N, F); 0 where a feature was not among the active ones
    varying = (activation.std(0) > 0) & bool(len(seen) > 2 and height.std() > 0)
    return {
        feature: float(np.corrcoef(activation[:, column], height)[0, 1])
        for column, feature in enumerate(features)
        if varying[column]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bag", type=Path)
    args = parser.parse_args()
    bag = read_bag(args.bag, pictures=False)
    for episode in bag.episodes:
        said = f"{episode.suite} {episode.task}, {episode.steps} steps: {episode.instruction}"
        print(f"{episode.episode_id}: {said}")
        print("  site and feature, Pearson's r with the height of the hand, label")
        for site, stream in sorted(episode.features.items()):
            catalogue = bag.catalogues.get(site)
            labels = (
                {entry.feature: entry.label for entry in catalogue.entries} if catalogue else {}
            )
            found = correlations(episode, stream)
            for feature in sorted(found, key=lambda one: -abs(found[one]))[:5]:
                print(
                    f"  {site} {feature:5d}  r = {found[feature]:+.2f}  {labels.get(feature, '')}"
                )


if __name__ == "__main__":
    main()
