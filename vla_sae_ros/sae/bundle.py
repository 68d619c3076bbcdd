"""An SAE bundle: a folder with an autoencoder, what it was made for, and what is known of it."""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from vla_sae_ros.core import folders
from vla_sae_ros.core.catalogue import CATALOGUE_FILE, Catalogue
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.settings import read_settings
from vla_sae_ros.core.whole_file import whole_folder, write_whole
from vla_sae_ros.core.yaml_document import read_yaml
from vla_sae_ros.sae.formats.saelens import load_sae
from vla_sae_ros.sae.kinds.sparse_autoencoder import SparseAutoencoder

BUNDLE_FILE = folders.BUNDLE_FILE
POOLINGS = ("mean", "token")
KINDS = ("sae", "directions")
BESIDE_THE_SAE = ".directions"
"""What the name of a site bears where directions are read, beside an SAE of the same site."""
_FORMAT = 1
# The fields that decide where a code belongs; together with the weights they are the content id.
_IDENTITY = ("policy_id", "site", "pooling", "token_groups", "normalization", "k")


@dataclass(frozen=True)
class BundleCard:
    """The content of bundle.yaml.

    policy_id: content id of the policy the samples came from. site: e.g. "backbone.1", or
    "backbone.1.directions" of directions, under which they are read and edited.
    pooling: "mean" (one vector per inference) or "token". token_groups: the groups of tokens that
    were read, e.g. camera, language, state, action.
    mean_residual_norm: mean ||x|| in the data; over tokens where the data tell, see `data`; NaN
    where a foreign SAE came without data. mean_scale: mean over the data of the normalisation's
    scale; 1 without one, NaN where unknown.
    data: where the samples came from. metrics: fvu, l0, dead_share and others, floats.
    kind: "sae", or "directions": rows that are no SAE's.
    """

    policy_id: str
    policy_name: str
    site: str
    d_in: int
    dictionary_size: int
    k: int
    pooling: str
    token_groups: tuple[str, ...]
    normalization: str
    mean_residual_norm: float
    mean_scale: float
    data: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    kind: str = "sae"

    def __post_init__(self) -> None:
        """Raise ConfigurationError naming the first field that cannot be."""
        for name in ("policy_id", "policy_name", "site", "normalization"):
            value = getattr(self, name)
            _require(name, value, isinstance(value, str) and bool(value), "non-empty text")
        for name in ("d_in", "dictionary_size", "k"):
            value = getattr(self, name)
            _require(name, value, type(value) is int and value >= 1, "an integer from 1 on")
        _require("kind", self.kind, self.kind in KINDS, KINDS)
        beside = self.site.endswith(BESIDE_THE_SAE)
        fine = beside == (self.kind == "directions")
        _require("site", self.site, fine, f"a name with {BESIDE_THE_SAE!r} for directions alone")
        _require("pooling", self.pooling, self.pooling in POOLINGS, POOLINGS)
        groups = self.token_groups
        fine = bool(groups) and all(isinstance(group, str) and group for group in groups)
        _require("token_groups", groups, fine, "a list of at least one name")
        for name in ("mean_residual_norm", "mean_scale"):
            value = getattr(self, name)
            fine = isinstance(value, float) and (math.isnan(value) or 0 < value < math.inf)
            _require(name, value, fine, "a number with a decimal point above 0, or .nan: unknown")
        for name in ("data", "metrics"):
            _require(name, getattr(self, name), isinstance(getattr(self, name), dict), "a mapping")

    @property
    def policy_site(self) -> str:
        """The policy's own name of the site that is read."""
        return policy_site(self.site)

    def save(self, folder: Path) -> None:
        """Write bundle.yaml in a bundle's folder, replacing it whole."""
        content = {"format": _FORMAT, **asdict(self), "token_groups": list(self.token_groups)}
        if self.kind == "sae":  # older versions read these, too
            del content["kind"]
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        write_whole(folder / BUNDLE_FILE, text.encode())


