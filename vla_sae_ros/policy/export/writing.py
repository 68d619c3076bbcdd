"""Writing a policy and its SAEs as an export that runs without PyTorch."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vla_sae_ros.core.catalogue import CATALOGUE_FILE
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.checkpoints.input_features import inputs_of
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.export.graph_tap import GraphTap
from vla_sae_ros.policy.export.graphs import WORDS, write_prefix, write_step
from vla_sae_ros.policy.export.parts import Layout, PolicyGraphs
from vla_sae_ros.policy.export.pi0 import Pi0Graphs
from vla_sae_ros.policy.export.processors import (
    action_rule,
    require_known_steps,
    save_tokenizer,
    state_rule,
)
from vla_sae_ros.policy.export.smolvla import SmolVLAGraphs
from vla_sae_ros.policy.families.adapter import PolicyAdapter
from vla_sae_ros.policy.families.registry import adapter_for
from vla_sae_ros.policy.onnx import names
from vla_sae_ros.policy.onnx.bundle import files_digest
from vla_sae_ros.policy.onnx.description import Description, ExportedSite
from vla_sae_ros.sae import SaeBundle

FAMILIES: dict[str, Callable[[Any], PolicyGraphs]] = {
    "smolvla": SmolVLAGraphs,
    "pi0": Pi0Graphs,
    "pi05": Pi0Graphs,
}
"""lerobot's type -> what makes its policies' graphs."""
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """What is exported: a policy, and bundles with the folders they were read from."""

    loaded: LoadedPolicy
    bundles: tuple[SaeBundle, ...]
    folders: tuple[Path, ...]


def write_export(source: Source, folder: Path, tell: Tell = lambda text: None) -> None:
    """Write an export to `folder`, which must not exist; it appears whole or not at all.

    Raises:
        ConfigurationError: something of the policy or a bundle that an export cannot do.
    """
    loaded = source.loaded
    if folder.exists():
        raise ConfigurationError(
            f"The folder {folder} exists already. Give another one, or delete it first."
        )
    if loaded.policy.name not in FAMILIES:
        raise ConfigurationError(
            complaint(
                "type of the policy to export",
                loaded.policy.name,
                sorted(FAMILIES),
                "Serve it with PyTorch, the default backend, where PyTorch is.",
            )
        )
    graphs = FAMILIES[loaded.policy.name](loaded.policy)
    require_known_steps(loaded)
    adapter = adapter_for(loaded.policy.name, loaded.policy)
    taps = [_tap(loaded, adapter, bundle) for bundle in source.bundles]
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        description = _describe(source, graphs.layout, adapter, taps, part)
        backbone = [tap for tap in taps if not _in_expert(tap)]
        expert = [tap for tap in taps if _in_expert(tap)]
        tell("prefix: pictures and instruction to keys and values")
        write_prefix(graphs, adapter, backbone, description, part / names.PREFIX)
        tell("denoising step, plain")
        write_step(graphs, adapter, (), description, part / names.STEP)
        tell("denoising step, tapped")
        write_step(graphs, adapter, expert, description, part / names.TAPPED_STEP)
        for bundle in source.bundles:
            place = part / bundle.card.site
            place.mkdir()
            np.save(place / names.DECODER, bundle.sae.W_dec.numpy())
            if bundle.decoder_norm is not None:
                np.save(place / names.DECODER_NORM, bundle.decoder_norm)
            bundle.catalogue.save(place / CATALOGUE_FILE)
        description.save(part)
        part.chmod(0o755)
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part)
        raise


def _tap(loaded: LoadedPolicy, adapter: PolicyAdapter, bundle: SaeBundle) -> GraphTap:
    name = bundle.card.site
    if bundle.card.kind != "sae":
        raise ConfigurationError(
            complaint(
                f"kind of the bundle for {name}",
                bundle.card.kind,
                "sae",
                "Directions are served with backend:=torch; leave the bundle out of the export.",
            )
        )
    if name not in adapter.sites:
        raise ConfigurationError(complaint("not a site of this policy", name, list(adapter.sites)))
    site = adapter.sites[name]
    bundle.check_fits(loaded.policy_id, name, site.width)
    return GraphTap(site, bundle)


def _describe(
    source: Source,
    layout: Layout,
    adapter: PolicyAdapter,
    taps: Sequence[GraphTap],
    folder: Path,
) -> Description:
    loaded = source.loaded
    config: Any = loaded.policy.config
    state = config.robot_state_feature.shape[0]
    prompt = save_tokenizer(loaded, folder)
    spans, language_start = _prefix_layout(adapter, config)
    return Description(
        policy_id=loaded.policy_id,
        policy_name=loaded.name,
        cameras=tuple(config.image_features),
        picture_size=layout.picture_size,
        picture_fit=layout.picture_fit,
        state="observation.state",
        state_size=state,
        graph_state_size=max(state, config.max_state_dim),
        state_place=layout.state_place,
        state_rule=state_rule(loaded, "observation.state"),
        action_rule=action_rule(loaded),
        noise_shape=adapter.noise_shape,
        denoising_steps=layout.denoising_steps,
        backbone_layers=layout.cache[0],
        camera_spans=spans,
        language_start=language_start,
        prompt=prompt,
        sites=tuple(
            _site(tap, bundle, path)
            for tap, bundle, path in zip(taps, source.bundles, source.folders, strict=True)
        ),
        made_with={name: version(name) for name in ("lerobot", "torch", "onnx", "onnxscript")},
        renamed=dict(inputs_of(loaded, masks_cameras=False).renamed),
    )


def _prefix_layout(adapter: PolicyAdapter, config: Any) -> tuple[tuple[tuple[int, int], ...], int]:
    """Return the spans of the camera tokens and the first language token."""
    words = torch.ones(1, WORDS, dtype=torch.bool)
    batch = {key: torch.zeros(1, 3, 8, 8) for key in config.image_features}
    batch |= {"observation.language.attention_mask": words}
    masks = adapter.token_masks(next(iter(adapter.sites)), batch)
    edges = np.flatnonzero(np.diff(masks["camera"][0].numpy().astype(int), prepend=0, append=0))
    spans = tuple((int(start), int(stop)) for start, stop in edges.reshape(-1, 2))
    return spans, int(masks["language"][0].to(torch.int).argmax())


def _site(tap: GraphTap, bundle: SaeBundle, folder: Path) -> ExportedSite:
    return ExportedSite(
        site=tap.site.name,
        width=tap.site.width,
        token_groups=tap.site.token_groups,
        runs_per_inference=tap.site.runs_per_inference,
        why_not=tap.site.why_not,
        in_expert=_in_expert(tap),
        read_groups=bundle.card.token_groups,
        pooled=tap.pooled,
        dictionary_size=bundle.sae.dictionary_size,
        lists_everything=tap.lists_everything,
        bundle_id=bundle.bundle_id,
        files_digest=files_digest(folder),
        mean_residual_norm=bundle.card.mean_residual_norm,
        residual_norm_activation=bundle.residual_norm_activation,
    )


def _in_expert(tap: GraphTap) -> bool:
    return tap.site.stack == "expert"
