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
from vla_sae_ros.policy.load_options import LoadOptions
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


def changed_steps(policy: Path, name: str, step: dict[str, object]) -> None:
    path = policy / name
    described = json.loads(path.read_text())
    described["steps"].insert(0, step)
    path.write_text(json.dumps(described))


PROCESSORS = ("policy_preprocessor.json", "policy_postprocessor.json")


@pytest.mark.parametrize("name", PROCESSORS)
@pytest.mark.parametrize(
    ("path", "argument"),
    [
        ("os.mkdir", "path"),
        ("pathlib.Path.mkdir", "self"),
        ("lerobot.utils.io_utils.write_json", "fpath"),
        ("lerobot_policy_of_nobody.Step", "path"),
        ("mkdir", "path"),
    ],
)
def test_a_processor_s_step_is_never_called_unless_it_is_one(
    policy: Path, mark: Path, name: str, path: str, argument: str
) -> None:
    """lerobot calls whatever a step names as its class, and looks afterwards."""
    changed_steps(policy, name, {"class": path, "config": {argument: str(mark)}})
    with pytest.raises(ConfigurationError, match=rf"{path}.*could run any command"):
        load_policy(policy)
    assert not mark.exists()


def test_a_step_of_lerobot_s_own_may_be_named_by_its_class(policy: Path) -> None:
    step = {"class": "lerobot.processor.RenameObservationsProcessorStep", "config": {}}
    changed_steps(policy, "policy_preprocessor.json", step)
    assert len(load_policy(policy).preprocessor.steps) > 1


@pytest.mark.parametrize(
    "step", ["a step", {"config": {}}, {"class": 5}, {"registry_name": "to_batch", "config": [1]}]
)
def test_a_step_that_names_nothing_is_refused(policy: Path, step: dict[str, object]) -> None:
    changed_steps(policy, "policy_preprocessor.json", step)
    with pytest.raises(ConfigurationError, match=r"policy_preprocessor\.json"):
        load_policy(policy)


def test_a_state_outside_the_folder_is_refused(policy: Path) -> None:
    step = {"registry_name": "to_batch_processor", "state_file": "../state.safetensors"}
    changed_steps(policy, "policy_preprocessor.json", step)
    with pytest.raises(ConfigurationError, match="state_file of step 0"):
        load_policy(policy)


def write_code(folder: Path, mark: Path) -> None:
    (folder / "evil.py").write_text(f"import os\nos.mkdir({str(mark)!r})\nclass Evil: pass\n")


def test_code_of_an_action_tokenizer_runs_only_where_it_is_trusted(
    policy: Path, mark: Path
) -> None:
    """lerobot loads it with trust_remote_code=True, wherever it is from."""
    fast = policy / "fast"
    fast.mkdir()
    write_code(fast, mark)
    described = {"processor_class": "Evil", "auto_map": {"AutoProcessor": "evil.Evil"}}
    (fast / "processor_config.json").write_text(json.dumps(described))
    config = {"action_tokenizer_name": str(fast), "paligemma_tokenizer_name": str(policy / "vlm")}
    step = {"registry_name": "action_tokenizer_processor", "config": config}
    changed_steps(policy, "policy_preprocessor.json", step)
    with pytest.raises(ConfigurationError, match=r"evil\.py.*not run.*trust_remote_code:=true"):
        load_policy(policy)
    assert not mark.exists()
    with pytest.raises(ConfigurationError):  # there is no Evil.from_pretrained
        load_policy(policy, options=LoadOptions(trust_remote_code=True))
    assert mark.exists()


def test_nobody_is_asked_on_the_terminal_whether_a_tokenizer_s_code_may_run(
    policy: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> str:
        raise AssertionError("asked on the terminal")

    monkeypatch.setattr("builtins.input", asked)
    write_code(policy / "vlm", mark)
    for path in (policy / "vlm").glob("*config.json"):
        content = json.loads(path.read_text())
        content["auto_map"] = {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}
        content["tokenizer_class"] = "Evil"
        path.write_text(json.dumps(content))
    with pytest.raises(ConfigurationError, match="trust_remote_code"):
        load_policy(policy)
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
