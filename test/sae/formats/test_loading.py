"""Checkpoints of other libraries, made by them (make_*_fixture.py), and what cannot be loaded."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vla_sae_ros import sae as sae_room
from vla_sae_ros.core.errors import ConfigurationError

FIXTURES = Path(__file__).parent
REFUSED = {
    "sparsify/groupmax": "groupmax",
    "sparsify/transcoder": "transcoder",
    "sparsify/skip": "skip_connection",
    "dictionary_learning/GatedAutoEncoder": "GatedAutoEncoder",
}
LOADED = sorted(
    str(path.parent.relative_to(FIXTURES))
    for path in FIXTURES.glob("*/*/expected.safetensors")
    if str(path.parent.relative_to(FIXTURES)) not in REFUSED
)
D, F, K = 6, 20, 4


@pytest.mark.parametrize("case", LOADED)
def test_codes_are_those_of_the_library_that_wrote_the_checkpoint(case: str) -> None:
    sae = sae_room.load(FIXTURES / case)
    expected = load_file(FIXTURES / case / "expected.safetensors")
    assert (expected["code"] > 0).any()
    torch.testing.assert_close(sae.encode(expected["x"]), expected["code"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        sae.reconstruct(expected["x"]), expected["reconstruction"], atol=1e-4, rtol=1e-5
    )


@pytest.mark.parametrize("case", LOADED)
def test_what_is_saved_again_gives_the_same_codes(case: str, tmp_path: Path) -> None:
    first = sae_room.load(FIXTURES / case)
    first.save(tmp_path)
    second = sae_room.load(tmp_path)
    x = torch.randn(5, first.d_in)
    assert torch.equal(first.encode(x), second.encode(x))
    assert torch.equal(first.reconstruct(x), second.reconstruct(x))


@pytest.mark.parametrize("case", ["topk", "expansion"])
def test_what_is_saved_for_sparsify_is_what_sparsify_wrote(case: str, tmp_path: Path) -> None:
    theirs = FIXTURES / "sparsify" / case
    sae_room.load(theirs).save(tmp_path, "sparsify")
    found = load_file(tmp_path / "sae.safetensors")
    for name, tensor in load_file(theirs / "sae.safetensors").items():
        assert torch.equal(found.pop(name), tensor)
    assert not found
    config, known = (json.loads((one / "cfg.json").read_text()) for one in (tmp_path, theirs))
    assert config.pop("num_latents") == sae_room.load(theirs).dictionary_size
    assert config.items() <= known.items()


def test_what_sparsify_cannot_do_is_not_saved_for_it(tmp_path: Path) -> None:
    for case, said in (
        ("layer_norm", "layer_norm"),
        ("standard", "standard"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            sae_room.load(FIXTURES / "saelens" / case).save(tmp_path / "out", "sparsify")
    one = sae_room.load(FIXTURES / "saelens" / "plain")
    one.apply_b_dec_to_input = False
    with pytest.raises(ConfigurationError, match="apply_b_dec_to_input"):
        one.save(tmp_path / "out", "sparsify")
    with pytest.raises(ConfigurationError, match="SAELens"):
        one.save(tmp_path / "out", "pickle")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("case", "said"), REFUSED.items())
def test_an_architecture_that_is_not_implemented_is_refused_by_name(case: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        sae_room.load(FIXTURES / case)


def drvla_checkpoint() -> dict[str, object]:
    generator = torch.Generator().manual_seed(7)
    state = {
        "pre_bias": torch.randn(D, generator=generator),
        "encoder.weight": torch.randn(F, D, generator=generator),
        "decoder.weight": torch.randn(D, F, generator=generator),
        "steps_since_activation": torch.zeros(F, dtype=torch.long),
    }
    config = {"input_dim": D, "num_features": F, "k": K, "auxk": 512, "auxk_coef": 1 / 32}
    return {"format": "drvla-sae-v1", "config": config, "state_dict": state}


def top(hidden: np.ndarray) -> np.ndarray:
    """Keep the K largest, negative or not."""
    code = np.zeros_like(hidden)
    kept = np.argsort(-hidden)[:K]
    code[kept] = hidden[kept]
    return code


def test_a_drvla_checkpoint_follows_the_papers_formulas(tmp_path: Path) -> None:
    checkpoint = drvla_checkpoint()
    torch.save(checkpoint, tmp_path / "sae.pt")
    sae = sae_room.load(tmp_path)
    state = {name: one.numpy().astype(np.float64) for name, one in checkpoint["state_dict"].items()}
    x = np.random.default_rng(1).standard_normal(D) * 30 + 5
    x_c = x - state["pre_bias"]
    norm = np.linalg.norm(x_c - x_c.mean())
    code = np.maximum(top(state["encoder.weight"] @ ((x_c - x_c.mean()) / norm)), 0.0)
    x_hat = state["decoder.weight"] @ code * norm + x_c.mean() + state["pre_bias"]
    given = torch.from_numpy(x).float()
    np.testing.assert_allclose(sae.encode(given).numpy(), code, atol=1e-5)
    np.testing.assert_allclose(sae.reconstruct(given).numpy(), x_hat, atol=1e-3)
    sae.save(tmp_path / "again")
    assert torch.equal(sae_room.load(tmp_path / "again").encode(given), sae.encode(given))


def action_atlas_checkpoint() -> dict[str, object]:
    generator = torch.Generator().manual_seed(8)
    state = {
        "encoder.weight": torch.randn(F, D, generator=generator),
        "encoder.bias": torch.randn(F, generator=generator),
        "decoder.weight": torch.randn(D, F, generator=generator),
        "decoder.bias": torch.randn(D, generator=generator),
    }
    return {
        "sae_state_dict": state,
        "activation_mean": torch.randn(D, generator=generator),
        "activation_std": torch.rand(D, generator=generator) + 0.5,
        "config": {"input_dim": D, "hidden_dim": F, "k": K, "expansion": 3.3},
        "history": [{"epoch": 0, "loss": 0.1}],
    }


def test_an_action_atlas_checkpoint_needs_a_word_about_its_negative_codes(tmp_path: Path) -> None:
    checkpoint = action_atlas_checkpoint()
    torch.save(checkpoint, tmp_path / "sae_best.pt")
    with pytest.raises(ConfigurationError, match=r"Action Atlas.*negative.*drop_negative_codes"):
        sae_room.load(tmp_path)
    sae = sae_room.load(tmp_path, drop_negative_codes=True)
    numbers = {name: one.numpy() for name, one in checkpoint["sae_state_dict"].items()}
    mean, deviation = (
        checkpoint[key].numpy().astype(np.float64) for key in ("activation_mean", "activation_std")
    )
    x = np.random.default_rng(1).standard_normal(D) * 2 + mean
    hidden = numbers["encoder.weight"] @ ((x - mean) / deviation) + numbers["encoder.bias"]
    code = np.maximum(top(hidden), 0.0)
    x_hat = (numbers["decoder.weight"] @ code + numbers["decoder.bias"]) * deviation + mean
    given = torch.from_numpy(x).float()
    np.testing.assert_allclose(sae.encode(given).numpy(), code, atol=1e-5)
    np.testing.assert_allclose(sae.reconstruct(given).numpy(), x_hat, atol=1e-4)


class Bomb:
    """What an attacker would put into a .pt file."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (os.environ["BOMB"],)


