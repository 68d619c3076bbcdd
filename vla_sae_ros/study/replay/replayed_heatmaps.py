"""Heatmaps of any feature over a recorded episode, by inferring again."""

from __future__ import annotations

import argparse

from vla_sae_ros.bags.episode_trace import Picture
from vla_sae_ros.bags.opened_bag import open_bag
from vla_sae_ros.bags.recorded_frames import RecordedFrames
from vla_sae_ros.bags.recorded_inferences import recorded_inferences
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.study.plots.film import Heatmaps
from vla_sae_ros.study.replay.provenance import recorded_facts
from vla_sae_ros.study.replay.replay import replay
from vla_sae_ros.study.replay.replay_engine import contract_for, engine_for


def replayed_heatmaps(
    args: argparse.Namespace, episode_id: str, site: str, feature: int
) -> Heatmaps:
    """Return control step -> picture; a step without a replayed inference has none.

    Raises ConfigurationError when the feature cannot be drawn over the pictures.
    """
    found: dict[int, Picture] = {}
    with open_bag(args.bag, args.namespace) as bag:
        inferences = [
            each for each in recorded_inferences(bag).inferences if each.episode_id == episode_id
        ]
        engine = engine_for(args, recorded_facts(bag))
        why_not = engine.why_no_heatmap(site, feature)
        if why_not:
            raise ConfigurationError(why_not)
        for each in replay(engine, RecordedFrames(bag, contract_for(args)), inferences):
            if each.inference is not None and each.inference.draw is not None:
                found[each.recorded.step] = each.inference.draw(site, feature)
    return found
