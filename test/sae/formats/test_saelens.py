"""SAELens folders: made by SAELens (see make_saelens_fixture.py), by us, and damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vla_sae_ros import sae as sae_room
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sae.kinds.saving import CONFIG_FILE, SAELENS_WEIGHTS
from vla_sae_ros.sae.kinds.topk import TopKSAE

FIXTURES = Path(__file__).parent / "saelens"
CASES = sorted(path.name for path in FIXTURES.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A good folder to damage."""
    shutil.copytree(FIXTURES / "plain", tmp_path / "sae")
    return tmp_path / "sae"


def change_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / CONFIG_FILE).read_text())
    (folder / CONFIG_FILE).write_text(json.dumps({**config, **changes}))


def change_weights(folder: Path, **changes: torch.Tensor | None) -> None:
    weights = {**load_file(folder / SAELENS_WEIGHTS), **changes}
    kept = {name: weight for name, weight in weights.items() if weight is not None}
    save_file(kept, folder / SAELENS_WEIGHTS)


@pytest.mark.parametrize("case", CASES)
def test_a_saved_autoencoder_loads_with_the_same_codes(case: str, tmp_path: Path) -> None:
    first = sae_room.load(FIXTURES / case)
    first.save(tmp_path / "again")
    second = sae_room.load(tmp_path / "again")
    x = torch.randn(5, first.d_in)
    assert torch.equal(first.encode(x), second.encode(x))
    assert torch.equal(first.reconstruct(x), second.reconstruct(x))
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == [
        CONFIG_FILE,
        SAELENS_WEIGHTS,
    ]


def test_half_precision_files_are_read_to_float32(folder: Path) -> None:
    halves = {k: v.to(torch.bfloat16) for k, v in load_file(folder / SAELENS_WEIGHTS).items()}
    change_weights(folder, **halves)
    change_config(folder, dtype="torch.bfloat16")
    sae = sae_room.load(folder)
    assert sae.W_enc.dtype == torch.float32
    assert torch.equal(sae.W_enc, halves["W_enc"].float())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architecture": "jumprelu"}, "threshold"),
        ({"architecture": "gated"}, "gated"),
        ({"architecture": None}, "architecture"),
        ({"normalize_activations": "expected_average_only_in"}, "activation_scaler.json"),
        ({"normalize_activations": "covariance_whitening"}, "covariance_whitening"),
        ({"normalize_activations": 1}, "normalize_activations"),
        ({"reshape_activations": "hook_z"}, "hook_z"),
        ({"dtype": "float64"}, "float64"),
        ({"dtype": "float16"}, "float16"),
        ({"d_in": 9}, r"W_enc.*\(8, 16\).*\(9, 16\)"),
        ({"d_sae": "16"}, "d_sae"),
        ({"k": 17}, "17"),
        ({"k": True}, "k in cfg.json"),
        ({"apply_b_dec_to_input": "yes"}, "apply_b_dec_to_input"),
    ],
)
def test_a_configuration_we_cannot_honour_is_refused(
    folder: Path, changes: dict[str, object], said: str
) -> None:
    change_config(folder, **changes)
    with pytest.raises(ConfigurationError, match=said):
        sae_room.load(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"threshold": torch.zeros(16)}, "threshold"),
        ({"b_enc": None}, "b_enc"),
        ({"W_dec": torch.zeros(8, 16)}, "W_dec"),
        ({"b_dec": torch.full((8,), torch.nan)}, "b_dec"),
        ({"W_enc": torch.full((8, 16), 3e38)}, "largest value in W_enc"),
        ({"W_enc": torch.ones((8, 16), dtype=torch.int8)}, "numbers of W_enc.*int8"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(
    folder: Path, changes: dict[str, torch.Tensor | None], said: str
) -> None:
    change_weights(folder, **changes)
    with pytest.raises(ConfigurationError, match=said):
        sae_room.load(folder)


@pytest.mark.parametrize("name", [CONFIG_FILE, SAELENS_WEIGHTS])
def test_a_missing_or_truncated_file_is_named(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ConfigurationError, match=name):
        sae_room.load(folder)
    path.unlink()
    with pytest.raises(ConfigurationError, match=name):
        sae_room.load(folder)


def test_a_failed_save_leaves_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (folder / SAELENS_WEIGHTS).read_bytes()

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("vla_sae_ros.core.whole_file.os.fsync", fail)
    sae = TopKSAE(torch.ones(8, 16), torch.zeros(16), torch.ones(16, 8), torch.zeros(8), 2)
    with pytest.raises(OSError, match="no space"):
        sae.save(folder)
    assert (folder / SAELENS_WEIGHTS).read_bytes() == before
