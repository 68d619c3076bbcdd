"""One MP4 with two rollouts of a task side by side, each with its active features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image, ImageDraw

from vla_sae_ros.bags.episode_trace import EpisodeTrace
from vla_sae_ros.core.catalogue import Catalogue
from vla_sae_ros.core.one_line import one_line
from vla_sae_ros.study.plots import episode_frame
from vla_sae_ros.study.plots.episode_frame import Rollout, draw_frame, full_bar
from vla_sae_ros.study.plots.feature_choice import FeatureName, chosen_features
from vla_sae_ros.study.plots.mp4 import reported, write_mp4

_GAP = 16
_HEADER = 44
SIZE = (2 * episode_frame.WIDTH + _GAP, _HEADER + episode_frame.HEIGHT)
"""(width, height) of the video [pixels]; both even, as H.264 wants."""

FEATURES_SHOWN = 8
_END_SECONDS = 1.5


def write_comparison_video(
    path: Path,
    plain: EpisodeTrace,
    steered: EpisodeTrace,
    catalogues: Mapping[str, Catalogue] | None = None,
    camera: str = "agentview",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write an H.264 MP4 in real time: one frame per control step.

    Both sides show the same features, those of the steered rollout, and the shorter one waits at
    its end. `progress` is called with (frames done, frames in all). The same episodes give the
    same frames. RecordingError when the encoder fails.
    """
    known = catalogues or {}
    features = _shown(steered, plain, known)
    full = full_bar((plain, steered), features, known)
    sides = (
        Rollout("plain", plain, camera, features, known, full),
        Rollout("steered", steered, camera, features, known, full),
    )
    rate = steered.control_rate or 20.0
    total = max(plain.steps, steered.steps) + round(_END_SECONDS * rate)
    frames = (_side_by_side(sides, step) for step in range(total))
    write_mp4(path, reported(frames, total, progress), SIZE, rate)


def _shown(
    steered: EpisodeTrace, plain: EpisodeTrace, known: Mapping[str, Catalogue]
) -> list[FeatureName]:
    names = chosen_features(steered, known, FEATURES_SHOWN - 2)
    names += [name for name in chosen_features(plain, known, FEATURES_SHOWN) if name not in names]
    return names[:FEATURES_SHOWN]


def _side_by_side(sides: tuple[Rollout, Rollout], step: int) -> Image.Image:
    canvas = Image.new("RGB", SIZE, (252, 252, 252))
    left, right = (draw_frame(side, step) for side in sides)
    canvas.paste(left, (0, _HEADER))
    canvas.paste(right, (episode_frame.WIDTH + _GAP, _HEADER))
    draw = ImageDraw.Draw(canvas)
    trace = sides[1].trace
    draw.text(
        (8, _HEADER / 2),
        f"“{one_line(trace.instruction)}”",
        fill=(20, 20, 20),
        font=episode_frame.font(19),
        anchor="lm",
    )
    draw.text(
        (SIZE[0] - 10, _HEADER / 2),
        f"{trace.suite} task {trace.task}, seed {trace.seed}",
        fill=(105, 105, 105),
        font=episode_frame.font(15),
        anchor="rm",
    )
    middle = episode_frame.WIDTH + _GAP // 2
    draw.line((middle, _HEADER, middle, SIZE[1]), fill=(200, 200, 200), width=2)
    return canvas
