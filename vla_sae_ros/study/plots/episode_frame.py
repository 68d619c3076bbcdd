"""One video frame of an episode: the camera, and beside it the features that are active."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from vla_sae_ros.bags.episode_trace import EpisodeTrace, Picture
from vla_sae_ros.core.catalogue import Catalogue
from vla_sae_ros.study.plots import colours
from vla_sae_ros.study.plots.feature_choice import FeatureName, observed_max

PICTURE_SIDE = 384
BARS_WIDTH = 256
WIDTH = PICTURE_SIDE + BARS_WIDTH
TITLE_HEIGHT = 34
CAPTION_HEIGHT = 32
HEIGHT = TITLE_HEIGHT + PICTURE_SIDE + CAPTION_HEIGHT

_GROUND = (252, 252, 252)
_INK = (20, 20, 20)
_FAINT = (105, 105, 105)
_TRACK = (226, 226, 226)
_ROW_HEIGHT = 38


@dataclass(frozen=True)
class Bar:
    """One feature in one frame; values in observed maxima, or SAE units where that is unknown."""

    name: str
    natural: float
    applied: float
    edited: bool


@dataclass(frozen=True)
class Rollout:
    """One side of the video."""

    title: str
    trace: EpisodeTrace
    camera: str
    features: Sequence[FeatureName]
    catalogues: Mapping[str, Catalogue]
    full: float
    """Value at which a bar is full; the same for rollouts that are compared."""


def full_bar(
    traces: Sequence[EpisodeTrace],
    features: Sequence[FeatureName],
    catalogues: Mapping[str, Catalogue],
) -> float:
    """Return the largest value that any of the features reaches, edited or not, at least 1."""
    largest = 1.0
    for trace in traces:
        for site, feature in features:
            stream = trace.features.get(site)
            if stream is not None and len(stream.step):
                unit = observed_max(catalogues, (site, feature)) or 1.0
                reached = max(float(abs(values).max()) for values in stream.dense([feature]))
                largest = max(largest, reached / unit)
    return largest


def draw_frame(rollout: Rollout, step: int) -> Image.Image:
    """Return the WIDTH x HEIGHT picture of the rollout at `step`, or its end if that was before."""
    trace = rollout.trace
    over = step >= trace.steps
    step = min(step, trace.steps)
    canvas = Image.new("RGB", (WIDTH, HEIGHT), _GROUND)
    canvas.paste(_camera(trace.pictures.get(rollout.camera, {}), step), (0, TITLE_HEIGHT))
    draw = ImageDraw.Draw(canvas)
    _draw_title(draw, rollout, over)
    steered = any(first <= step < last for first, last in trace.steering_windows())
    if steered and not over:
        draw.rectangle(
            (0, TITLE_HEIGHT, PICTURE_SIDE - 1, TITLE_HEIGHT + PICTURE_SIDE - 1),
            outline=colours.rgb(colours.ORANGE),
            width=5,
        )
    _draw_bars(draw, _bars(rollout, step), rollout.full)
    state = f"steering acts ({edit_text(trace, step)})" if steered else "no steering"
    draw.text(
        (8, TITLE_HEIGHT + PICTURE_SIDE + CAPTION_HEIGHT / 2),
        f"step {step:>3}   {step / trace.control_rate:5.1f} s   {state}",
        fill=_INK,
        font=font(15),
        anchor="lm",
    )
    return canvas


def _draw_title(draw: ImageDraw.ImageDraw, rollout: Rollout, over: bool) -> None:
    draw.text(
        (8, TITLE_HEIGHT / 2), rollout.title, fill=_INK, font=font(18, bold=True), anchor="lm"
    )
    if over:
        good = rollout.trace.succeeded
        colour = colours.rgb(colours.GREEN if good else colours.VERMILION)
        text = f"{rollout.trace.status.words} after {rollout.trace.steps} steps"
        draw.text(
            (WIDTH - 10, TITLE_HEIGHT / 2), text, fill=colour, font=font(16, bold=True), anchor="rm"
        )


def _draw_bars(draw: ImageDraw.ImageDraw, bars: list[Bar], full: float) -> None:
    left, right, top = PICTURE_SIDE + 14, WIDTH - 62, TITLE_HEIGHT + 26
    draw.text(
        (left, TITLE_HEIGHT + 6),
        f"activation / observed max, 0 to {full:.1f}",
        fill=_FAINT,
        font=font(13),
    )
    for number, bar in enumerate(bars):
        y = top + 8 + number * _ROW_HEIGHT
        name = _fitted(("▶ " if bar.edited else "") + bar.name, WIDTH - 10 - left, bar.edited)
        draw.text((left, y), name, fill=_INK, font=font(13, bold=bar.edited))
        y += 18
        draw.rectangle((left, y, right, y + 11), fill=_TRACK)
        colour = colours.rgb(colours.ORANGE if bar.edited else colours.BLUE)
        length = min(abs(bar.applied) / full, 1.0) * (right - left)
        if length >= 1:
            draw.rectangle((left, y, left + length, y + 11), fill=colour)
        if bar.edited:
            at = left + min(max(bar.natural / full, 0.0), 1.0) * (right - left)
            draw.rectangle((at - 1, y - 3, at + 1, y + 14), fill=_INK)
        draw.text((WIDTH - 10, y + 6), f"{bar.applied:.2f}", fill=_INK, font=font(13), anchor="rm")
    note = "value before the edit" if any(bar.edited for bar in bars) else ""
    if note:
        y = TITLE_HEIGHT + PICTURE_SIDE - 14
        draw.rectangle((left, y - 7, left + 2, y + 7), fill=_INK)
        draw.text((left + 10, y), note, fill=_FAINT, font=font(12), anchor="lm")


def _bars(rollout: Rollout, step: int) -> list[Bar]:
    bars = []
    for site, feature in rollout.features:
        stream = rollout.trace.features.get(site)
        row = stream.at(step) if stream else None
        natural = applied = 0.0
        if stream is not None and row is not None:
            index, before, after = stream.row(row)
            for found, first, last in zip(index, before, after, strict=True):
                if found == feature:
                    natural, applied = float(first), float(last)
        unit = observed_max(rollout.catalogues, (site, feature)) or 1.0
        catalogue = rollout.catalogues.get(site)
        entry = catalogue.get(feature) if catalogue else None
        name = (entry.name if entry else "") or site
        bars.append(Bar(f"#{feature} {name}", natural / unit, applied / unit, applied != natural))
    return bars


def edit_text(trace: EpisodeTrace, step: int) -> str:
    """Return the features that an edit changed at this step, three at most."""
    edited = sorted(
        {
            feature
            for stream in trace.features.values()
            if (row := stream.at(step)) is not None
            for feature, before, after in zip(*stream.row(row), strict=True)
            if before != after
        }
    )
    return ", ".join(f"#{feature}" for feature in edited[:3]) + (" …" if len(edited) > 3 else "")


def _camera(pictures: Mapping[int, Picture], step: int) -> Image.Image:
    earlier = [at for at in pictures if at <= step]
    if not earlier:
        blank = Image.new("RGB", (PICTURE_SIDE, PICTURE_SIDE), (60, 60, 60))
        ImageDraw.Draw(blank).text(
            (PICTURE_SIDE / 2, PICTURE_SIDE / 2),
            "no picture recorded",
            fill=(235, 235, 235),
            font=font(16),
            anchor="mm",
        )
        return blank
    return Image.fromarray(pictures[max(earlier)]).resize(
        (PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.LANCZOS
    )


def _fitted(text: str, width: float, bold: bool) -> str:
    measure = font(13, bold).getlength
    if measure(text) <= width:
        return text
    while text and measure(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans in `size` pixels."""
    # matplotlib ships DejaVu Sans: the same font on every machine.
    weight = "bold" if bold else "normal"
    path = font_manager.findfont(font_manager.FontProperties(family="DejaVu Sans", weight=weight))
    return ImageFont.truetype(path, size)
