"""Frames into an MP4 file that every player and browser opens."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import imageio_ffmpeg
from PIL import Image

from vla_sae_ros.core.errors import RecordingError


def reported(
    frames: Iterator[Image.Image], total: int, progress: Callable[[int, int], None]
) -> Iterator[bytes]:
    """Yield the frames' RGB bytes, telling `progress` (frames done, frames in all)."""
    for done, frame in enumerate(frames, 1):
        yield frame.tobytes()
        progress(done, total)


def write_mp4(path: Path, frames: Iterable[bytes], size: tuple[int, int], rate: float) -> None:
    """Write an H.264 MP4 of RGB frames of (width, height) `size`, both even, at `rate` [Hz].

    The same frames give the same file. RecordingError when the encoder fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-y",
        "-loglevel",
        "error",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{size[0]}x{size[1]}",
        "-r",
        f"{rate:g}",
        "-i",
        "-",
        "-an",
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-crf",
        "20",
        "-pix_fmt",
        "yuv420p",
        "-threads",
        "1",
        "-fflags",
        "+bitexact",
        "-flags:v",
        "+bitexact",
        "-movflags",
        "+faststart",
        str(path),
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
