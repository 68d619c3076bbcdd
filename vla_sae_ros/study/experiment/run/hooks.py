"""The changes of a run as SAEs to hook on and edits to apply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot
from vla_sae_ros.policy.inference import Inference
from vla_sae_ros.policy.taps.directions import (
    Vector,
    direction_bundle,
    gaussian_direction,
    redirected,
)
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.experiment.design.settings import Change, RunSettings
from vla_sae_ros.study.experiment.run.injected import Injected
from vla_sae_ros.study.experiment.run.questions import Look
from vla_sae_ros.study.experiment.run.setup import HookedPolicy, Scene, Setup


@dataclass(frozen=True)
class Wanted:
    """What a run hooks onto a policy, and the edits of an inference in which its changes act."""

    bundles: tuple[SaeBundle, ...]
    edits: Mapping[str, tuple[AppliedEdit, ...]]
    cap: float

    def snapshot(self, share: float) -> Snapshot:
        """Return what an inference applies: this share of every edit."""
        if share == 0.0:
            return Snapshot(cap=self.cap)
        if share == 1.0:
            return Snapshot(edits=self.edits, cap=self.cap)
        part = {
            site: tuple(replace(edit, weight=share) for edit in edits)
            for site, edits in self.edits.items()
        }
        return Snapshot(edits=part, cap=self.cap)


def wanted(setup: Setup, settings: RunSettings) -> Wanted:
    """Return what a run needs on the policy. A site that is only measured (P4) is not refused."""
    bundles = {site: setup.bundles[site] for site, _ in settings.taps}
    edits: dict[str, tuple[AppliedEdit, ...]] = {}
    for change in settings.changes:
        if change.unit == "token_norm":
            bundles[change.site] = _bare(setup, change)
            feature = 0
        else:
            feature = _carrying(change)
            bundles[change.site] = _aimed(bundles[change.site], change, feature, setup.vectors)
        value = _value(change, bundles[change.site], feature)
        edit = AppliedEdit(feature, Mode[change.mode.upper()], value, 1.0)
        if not edit.is_neutral:
            edits[change.site] = (*edits.get(change.site, ()), edit)
    return Wanted(tuple(bundles.values()), edits, settings.cap)


@dataclass(frozen=True)
class Hooked:
    """See `setup.RunPolicy`: a policy of this process."""

    policy: HookedPolicy
    wanted: Wanted

    def infer(
        self,
        frame: Mapping[str, np.ndarray],
        instruction: str,
        noise_seed: tuple[int, int],
        share: float,
    ) -> Inference:
        return self.policy.infer(frame, instruction, noise_seed, self.wanted.snapshot(share))

    def close(self) -> None:
        self.policy.close()


class OwnSetup:
    """See `setup.RunSetup`: world and policy are both of this process."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def scene(self) -> Scene:
        return self._setup.scene()

    def hooked(self, settings: RunSettings, donor: Sequence[Look] = ()) -> Hooked | Injected:
        found = wanted(self._setup, settings)
        policy = Hooked(self._setup.hook(found.bundles), found)
        return policy if settings.injection is None else Injected(policy, settings.injection, donor)

    def close(self) -> None:
        self._setup.close()


def _carrying(change: Change) -> int:
    """Return the feature whose edit this is: its decoder row is the direction, or is made so."""
    if change.carrier >= 0:
        return change.carrier
    kind, _, number = change.direction.partition(":")
    return int(number) if kind == "row" else 0


def _aimed(
    bundle: SaeBundle, change: Change, feature: int, vectors: Mapping[str, Vector]
) -> SaeBundle:
    """Return the bundle with the feature's decoder row along the change's direction."""
    if change.direction == f"row:{feature}":
        return bundle
    return redirected(bundle, {feature: _direction(change, bundle, vectors)})


def _direction(change: Change, bundle: SaeBundle, vectors: Mapping[str, Vector]) -> Vector:
    kind, _, rest = change.direction.partition(":")
    if kind == "row":
        return bundle.sae.W_dec[int(rest)].detach().cpu().numpy()
    if kind == "mean_difference":
        return vectors[rest]
    seed, number = rest.split(":")
    return gaussian_direction(bundle.card.d_in, int(seed), int(number))


def _bare(setup: Setup, change: Change) -> SaeBundle:
    site = setup.sites[change.site]
    seed, number = change.direction.removeprefix("gaussian:").split(":")
    direction = gaussian_direction(site.width, int(seed), int(number))
    return direction_bundle(site, direction[None], *setup.policy)


def _value(change: Change, bundle: SaeBundle, feature: int) -> float:
    """Return the edit's v in the SAE's activation units."""
    if change.unit == "observed_max":
        return change.strength * float(bundle.observed_max[feature])
    if change.unit in ("residual_norm", "token_norm"):
        norms = bundle.decoder_norm
        row = 1.0 if norms is None else float(norms[feature])
        return change.strength * bundle.residual_norm_activation / row
    return change.strength
