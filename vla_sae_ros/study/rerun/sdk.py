"""Whether Rerun's SDK is installed; the other modules of this room import it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from vla_sae_ros.core.errors import ConfigurationError

VERSIONS = ">=0.33,<0.34"
"""Of rerun-sdk, as pyproject.toml declares it."""

APPLICATION = "vla_sae_ros"
"""All recordings of one application share a layout in the viewer."""


def require_sdk() -> None:
    """Raise ConfigurationError with the command that installs the SDK where it is missing."""
    try:
        import rerun  # beside the SDK there is an unrelated package of this name

        rerun.RecordingStream  # noqa: B018
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"Rerun's SDK is not installed ({error}). "
            f"Install it: pip install 'rerun-sdk{VERSIONS}'."
        ) from error
    rerun.set_strict_mode(True)  # otherwise the SDK logs its errors and goes on


def program() -> Path:
    """Return the viewer's program, which the SDK brings; it also joins files."""
    found = find_spec("rerun_cli")
    if found is None or found.origin is None:
        raise ConfigurationError("Rerun's SDK was installed without its program rerun_cli.")
    return Path(found.origin).with_name("rerun")
