"""How many environments one policy infers for, as commands say it."""

from __future__ import annotations

import argparse
import os

from vla_sae_ros.core.errors import ConfigurationError, complaint

MOST = 256


def add_batch_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of commands that play episodes side by side."""
    parser.add_argument(
        "--policy-batch",
        default="1",
        metavar="N",
        help="run N simulators in separate processes that share one policy; auto: "
        "one for every core; default: each simulator has its own policy",
    )
    parser.add_argument(
        "--ray", metavar="ADDRESS", help='run on this Ray cluster: "auto" or host:port'
    )


def batch_size(text: str) -> int:
    """Return how many environments one policy infers for: "auto" is one for every core.

    Raises:
        ConfigurationError: neither "auto" nor a number in the range.
    """
    if text == "auto":
        return len(os.sched_getaffinity(0))
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise ConfigurationError(complaint("--policy-batch", text, f"auto or 1 to {MOST}"))
    return int(text)


def batch_on(text: str, ray: str | None) -> int:
    """Return `batch_size`; on a cluster, whose machines may differ, it has to be a number.

    Raises:
        ConfigurationError: "auto" on a cluster, or no batch size.
    """
    if ray and text == "auto":
        raise ConfigurationError(
            complaint("--policy-batch with --ray", text, f"1 to {MOST}: machines may differ")
        )
    return batch_size(text)
