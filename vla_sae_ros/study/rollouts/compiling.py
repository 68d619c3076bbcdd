"""A policy of an offline command that is compiled: the option, and what does not go with it."""

from __future__ import annotations

import argparse
import sys

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.compiled.compilable import require_compilable
from vla_sae_ros.policy.engine import PolicyEngine


def add_compile_argument(parser: argparse.ArgumentParser) -> None:
    """Declare --compile."""
    parser.add_argument(
        "--compile",
        action="store_true",
        help="compile the policy with torch.compile (SmolVLA, pi0, pi0.5): minutes the first time, "
        "then faster; its results are kept apart from uncompiled ones",
    )


def refuse_batches(compiled: bool, batch: int, ray: str | None = None) -> None:
    """Raise ConfigurationError where a compiled policy is to answer many at once."""
    if compiled and (batch > 1 or ray):
        raise ConfigurationError(
            complaint(
                "--compile with --policy-batch or --ray",
                f"--ray {ray}" if ray else f"--policy-batch {batch}",
                "--policy-batch 1 on this machine",
                "A compiled graph infers for one simulation at a time.",
            )
        )


def engine_of(loaded: LoadedPolicy, compiled: bool) -> PolicyEngine:
    """Return the policy's engine; one to compile does so at its `warm_up`.

    Raises:
        NotCompiled: it is to be compiled, and policies of its type cannot be.
    """
    if not compiled:
        return PolicyEngine(loaded)
    require_compilable(loaded)
    from vla_sae_ros.policy.compiled.engine import CompiledEngine  # it imports lerobot

    return CompiledEngine(loaded, progress=tell)


def tell(text: str) -> None:
    """Say how far compiling is; beside the results, which are on the standard output."""
    print(text, file=sys.stderr, flush=True)
