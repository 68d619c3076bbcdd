"""The options of commands that show a policy LIBERO's pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

from vla_sae_ros.core.picture_record import (
    QUALITIES,
    Quality,
    check_pictures,
    installed_record,
    read_picture_record,
)


def add_picture_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of commands that show a policy pictures."""
    parser.add_argument(
        "--render-quality",
        choices=QUALITIES,
        default="full",
        help="render quality of the pictures; quick: without reflections and "
        "multisampling, for policies that were trained on such pictures; "
        "default %(default)s",
    )
    parser.add_argument(
        "--allow-other-pictures",
        action="store_true",
        help="continue although the policy was trained on pictures of another quality",
    )


def told_pictures(policy: Path | None, quality: Quality, allowed: bool) -> str:
    """Return, for people, which pictures a command shows its policy, with a warning if due.

    policy: its folder; None for who sees no pictures. Raises ConfigurationError, see
    `check_pictures`.
    """
    drawn = installed_record(quality)
    trained = read_picture_record(policy) if policy is not None else None
    warning = ""
    if policy is not None:
        warning = check_pictures(
            trained,
            drawn,
            allowed,
            f"Use --render-quality {trained.render_quality}, or --allow-other-pictures."
            if trained
            else "",
        )
    return f"pictures: {drawn}" + (f"; warning: {warning}" if warning else "")
