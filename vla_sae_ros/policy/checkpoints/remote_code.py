"""Code that comes with a checkpoint, or that it names on the hub: it runs where that is asked for.

lerobot loads some tokenizers with `trust_remote_code=True`; with others transformers asks on the
terminal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.checkpoints.replaced import replaced

LEROBOTS_OWN = ("physical-intelligence/fast",)
"""Repositories on the hub whose code lerobot's own classes name: pi0-FAST's action tokenizer."""
HOW_TO_TRUST = (
    "Read the code. If you trust it, set the policy node's parameter trust_remote_code:=true, or a "
    "command's option --trust-remote-code."
)


@contextmanager
def code_runs_only_if(trusted: bool) -> Iterator[None]:
    """Keep transformers from running other code than LEROBOTS_OWN, and from asking, unless trusted.

    Within it, what would run code raises a ConfigurationError that names the file.
    """
    from transformers import dynamic_module_utils  # slow: only who loads a policy needs it

    refusing = {} if trusted else _refusing(dynamic_module_utils)
    with replaced(dynamic_module_utils, refusing):
        yield


def _refusing(dynamic_module_utils: Any) -> dict[str, Any]:
    get_file = dynamic_module_utils.get_cached_module_file

    def refuse(place: Any, module_file: str, *args: Any, **settings: Any) -> str:
        if str(place) in LEROBOTS_OWN:
            found: str = get_file(place, module_file, *args, **settings)
            return found
        raise ConfigurationError(
            f"{place} brings code of its own, {module_file}, which was not run. {HOW_TO_TRUST}"
        )

    # Without a time to wait transformers raises an error where it would ask.
    return {"get_cached_module_file": refuse, "TIME_OUT_REMOTE_CODE": 0}
