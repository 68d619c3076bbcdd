"""The keys of a SAELens cfg.json: which change a code, which do not, what the old ones meant."""

from __future__ import annotations

from typing import Any

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae.files import field
from vla_sae_ros.sae.kinds.saving import CONFIG_FILE, LISTED

_HONOURED = {
    "architecture",
    "d_in",
    "d_sae",
    "dtype",
    "k",
    "apply_b_dec_to_input",
    "normalize_activations",
    "reshape_activations",
    "rescale_acts_by_decoder_norm",
    "activation_fn",
    "activation_fn_str",
    "activation_fn_kwargs",
    "finetuning_scaling_factor",
    "hook_head_index",
    LISTED,
}
_ORIGIN = """
metadata device model_name model_class_name model_from_pretrained_kwargs hook_name hook_point
hook_eval hook_layer hook_point_layer prepend_bos dataset_path dataset_trust_remote_code
streaming is_dataset_tokenized context_size seqpos_slice exclude_special_tokens sae_lens_version
sae_lens_training_version neuronpedia_id use_cached_activations cached_activations_path
act_store_device seed autocast autocast_lm expansion_factor from_pretrained_path
model_batch_size n_batches_in_buffer store_batch_size_prompts
"""  # where it was made, and on what
_TRAINING = """
training_tokens finetuning_tokens train_batch_size_tokens lr lr_scheduler_name lr_warm_up_steps
lr_decay_steps lr_end n_restart_cycles adam_beta1 adam_beta2 lp_norm l0_coefficient
l0_warm_up_steps l1_coefficient l1_warm_up_steps mse_loss_normalization use_ghost_grads
noise_density normalize_sae_decoder decoder_init_norm decoder_orthogonal_init
decoder_heuristic_init decoder_heuristic_init_norm init_encoder_as_decoder_transpose
b_dec_init_method scale_sparsity_penalty_by_decoder_norm jumprelu_init_threshold
jumprelu_bandwidth jumprelu_sparsity_loss_mode jumprelu_tanh_scale pre_act_loss_coefficient
aux_loss_coefficient topk_threshold_lr use_sparse_activations matryoshka_widths
use_matryoshka_aux_loss detach_matryoshka_losses feature_sampling_window dead_feature_window
dead_feature_threshold finetuning_method n_eval_batches eval_batch_size_prompts
eval_every_n_wandb_logs log_to_wandb wandb_project wandb_id wandb_entity wandb_log_frequency
run_name checkpoint_path n_checkpoints verbose resume
"""  # how it was trained
_OF_NO_CODE = {*_ORIGIN.split(), *_TRAINING.split()}


def without_nulls(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration without keys that say nothing."""
    return {key: value for key, value in config.items() if value is not None}


def check_keys(config: dict[str, Any]) -> None:
    """Refuse what would change a code and is not done here, and keys that nobody knows.

    Raises:
        ConfigurationError: naming the key.
    """
    if config.get("finetuning_scaling_factor"):
        raise ConfigurationError(
            complaint(
                f"finetuning_scaling_factor in {CONFIG_FILE}",
                config["finetuning_scaling_factor"],
                "false",
                "Save it with SAELens 6.",
            )
        )
    if "hook_head_index" in config:
        raise ConfigurationError(
            complaint(
                f"hook_head_index in {CONFIG_FILE}",
                config["hook_head_index"],
                "none: an SAE of one attention head does not read the residual stream",
            )
        )
    unknown = sorted(
        key
        for key, value in config.items()
        if key not in _HONOURED | _OF_NO_CODE and value is not False and value not in ("", [], {})
    )
    if unknown:
        raise ConfigurationError(
            complaint(
                f"unknown keys of {CONFIG_FILE}, which may change codes",
                {key: config[key] for key in unknown},
                ", ".join(sorted(_HONOURED)),
                "If a key changes no code, remove it from the file.",
            )
        )


def settle_activation(config: dict[str, Any]) -> None:
    """Put what SAELens before 6 said in activation_fn into `architecture` and `k`, in place.

    Raises:
        ConfigurationError: an activation that this package does not do.
    """
    name = config.get("activation_fn_str", config.get("activation_fn"))
    kwargs = field(config, "activation_fn_kwargs", dict, CONFIG_FILE, default={})
    if name is not None:
        config.setdefault("architecture", "standard")  # the only one before there was the key
    architecture = config.get("architecture")
    if architecture == "topk" and name in (None, "topk", "relu"):
        if "k" in kwargs and config.setdefault("k", kwargs["k"]) != kwargs["k"]:
            said = f"k {config['k']} and activation_fn_kwargs {kwargs}"
            raise ConfigurationError(complaint(f"k in {CONFIG_FILE}", said, "the same"))
        return
    if architecture == "standard" and name == "topk":
        config["architecture"], config["k"] = "topk", kwargs.get("k")
        return
    if name not in (None, "relu") or kwargs:
        raise ConfigurationError(
            complaint(
                f"activation_fn_str of a {architecture} SAE in {CONFIG_FILE}",
                f"{name} {kwargs}" if kwargs else name,
                "relu, or topk with its k",
            )
        )
