"""The engine that computes an exported policy with ONNX Runtime."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from onnxruntime import OrtValue

from vla_sae_ros.core.steering import Snapshot, SteeringSite
from vla_sae_ros.policy.checkpoints.feature_match import Feed, match_features
from vla_sae_ros.policy.inference import NO_STEERING, WARM_UPS, Inference, noise_state
from vla_sae_ros.policy.observation import require_features, require_picture, require_vector
from vla_sae_ros.policy.onnx.bundle import OnnxBundle, decoder_rows, exported_bundles
from vla_sae_ros.policy.onnx.description import Description, exported_folder
from vla_sae_ros.policy.onnx.graph import Graph
from vla_sae_ros.policy.onnx.names import (
    CAP,
    PREFIX,
    PREFIX_MASK,
    STATE,
    STEP,
    TAPPED_STEP,
    TIME,
    TOKEN_MASK,
    TOKENS,
    VELOCITY,
    X_T,
    caches,
    picture,
)
from vla_sae_ros.policy.onnx.noise import standard_normal
from vla_sae_ros.policy.onnx.pictures import fitted
from vla_sae_ros.policy.onnx.prompt import Prompt, prefix_masks, suffix_masks
from vla_sae_ros.policy.onnx.site_run import SiteRun

Feeds = dict[str, np.ndarray | OrtValue]


class OnnxEngine:
    """An exported policy with its taps. Not thread-safe: one thread infers.

    Args:
        folder: an export, or a policy folder with one inside.
        bundles: bundle folders that it must have been exported with; empty = any.
        device: "cpu", "cuda" or "cuda:<number>".
        threads: for the arithmetic, on a CPU.

    Raises:
        ConfigurationError: what is wrong with one of them.
    """

    def __init__(
        self, folder: Path, bundles: Sequence[Path] = (), device: str = "cpu", threads: int = 1
    ) -> None:
        folder = exported_folder(folder)
        self.description = Description.load(folder)
        sites = self.description.sites
        self.bundles: tuple[OnnxBundle, ...] = exported_bundles(folder, sites, bundles)
        self._inputs = self.description.inputs
        self._feeds: tuple[Feed, ...] = self._inputs.as_they_are()
        self._prompt = Prompt(folder, self.description.prompt)
        self._prefix, self._step, self._tapped_step = (
            Graph(folder / name, device, threads) for name in (PREFIX, STEP, TAPPED_STEP)
        )
        runs = [SiteRun(site, decoder_rows(folder, site.site)) for site in sites]
        self._runs = tuple(runs)
        self._backbone_runs = tuple(run for run in runs if not run.site.in_expert)
        self._expert_runs = tuple(run for run in runs if run.site.in_expert)

    @property
    def policy_name(self) -> str:
        return f"{self.description.policy_name}, on ONNX Runtime"

    @property
    def policy_id(self) -> str:
        return self.description.policy_id

    @property
    def input_features(self) -> frozenset[str]:
        return frozenset(feed.offered for feed in self._feeds)

    def observe(
        self, offered: Mapping[str, tuple[int, ...] | None], given: Mapping[str, str] = {}
    ) -> None:
        """Take frames that bear these names from now on; see `match_features`.

        Raises:
            ConfigurationError: they do not hold what the policy reads; nothing is changed.
        """
        self._feeds = match_features(self._inputs, offered, given)

    def close(self) -> None:
        """Nothing outlives the engine."""

    def steering_sites(self) -> list[SteeringSite]:
        """Return what the steering needs to know about each tapped site."""
        return [bundle.steering_site() for bundle in self.bundles]

    def why_no_heatmap(self, site: str, feature: int) -> str:
        """Return why no feature can be drawn over the pictures."""
        return "an exported policy keeps no codes of single camera tokens; serve it with torch"

    def warm_up(self) -> tuple[int, int]:
        """Infer on blank pictures, so that the first real inference is not the slow one; return
        the shape (H, A) of a chunk."""
        frame = self._inputs.blank_frame(self._feeds)
        for _ in range(WARM_UPS):
            inference = self.infer(frame, "warm up", (0, 0))
        height, width = inference.actions.shape
        return height, width

    def infer(
        self,
        frame: Mapping[str, np.ndarray],
        instruction: str,
        noise_seed: tuple[int, int],
        steering: Snapshot = NO_STEERING,
    ) -> Inference:
        """Compute one action chunk; see `policy.inference.Engine.infer`.

        Raises:
            ObservationError: a feature the policy needs is missing, of a wrong shape or not finite.
        """
        noise = standard_normal(noise_state(noise_seed), (1, *self.description.noise_shape))
        return self.infer_from(frame, instruction, noise, steering)

    def infer_from(
        self,
        frame: Mapping[str, np.ndarray],
        instruction: str,
        noise: np.ndarray,
        steering: Snapshot = NO_STEERING,
    ) -> Inference:
        """Compute one action chunk from noise (1, H, A_max) float32."""
        started = time.perf_counter()
        feeds: Feeds = {**self._observed(frame, instruction)}
        feeds[CAP] = np.float32(steering.cap).reshape(1)
        self._begin(steering, feeds[TOKEN_MASK])
        for run in self._backbone_runs:
            feeds.update(run.feeds(0))
        kept = [PREFIX_MASK, *caches(self.description.backbone_layers)]
        computed = self._prefix.run(feeds, stay=kept)
        for run in self._backbone_runs:
            run.took(computed)
        feeds.update({name: computed[name] for name in kept})
        chunk = self._denoise(feeds, noise)[0]
        rule = self.description.action_rule
        actions = rule.restore(chunk[:, : len(rule.scale)])
        readings = tuple(run.reading() for run in self._runs)
        milliseconds = (time.perf_counter() - started) * 1e3
        return Inference(
            actions,
            lambda: tuple(reading.readout() for reading in readings),
            steering.revision,
            steering.bypass,
            milliseconds,
        )

    def _observed(self, frame: Mapping[str, np.ndarray], instruction: str) -> dict[str, np.ndarray]:
        description = self.description
        require_features(frame, self.input_features)
        frame = {feed.feature: frame[feed.offered] for feed in self._feeds}
        feeds: dict[str, np.ndarray] = {}
        for key in description.cameras:
            require_picture(key, frame[key])
            feeds[picture(key)] = fitted(
                frame[key], description.picture_size, description.picture_fit
            )
        state = frame[description.state]
        require_vector(description.state, state, description.state_size)
        normal = description.state_rule.normalize(state.astype(np.float32))
        feeds[TOKENS], feeds[TOKEN_MASK] = self._prompt.encode(instruction, normal)
        feeds[STATE] = np.zeros((1, description.graph_state_size), np.float32)
        feeds[STATE][0, : state.size] = normal
        return feeds

    def _begin(self, steering: Snapshot, token_mask: np.ndarray) -> None:
        prefix = prefix_masks(self.description, token_mask)
        suffix = suffix_masks(self.description)
        for run in self._runs:
            masks = suffix if run.site.in_expert else prefix
            run.begin(masks, tuple(steering.edits.get(run.site.site, ())), steering.cap)

    def _denoise(self, feeds: Feeds, noise: np.ndarray) -> np.ndarray:
        """Integrate the velocity from t = 1 (noise) to t = 0 (actions) by Euler's method."""
        steps = self.description.denoising_steps
        x_t = noise
        for step in range(steps):
            feeds[X_T], feeds[TIME] = x_t, np.array([1.0 - step / steps], np.float32)
            tapped = any(run.needs_tap_at(step) for run in self._expert_runs)
            if tapped:
                for run in self._expert_runs:
                    feeds.update(run.feeds(step))
            computed = (self._tapped_step if tapped else self._step).run(feeds)
            if tapped:
                for run in self._expert_runs:
                    run.took(computed)
            x_t = x_t - computed[VELOCITY].numpy() / np.float32(steps)
        return x_t
