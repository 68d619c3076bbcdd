"""A feature's dose-response as an inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

from vla_sae_ros.study.experiment.measure.findings import ArmEffects, EffectEstimate
from vla_sae_ros.study.experiment.report.axis import Axis
from vla_sae_ros.study.experiment.report.forest import say_kind, say_title
from vla_sae_ros.study.experiment.report.wording import Scale

_WIDTH, _HEIGHT = 320, 190
_LEFT, _RIGHT, _TOP, _FOOT = 46, 12, 10, 34


def dose_curve(
    doses: Sequence[ArmEffects], effect: str, axis: Axis, at_zero: bool
) -> Markup | None:
    """Draw one effect over the doses of a feature; None where no dose has the effect.

    The band is that of the random rows at each dose; a filled point counts. All features share
    `axis`. `at_zero`: a dose of 0 changes nothing and is drawn too.
    """
    points = [
        (one.arm.row.strength, one, found) for one in doses if (found := one.of(effect)) is not None
    ]
    if not points:
        return None
    across = Axis.over([strength for strength, _, _ in points])
    draw = _Drawing(across, axis, Scale.of(points[0][2].effect))
    zero = [(0.0, 0.0)] if at_zero and not any(s == 0 for s, _, _ in points) else []
    line = sorted([(strength, found.mean) for strength, _, found in points] + zero)
    signed = points[0][2].effect.signed
    parts = [draw.frame(points[0][1].arm.row.unit), draw.band(points, signed), draw.curve(line)]
    parts += [draw.point(*each) for each in points]
    return Markup(
        '<svg class="dose" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(_WIDTH, _HEIGHT, f"{effect} over dose", Markup("").join(parts))


class _Drawing:
    def __init__(self, across: Axis, up: Axis, scale: Scale) -> None:
        self._across, self._up, self._scale = across, up, scale

    def _x(self, value: float) -> float:
        return round(_LEFT + self._across.share(value) * (_WIDTH - _LEFT - _RIGHT), 1)

    def _y(self, value: float) -> float:
        return round(_HEIGHT - _FOOT - self._up.share(value) * (_HEIGHT - _FOOT - _TOP), 1)

    def frame(self, unit: str) -> Markup:
        parts = []
        for tick in self._up.ticks:
            y = self._y(tick)
            kind = "zero" if tick == 0 else "grid"
            parts.append(
                f'<line class="{kind}" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" '
                f'y2="{y}"/><text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">'
                f"{self._scale.tick(tick)}</text>"
            )
        for tick in self._across.ticks:
            parts.append(
                f'<text x="{self._x(tick)}" y="{_HEIGHT - _FOOT + 15}" '
                f'text-anchor="middle">{tick:g}</text>'
            )
        said = {
            "residual_norm": "strength [mean ‖x‖]",
            "observed_max": "strength [observed max]",
            "factor": "factor",
        }.get(unit, "dose")
        parts.append(
            f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 4}" '
            f'text-anchor="middle">{escape(said)}</text>'
        )
        return Markup("".join(parts))

    def band(
        self, points: Sequence[tuple[float, ArmEffects, EffectEstimate]], signed: bool
    ) -> Markup:
        known = [
            (strength, found.bar.height)
            for strength, _, found in sorted(points, key=lambda one: one[0])
            if found.bar.rows and math.isfinite(found.bar.height)
        ]
        if not known:
            return Markup("")
        if min(known)[0] > 0:
            known = [(0.0, 0.0), *known]
        upper = [f"{self._x(s)},{self._y(h)}" for s, h in known]
        lower = [f"{self._x(s)},{self._y(-h if signed else 0.0)}" for s, h in reversed(known)]
        return Markup('<polygon class="band" points="{}"/>').format(" ".join(upper + lower))

    def curve(self, line: Sequence[tuple[float, float]]) -> Markup:
        return Markup('<polyline class="curve" points="{}"/>').format(
            " ".join(f"{self._x(s)},{self._y(v)}" for s, v in line)
        )

    def point(self, strength: float, one: ArmEffects, found: EffectEstimate) -> Markup:
        x, kind = self._x(strength), say_kind(found)
        return Markup(
            '<g class="point {}" data-arm="{}" tabindex="0" role="button"><title>{}</title>'
            '<line x1="{}" x2="{}" y1="{}" y2="{}"/><circle cx="{}" cy="{}" r="4.5"/></g>'
        ).format(
            kind,
            one.arm.key,
            say_title(found),
            x,
            x,
            self._y(found.low),
            self._y(found.high),
            x,
            self._y(found.mean),
        )
