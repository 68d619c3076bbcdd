"""The arms of a study: what is done to the policy, apart from where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from vla_sae_ros.core.steering.preset import line_of
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.experiment.design.choice import (
    ChosenControls,
    chosen,
    chosen_controls,
    random_of_class,
    top_general,
)
from vla_sae_ros.study.experiment.design.settings import Change, InjectedStream, Pair
from vla_sae_ros.study.experiment.design.study_file import Study
from vla_sae_ros.study.experiment.design.study_parts import (
    WHOLE_EPISODE,
    Changes,
    Features,
    Necessity,
    Window,
)


@dataclass(frozen=True)
class Arm:
    """One arm at one dose.

    features, label, feature_class, direction, carrier: see `table.Row`. hooked: SAEs are on the
    policy though nothing may change. noise: added to the seed of the policy's noise.
    """

    protocol: str
    arm: str
    changes: tuple[Change, ...] = ()
    features: tuple[int, ...] = ()
    label: str = ""
    feature_class: str = ""
    window: Window = WHOLE_EPISODE
    hooked: bool = False
    instruction: str = ""
    noise: int = 0
    injection: InjectedStream | None = None

    @property
    def name(self) -> str:
        """Return the arm in words; no other arm of the protocol has the same."""
        if self.injection is not None:
            return f"{self.injection.text} {self.dose}"
        if not self.changes:
            return {"prompt": f"prompt: {self.instruction}", "noise": f"noise +{self.noise}"}.get(
                self.arm, self.arm
            )
        along = "+".join(one.direction for one in self.changes)
        carried = [f" by {one.carrier}" for one in self.changes[:1] if one.carrier >= 0]
        return f"{self.arm} {along}{''.join(carried)} {self.dose}"

    @property
    def dose(self) -> str:
        """Return what the table's column `dose` says."""
        if self.injection is not None:
            return f"{self.injection.site} injection{window_words(self.window)}"
        if not self.changes:
            return ""
        one = self.changes[0]
        amount = "" if one.mode == "project_out" else f" {one.strength:+g} {one.unit}"
        return f"{one.site} {one.mode}{amount}{window_words(self.window)}"


EPISODES = ("P2", "P3", "P4")
"""Protocols of closed-loop rollouts; only an episode has windows."""
NOISE_STEP = 500_000
"""Between the noise seeds of the baseline and of the baseline against it."""


def window_words(window: Window) -> str:
    """Return a window in words, empty for the whole episode."""
    if window == WHOLE_EPISODE:
        return ""
    when = f" when {line_of(window.when)}" if window.when is not None else ""
    if window.control is not None:
        when += f" controlled by {line_of(window.control)}"
    if replace(window, when=None, control=None) == WHOLE_EPISODE:
        return when
    end = "" if window.to == -1 else str(window.to)
    return f" [{window.first}:{end} from {window.after}]{when}"


def baseline_arms(study: Study, protocol: str) -> Iterator[Arm]:
    """Yield the arms without a change; "none" is always there, nothing can be told without it."""
    yield Arm(protocol, "none")
    if "zero" in study.arms:
        yield Arm(protocol, "zero", hooked=True)
    if "noise" in study.arms:
        yield Arm(protocol, "noise", noise=NOISE_STEP)
    if "prompt" in study.arms:
        yield Arm(protocol, "prompt", instruction=study.prompt)


def steered_arms(
    study: Study,
    protocol: str,
    bundles: Mapping[str, SaeBundle],
    mean_differences: Mapping[str, str],
) -> Iterator[Arm]:
    """Yield feature and control arms of P1 and P2.

    mean_differences: site -> content id of its mean-difference direction.
    """
    of_site: dict[str, dict[int, str]] = {}
    for features in study.features:
        bundle = bundles[features.site]
        of_site.setdefault(features.site, {}).update(chosen(features, bundle, study.controls.seed))
    for site, labels in of_site.items():
        controls = chosen_controls(bundles[site], set(labels), study.controls)
        windows = study.windows if protocol in EPISODES else (WHOLE_EPISODE,)
        maker = _Maker(study, protocol, bundles[site], labels, controls)
        for changes in study.changes:
            for strength in changes.strengths or (0.0,):
                for window in windows:
                    yield from maker.at_dose(
                        changes, strength, window, mean_differences.get(site, "")
                    )


