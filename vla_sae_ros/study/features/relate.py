"""`vla-sae relate`: families of features, that fire together in one SAE or mean the same in two."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from vla_sae_ros.activations.codes import check_collected_for, coded_episodes
from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.core.catalogue import FeatureEntry
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.terminal import plain_console
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.features.related import Codes, Together, together
from vla_sae_ros.study.features.related_file import (
    RELATED_FILE,
    Relative,
    Relatives,
    save_relatives,
)
from vla_sae_ros.study.features.stability import decoder_rows, unit_rows

_LISTED = 20
_MOST_PAIRS = 8192 * 8192
"""Of features: two tables of 0.5 GB."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `relate`."""
    parser.add_argument("bundle", type=Path, help="bundle folder; gets related.json")
    parser.add_argument("activations", type=Path, help="collected with the bundle's policy")
    parser.add_argument(
        "--to",
        nargs="+",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="another bundle (of another seed, site or policy), and its own activations of the "
        "same episodes where the first's do not have its site; may be given several times",
    )
    parser.add_argument(
        "--top", type=int, default=5, help="relatives of a feature, at most; default %(default)s"
    )
    parser.add_argument(
        "--least", type=float, default=0.5, help="correlation of a relative; default %(default)s"
    )


@dataclass(frozen=True)
class _Side:
    bundle: SaeBundle
    dataset: ActivationDataset

    def codes(self, episode_id: str) -> tuple[np.ndarray, Codes]:
        """Return steps (T,) and codes (T, F) of an episode; none of one that is not here."""
        own = [one for one in self.dataset.episodes if one.episode_id == episode_id]
        for one in coded_episodes(self.bundle, self.dataset, own):
            return one.steps, one.codes
        return np.zeros(0, np.int64), np.zeros((0, self.bundle.sae.dictionary_size), np.float32)


def run(args: argparse.Namespace) -> int:
    """Compare, write related.json, print the closest; return the exit status."""
    if args.top < 1:
        raise ConfigurationError(complaint("--top", args.top, "1 or more"))
    if not 0 < args.least <= 1:
        raise ConfigurationError(complaint("--least", args.least, "above 0, at most 1"))
    side = _side(args.bundle, args.activations)
    others = [side, *(_other(folders, args.activations) for folders in args.to)]
    found = [_relatives(side, other, args.top, args.least) for other in others]
    save_relatives(args.bundle, side.bundle.bundle_id, found)
    console = plain_console()
    for one in found:
        console.print(_table(side.bundle, one))
    print(f"Everything is in {args.bundle / RELATED_FILE}; `vla-sae report` shows it.")
    return 0


def _side(bundle: Path, activations: Path) -> _Side:
    side = _Side(SaeBundle.load(bundle), ActivationDataset.open(activations))
    check_collected_for(side.bundle, side.dataset)
    return side


def _other(folders: Sequence[Path], activations: Path) -> _Side:
    if len(folders) > 2:
        raise ConfigurationError(
            complaint("--to", [str(one) for one in folders], "BUNDLE or BUNDLE ACTIVATIONS")
        )
    return _side(folders[0], folders[1] if len(folders) == 2 else activations)


def _relatives(side: _Side, other: _Side, top: int, least: float) -> Relatives:
    one, two = side.bundle, other.bundle
    sizes = one.sae.dictionary_size, two.sae.dictionary_size
    if math.prod(sizes) > _MOST_PAIRS:
        raise ConfigurationError(
            complaint("features of the two bundles", sizes, f"{_MOST_PAIRS:,} pairs at most")
        )
    measured = together(_aligned(side, other), *sizes)
    if measured.inferences < 2:
        raise ConfigurationError(
            f"{other.dataset.folder} has no episode and step in common with {side.dataset.folder}: "
            "relatives are found over the same inferences. Collect both from the same episodes."
        )
    cosine = _cosines(one, two)
    own = one.bundle_id == two.bundle_id
    of = {}
    for feature in range(sizes[0]):
        chosen = _chosen(measured, cosine, two, feature, top, least, own)
        if chosen:
            of[feature] = chosen
    return Relatives(two.bundle_id, two.card.policy_name, two.card.site, measured.inferences, of)


def _aligned(side: _Side, other: _Side) -> Iterator[tuple[Codes, Codes]]:
    """Yield the codes of both at the steps that both have, episode by episode."""
    for episode in side.dataset.episodes:
        steps, codes = side.codes(episode.episode_id)
        other_steps, others = (steps, codes) if other is side else other.codes(episode.episode_id)
        _, a, b = np.intersect1d(steps, other_steps, return_indices=True)
        yield codes[a], others[b]


def _cosines(one: SaeBundle, two: SaeBundle) -> np.ndarray | None:
    """Return (F, G) cosines of decoder rows; None where the two write into different streams."""
    if (one.card.policy_site, one.card.d_in) != (two.card.policy_site, two.card.d_in):
        return None
    return np.asarray(unit_rows(decoder_rows(one)) @ unit_rows(decoder_rows(two)).T)


def _chosen(
    measured: Together,
    cosine: np.ndarray | None,
    two: SaeBundle,
    feature: int,
    top: int,
    least: float,
    own: bool,
) -> tuple[Relative, ...]:
    r = np.nan_to_num(measured.r[feature], nan=-1.0)
    if own:
        r[feature] = -1.0
    best = [int(n) for n in np.argsort(-r, kind="stable")[:top] if r[n] >= least]
    return tuple(
        Relative(
            n,
            (two.catalogue.get(n) or FeatureEntry(n)).label,
            round(float(r[n]), 4),
            round(float(measured.share[feature, n]), 4),
            None if cosine is None else round(float(cosine[feature, n]), 4),
        )
        for n in best
    )


def _table(bundle: SaeBundle, found: Relatives) -> Table:
    """Return the closest relatives, the strongest first."""
    own = found.bundle_id == bundle.bundle_id
    where = "the same SAE" if own else f"{found.policy} {found.site}, bundle {found.bundle_id}"
    table = Table(title=f"features of {bundle.card.site} and their relatives in {where}")
    for column in ("feature", "label", "relative", "its label", "r", "fires with it", "cosine"):
        table.add_column(column, justify="left" if "label" in column else "right")
    pairs = [(feature, one) for feature, several in found.of.items() for one in several[:1]]
    pairs.sort(key=lambda pair: -pair[1].r)
    for feature, one in pairs[:_LISTED]:
        entry = bundle.catalogue.get(feature) or FeatureEntry(feature)
        cosine = "-" if one.cosine is None else f"{one.cosine:+.2f}"
        numbers = (f"{one.r:+.2f}", f"{100 * one.share:.0f} %", cosine)
        table.add_row(str(feature), entry.label, str(one.feature), one.label, *numbers)
    table.caption = f"{len(found.of)} features have a relative, over {found.inferences} inferences"
    if not own and found.site == bundle.card.site:
        # As after train-sae --start-from; of SAEs of one site that share nothing, hardly any.
        same = sum(several[0].feature == feature for feature, several in found.of.items())
        table.caption += f"; {same} of them closest to the feature of the same number"
    return table
