"""A study's report on the disk: the page, and its numbers beside it."""

from __future__ import annotations

from pathlib import Path

from vla_sae_ros.core.progress import CommandProgress
from vla_sae_ros.study.experiment.measure.analysis import analyse, write_numbers
from vla_sae_ros.study.experiment.report.study_page import write_study_page
from vla_sae_ros.study.experiment.report.verdict_rows import verdict_table

MOST_FRAMES = 20.0
"""[MB] of videos in one page."""


def write_study_report(
    folder: Path, page: Path, seed: int = 0, most_frames: float = MOST_FRAMES
) -> None:
    """Analyse what a study has so far, write `page` and its numbers, and print the verdicts.

    Args:
        folder: the study's.
        page: HTML file to write; the numbers go beside it as .json.
        seed: of the bootstrap's draws.
        most_frames: limit of all videos in the page [MB].

    Raises:
        RecordingError: no table, an empty one, or a damaged table or file.
    """
    with CommandProgress() as shown:
        task = shown.add_task("comparing")
        analysis = analyse(
            folder, seed, lambda done, total: shown.update(task, completed=done, total=total)
        )
    write_study_page(page, analysis, most_frames)
    numbers = page.with_suffix(".json")
    write_numbers(numbers, analysis)
    told = verdict_table(analysis)
    if told:
        print(told)
    print(f"{numbers}: every finding and verdict as numbers.")
    print(f"{page}: {page.stat().st_size / 1e6:.1f} MB; it opens without a network.")
