"""Loading a lerobot policy with its processors from a folder."""

from __future__ import annotations

import io
import logging
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.utils.import_utils import register_third_party_plugins

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.json_document import parse_json
from vla_sae_ros.policy.checkpoints.checkpoint_files import (
    ACTION_TOKENIZER_STEP,
    CONFIG,
    POSTPROCESSOR,
    PREPROCESSOR,
    TOKENIZER_STEP,
    WEIGHTS,
)
from vla_sae_ros.policy.checkpoints.foreign import refuse_foreign
from vla_sae_ros.policy.checkpoints.hub import is_hub_error, policy_folder
from vla_sae_ros.policy.checkpoints.lean import mapped_weights_let_go, without_random_weights
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.checkpoints.lora import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    base_of,
    is_adapter,
    merged,
)
from vla_sae_ros.policy.checkpoints.pipelines import check_pipelines, steps_of
from vla_sae_ros.policy.checkpoints.policy_id import policy_id_of
from vla_sae_ros.policy.checkpoints.remote_code import HOW_TO_TRUST, code_runs_only_if
from vla_sae_ros.policy.checkpoints.weights import refuse_quantised
from vla_sae_ros.policy.families.registry import FAMILIES, family_of
from vla_sae_ros.policy.log_filter import without_records

FOLDER_FIELDS = ("vlm_model_name", "tokenizer_name", "text_tokenizer_name")
"""Fields of the configuration that may name a folder inside the checkpoint."""
TOKENIZER_FILE = "tokenizer.json"
LOADED_WHOLE = ("smolvla", "pi0", "pi05", "pi0_fast")
"""Types that lerobot refuses, or says NOT_LOADED of, where the file lacks one of their weights."""
NOT_LOADED = "Could not load state dict"
"""What lerobot's pi classes print, where others raise, before they go on with random weights."""
USUAL = "Vision embedding key might need handling"
"""What they warn of at every load before they take the key as it is. A key that does not fit is an
error of its own."""
_log = logging.getLogger(__name__)


def load_lerobot(
    name: str,
    folder: Path,
    device: str,
    trust_remote_code: bool,
    float32_on_cpu: bool,
) -> LoadedPolicy:
    """Load a policy as lerobot saves it; `name` is what the user calls the folder.

    Code that the folder brings or names runs with `trust_remote_code` only. On a CPU a policy
    computes in float32, whatever its configuration says, unless `float32_on_cpu` is False.

    Folders that its files name by a relative path are looked for inside the policy's folder. A
    policy that would compile itself does not, and a warning says so: its taps would not be called.
    Raises ConfigurationError in plain words when one of its files, the policy's type or
    the backbone is missing or cannot be read, or when no adapter reads this type.
    """
    _require_files(folder)
    policy_type = _policy_type(folder)
    check_pipelines(folder)
    try:
        with code_runs_only_if(trust_remote_code):
            config = PreTrainedConfig.from_pretrained(folder)
            config.device = device
            _name_absolutely(folder, config)
            _leave_uncompiled(config, name)
            _leave_out_downloads(config)
            policy = _load_policy(policy_type, folder, config)
            overrides = {"device_processor": {"device": device}} | _own_tokenizer(folder, config)
            preprocessor, postprocessor = make_pre_post_processors(
                config, pretrained_path=str(folder), preprocessor_overrides=overrides
            )
    except ConfigurationError:
        raise
    except Exception as error:  # lerobot raises anything from KeyError to SafetensorError
        raise _not_loaded(policy_type, name, error) from error
    policy.eval()
    if float32_on_cpu and torch.device(device).type == "cpu":
        policy.float()
    return LoadedPolicy(
        policy,
        preprocessor,
        postprocessor,
        f"{policy_type} from {Path(name).resolve().name}",
        _content_id(folder),
        config,
    )


def _leave_uncompiled(config: PreTrainedConfig, name: str) -> None:
    if getattr(config, "compile_model", False):
        config.compile_model = False
        _log.warning(
            "%s sets compile_model: true, but a graph of torch.compile calls no taps. It is "
            "loaded as with compile_model: false, and infers more slowly. The policy node compiles "
            "it with its taps if its parameter is compile:=always.",
            name,
        )


def _leave_out_downloads(config: PreTrainedConfig) -> None:
    """Keep lerobot from fetching weights for a vision backbone that the checkpoint replaces."""
    if getattr(config, "pretrained_backbone_weights", None) is not None:
        config.pretrained_backbone_weights = None


def _load_policy(policy_type: str, folder: Path, config: PreTrainedConfig) -> PreTrainedPolicy:
    if not is_adapter(folder):
        return _load_weights(policy_type, folder, config)
    return merged(_load_weights(policy_type, policy_folder(base_of(folder)), config), folder)


def _content_id(folder: Path) -> str:
    if not is_adapter(folder):
        return policy_id_of(folder)
    return policy_id_of(folder / ADAPTER_WEIGHTS, policy_folder(base_of(folder)))


def _load_weights(policy_type: str, folder: Path, config: PreTrainedConfig) -> PreTrainedPolicy:
    refuse_quantised(folder / WEIGHTS)
    said = io.StringIO()
    drawn_for_nothing = without_random_weights() if policy_type in LOADED_WHOLE else nullcontext()
    with (
        family_of(policy_type).as_saved(policy_type, folder),
        redirect_stdout(said),
        drawn_for_nothing,
        mapped_weights_let_go(),
        without_records(None, USUAL),  # lerobot logs it with the root logger
    ):
        policy: PreTrainedPolicy = get_policy_class(policy_type).from_pretrained(
            folder, config=config, strict=True
        )
    if NOT_LOADED in said.getvalue():
        raise RuntimeError(said.getvalue().partition(NOT_LOADED)[2].lstrip(": ").strip())
    return policy


