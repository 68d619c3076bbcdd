"""The numbers that a checkpoint's weights are stored as."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open

from vla_sae_ros.core.errors import ConfigurationError, complaint

_KNOWN = {"F64", "F32", "F16", "BF16", "I64", "I32", "BOOL"}
"""What safetensors calls floating-point numbers, and those of counters, indices and masks."""


def refuse_quantised(path: Path) -> None:
    """Refuse weights in fewer than 16 bits; reads the file's header alone.

    lerobot would copy them into the policy without the scale that belongs to them.

    Raises:
        ConfigurationError: naming the first such tensor.
        SafetensorError: the file is damaged.
    """
    with safe_open(path, "pt") as file:
        for name in file.keys():  # noqa: SIM118  # no mapping
            kind = file.get_slice(name).get_dtype()
            if kind not in _KNOWN:
                raise ConfigurationError(
                    complaint(
                        f"numbers of {name} in {path}",
                        kind,
                        ", ".join(sorted(_KNOWN)),
                        "Quantised weights are not read. Take the policy as it was trained.",
                    )
                )
