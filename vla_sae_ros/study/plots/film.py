"""One episode as a film: its cameras, the heatmap of a feature below, its traces beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from vla_sae_ros.bags.episode_trace import EpisodeTrace, Picture
from vla_sae_ros.core.catalogue import Catalogue
from vla_sae_ros.core.errors import RecordingError, complaint
from vla_sae_ros.core.one_line import one_line
from vla_sae_ros.study.plots.episode_frame import edit_text, font
from vla_sae_ros.study.plots.feature_choice import FeatureName
from vla_sae_ros.study.plots.moving_traces import MovingTraces
from vla_sae_ros.study.plots.mp4 import reported, write_mp4

SIZE = (1280, 720)
"""(width, height) [px]."""

_LEFT, _HEADER, _FOOTER = 616, 44, 36
_ROW = (SIZE[1] - _HEADER - _FOOTER) // 2
_GROUND, _INK, _FAINT = (252, 252, 252), (20, 20, 20), (105, 105, 105)
_END_SECONDS = 1.0

Heatmaps = Mapping[int, Picture]
"""Control step -> picture of all cameras, side by side."""


def write_film(
    path: Path,
    trace: EpisodeTrace,
    catalogues: Mapping[str, Catalogue],
    features: Sequence[FeatureName],
    heatmaps: Heatmaps,
    heatmap_title: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write an H.264 MP4 in real time, one frame per control step.

    Raises RecordingError when the episode has no pictures.
    """
    if not any(trace.pictures.values()):
        raise RecordingError(
            complaint(
                f"pictures of episode {trace.episode_id}",
                "none",
                "at least one camera",
                "Record with pictures.",
            )
        )
    rate = trace.control_rate or 20.0
    height = SIZE[1] - _HEADER - _FOOTER
    traces = MovingTraces(trace, catalogues, features, (SIZE[0] - _LEFT, height))
    total = trace.steps + round(_END_SECONDS * rate)
    frames = (
        _frame(trace, traces, heatmaps, heatmap_title, min(step, trace.steps))
        for step in range(total)
    )
    write_mp4(path, reported(frames, total, progress), SIZE, rate)


def _frame(
    trace: EpisodeTrace, traces: MovingTraces, heatmaps: Heatmaps, heatmap_title: str, step: int
) -> Image.Image:
    canvas = Image.new("RGB", SIZE, _GROUND)
    draw = ImageDraw.Draw(canvas)
    draw.text(
        (12, _HEADER / 2), f"“{one_line(trace.instruction)}”", fill=_INK, font=font(19), anchor="lm"
    )
    draw.text(
        (SIZE[0] - 12, _HEADER / 2),
        f"{trace.suite} task {trace.task}, seed {trace.seed}",
        fill=_FAINT,
        font=font(15),
        anchor="rm",
    )
    cameras = [(name, _newest(frames, step)) for name, frames in sorted(trace.pictures.items())]
    _paste_row(canvas, _HEADER, cameras)
    _paste_row(canvas, _HEADER + _ROW, [(heatmap_title, _newest(heatmaps, step))])
    canvas.paste(traces.at(step), (_LEFT, _HEADER))
    steered = any(first <= step < last for first, last in trace.steering_windows())
    said = f"steering acts ({edit_text(trace, step)})" if steered else "no steering"
    over = f"   {trace.status.words}" if step >= trace.steps else ""
    draw.text(
        (12, SIZE[1] - _FOOTER / 2),
        f"step {step:>3}   {step / trace.control_rate:5.2f} s   {said}{over}",
        fill=_INK,
        font=font(16, bold=steered),
        anchor="lm",
    )
    return canvas


def _paste_row(
    canvas: Image.Image, top: int, pictures: Sequence[tuple[str, Picture | None]]
) -> None:
    """Put pictures side by side into the left column, each as large as it fits, with its name."""
    width = _LEFT // max(1, len(pictures))
    draw = ImageDraw.Draw(canvas)
    for number, (name, picture) in enumerate(pictures):
        left = number * width
        draw.text((left + 12, top + 10), name, fill=_FAINT, font=font(14), anchor="lm")
        space = (width - 16, _ROW - 28)
        if picture is None:
            draw.text(
                (left + width / 2, top + _ROW / 2),
                "no picture",
                fill=_FAINT,
                font=font(15),
                anchor="mm",
            )
            continue
        image = Image.fromarray(picture)
        scale = min(space[0] / image.width, space[1] / image.height)
        size = round(image.width * scale), round(image.height * scale)
        canvas.paste(image.resize(size, Image.Resampling.LANCZOS), (left + 12, top + 22))


def _newest(frames: Mapping[int, Picture], step: int) -> Picture | None:
    earlier = [at for at in frames if at <= step]
    return frames[max(earlier)] if earlier else None
