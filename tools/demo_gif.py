"""Make docs/demo.gif, README's moving picture, from the video that `make demo` leaves.

Run it with .venv/bin/python, from any folder; about 0.6 MB.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import imageio_ffmpeg

ROOT = Path(__file__).resolve().parents[1]
PICTURES = (
    "fps=8,scale=720:-1:flags=lanczos,split[all][seen];"
    "[seen]palettegen=max_colors=96:stats_mode=diff[palette];"
    "[all][palette]paletteuse=dither=bayer:bayer_scale=4:diff_mode=rectangle"
)
"""Eight pictures a second of 720 px, with one palette."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, default=ROOT / "out" / "demo" / "video.mp4")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "demo.gif")
    args = parser.parse_args()
    if not args.video.is_file():
        parser.error(f"there is no {args.video}. Run make demo first.")
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", str(args.video)]
    subprocess.run([*program, "-vf", PICTURES, str(args.output)], check=True)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
