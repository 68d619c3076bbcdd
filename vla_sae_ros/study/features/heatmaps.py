"""`vla-sae heatmaps`: where in the pictures a bundle's features are active, at their best moments.

The policy is asked again, with the observations that `vla-sae collect --keep-observations` kept,
and the heatmap is the one the live system draws (`policy.heatmap`): the family's own grid of
patches, padding and order of cameras. What comes out is compared with what was collected.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from vla_sae_ros.activations.codes import coded_episodes
from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.activations.frames import jpeg
from vla_sae_ros.activations.observations import observed_steps, read_observation
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.progress import CommandProgress
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.load_options import add_load_arguments, load_options
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.resources import resource
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.features.heatmap_files import HeatmapFiles
from vla_sae_ros.study.features.labels.top_episodes import TopEpisodes

TOP = 4
HEIGHT = 128  # [px]
TOLERANCE = 0.01  # of an activation: another machine or number of threads rounds differently

Wanted = Mapping[str, Mapping[tuple[int, int], float]]
"""Episode id -> (step, feature) -> activation there, as it was collected."""


@dataclass
class HeatmapTally:
    """What a pass did. drawn, unobserved: numbers of heatmaps; unlike: drawn, but at another
    activation than the collected one."""

    drawn: int = 0
    unobserved: int = 0
    unlike: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `heatmaps`."""
    parser.add_argument(
        "bundle", type=Path, help="bundle folder, of a site that picture tokens pass through"
    )
    parser.add_argument(
        "activations", type=Path, help="folder of activations collected with --keep-observations"
    )
    parser.add_argument("--policy", help="the bundle's policy; default: the demonstration policy")
    parser.add_argument(
        "--top", type=int, default=TOP, help="episodes per feature; default %(default)s"
    )
    parser.add_argument("--device", default="cpu", help="torch device; default %(default)s")
    parser.add_argument(
        "--threads", type=int, default=1, help="threads of torch; default %(default)s"
    )
    add_load_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Draw what is not there yet and say what could not be drawn; return the exit status."""
    if args.threads < 1:
        raise ConfigurationError(complaint("--threads", args.threads, "1 or more"))
    torch.set_num_threads(args.threads)
    bundle, dataset = SaeBundle.load(args.bundle), ActivationDataset.open(args.activations)
    if not any(observed_steps(dataset.folder, each.episode_id) for each in dataset.episodes):
        raise ConfigurationError(
            f"{dataset.folder} has no observations to draw heatmaps over. Collect them with "
            "`vla-sae collect --keep-observations`."
        )
    policy = args.policy or resource("models", "demo", "policy")
    engine = PolicyEngine(load_policy(policy, args.device, load_options(args)), [bundle])
    try:
        why_not = engine.why_no_heatmap(bundle.card.site, 0)
        if why_not:
            raise ConfigurationError(why_not)
        wanted = best_moments(bundle, dataset, args.top)
        tally = draw_heatmaps(engine, dataset, wanted)
    finally:
        engine.close()
    print(_in_words(tally, dataset.folder))
    return 0


def best_moments(bundle: SaeBundle, dataset: ActivationDataset, top: int) -> Wanted:
    """Return where each feature is most active in its best `top` episodes."""
    best = TopEpisodes.of(coded_episodes(bundle, dataset), top)
    wanted: dict[str, dict[tuple[int, int], float]] = {}
    for feature in range(bundle.sae.dictionary_size):
        for peak in best.peaks(feature):
            wanted.setdefault(peak.episode_id, {})[peak.step, feature] = peak.value
    return wanted


def draw_heatmaps(engine: PolicyEngine, dataset: ActivationDataset, wanted: Wanted) -> HeatmapTally:
    """Draw and keep every wanted heatmap of the engine's one bundle that is not there yet.

    An episode's are written together: after an interruption the next call goes on.

    Raises CollectionError for damaged observations or a full disk.
    """
    (bundle,) = engine.bundles
    files, tally = HeatmapFiles(dataset.folder, bundle.bundle_id), HeatmapTally()
    with CommandProgress() as progress:
        bar = progress.add_task("episodes", total=len(wanted))
        for episode_id, moments in wanted.items():
            missing = {at: moments[at] for at in files.missing(episode_id, moments)}
            drawn = _of_episode(engine, dataset.folder, episode_id, missing, tally)
            if drawn:
                files.add(episode_id, drawn)
            tally.drawn += len(drawn)
            progress.advance(bar)
    return tally


def _of_episode(
    engine: PolicyEngine,
    folder: Path,
    episode_id: str,
    missing: Mapping[tuple[int, int], float],
    tally: HeatmapTally,
) -> dict[tuple[int, int], bytes]:
    """Return the heatmaps of the `missing` (step, feature) -> activation of one episode."""
    drawn: dict[tuple[int, int], bytes] = {}
    for step in sorted({step for step, _ in missing}):
        expected = {feature: missing[at, feature] for at, feature in sorted(missing) if at == step}
        pictures = _at_moment(engine, folder, (episode_id, step), expected, tally)
        drawn |= {(step, feature): picture for feature, picture in pictures.items()}
    return drawn


def _at_moment(
    engine: PolicyEngine,
    folder: Path,
    moment: tuple[str, int],
    expected: Mapping[int, float],
    tally: HeatmapTally,
) -> dict[int, bytes]:
    """Return the heatmap of each expected feature at (episode, step); none without observation."""
    observation = read_observation(folder, *moment)
    if observation is None:
        tally.unobserved += len(expected)
        return {}
    seed = (observation.seed, observation.step)
    inference = engine.infer(observation.frame, observation.instruction, seed)
    (readout,) = inference.sites
    now = dict(zip(readout.index.tolist(), readout.natural.tolist(), strict=True))
    tally.unlike += sum(
        abs(now.get(feature, 0.0) - value) > TOLERANCE * value
        for feature, value in expected.items()
    )
    assert inference.draw is not None  # `run` has asked why not
    return {feature: jpeg(inference.draw(readout.site, feature, HEIGHT)) for feature in expected}


def _in_words(tally: HeatmapTally, folder: Path) -> str:
    lines: Sequence[str] = [
        f"{tally.drawn} heatmaps drawn into {folder}; `vla-sae report --activations` shows them."
    ]
    if tally.unobserved:
        lines = [
            *lines,
            f"{tally.unobserved} could not be drawn: collect those episodes with "
            "--keep-observations.",
        ]
    if tally.unlike:
        lines = [
            *lines,
            f"{tally.unlike} are of an activation more than {TOLERANCE:.0%} away from the "
            "collected one: this machine rounds differently, or the folder was changed.",
        ]
    return "\n".join(lines)
