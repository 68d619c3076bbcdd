"""Loading a policy: lerobot's folders with lerobot, OpenVLA's in an environment that has none."""

from __future__ import annotations

from pathlib import Path

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.folders import require_policy
from vla_sae_ros.policy.checkpoints.hub import policy_folder
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.checkpoints.openvla_folder import is_openvla, load_openvla
from vla_sae_ros.policy.load_options import DEFAULT_OPTIONS, LoadOptions


def load_policy(
    folder: Path | str,
    device: str = "cpu",
    options: LoadOptions = DEFAULT_OPTIONS,
    float32_on_cpu: bool = True,
) -> LoadedPolicy:
    """Load a policy from a folder or, by "owner/name", from the hub.

    Args:
        folder: as lerobot or OpenVLA's training saves it.
        device: torch's.
        options: whether its code may run, and OpenVLA's data set.
        float32_on_cpu: on a CPU lerobot's policies compute in float32, whatever their configuration
            says. OpenVLA always does there.

    Raises:
        ConfigurationError: in plain words, when the folder, one of its files, the policy's type or
            the backbone is missing or cannot be read, when no adapter reads this type, or when this
            Python's packages are those of another policy.
    """
    name, folder = str(folder), policy_folder(folder, options.trust_remote_code)
    if is_openvla(folder):
        return load_openvla(folder, device, options.unnorm_key, options.trust_remote_code)
    if options.unnorm_key:
        raise ConfigurationError(
            complaint("unnorm_key of a policy that is not OpenVLA", options.unnorm_key, "none")
        )
    require_policy(folder)
    try:
        from vla_sae_ros.policy import lerobot_loading  # not in OpenVLA's environment
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "lerobot":
            raise
        raise ConfigurationError(
            f"{name} is loaded with lerobot, which is not installed for this Python. Only OpenVLA "
            "is loaded without it. Use the Python that has lerobot: .venv/bin/vla-sae after make "
            "setup."
        ) from error
    return lerobot_loading.load_lerobot(
        name, folder, device, options.trust_remote_code, float32_on_cpu
    )
