"""The SAEs of an exported policy, as the graph of nodes needs them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vla_sae_ros.core.catalogue import CATALOGUE_FILE, Catalogue
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.steering import SteeringSite
from vla_sae_ros.core.yaml_document import read_yaml
from vla_sae_ros.policy.onnx.description import ExportedSite
from vla_sae_ros.policy.onnx.names import DECODER, DECODER_NORM

_CARD = "bundle.yaml"
_SAE_FILES = ("cfg.json", "sae_weights.safetensors")


@dataclass(frozen=True)
class OnnxBundle:
    """An SAE inside the graphs, with its catalogue and the folder where that is kept."""

    card: ExportedSite
    catalogue: Catalogue
    folder: Path
    decoder_norm: np.ndarray | None

    @property
    def bundle_id(self) -> str:
        return self.card.bundle_id

    def steering_site(self) -> SteeringSite:
        """Return what the steering needs to know about the site."""
        card = self.card
        return SteeringSite(
            card.site,
            self.catalogue.observed_max(card.dictionary_size),
            card.residual_norm_activation,
            card.token_groups,
            card.runs_per_inference,
            card.why_not,
            self.decoder_norm,
        )


def files_digest(bundle: Path) -> str:
    """Return the SHA-256 of what decides a bundle's codes: its SAE's files and their place.

    Raises:
        ConfigurationError: one of its files cannot be read.
    """
    try:
        card: Any = read_yaml(bundle / _CARD).value()
        place = json.dumps([card[name] for name in ("site", "pooling", "token_groups")])
        digest = hashlib.sha256(place.encode())
        for name in _SAE_FILES:
            digest.update((bundle / name).read_bytes())
    except ConfigurationError as error:
        raise ConfigurationError(f"{bundle} is not an SAE bundle: {error}") from error
    except (OSError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{bundle} is not an SAE bundle: {type(error).__name__}: {error}."
        ) from error
    return digest.hexdigest()


def exported_bundles(
    folder: Path, sites: Iterable[ExportedSite], given: Sequence[Path]
) -> tuple[OnnxBundle, ...]:
    """Return the bundles of an export.

    Args:
        folder: of the export, with a copy of every catalogue.
        sites: exported ones.
        given: bundle folders that the export must have been made with, all of them and no others;
            their catalogues, which people may have written in since, count then. Empty: whatever
            was exported, with its copied catalogues.

    Raises:
        ConfigurationError: a given bundle is not in the export, or one of the export not given.
    """
    by_digest = {files_digest(path): path for path in given}
    sites = tuple(sites)
    if given:
        _require_same(by_digest, {site.files_digest: site.site for site in sites}, folder)
    folders = {
        site.site: by_digest[site.files_digest] if given else folder / site.site for site in sites
    }
    return tuple(
        OnnxBundle(
            site,
            Catalogue.load(folders[site.site] / CATALOGUE_FILE),
            folders[site.site],
            _decoder_norm(folder / site.site / DECODER_NORM),
        )
        for site in sites
    )


def _require_same(given: dict[str, Path], exported: dict[str, str], folder: Path) -> None:
    strangers = [str(path) for digest, path in given.items() if digest not in exported]
    absent = [site for digest, site in exported.items() if digest not in given]
    if strangers or absent:
        raise ConfigurationError(
            f"The bundles are not those that {folder} was exported with"
            + (f"; not in the export: {', '.join(strangers)}" if strangers else "")
            + (f"; exported, but not given: {', '.join(absent)}" if absent else "")
            + ". Export again with these --bundles, or name the exported ones (or none at all)."
        )


def _decoder_norm(path: Path) -> np.ndarray | None:
    return np.load(path) if path.is_file() else None


def decoder_rows(folder: Path, site: str) -> np.ndarray:
    """Return the decoder rows (F, d) float32 of an exported SAE, read when they are used."""
    rows: np.ndarray = np.load(folder / site / DECODER, mmap_mode="r")
    return rows