PT_FILES = {"ae.pt": "dictionary_learning/AutoEncoderTopK", "sae.pt": None, "sae_best.pt": None}


@pytest.fixture(params=PT_FILES)
def pt_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A good folder of each format that is a pickle; returns its weights file."""
    folder = tmp_path / "sae"
    source = PT_FILES[request.param]
    if source is not None:
        shutil.copytree(FIXTURES / source, folder)
        return folder / request.param
    folder.mkdir()
    checkpoint = drvla_checkpoint() if request.param == "sae.pt" else action_atlas_checkpoint()
    torch.save(checkpoint, folder / request.param)
    return folder / request.param


def test_a_file_that_would_run_code_is_refused_and_does_not(
    pt_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOMB", str(tmp_path / "bomb"))
    torch.save({"state_dict": Bomb()}, pt_file)
    with pytest.raises(ConfigurationError, match=rf"{pt_file.name} was not loaded.*run code"):
        sae_room.load(pt_file.parent, drop_negative_codes=True)
    assert not (tmp_path / "bomb").exists()


def test_a_truncated_file_is_named(pt_file: Path) -> None:
    whole = pt_file.read_bytes()
    for length in (0, 20, len(whole) // 2, len(whole) - 40):
        pt_file.write_bytes(whole[:length])
        with pytest.raises(ConfigurationError, match=f"{pt_file.name} was not loaded"):
            sae_room.load(pt_file.parent, drop_negative_codes=True)


def test_wrong_contents_are_named(pt_file: Path) -> None:
    good = torch.load(pt_file, weights_only=True)
    contents = {
        "no dictionary": [torch.zeros(2)],
        "a number for a tensor": {name: 3.0 for name in good},
        "nothing": {},
    }
    for content in contents.values():
        torch.save(content, pt_file)
        with pytest.raises(ConfigurationError, match=pt_file.name):
            sae_room.load(pt_file.parent, drop_negative_codes=True)


def change_tensor(path: Path, name: str, value: torch.Tensor) -> None:
    content = torch.load(path, weights_only=True)
    for key in ("state_dict", "sae_state_dict"):
        if key in content:
            content[key][name] = value
            break
    else:
        content[name] = value
    torch.save(content, path)


def test_nan_and_wrong_shapes_are_refused_by_tensor(pt_file: Path) -> None:
    before = pt_file.read_bytes()
    d_in = sae_room.load(pt_file.parent, drop_negative_codes=True).d_in
    size = sae_room.load(pt_file.parent, drop_negative_codes=True).dictionary_size
    change_tensor(pt_file, "decoder.weight", torch.full((d_in, size), torch.nan))
    with pytest.raises(ConfigurationError, match=r"NaN.*W_dec"):
        sae_room.load(pt_file.parent, drop_negative_codes=True)
    pt_file.write_bytes(before)
    change_tensor(pt_file, "decoder.weight", torch.zeros(size, d_in))
    with pytest.raises(ConfigurationError, match=r"shape of decoder\.weight"):
        sae_room.load(pt_file.parent, drop_negative_codes=True)
    pt_file.write_bytes(before)
    change_tensor(pt_file, "rotation", torch.zeros(2))
    with pytest.raises(ConfigurationError, match="rotation"):
        sae_room.load(pt_file.parent, drop_negative_codes=True)


KINDS = {
    "int8": lambda one: one.to(torch.int8),
    "bool": lambda one: one > 0,
    "complex64": lambda one: one.to(torch.complex64),
    "sparse_coo": lambda one: one.to_sparse(),
    "meta": lambda one: one.to("meta"),
    "qint8": lambda one: torch.quantize_per_tensor(one, 0.1, 0, torch.qint8),
}


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_that_float32_would_not_keep_are_refused_by_tensor(
    pt_file: Path, kind: str
) -> None:
    sae = sae_room.load(pt_file.parent, drop_negative_codes=True)
    change_tensor(pt_file, "decoder.weight", KINDS[kind](torch.ones(sae.d_in, sae.dictionary_size)))
    with pytest.raises(ConfigurationError, match=rf"numbers of decoder\.weight.*{kind}"):
        sae_room.load(pt_file.parent, drop_negative_codes=True)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_every_floating_point_format_is_read_to_float32(pt_file: Path, kind: torch.dtype) -> None:
    before = sae_room.load(pt_file.parent, drop_negative_codes=True)
    weight = torch.randn(before.d_in, before.dictionary_size).to(kind)
    change_tensor(pt_file, "decoder.weight", weight)
    after = sae_room.load(pt_file.parent, drop_negative_codes=True)
    assert after.W_dec.dtype is torch.float32


@pytest.mark.parametrize("k", [4.5, float("nan"), 5])
def test_a_dictionary_s_k_is_the_whole_number_of_its_configuration(
    tmp_path: Path, k: float
) -> None:
    shutil.copytree(FIXTURES / "dictionary_learning/AutoEncoderTopK", tmp_path / "sae")
    change_tensor(tmp_path / "sae/ae.pt", "k", torch.tensor(k))
    with pytest.raises(ConfigurationError, match="k in config"):
        sae_room.load(tmp_path / "sae")


@pytest.mark.parametrize("deviation", [-1.0, float("nan"), float("inf")])
def test_a_deviation_that_cannot_be_is_refused_with_its_value(
    tmp_path: Path, deviation: float
) -> None:
    checkpoint = action_atlas_checkpoint()
    checkpoint["activation_std"][2] = deviation
    torch.save(checkpoint, tmp_path / "sae_best.pt")
    with pytest.raises(ConfigurationError, match=f"activation_std.*{deviation}"):
        sae_room.load(tmp_path, drop_negative_codes=True)


@pytest.mark.parametrize(
    ("change", "fine"),
    [
        ({"multi_topk": True}, True),
        ({"another": None}, True),
        ({"another": False}, True),
        ({"scale_codes_by": 2.0}, False),
        ({"hookpoint": "layers.3"}, False),
    ],
)
def test_a_sparsify_key_that_nobody_knows_is_refused_where_it_says_something(
    tmp_path: Path, change: dict[str, object], fine: bool
) -> None:
    shutil.copytree(FIXTURES / "sparsify/topk", tmp_path / "sae")
    path = tmp_path / "sae/cfg.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    if fine:
        assert sae_room.load(tmp_path / "sae").k == 4
        return
    with pytest.raises(ConfigurationError, match=next(iter(change))):
        sae_room.load(tmp_path / "sae")


def test_a_drvla_file_of_another_version_is_refused(tmp_path: Path) -> None:
    torch.save({**drvla_checkpoint(), "format": "drvla-sae-v2"}, tmp_path / "sae.pt")
    with pytest.raises(ConfigurationError, match=r"drvla-sae-v2.*drvla-sae-v1"):
        sae_room.load(tmp_path)


def test_a_batch_topk_without_its_threshold_is_refused(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "dictionary_learning/BatchTopKSAE", tmp_path / "sae")
    change_tensor(tmp_path / "sae/ae.pt", "threshold", torch.tensor(-1.0))
    with pytest.raises(ConfigurationError, match="never measured"):
        sae_room.load(tmp_path / "sae")


def test_a_sparsify_file_with_a_wrong_shape_is_refused(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "sparsify/topk", tmp_path / "sae")
    weights = load_file(tmp_path / "sae/sae.safetensors")
    save_file({**weights, "W_dec": torch.zeros(8, 16)}, tmp_path / "sae/sae.safetensors")
    with pytest.raises(ConfigurationError, match=r"W_dec.*\(8, 16\).*\(16, 8\)"):
        sae_room.load(tmp_path / "sae")
    (tmp_path / "sae/cfg.json").unlink()
    with pytest.raises(ConfigurationError, match=r"cfg\.json"):
        sae_room.load(tmp_path / "sae")


def test_the_format_is_never_guessed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no SAE folder"):
        sae_room.load(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match=r"sae_weights.safetensors .SAELens.*sae.pt"):
        sae_room.load(tmp_path)
    shutil.copytree(FIXTURES / "sparsify/topk", tmp_path / "layer.3")
    with pytest.raises(ConfigurationError, match=r"layer\.3"):
        sae_room.load(tmp_path)
    torch.save(drvla_checkpoint(), tmp_path / "layer.3/sae.pt")
    with pytest.raises(ConfigurationError, match=r"several.*sparsify, Dr\.VLA"):
        sae_room.load(tmp_path / "layer.3")