@dataclass(frozen=True)
class SaeBundle:
    """An autoencoder with its card and catalogue; fields that disagree are refused."""

    sae: SparseAutoencoder
    card: BundleCard
    catalogue: Catalogue

    def __post_init__(self) -> None:
        """Raise ConfigurationError when card, weights and catalogue are not of one another."""
        for name in ("d_in", "dictionary_size", "k", "normalization"):
            said, is_ = getattr(self.card, name), getattr(self.sae, name)
            if said != is_:
                raise ConfigurationError(
                    complaint(f"{name} in {BUNDLE_FILE}", said, f"{is_!r}, as the weights say")
                )
        if self.card.kind != self._kind:
            raise ConfigurationError(
                complaint(f"kind in {BUNDLE_FILE}", self.card.kind, f"{self._kind!r}")
            )
        if self.catalogue.site != self.card.site:
            raise ConfigurationError(
                complaint(f"site in {CATALOGUE_FILE}", self.catalogue.site, repr(self.card.site))
            )
        if (
            self.catalogue.entries
            and self.catalogue.entries[-1].feature >= self.sae.dictionary_size
        ):
            raise ConfigurationError(
                complaint(
                    f"largest feature in {CATALOGUE_FILE}",
                    self.catalogue.entries[-1].feature,
                    f"below {self.sae.dictionary_size}",
                    "The catalogue belongs to another bundle.",
                )
            )

    @property
    def _kind(self) -> str:
        return "directions" if self.sae.architecture == "directions" else "sae"

    @property
    def bundle_id(self) -> str:
        """Content id, 16 hex digits: weights and what decides a code, not names or metrics."""
        identity = {name: getattr(self.card, name) for name in _IDENTITY}
        identity["apply_b_dec_to_input"] = self.sae.apply_b_dec_to_input
        if self.sae.architecture != "topk":  # ids of TopK bundles are older than other kinds
            identity["architecture"] = self.sae.architecture
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode())
        for weight in self.sae.stored_weights().values():
            digest.update(weight.numpy().tobytes())
        return digest.hexdigest()[:16]

    @property
    def observed_max(self) -> np.ndarray:
        """Return (F,) float32: the largest code seen per feature; 0 where dead or unknown."""
        return self.catalogue.observed_max(self.sae.dictionary_size)

    @property
    def residual_norm_activation(self) -> float:
        """Code of a unit decoder row whose contribution is as long as the mean residual vector.

        NaN where that is unknown.
        """
        return self.card.mean_residual_norm / self.card.mean_scale

    @property
    def decoder_norm(self) -> np.ndarray | None:
        """Return the norms (F,) of the decoder rows, float32; None where all are 1 to rounding."""
        norm = self.sae.W_dec.detach().norm(dim=1).cpu().numpy()
        return None if np.allclose(norm, 1.0, rtol=0.0, atol=1e-4) else norm

    def check_fits(self, policy_id: str, site: str, width: int) -> None:
        """Raise ConfigurationError naming everything in which this bundle is for another use."""
        wanted = {"policy id": policy_id, "site": site, "width": width}
        card = self.card
        has = {"policy id": card.policy_id, "site": card.policy_site, "width": card.d_in}
        differing = [
            f"{name} (bundle {has[name]!r}, policy {wanted[name]!r})"
            for name in wanted
            if has[name] != wanted[name]
        ]
        if differing:
            raise ConfigurationError(
                f"The SAE bundle for {self.card.policy_name} {self.card.site} does not fit: "
                f"{', '.join(differing)} differ. Train an SAE on this policy and site, or load "
                "the policy it was trained on."
            )

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the bundle to `folder`, which must not exist; it appears whole or not at all."""
        folder = Path(folder)
        refuse_existing(folder)
        with whole_folder(folder) as part:
            self.sae.save(part)
            self.catalogue.save(part / CATALOGUE_FILE)
            self.card.save(part)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], device: str | torch.device = "cpu") -> SaeBundle:
        """Read a bundle folder. Raises ConfigurationError naming the file and field at fault."""
        folder = Path(folder)
        card = _read_card(folder / BUNDLE_FILE)
        catalogue = Catalogue.load(folder / CATALOGUE_FILE)
        return cls(load_sae(folder, device), card, catalogue)


def policy_site(name: str) -> str:
    """Return the policy's own name of the site that an SAE or directions of this name read."""
    return name.removesuffix(BESIDE_THE_SAE)


def refuse_existing(folder: Path) -> None:
    """Raise ConfigurationError when `folder` exists: a bundle is never overwritten."""
    if folder.exists():
        raise ConfigurationError(
            f"The bundle folder {folder} exists already. Give another one, or delete it first."
        )


@dataclass(frozen=True)
class _CardFile(BundleCard):
    """A card as it stands in its file, with the file's format."""

    format: int = 0

    def __post_init__(self) -> None:
        if self.format != _FORMAT:
            raise ConfigurationError(complaint("format", self.format, _FORMAT))
        super().__post_init__()


def _read_card(path: Path) -> BundleCard:
    folders.require_bundle(path.parent)
    document = read_yaml(path)
    try:
        card = read_settings(_CardFile, document, "the card of a bundle")
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    return BundleCard(**{one.name: getattr(card, one.name) for one in fields(BundleCard)})


def _require(name: str, got: object, fine: bool, allowed: object) -> None:
    if not fine:
        raise ConfigurationError(complaint(f"{name} of the SAE bundle", got, allowed))
