"""One inference of a tapped policy: an observation in, a chunk and the active features out."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from vla_sae_ros.core.errors import (
    ConfigurationError,
    ObservationError,
    VlaSaeError,
    bounded,
    complaint,
)
from vla_sae_ros.core.readout import SiteReadout
from vla_sae_ros.core.steering import Snapshot, SteeringSite
from vla_sae_ros.policy.checkpoints.feature_match import Feed, match_features
from vla_sae_ros.policy.checkpoints.input_features import inputs_of
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.checkpoints.statistics import require_statistics
from vla_sae_ros.policy.families.adapter import Detachable, ResidualFunction
from vla_sae_ros.policy.families.chunk import PreviousChunk, enable_rtc
from vla_sae_ros.policy.families.registry import FAMILIES, adapter_of, family_of
from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.policy.inference import (
    NO_STEERING,
    WARM_UPS,
    Continued,
    Inference,
    noise_state,
)
from vla_sae_ros.policy.observation import require_features, require_picture, require_vector
from vla_sae_ros.policy.taps.heatmap import draw_heatmap
from vla_sae_ros.policy.taps.injection import Injection, check_groups
from vla_sae_ros.policy.taps.joint import joint_change
from vla_sae_ros.policy.taps.probe import Probe
from vla_sae_ros.policy.taps.reading import Reading
from vla_sae_ros.policy.taps.substitution import Substitution
from vla_sae_ros.policy.taps.tap import Tap
from vla_sae_ros.policy.taps.tokens import TokenMemory, Tokens
from vla_sae_ros.sae import SaeBundle

PROMPT_MASK = "observation.language.attention_mask"
"""Which tokens of a prompt are words, in lerobot's batches; importing its name would keep this out
of environments without lerobot."""
_log = logging.getLogger(__name__)
SomeTap = TypeVar("SomeTap", bound=Tap)


class PolicyEngine:
    """A loaded policy with an SAE tap on each bundle's site.

    Not thread-safe: one thread infers. Hooks stay on the policy until `close`. The first frame
    says what the frames' features are called, unless `observe` did: `names` are the user's pairs.

    Raises:
        ConfigurationError: a bundle that does not fit the policy, or two on one site.
    """

    compiled = False
    """Whether torch.compile made the graph, which rounds otherwise."""

    def __init__(
        self,
        loaded: LoadedPolicy,
        bundles: Sequence[SaeBundle] = (),
        names: Mapping[str, str] = {},
    ) -> None:
        self.loaded = loaded
        self.bundles = tuple(bundles)
        self.adapter = adapter_of(loaded)
        self.device = next(loaded.policy.parameters()).device
        self._inputs = inputs_of(loaded, family_of(loaded.policy.name).masks_cameras)
        self._feeds: tuple[Feed, ...] = self._inputs.as_they_are()
        self._names, self._observed = dict(names), False
        self._told: set[str] = set()
        self._has_inferred = self._rtc = False
        self._taps = [self.make_tap(bundle) for bundle in self.bundles]
        read = [tap.name for tap in self._taps]
        if len(set(read)) != len(read):
            allowed = "one SAE and one bundle of directions per site"
            raise ConfigurationError(complaint("two bundles on one site", read, allowed))
        self._memories: defaultdict[str, TokenMemory] = defaultdict(TokenMemory)
        self._probes: list[Probe] = []
        self._substitutions: list[Substitution | Injection] = []
        of_site: defaultdict[str, list[Tap]] = defaultdict(list)
        for tap in self._taps:
            of_site[tap.site.name].append(tap)
        self._attached: list[tuple[str, ResidualFunction]] = [
            (site, taps[0] if len(taps) == 1 else partial(joint_change, taps))
            for site, taps in of_site.items()
        ]
        self._handles: list[Detachable] = []
        self._attach_all()

    @property
    def policy_name(self) -> str:
        return self.loaded.name

    @property
    def policy_id(self) -> str:
        return self.loaded.policy_id

    @property
    def input_features(self) -> frozenset[str]:
        return frozenset(feed.offered for feed in self._feeds)

    @property
    def fed_by(self) -> dict[str, str]:
        """Policy feature -> what the frames call it."""
        return {feed.feature: feed.offered for feed in self._feeds}

    def observe(
        self, offered: Mapping[str, tuple[int, ...] | None], given: Mapping[str, str] = {}
    ) -> None:
        """Take frames that bear these names from now on; see `match_features`.

        Raises:
            ConfigurationError: they do not hold what the policy reads, or the policy lacks the
                statistics to normalise it by; nothing is changed.
        """
        feeds = match_features(self._inputs, offered, given)
        require_statistics(self.loaded, [feed.feature for feed in feeds])
        self._feeds, self._observed = feeds, True

    def own_names(self, frame: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return what the policy reads of a frame, under the policy's own names."""
        return {feed.feature: frame[feed.offered] for feed in self._feeds}

    def enable_rtc(self) -> str:
        """Let inferences continue a previous chunk from now on (real-time chunking).

        Returns:
            The settings, as a sentence for a log.

        Raises:
            ConfigurationError: the policy's family has no real-time chunking.
        """
        name = self.loaded.policy.name
        if not family_of(name).continues_chunks:
            known = [each for each, family in FAMILIES.items() if family.continues_chunks]
            raise ConfigurationError(
                complaint(
                    "no real-time chunking for policies of this type",
                    name,
                    ", ".join(known),
                    "Serve it with rtc:=false.",
                )
            )
        settings = enable_rtc(self.loaded.policy)
        self._rtc = True
        return settings

    def close(self) -> None:
        """Take every hook off the policy."""
        while self._handles:
            self._handles.pop().remove()

    def _attach(self, site: str, function: ResidualFunction) -> None:
        self._attached.append((site, function))
        self._handles.append(self.adapter.attach(site, function))

    def _attach_all(self) -> None:
        """Attach everything, in its order, where nothing is attached."""
        self._handles += [self.adapter.attach(site, each) for site, each in self._attached]

    def steering_sites(self) -> list[SteeringSite]:
        """Return what the steering needs to know about each tapped site."""
        return [
            _steering_site(tap, bundle)
            for tap, bundle in zip(self._taps, self.bundles, strict=True)
        ]

    def why_no_heatmap(self, site: str, feature: int) -> str:
        """Return why this feature cannot be drawn over the pictures, or an empty text."""
        for tap in self._taps:
            if tap.name == site and tap.site.why_no_heatmap:
                return f"no heatmap of {site}: {tap.site.why_no_heatmap}"
        taps = {tap.name: tap for tap in self._taps if "camera" in tap.token_groups}
        if site not in taps:
            return complaint(
                "no SAE reads picture tokens at this site, so there is no heatmap",
                site,
                sorted(taps) or "none: load a bundle of a backbone site that reads camera tokens",
                "Choose a backbone site: the action tokens of an expert belong to no patch of a "
                "picture.",
            )
        size = taps[site].sae.dictionary_size
        if not 0 <= feature < size:
            return complaint(f"unknown feature of {site}", feature, f"0 to {size - 1}")
        return ""

    def attach_probe(self, site: str, pooled: bool, sink: Callable[[Tensor, float], None]) -> Site:
        """Hand every inference's activations of a site, over all its tokens, to `sink` from now on.

        Raises:
            ConfigurationError: no such site.
        """
        probe = self.make_probe(site, pooled, sink)
        self._probes.append(probe)
        self._attach(probe.site.name, probe)
        return probe.site

    def make_probe(self, site: str, pooled: bool, sink: Callable[[Tensor, float], None]) -> Probe:
        """Return a probe that is not attached.

        Raises:
            ConfigurationError: no such site.
        """
        place = self._site(site)
        return Probe(place, pooled, place.token_groups, sink)

    def attach_substitution(self, bundle: SaeBundle) -> Substitution:
        """Return a switch that puts the bundle's reconstruction into the stream, off at first.

        Raises:
            ConfigurationError: the bundle does not fit the policy.
        """
        tap = self.make_tap(bundle)
        substitution = Substitution(tap.site, tap.sae, tap.pooled, tap.token_groups)
        self._substitutions.append(substitution)
        self._attach(tap.site.name, substitution)
        return substitution

    def attach_injection(self, site: str, groups: Sequence[str] = ()) -> Injection:
        """Return what keeps a site's stream and can put another in its place; see `Injection`.

        It comes before the site's taps: they read, and edit, what goes on to the next layer.

        Raises:
            ConfigurationError: no such site, or a group of tokens that does not pass it.
        """
        place = self._site(site)
        injection = Injection(place, check_groups(place, groups))
        self._substitutions.append(injection)
        self.close()
        self._attached.insert(0, (site, injection))
        self._attach_all()
        return injection

    def warm_up(self) -> tuple[int, int]:
        """Infer on blank pictures, so that the first real inference is not the slow one; return
        the shape (H, A) of a chunk."""
        frame, observed = self._inputs.blank_frame(self._feeds), self._observed
        for _ in range(WARM_UPS):
            inference = self.infer(frame, "warm up", (0, 0))
        self._observed = observed
        height, width = inference.actions.shape
        return height, width

    def infer(
        self,
        frame: Mapping[str, np.ndarray],
        instruction: str,
        noise_seed: tuple[int, int],
        steering: Snapshot = NO_STEERING,
        previous: Continued | None = None,
    ) -> Inference:
        """Compute one action chunk.

        Args:
            frame: one of `input_features` -> (H, W, 3) uint8 picture or (n,) float vector.
            instruction: what the policy is told to do.
            noise_seed: (episode seed, control step); the same pair gives the same noise.
            steering: what to apply.
            previous: what to continue by real-time chunking; see `enable_rtc`.

        Raises:
            ObservationError: a feature the policy needs is missing, of a wrong shape or not finite.
        """
        return self.infer_from(frame, instruction, self.noise(noise_seed), steering, previous)

    def infer_from(
        self,
        frame: Mapping[str, np.ndarray],
        instruction: str,
        noise: Tensor,
        steering: Snapshot = NO_STEERING,
        previous: Continued | None = None,
    ) -> Inference:
        """Compute one action chunk from noise (1, H, A_max) float32, see `adapter.noise_shape`.

        Raises:
            ObservationError: a feature the policy needs is missing, of a wrong shape or not finite.
        """
        started = time.perf_counter()
        with torch.inference_mode():
            batch = self.inputs(frame, instruction)
            frame = self.own_names(frame)
            given = dict(batch)  # a copy: policies may put things into theirs
            tokens = self._tokens(given)
            for watcher in self._watchers:
                watcher.begin(tokens[watcher.site.stack])
            for tap in self._taps:
                edits = tuple(steering.edits.get(tap.name, ()))
                tap.begin(tokens[tap.site.stack], edits, steering.cap)
            with self.computing():
                chunk = self._predict(batch, noise.to(self.device), previous)
            for probe in self._probes:
                probe.end()
            normalised = chunk[0].float().cpu().numpy().copy() if self._rtc else None
            actions = self.actions(chunk)
        readings = [tap.reading() for tap in self._taps]
        milliseconds = (time.perf_counter() - started) * 1e3
        return Inference(
            actions,
            partial(self.read_out, readings),
            steering.revision,
            steering.bypass,
            milliseconds,
            partial(self._draw, {reading.name: reading for reading in readings}, given, frame),
            normalised,
            previous,
        )

    def _predict(self, batch: dict[str, Any], noise: Tensor, previous: Continued | None) -> Tensor:
        if previous is None:
            return self.adapter.predict(batch, noise)
        rest = torch.from_numpy(previous.rest).to(self.device).unsqueeze(0)
        return self.adapter.predict(batch, noise, PreviousChunk(rest, previous.delay))

    def inputs(self, frame: Mapping[str, np.ndarray], instruction: str) -> dict[str, Any]:
        """Return what the policy's network takes, a batch of one.

        Raises:
            ObservationError: a feature the policy needs is missing, of a wrong shape or not finite.
        """
        if not self._observed:
            self._observe_first(frame)
        prepared: dict[str, Any] = self.loaded.preprocessor(self._to_batch(frame, instruction))
        if instruction not in self._told:
            self._told.add(instruction)
            self._warn_if_cut(prepared, instruction)
        return prepared

    def actions(self, chunk: Tensor) -> np.ndarray:
        """Return a normalised chunk (1, H, A) as actions (H, A) in the units of the data set.

        Raises:
            ConfigurationError: the first ones are not finite.
        """
        with self.computing():
            physical: np.ndarray = self.loaded.postprocessor(chunk)[0].float().cpu().numpy()
        if not self._has_inferred:
            _require_finite(physical, self.policy_name)
            self._has_inferred = True
        return physical

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Say as a ConfigurationError what the policy raises before it has ever given actions.

        It is the configuration then; whatever the policy raises later is raised as it is.
        """
        try:
            yield
        except VlaSaeError:
            raise
        except Exception as error:  # somebody else's code: it raises anything
            if self._has_inferred:
                raise
            raise ConfigurationError(
                f"{self.policy_name} fails at its first inference ({type(error).__name__}: "
                f"{error}). Check its config.json, and the memory of {self.device}."
            ) from error

    def read_out(self, readings: Sequence[Reading]) -> tuple[SiteReadout, ...]:
        """Return what the readings show."""
        with torch.inference_mode():
            return tuple(reading.readout() for reading in readings)

    def make_tap(self, bundle: SaeBundle) -> Tap:
        """Return a tap that is not attached.

        Raises:
            ConfigurationError: the bundle does not fit the policy.
        """
        return self._tap(Tap, bundle)

    def _tap(self, kind: type[SomeTap], bundle: SaeBundle) -> SomeTap:
        card = bundle.card
        site = self._site(card.policy_site)
        bundle.check_fits(self.loaded.policy_id, site.name, site.width)
        sae = bundle.sae.to(self.device)
        return kind(site, sae, card.pooling == "mean", card.token_groups, card.site)

    def _draw(
        self,
        readings: Mapping[str, Reading],
        batch: Mapping[str, Tensor],
        frame: Mapping[str, np.ndarray],
        site: str,
        feature: int,
        height: int | None = None,
    ) -> np.ndarray:
        with torch.inference_mode():
            patches = self.adapter.camera_patches(readings[site].site.name, batch)
            return draw_heatmap(readings[site], feature, patches, frame, height)

    def _tokens(self, batch: dict[str, Any]) -> dict[str, Tokens]:
        """Return the tokens of each stack that is read."""
        sites = [reader.site for reader in (*self._taps, *self._watchers)]
        of_stack = {site.stack: site.name for site in sites}
        return {
            stack: Tokens(partial(self.adapter.token_masks, name, batch), self._memories[stack])
            for stack, name in of_stack.items()
        }

    @property
    def _watchers(self) -> list[Probe | Substitution | Injection]:
        return [*self._probes, *self._substitutions]

    def _site(self, name: str) -> Site:
        if name not in self.adapter.sites:
            raise ConfigurationError(
                complaint("not a site of this policy", name, list(self.adapter.sites))
            )
        return self.adapter.sites[name]

    def noise(self, seed: tuple[int, int]) -> Tensor:
        """Return the noise (1, H, A_max) of (episode seed, control step)."""
        generator = torch.Generator().manual_seed(noise_state(seed))
        with self.computing():
            return torch.randn(1, *self.adapter.noise_shape, generator=generator)

    def _observe_first(self, frame: Mapping[str, np.ndarray]) -> None:
        shapes = {key: None if value.ndim > 1 else value.shape for key, value in frame.items()}
        try:
            self.observe(shapes, self._names)
        except ConfigurationError as error:
            raise ObservationError(str(error)) from error

    def _warn_if_cut(self, prepared: Mapping[str, Any], instruction: str) -> None:
        """Say that a prompt fills all of its tokens: its tokenizer cuts without a word."""
        mask = prepared.get(PROMPT_MASK)
        steps = getattr(self.loaded.preprocessor, "steps", ())
        longest = {getattr(step, "max_length", None) for step in steps} - {None}
        if mask is not None and mask.shape[-1] in longest and bool(mask.all()):
            _log.warning(
                "%s reads at most %d tokens of a prompt, and this instruction takes all of them: "
                "what is beyond is cut off, and with it the state where the prompt ends with that "
                "(pi0.5). Use fewer words: %s",
                self.policy_name,
                mask.shape[-1],
                bounded(instruction, 200),
            )

    def _to_batch(self, frame: Mapping[str, np.ndarray], instruction: str) -> dict[str, object]:
        require_features(frame, self.input_features)
        batch: dict[str, object] = {"task": instruction}
        for feed in self._feeds:
            feature = self._inputs.features[feed.feature]
            batch[feed.key] = _to_tensor(
                feed.offered, frame[feed.offered], feature.is_picture, feature.shape
            )
        return batch


def _to_tensor(key: str, value: np.ndarray, is_picture: bool, shape: tuple[int, ...]) -> Tensor:
    """Return a (C, H, W) float picture in [0, 1] or an (n,) float32 vector."""
    if is_picture:
        require_picture(key, value)
        return torch.from_numpy(value.copy()).permute(2, 0, 1).to(torch.float32) / 255.0
    require_vector(key, value, shape[0])
    return torch.from_numpy(value.astype(np.float32))


def _require_finite(actions: np.ndarray, policy: str) -> None:
    if not np.isfinite(actions).all():
        raise ConfigurationError(
            complaint(
                f"first actions of {policy}",
                f"{int((~np.isfinite(actions)).sum())} NaN or infinite numbers",
                "finite ones",
                "Its weights or statistics are damaged, or too large for its number format: copy "
                "the checkpoint again.",
            )
        )


def _steering_site(tap: Tap, bundle: SaeBundle) -> SteeringSite:
    return SteeringSite(
        tap.name,
        bundle.observed_max,
        bundle.residual_norm_activation,
        tap.site.token_groups,
        tap.site.runs_per_inference,
        tap.site.why_not,
        bundle.decoder_norm,
    )
