"""Every key of a SAELens configuration is honoured, known to change no code, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sae import load

WIDTH, SIZE = 6, 16
OLD = {"activation_fn_str": "relu", "activation_fn_kwargs": {}, "prepend_bos": True}


def stored(folder: Path, threshold: torch.Tensor | None = None, **config: object) -> dict:
    generator = torch.Generator().manual_seed(0)
    weights = {
        "W_enc": torch.randn(WIDTH, SIZE, generator=generator),
        "b_enc": torch.randn(SIZE, generator=generator),
        "W_dec": torch.randn(SIZE, WIDTH, generator=generator),
        "b_dec": torch.randn(WIDTH, generator=generator),
    }
    saved = {
        name: one.to(getattr(torch, config.get("dtype", "float32")))
        for name, one in weights.items()
    }
    if threshold is not None:
        saved["threshold"] = threshold
    save_file(saved, folder / "sae_weights.safetensors")
    base = {"architecture": "standard", "d_in": WIDTH, "d_sae": SIZE, "dtype": "float32"}
    (folder / "cfg.json").write_text(json.dumps(base | config))
    return {name: one.float() for name, one in saved.items()}


def hidden(weights: dict, x: torch.Tensor) -> torch.Tensor:
    return (x - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"]


@pytest.mark.parametrize("architecture", ["standard", "topk", None])
def test_an_old_top_k_activation_keeps_k_features(tmp_path: Path, architecture) -> None:
    config = {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 3}}
    weights = stored(tmp_path, architecture=architecture, **config)
    x = torch.randn(9, WIDTH)
    value, index = hidden(weights, x).topk(3, dim=-1)
    expected = torch.zeros(9, SIZE).scatter(-1, index, value.relu())
    torch.testing.assert_close(load(tmp_path).encode(x), expected)


def test_keys_that_say_nothing_pass(tmp_path: Path) -> None:
    nothing = dict.fromkeys(["activation_fn_str", "hook_head_index", "dtype", "no_such_key"])
    weights = stored(tmp_path)
    config = json.loads((tmp_path / "cfg.json").read_text())
    more = {**OLD, "finetuning_scaling_factor": False, "l1_coefficient": 5.0, "another": False}
    (tmp_path / "cfg.json").write_text(json.dumps(config | more | nothing))
    x = torch.randn(9, WIDTH)
    torch.testing.assert_close(load(tmp_path).encode(x), hidden(weights, x).relu())


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"activation_fn_str": "tanh-relu"}, "tanh-relu"),
        ({"activation_fn_str": "topk"}, "k in cfg.json"),
        ({"activation_fn_kwargs": {"k": 4}}, "activation_fn_str"),
        ({"finetuning_scaling_factor": True}, "finetuning_scaling_factor"),
        ({"hook_head_index": 3}, "hook_head_index"),
        ({"scale_codes_by": 2.0}, "scale_codes_by"),
        ({"scale_codes_by": 0}, "scale_codes_by"),
        ({"scale_codes_by": 0.0}, "scale_codes_by"),
        (
            {
                "architecture": "topk",
                "k": 4,
                "activation_fn_str": "topk",
                "activation_fn_kwargs": {"k": 3},
            },
            "k in cfg.json: got .*4.*3",
        ),
    ],
)
def test_a_key_that_would_change_a_code_is_refused_by_name(tmp_path, config, said) -> None:
    stored(tmp_path, **config)
    with pytest.raises(ConfigurationError, match=said):
        load(tmp_path)


def test_a_half_precision_file_may_keep_its_threshold_in_float32(tmp_path: Path) -> None:
    threshold = torch.full((SIZE,), 0.4)
    weights = stored(tmp_path, threshold, architecture="jumprelu", dtype="bfloat16")
    x = torch.randn(9, WIDTH)
    before = hidden(weights, x)
    torch.testing.assert_close(load(tmp_path).encode(x), before.relu() * (before > 0.4))


@pytest.mark.parametrize("architecture", ["batchtopk", "matryoshka_batchtopk"])
def test_a_training_s_one_threshold_is_every_feature_s(tmp_path: Path, architecture: str) -> None:
    """SAELens' trainings write these names; what they save to serve is called jumprelu."""
    weights = stored(tmp_path, architecture=architecture, k=4.0)
    saved = load_file(tmp_path / "sae_weights.safetensors")
    save_file(saved | {"topk_threshold": torch.tensor(0.3)}, tmp_path / "sae_weights.safetensors")
    x = torch.randn(9, WIDTH)
    before = hidden(weights, x)
    torch.testing.assert_close(load(tmp_path).encode(x), before.relu() * (before > 0.3))


def test_a_double_precision_file_is_read_to_float32(tmp_path: Path) -> None:
    weights = stored(tmp_path, dtype="float64")
    x = torch.randn(9, WIDTH)
    torch.testing.assert_close(load(tmp_path).encode(x), hidden(weights, x).relu())


@pytest.mark.parametrize("factor", [2, 2.0])
def test_a_scaling_factor_may_be_a_whole_number(tmp_path: Path, factor: float) -> None:
    weights = stored(tmp_path, normalize_activations="expected_average_only_in")
    (tmp_path / "activation_scaler.json").write_text(json.dumps({"scaling_factor": factor}))
    x = torch.randn(9, WIDTH)
    torch.testing.assert_close(load(tmp_path).encode(x), hidden(weights, 2 * x).relu())


@pytest.mark.parametrize("factor", ["2", 0, -1.5, True, None, float("nan"), float("inf")])
def test_a_scaling_factor_that_is_no_number_above_0_is_refused(tmp_path: Path, factor) -> None:
    stored(tmp_path, normalize_activations="expected_average_only_in")
    (tmp_path / "activation_scaler.json").write_text(json.dumps({"scaling_factor": factor}))
    with pytest.raises(ConfigurationError, match="scaling_factor"):
        load(tmp_path)


@pytest.mark.parametrize("file", ["cfg.json", "activation_scaler.json"])
@pytest.mark.parametrize("text", ["[" * 100_000, '{"k": 3, "k": 4}', "{", "[]"])
def test_a_file_that_is_no_plain_object_is_named(tmp_path: Path, file: str, text: str) -> None:
    stored(tmp_path, normalize_activations="expected_average_only_in")
    (tmp_path / file).write_text(text)
    with pytest.raises(ConfigurationError, match=file):
        load(tmp_path)
