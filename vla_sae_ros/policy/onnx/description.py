"""What an exported policy is: the content of exported.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.json_document import parse_json
from vla_sae_ros.policy.checkpoints.checkpoint_files import WEIGHTS
from vla_sae_ros.policy.checkpoints.feature_match import InputFeature, Inputs
from vla_sae_ros.policy.checkpoints.policy_id import policy_id_of
from vla_sae_ros.policy.onnx.names import DESCRIPTION, EXPORT_FOLDER, FORMAT


@dataclass(frozen=True)
class Affine:
    """x -> gain (x - shift) / scale - offset per component.

    Computed in float32 and in this order, which is lerobot's: pi0.5 writes the state as digits, and
    one that lies between two of them must fall to the same side.
    """

    shift: tuple[float, ...]
    scale: tuple[float, ...]
    gain: float = 1.0
    offset: float = 0.0

    @property
    def unit(self) -> np.ndarray:
        """What 1 in the normalised units is in those of the data set, (n,) float64."""
        return np.array(self.scale) / self.gain

    def normalize(self, x: np.ndarray) -> np.ndarray:
        """Return the normalised x (..., n) float32."""
        shift, scale = np.array(self.shift, np.float32), np.array(self.scale, np.float32)
        gain, offset = np.float32(self.gain), np.float32(self.offset)
        return np.asarray(gain * (x - shift) / scale - offset, np.float32)

    def restore(self, x: np.ndarray) -> np.ndarray:
        """Return x (..., n) float32 in the units of the data set."""
        shift, scale = np.array(self.shift, np.float32), np.array(self.scale, np.float32)
        gain, offset = np.float32(self.gain), np.float32(self.offset)
        return np.asarray((x + offset) * scale / gain + shift, np.float32)


@dataclass(frozen=True)
class PromptRule:
    """How an instruction becomes tokens.

    Attributes:
        ending: text that every prompt ends with.
        max_length: tokens after which it is cut.
        padded: always filled up to max_length with pad_id.
        with_state: the state stands in it as digits, as pi0.5 wants it.
    """

    ending: str
    max_length: int
    padded: bool
    pad_id: int
    with_state: bool


@dataclass(frozen=True)
class ExportedSite:
    """One tapped site and the SAE that is inside the graphs.

    Attributes:
        site, width, token_groups, runs_per_inference, why_not: see `policy.site.Site`.
        in_expert: it runs in the denoising step, not in the prefix.
        read_groups: tokens that the SAE reads.
        pooled: it reads their mean.
        dictionary_size: F.
        lists_everything: at most k features are active, so no `active` output is needed.
        bundle_id: content id of the bundle.
        files_digest: SHA-256 of the bundle's SAE files, by which a bundle folder is recognised.
        mean_residual_norm, residual_norm_activation: see `sae.bundle`.
    """

    site: str
    width: int
    token_groups: tuple[str, ...]
    runs_per_inference: int
    why_not: str
    in_expert: bool
    read_groups: tuple[str, ...]
    pooled: bool
    dictionary_size: int
    lists_everything: bool
    bundle_id: str
    files_digest: str
    mean_residual_norm: float
    residual_norm_activation: float

    @property
    def kind(self) -> str:
        """See `sae.bundle.BundleCard`; directions are not exported."""
        return "sae"


@dataclass(frozen=True)
class Description:
    """Everything about an exported policy that is not in its graphs.

    Attributes:
        policy_id, policy_name: of the policy it was made from.
        cameras: policy features of the pictures, in the order of the backbone's tokens.
        picture_size: (height, width) of the pictures in the graph.
        picture_fit: where their padding goes, one of `names.PICTURE_FITS`.
        state: policy feature of the state vector.
        state_size, graph_state_size: its length, given and padded.
        state_place: where it goes in, one of `names.STATE_PLACES`.
        state_rule, action_rule: normalisation.
        noise_shape: (H, A_max).
        denoising_steps: per chunk.
        backbone_layers: whose keys and values the expert reads.
        camera_spans: [start, stop) of the camera tokens in the prefix.
        language_start: first language token of the prefix.
        prompt: the rule.
        sites: tapped sites in the order of their read-outs.
        made_with: versions of the libraries that exported it.
        renamed: name in the data set -> policy feature, as the policy's preprocessor had it.
    """

    policy_id: str
    policy_name: str
    cameras: tuple[str, ...]
    picture_size: tuple[int, int]
    picture_fit: str
    state: str
    state_size: int
    graph_state_size: int
    state_place: str
    state_rule: Affine
    action_rule: Affine
    noise_shape: tuple[int, int]
    denoising_steps: int
    backbone_layers: int
    camera_spans: tuple[tuple[int, int], ...]
    language_start: int
    prompt: PromptRule
    sites: tuple[ExportedSite, ...]
    made_with: dict[str, str]
    renamed: dict[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> Inputs:
        """What the policy reads. Every camera has its place in the graph: none may be missing."""
        pictures = dict.fromkeys(self.cameras, InputFeature(True, (3, *self.picture_size)))
        state = {self.state: InputFeature(False, (self.state_size,))}
        return Inputs(pictures | state, self.renamed, masks_cameras=False)

    def save(self, folder: Path) -> None:
        """Write exported.json; an export without it is not one, so it is written last."""
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=1)
        (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Description:
        """Read exported.json.

        Raises:
            ConfigurationError: it cannot be read, or was written by another release.
        """
        path = folder / DESCRIPTION
        try:
            content = parse_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{path} cannot be read: {error}. Export again.") from error
        got = content.pop("format", None) if isinstance(content, dict) else None
        if got != FORMAT:
            raise ConfigurationError(complaint(f"format of {path}", got, FORMAT, "Export again."))
        try:
            return cls(**_typed(content))
        except (TypeError, KeyError) as error:
            raise ConfigurationError(f"{path} is damaged: {error}. Export again.") from error


def _typed(content: dict[str, Any]) -> dict[str, Any]:
    return {
        **content,
        "cameras": tuple(content["cameras"]),
        "picture_size": tuple(content["picture_size"]),
        "state_rule": Affine(**content["state_rule"]),
        "action_rule": Affine(**content["action_rule"]),
        "noise_shape": tuple(content["noise_shape"]),
        "camera_spans": tuple(tuple(span) for span in content["camera_spans"]),
        "prompt": PromptRule(**content["prompt"]),
        "sites": tuple(ExportedSite(**_tuples(site)) for site in content["sites"]),
    }


def _tuples(site: dict[str, Any]) -> dict[str, Any]:
    groups = {name: tuple(site[name]) for name in ("token_groups", "read_groups")}
    return {**site, **groups}


def exported_folder(folder: Path) -> Path:
    """Return the export that a folder is, or that stands inside a policy's folder.

    Raises:
        ConfigurationError: there is none, or it was made from other weights than lie beside it.
    """
    if (folder / DESCRIPTION).is_file():
        return folder
    inside = folder / EXPORT_FOLDER
    if not (inside / DESCRIPTION).is_file():
        raise ConfigurationError(
            f"{folder} is not exported for ONNX Runtime: neither there nor in {inside} is "
            f"an {DESCRIPTION}. Export it where PyTorch is: vla-sae export {folder} "
            "--bundles <bundle folders>"
        )
    if (folder / WEIGHTS).is_file():
        made_from, now = Description.load(inside).policy_id, policy_id_of(folder)
        if made_from != now:
            raise ConfigurationError(
                complaint(
                    f"policy that {inside} was exported from",
                    made_from,
                    f"{now}, the policy in {folder}",
                    f"Export again: vla-sae export {folder}",
                )
            )
    return inside
