"""One MP4 with two rollouts of a task side by side, each with its active features."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import imageio_ffmpeg
from PIL import Image, ImageDraw

from vla_sae_ros.core.catalogue import Catalogue
from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.study import episode_frame
from vla_sae_ros.study.episode_frame import Rollout, draw_frame, full_bar
from vla_sae_ros.study.feature_choice import FeatureName, chosen_features
from vla_sae_ros.study.traces import EpisodeTrace

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
    sides = (Rollout("plain", plain, camera, features, known, full),
             Rollout("steered", steered, camera, features, known, full))
    rate = steered.control_rate or 20.0
    total = max(plain.steps, steered.steps) + round(_END_SECONDS * rate)
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = (_side_by_side(sides, step) for step in range(total))
    _encode(path, _reported(frames, total, progress), rate)


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
    draw.text((8, _HEADER / 2), f"“{trace.instruction}”", fill=(20, 20, 20),
              font=episode_frame.font(19), anchor="lm")
    draw.text((SIZE[0] - 10, _HEADER / 2), f"{trace.suite} task {trace.task}, seed {trace.seed}",
              fill=(105, 105, 105), font=episode_frame.font(15), anchor="rm")
    middle = episode_frame.WIDTH + _GAP // 2
    draw.line((middle, _HEADER, middle, SIZE[1]), fill=(200, 200, 200), width=2)
    return canvas


def _reported(
    frames: Iterator[Image.Image], total: int, progress: Callable[[int, int], None]
) -> Iterator[bytes]:
    for done, frame in enumerate(frames, 1):
        yield frame.tobytes()
        progress(done, total)


def _encode(path: Path, frames: Iterator[bytes], rate: float) -> None:
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error",
        "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{SIZE[0]}x{SIZE[1]}", "-r", f"{rate:g}",
        "-i", "-", "-an", "-c:v", "libx264", "-preset", "veryfast", "-crf", "20",
        "-pix_fmt", "yuv420p", "-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact",
        "-movflags", "+faststart", str(path),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stderr is not None
        try:
            for frame in frames:
                process.stdin.write(frame)
            process.stdin.close()
        except BrokenPipeError:
            pass  # the encoder has ended early: its own words say why
        said = process.stderr.read().decode(errors="replace").strip()
    if process.returncode:
        raise RecordingError(f"the video {path} could not be encoded: {said}")