@dataclass(frozen=True)
class _Maker:
    """Makes the arms of one site."""

    study: Study
    protocol: str
    bundle: SaeBundle
    labels: Mapping[int, str]
    controls: ChosenControls

    def at_dose(
        self, changes: Changes, strength: float, window: Window, mean_difference: str
    ) -> Iterator[Arm]:
        if _changes_nothing(changes, strength):
            return  # that is the arm "zero"
        wanted = set(self.study.arms)
        own = {one: self._own(one, changes, strength) for one in self.labels}
        if "feature" in wanted:
            for one, change in own.items():
                yield self._arm("feature", change, window, one)
        if "random_alive" in wanted:
            for one in self.controls.alive:
                yield self._arm("random_alive", self._own(one, changes, strength), window, one)
        carried = list({(one.carrier, one.mode): one for one in own.values()}.values())
        for change in carried:
            yield from self._controls(change, window, wanted)
        by_strength = changes.mode == "add" and changes.unit == "residual_norm"
        if "mean_difference" in wanted and mean_difference and by_strength:
            along = replace(carried[0], direction=f"mean_difference:{mean_difference}")
            yield self._arm("mean_difference", along, window)

    def _controls(self, change: Change, window: Window, wanted: set[str]) -> Iterator[Arm]:
        """Yield the same change along other directions."""
        if "random_row" in wanted:
            for row in self.controls.rows:
                if row != change.carrier:
                    yield self._arm("random_row", replace(change, direction=f"row:{row}"), window)
        if "gaussian" in wanted:
            for number in range(self.study.controls.gaussian):
                direction = f"gaussian:{self.study.controls.seed}:{number}"
                yield self._arm("gaussian", replace(change, direction=direction), window)

    def _own(self, feature: int, changes: Changes, strength: float) -> Change:
        unit = {"scale": "factor", "project_out": ""}.get(changes.mode, changes.unit)
        by_itself = changes.mode == "project_out" or (changes.mode, unit) == (
            "add",
            "residual_norm",
        )
        carrier = -1 if by_itself else feature
        site = self.bundle.card.site
        return Change(site, f"row:{feature}", carrier, changes.mode, unit, strength)

    def _arm(self, arm: str, change: Change, window: Window, feature: int | None = None) -> Arm:
        if feature is None:
            return Arm(self.protocol, arm, (change,), window=window)
        entry = self.bundle.catalogue.get(feature)
        label = self.labels.get(feature) or (entry.label if entry else "")
        kind = entry.feature_class if entry else ""
        return Arm(self.protocol, arm, (change,), (feature,), label, kind, window)


def injection_arms(study: Study, donors: Sequence[Sequence[Pair]]) -> Iterator[Arm]:
    """Yield the arms of P2 that have another episode's stream at a site.

    donors: those of each entry of the study's `injection`.
    """
    for wanted, pairs in zip(study.injection, donors, strict=True):
        for site, pair, window in product(wanted.sites, pairs, study.windows):
            stream = InjectedStream(site, wanted.tokens, pair)
            yield Arm("P2", "injection", window=window, injection=stream)


def necessity_arms(study: Study, bundles: Mapping[str, SaeBundle]) -> Iterator[Arm]:
    """Yield the arms of P3: nothing, and sets of features projected out together."""
    wanted = study.necessity
    assert wanted is not None  # the study was checked
    yield Arm("P3", "none")
    for kind in wanted.kinds:
        size = len(wanted.ids) or wanted.features
        features = _to_remove(kind, wanted, bundles[wanted.site], size, study.controls.seed)
        for first in range(0, len(features), size):
            yield _removed(study, kind, features[first : first + size])


def _to_remove(
    kind: str, wanted: Necessity, bundle: SaeBundle, size: int, seed: int
) -> tuple[int, ...]:
    """Return the features of all sets of a kind."""
    if kind == "chosen":
        return tuple(chosen(Features(wanted.site, wanted.ids), bundle, seed))
    top = top_general(bundle, size) if "top_general" in wanted.kinds else ()
    if kind == "top_general":
        return top
    name = kind.removeprefix("random_")
    without = (*wanted.ids, *(top if name == "general" else ()))
    return random_of_class(bundle, name, size * wanted.draws, seed, without)


def _removed(study: Study, kind: str, features: tuple[int, ...]) -> Arm:
    assert study.necessity is not None  # the study was checked
    site = study.necessity.site
    changes = tuple(Change(site, f"row:{one}", -1, "project_out", "", 0.0) for one in features)
    return Arm("P3", kind, changes, features, window=study.windows[0])


def layer_arms(study: Study, sites: tuple[str, ...]) -> Iterator[Arm]:
    """Yield the arms of P4: random directions at every site, as hard everywhere."""
    yield Arm("P4", "none")
    for site in study.layers.sites or sites:
        for strength in study.layers.strengths:
            for number in range(study.layers.directions):
                direction = f"gaussian:{study.controls.seed}:{number}"
                change = Change(site, direction, -1, "add", "token_norm", strength)
                yield Arm("P4", "gaussian", (change,), window=study.windows[0])


def latency_arms(steered: Iterator[Arm]) -> Iterator[Arm]:
    """Yield the arms of P5: hooks off, hooks on, and the study's first feature steered."""
    yield Arm("P5", "none")
    yield Arm("P5", "zero", hooked=True)
    first = next((one for one in steered if one.arm == "feature"), None)
    if first is not None:
        yield replace(first, protocol="P5")


def _changes_nothing(changes: Changes, strength: float) -> bool:
    neutral = {"add": 0.0, "scale": 1.0}.get(changes.mode)
    return neutral is not None and strength == neutral
