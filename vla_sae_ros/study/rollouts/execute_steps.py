"""How many actions of a chunk are executed before the policy is asked again."""

from __future__ import annotations

from vla_sae_ros.core.errors import ConfigurationError, complaint

EXECUTE_STEPS = 5
"""Where nobody says; fewer where the policy's chunk is shorter."""


def executed_steps(chunk_length: int | None, wanted: int | None, option: str) -> int:
    """Return the open-loop horizon in control steps.

    Args:
        chunk_length: actions of the policy's chunk; None: not known before it infers.
        wanted: what the user says; None: nothing.
        option: where the user says it.

    Raises:
        ConfigurationError: less than one, or more than a chunk has.
    """
    if wanted is None:
        return min(EXECUTE_STEPS, chunk_length or EXECUTE_STEPS)
    if wanted < 1 or (chunk_length is not None and wanted > chunk_length):
        allowed = (
            "1 or more" if chunk_length is None else f"1 to {chunk_length}, the policy's chunk"
        )
        raise ConfigurationError(complaint(option, wanted, allowed))
    return wanted