def _not_loaded(policy_type: str, name: str, error: Exception) -> ConfigurationError:
    if (refusal := _refusal_within(error)) is not None:
        return ConfigurationError(f"The {policy_type} policy in {name} was not loaded: {refusal}")
    next_step = "Save it again with the lerobot release that this package pins, or name another."
    if is_hub_error(error):
        next_step = (
            "It needs files from the Hugging Face hub that are not on this machine: run this once "
            "with a network and without HF_HUB_OFFLINE, or copy the hub's cache here."
        )
    elif "trust_remote_code" in str(error):
        next_step = HOW_TO_TRUST
    return ConfigurationError(
        f"The {policy_type} policy in {name} could not be loaded: "
        f"{type(error).__name__}: {error}. {next_step}"
    )


def _refusal_within(error: BaseException | None) -> ConfigurationError | None:
    """Return this package's own refusal, where lerobot wrapped it into an error of its own."""
    while error is not None and not isinstance(error, ConfigurationError):
        error = error.__cause__ or error.__context__
    return error


def _require_files(folder: Path) -> None:
    refuse_foreign(folder)
    if is_adapter(folder):
        _require_base(folder)
    for name in (CONFIG, ADAPTER_WEIGHTS if is_adapter(folder) else WEIGHTS):
        if not (folder / name).is_file():
            raise ConfigurationError(
                f"{folder} is not a lerobot checkpoint: {name} is missing. If this is a training "
                "output, name its pretrained_model folder."
            )
    missing = [name for name in (PREPROCESSOR, POSTPROCESSOR) if not (folder / name).is_file()]
    if missing:
        raise ConfigurationError(
            f"{folder} has no {' and no '.join(missing)}: checkpoints written before lerobot 0.4 "
            "keep their normalisation inside the weights. Convert the checkpoint with lerobot's "
            "own migration first (python -m "
            "lerobot.processor.migrate_policy_normalization --pretrained-path <folder>)."
        )


def _require_base(folder: Path) -> None:
    base = policy_folder(base_of(folder))
    if not (base / WEIGHTS).is_file():
        raise ConfigurationError(
            f"{folder} is a LoRA adapter of {base}, where there is no {WEIGHTS}. Copy the base "
            f"policy there, or name it in {folder / ADAPTER_CONFIG}."
        )


def _policy_type(folder: Path) -> str:
    try:
        config = parse_json((folder / CONFIG).read_text(encoding="utf-8"))
        policy_type = config["type"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{folder / CONFIG} is not a policy configuration ({type(error).__name__}: {error}); "
            'it must be JSON with a field "type" such as "smolvla".'
        ) from error
    if not isinstance(policy_type, str) or policy_type not in FAMILIES:
        known = _types_of_plugins()
        if policy_type not in known:
            raise ConfigurationError(
                complaint(
                    f"{folder / CONFIG} names an unknown policy type",
                    policy_type,
                    ", ".join(sorted({*FAMILIES, *known})),
                    "If a plugin (lerobot_policy_*) provides it, install the plugin in this "
                    "environment.",
                )
            )
    return str(policy_type)


def _types_of_plugins() -> list[str]:
    """Return every policy type of lerobot's and of the plugins that are installed."""
    register_third_party_plugins()
    return list(PreTrainedConfig.get_known_choices())


def _name_absolutely(folder: Path, config: PreTrainedConfig) -> None:
    """Replace folders inside the checkpoint, in the configuration, by their absolute paths."""
    for field in FOLDER_FIELDS:
        inside = _inside(folder, getattr(config, field, None), f"{field} in {CONFIG}")
        if inside is not None:
            setattr(config, field, str(inside))


def _own_tokenizer(folder: Path, config: PreTrainedConfig) -> dict[str, Any]:
    """Return overrides for the preprocessor where its tokenizer lies inside the checkpoint."""
    overrides: dict[str, Any] = {}
    for step in steps_of(folder / PREPROCESSOR):
        if step.get("registry_name") == TOKENIZER_STEP:
            name = step["config"].get("tokenizer_name")
            inside = _inside(folder, name, f"tokenizer_name in {PREPROCESSOR}")
            if inside is not None:
                overrides[TOKENIZER_STEP] = {"tokenizer_name": str(inside)}
        if step.get("registry_name") == ACTION_TOKENIZER_STEP:
            # lerobot does not save whose words these are, and would fetch PaliGemma's.
            words = getattr(config, "text_tokenizer_name", None)
            overrides[ACTION_TOKENIZER_STEP] = {"paligemma_tokenizer_name": words}
    return overrides


def _inside(folder: Path, name: str | None, field: str) -> Path | None:
    """Return the folder that `name` means inside the checkpoint; None for a hub id or a path."""
    if name is None or Path(name).is_absolute():
        return None
    inside = folder / name
    if not inside.is_dir():
        if "/" in name:
            return None
        raise ConfigurationError(
            f"{field} names {name!r}, but {inside} is not a folder; copy the checkpoint again with "
            "all its files."
        )
    if not (inside / TOKENIZER_FILE).is_file():
        raise ConfigurationError(
            f"The folder {inside} has no {TOKENIZER_FILE}; copy the checkpoint again with all its "
            "files."
        )
    return inside.resolve()
