"""Every reason for which one edit is refused, checked before anything changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from vla_sae_ros.core.errors import SteeringRefused, complaint
from vla_sae_ros.core.steering.condition import FEATURE, STEP, Condition
from vla_sae_ros.core.steering.control import Control
from vla_sae_ros.core.steering.edit import Edit, Mode
from vla_sae_ros.core.steering.limits import SteeringLimits
from vla_sae_ros.core.steering.site import SteeringSite

LARGEST = 3.4028234663852886e38
"""Of the numbers of an edit: the largest float32, as they go over the wire."""


def check_size(count: int, what: str, limits: SteeringLimits) -> None:
    """Refuse a request of more entries than can be of any use, before each is looked at."""
    if count > limits.max_edits:
        raise SteeringRefused(complaint(f"too many {what} in one request", count, limits.max_edits))


def check_owner(owner: str, limits: SteeringLimits) -> None:
    """Refuse an owner without a name, or with one that is none."""
    if not owner.strip():
        raise SteeringRefused(complaint("no owner named", owner, "any non-empty name"))
    check_name(owner, "owner's name", limits)


def check_name(name: str, what: str, limits: SteeringLimits) -> None:
    """Refuse a name that is none: too long, or with what ends a text on its way."""
    if len(name) > limits.longest_name:
        allowed = f"at most {limits.longest_name} characters"
        raise SteeringRefused(complaint(what, f"{len(name)} characters", allowed))
    if "\0" in name:
        raise SteeringRefused(complaint(what, name, "a name without the character NUL"))


def resolve_site(name: str, sites: Mapping[str, SteeringSite]) -> SteeringSite:
    """Return the site of this name; an empty name means the only steerable one.

    Raises:
        SteeringRefused: no such site, none named among several, or it cannot be steered.
    """
    steerable = [site for site in sites.values() if site.can_steer]
    if not name:
        if len(steerable) != 1:
            raise SteeringRefused(
                complaint("no site named", name, sorted(s.name for s in steerable), "Name one.")
            )
        return steerable[0]
    site = sites.get(name)
    if site is None:
        raise SteeringRefused(complaint("unknown site", name, sorted(sites), "Name one of these."))
    if not site.can_steer:
        raise SteeringRefused(
            complaint(
                f"this site cannot be steered ({site.why_not})",
                name,
                sorted(s.name for s in steerable),
            )
        )
    return site


def resolve_edit(
    edit: Edit,
    sites: Mapping[str, SteeringSite],
    limits: SteeringLimits,
    known_readings: Collection[str] = (FEATURE, STEP),
) -> Edit:
    """Return the edit with its site filled in, or refuse it.

    known_readings: kinds of readings that its condition and its controller may use.

    Raises:
        SteeringRefused: with what was wrong, the value got and what is allowed.
    """
    site = resolve_site(edit.site, sites)
    _check_feature(edit.feature, site)
    _check_numbers(edit, limits)
    _check_scope(edit, site)
    when = None if edit.when is None else _resolved_condition(edit.when, sites, known_readings)
    resolved = replace(edit, site=site.name, when=when)
    _check_strength(resolved, site, limits)
    if edit.control is None:
        return resolved
    control = _resolved_control(resolved, edit.control, sites, known_readings)
    for bound in control.bounds:
        _check_strength(replace(resolved, value=bound), site, limits)
    return replace(resolved, control=control)


def check_ramp(ramp: float, limits: SteeringLimits) -> None:
    """Refuse a ramp [s] that is NaN, negative or too long."""
    if not 0.0 <= ramp <= limits.max_ramp:
        raise SteeringRefused(complaint("bad ramp [s]", ramp, f"0 to {limits.max_ramp}"))


def _resolved_condition(
    when: Condition, sites: Mapping[str, SteeringSite], known_readings: Collection[str]
) -> Condition:
    if not all(abs(one) <= LARGEST for one in (when.threshold, when.hysteresis, when.hold)):
        raise SteeringRefused(complaint("numbers of `when`", when, "finite numbers of 32 bits"))
    return replace(when, site=_read_site(when, "`when`", sites, known_readings))


def _resolved_control(
    edit: Edit, control: Control, sites: Mapping[str, SteeringSite], known_readings: Collection[str]
) -> Control:
    if edit.mode is Mode.PROJECT_OUT:
        allowed = "clamp, add or scale, which have a strength"
        raise SteeringRefused(complaint("mode with `control`", edit.mode.name.lower(), allowed))
    numbers = (control.at, control.kp, control.ki, *control.bounds, control.slew)
    if not all(abs(one) <= LARGEST for one in numbers):
        raise SteeringRefused(complaint("numbers of `control`", control, "finite, of 32 bits"))
    low, high = control.bounds
    if not low <= edit.value <= high:
        allowed = f"within the bounds of its `control`, {low:g} to {high:g}"
        raise SteeringRefused(complaint("value to start from", edit.value, allowed))
    return replace(control, site=_read_site(control, "`control`", sites, known_readings))


def _read_site(
    read: Condition | Control,
    what: str,
    sites: Mapping[str, SteeringSite],
    known_readings: Collection[str],
) -> str:
    """Return the site of what is read, as it was given where it is no feature; or refuse it."""
    if read.reading not in known_readings:
        allowed = ", ".join(sorted(known_readings))
        raise SteeringRefused(complaint(f"reading of {what} not known here", read.reading, allowed))
    if read.number < 0:
        raise SteeringRefused(complaint(f"number of {what}", read.number, "0 or more"))
    if read.reading != FEATURE:
        return read.site
    # A site that cannot be steered can be read.
    named = list(sites.values()) if not read.site else [s for s in [sites.get(read.site)] if s]
    if len(named) != 1:
        raise SteeringRefused(
            complaint(f"site of {what}", read.site, sorted(sites), "Name one of these.")
        )
    _check_feature(read.feature, named[0])
    return named[0].name


def _check_feature(feature: int, site: SteeringSite) -> None:
    if not 0 <= feature < site.dictionary_size:
        raise SteeringRefused(
            complaint(
                f"unknown feature of {site.name}", feature, f"0 to {site.dictionary_size - 1}"
            )
        )


def _check_numbers(edit: Edit, limits: SteeringLimits) -> None:
    if not abs(edit.value) <= LARGEST:
        raise SteeringRefused(
            complaint("the value is not a finite number", edit.value, "finite numbers of 32 bits")
        )
    check_ramp(edit.ramp, limits)
    if not 0.0 <= edit.duration <= LARGEST:
        raise SteeringRefused(
            complaint("bad duration [s]", edit.duration, "0 (until released) or more")
        )
    start, end = edit.window
    if not (0.0 <= start <= LARGEST and (end == 0.0 or start < end <= LARGEST)):
        raise SteeringRefused(
            complaint("bad window [s]", edit.window, "0 <= start < end, or end = 0 for an open one")
        )


def _check_scope(edit: Edit, site: SteeringSite) -> None:
    if len(edit.token_groups) > len(site.token_groups):
        raise SteeringRefused(
            complaint("token groups", f"{len(edit.token_groups)} of them", site.token_groups)
        )
    if len(edit.denoising_steps) > site.denoising_steps:
        allowed = f"at most {site.denoising_steps}, each once"
        raise SteeringRefused(
            complaint("denoising steps", f"{len(edit.denoising_steps)} of them", allowed)
        )
    unknown = set(edit.token_groups) - set(site.token_groups)
    if unknown:
        raise SteeringRefused(
            complaint(
                f"token groups that {site.name} does not have", sorted(unknown), site.token_groups
            )
        )
    outside = [step for step in edit.denoising_steps if not 0 <= step < site.denoising_steps]
    if outside:
        raise SteeringRefused(
            complaint(
                f"denoising steps that {site.name} does not run",
                outside,
                f"0 to {site.denoising_steps - 1}",
            )
        )


def _check_strength(edit: Edit, site: SteeringSite, limits: SteeringLimits) -> None:
    if edit.mode is Mode.PROJECT_OUT:
        return
    natural = site.natural_value(edit)
    strength = abs(natural) if edit.mode is Mode.SCALE else site.distance(edit, 0.0, natural)
    if strength > limits.max_multiple:
        what = "factor" if edit.mode is Mode.SCALE else f"value in {site.strength_unit(edit)}"
        raise SteeringRefused(
            complaint(
                f"{what} over the limit", round(strength, 3), f"at most {limits.max_multiple}"
            )
        )
