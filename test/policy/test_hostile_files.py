"""A policy's or SAE's folder from a stranger: nothing in it runs, nothing outside it changes."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from vla_sae_ros import cli
from vla_sae_ros.core.catalogue import CATALOGUE_FILE, Catalogue
from vla_sae_ros.core.errors import ConfigurationError, SteeringRefused
from vla_sae_ros.core.steering import parse_preset
from vla_sae_ros.core.user_notes import write_note
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.sae import SaeBundle

WEIGHTS = "model.safetensors"


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = str(mark)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self._mark,)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What is there if something ran."""
    return tmp_path / "it ran"


@pytest.fixture
def policy(tiny_policy_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny policy's folder."""
    shutil.copytree(tiny_policy_folder.parent, tmp_path / "tiny")
    return tmp_path / "tiny" / tiny_policy_folder.name


def test_the_trap_works(mark: Path) -> None:
    pickle.loads(pickle.dumps(Trap(mark)))
    assert mark.exists()


@pytest.mark.parametrize("name", [WEIGHTS, "pytorch_model.bin", "model.pt"])
def test_weights_that_are_a_pickle_are_refused_and_not_unpickled(
    policy: Path, mark: Path, name: str
) -> None:
    (policy / WEIGHTS).unlink()
    (policy / name).write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(ConfigurationError):
        load_policy(policy)
    assert not mark.exists()


@pytest.mark.parametrize("inside", ["", "vlm"])
def test_code_beside_a_configuration_is_never_imported(
    policy: Path, mark: Path, inside: str
) -> None:
    folder = policy / inside if (policy / inside).is_dir() else policy.parent / inside
    code = f"import os\nos.mkdir({str(mark)!r})\nclass Anything: pass\n"
    (folder / "modeling_trap.py").write_text(code)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["auto_map"] = {
        "AutoConfig": "modeling_trap.Anything",
        "AutoModelForImageTextToText": "modeling_trap.Anything",
    }
    config["trust_remote_code"] = True
    path.write_text(json.dumps(config))
    try:
        load_policy(policy)  # it may be loaded without the code, or refused
    except ConfigurationError as refusal:
        assert str(refusal)
    assert not mark.exists()


@pytest.fixture
def bundle(loaded: LoadedPolicy, make_bundle: Callable[..., SaeBundle], tmp_path: Path) -> Path:
    make_bundle(loaded, "expert.1").save(tmp_path / "sae")
    return tmp_path / "sae"


def test_an_saes_weights_that_are_a_pickle_are_refused_and_not_unpickled(
    bundle: Path, mark: Path
) -> None:
    (weights,) = bundle.glob("*.safetensors")
    weights.write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(ConfigurationError, match="safetensors"):
        SaeBundle.load(bundle)
    assert not mark.exists()


def test_notes_written_into_a_bundle_change_nothing_that_a_link_in_it_points_to(
    bundle: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "somebody else's.json"
    (bundle / CATALOGUE_FILE).rename(outside)
    (bundle / CATALOGUE_FILE).symlink_to(outside)
    before = outside.read_bytes()
    write_note("expert.1", SaeBundle.load(bundle).bundle_id, 3, "a label", "")
    assert cli.main(["notes", "--into", str(bundle)]) == 0
    assert outside.read_bytes() == before
    entry = Catalogue.load(bundle / CATALOGUE_FILE).get(3)
    assert entry is not None and entry.label == "a label"


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir [{}]", "!!python/name:os.system"])
def test_a_preset_with_tags_of_python_is_refused_and_runs_nothing(mark: Path, tag: str) -> None:
    text = f"format: 1\nname: {tag.format(mark)}\nedits: []\n"
    with pytest.raises(SteeringRefused):
        parse_preset(text)
    assert not mark.exists()
