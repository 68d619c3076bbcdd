"""Which export is served, and which is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.export.writing import Source, write_export
from vla_sae_ros.policy.onnx.description import Description, exported_folder
from vla_sae_ros.policy.onnx.engine import OnnxEngine
from vla_sae_ros.sae import SaeBundle


def test_a_policy_that_was_not_exported_is_refused_with_the_command(
    tiny_policy_folder: Path,
) -> None:
    with pytest.raises(ConfigurationError, match=f"vla-sae export {tiny_policy_folder}"):
        OnnxEngine(tiny_policy_folder)


def test_an_export_inside_the_policys_folder_is_found_and_checked_against_its_weights(
    tiny_policy_folder: Path, export_folder: Path, tmp_path: Path
) -> None:
    policy = tmp_path / "policy"
    shutil.copytree(tiny_policy_folder, policy)
    shutil.copytree(export_folder, policy / "onnx")
    assert exported_folder(policy) == policy / "onnx"
    with (policy / "model.safetensors").open("ab") as stream:
        stream.write(b"x")
    policy_id = Description.load(export_folder).policy_id
    with pytest.raises(ConfigurationError, match=policy_id):
        exported_folder(policy)


def test_bundles_that_were_not_exported_are_refused_by_name(
    export_folder: Path, bundle_folders: list[Path], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(bundle_folders[1], other)
    with (other / "sae_weights.safetensors").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(ConfigurationError, match=r"other.*not given: expert\.0"):
        OnnxEngine(export_folder, [bundle_folders[0], other])
    with pytest.raises(ConfigurationError, match=r"not given: backbone\.1"):
        OnnxEngine(export_folder, bundle_folders[1:])
    with pytest.raises(ConfigurationError, match="not an SAE bundle"):
        OnnxEngine(export_folder, [tmp_path])


def test_a_description_that_is_damaged_or_of_another_release_is_refused(
    export_folder: Path, tmp_path: Path
) -> None:
    content = json.loads((export_folder / "exported.json").read_text())
    path = tmp_path / "exported.json"
    for text, said in (
        ("{", "cannot be read"),
        ("[]", "format"),
        (json.dumps(content | {"format": 99}), "format"),
        (json.dumps({name: content[name] for name in content if name != "prompt"}), "damaged"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigurationError, match=said):
            Description.load(tmp_path)


def test_a_folder_that_exists_is_never_overwritten(
    loaded: LoadedPolicy, export_folder: Path
) -> None:
    with pytest.raises(ConfigurationError, match="exists already"):
        write_export(Source(loaded, (), ()), export_folder)


@pytest.mark.parametrize("name", ["pi0_fast", "groot", "xvla"])
def test_another_family_is_refused_by_name(loaded: LoadedPolicy, tmp_path: Path, name: str) -> None:
    fake_policy: Any = SimpleNamespace(name=name)
    other = dataclasses.replace(loaded, policy=fake_policy)
    with pytest.raises(ConfigurationError, match=f"type of the policy to export: got '{name}'"):
        write_export(Source(other, (), ()), tmp_path / "onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_of_another_policy_is_refused_and_nothing_is_left(
    loaded: LoadedPolicy, bundle_folders: list[Path], tmp_path: Path, make_bundle: object
) -> None:
    bundle: SaeBundle = make_bundle(loaded, "expert.0", policy_id="another")  # type: ignore[operator]
    with pytest.raises(ConfigurationError, match="policy id"):
        write_export(Source(loaded, (bundle,), (bundle_folders[1],)), tmp_path / "onnx")
    assert list(tmp_path.iterdir()) == []
