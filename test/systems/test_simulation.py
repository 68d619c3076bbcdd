from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.parameters import parameters_of
from vla_sae_ros.core.picture_record import PictureRecord, write_picture_record
from vla_sae_ros.nodes.monitor.parameters import MonitorParameters
from vla_sae_ros.nodes.policy.parameters import PolicyParameters
from vla_sae_ros.nodes.recorder.parameters import RecorderParameters
from vla_sae_ros.nodes.sim.parameters import SimBridgeParameters
from vla_sae_ros.systems.simulation import SIMULATION_ARGUMENTS, System, simulation_system


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """Return a policy folder with one SAE bundle beside it, as in models/demo."""
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    bundle = tmp_path / "sae" / "backbone.1"
    bundle.mkdir(parents=True)
    (bundle / "bundle.yaml").write_text("format: 1")
    return folder


def node(system: System, name: str):
    return next(spec for spec in system.nodes if spec.name == name)


def test_the_simulation_has_policy_bridge_and_recorder(policy: Path) -> None:
    system = simulation_system({"policy": str(policy)})
    assert [spec.name for spec in system.nodes] == ["policy", "bridge", "recorder"]


def test_the_panel_comes_when_it_is_asked_for_and_may_be_closed(policy: Path) -> None:
    system = simulation_system({"policy": str(policy), "panel": "true"})
    assert node(system, "panel").on_exit == "ignore"


def test_bundles_beside_the_policy_are_found(policy: Path) -> None:
    system = simulation_system({"policy": str(policy)})
    bundle = str(policy.parent / "sae" / "backbone.1")
    assert node(system, "policy").parameters["bundles"] == (bundle,)


def test_a_python_of_its_own_is_for_the_policy_node_alone(policy: Path) -> None:
    system = simulation_system({"policy": str(policy), "policy_python": sys.executable})
    assert {spec.name: spec.python for spec in system.nodes} == {
        "policy": sys.executable,
        "bridge": "",
        "recorder": "",
    }


def test_without_a_bundle_the_parameter_is_left_out(policy: Path, tmp_path: Path) -> None:
    (tmp_path / "sae" / "backbone.1" / "bundle.yaml").unlink()
    system = simulation_system({"policy": str(policy)})
    assert "bundles" not in node(system, "policy").parameters


def test_the_task_reaches_the_bridge_typed(policy: Path) -> None:
    given = {"policy": str(policy), "suite": "libero_goal", "task": "3", "seed": "7"}
    parameters = node(simulation_system(given), "bridge").parameters
    assert (parameters["suite"], parameters["task"], parameters["seed"]) == ("libero_goal", 3, 7)


def test_folders_are_absolute(policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(policy.parent)
    system = simulation_system({"policy": "policy"})
    assert node(system, "policy").parameters["policy"] == str(policy)
    assert Path(str(node(system, "recorder").parameters["output_folder"])).is_absolute()


def test_a_bag_from_the_start_may_have_pictures(policy: Path) -> None:
    given = {"policy": str(policy), "record": "true", "images": "true", "image_compression": "png"}
    parameters = node(simulation_system(given), "recorder").parameters
    assert parameters["record_on_start"] and parameters["record_images"]
    assert parameters["image_compression"] == "png"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"policy": "/no/such/folder"}, "a folder that contains config.json"),
        ({"bundles": "/no/such/folder"}, "a folder that contains bundle.yaml"),
        ({"namespace": "two words"}, "names of letters"),
        ({"namespace": "1st"}, "names of letters"),
        ({"suit": "libero_goal"}, "Did you mean 'suite'"),
    ],
)
def test_a_wrong_argument_is_refused(policy: Path, given: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        simulation_system({"policy": str(policy), **given})


def test_a_namespace_is_taken_with_or_without_its_slash(policy: Path) -> None:
    for given in ("left/arm", "/left/arm"):
        system = simulation_system({"policy": str(policy), "namespace": given})
        assert system.namespace == "left/arm"


@pytest.fixture
def monitor(tmp_path: Path) -> Path:
    """A folder that looks like a monitor's from outside."""
    folder = tmp_path / "monitor"
    folder.mkdir()
    (folder / "monitor.yaml").touch()
    return folder


@pytest.mark.parametrize("name", ["policy", "bridge", "recorder", "panel", "markers", "monitor"])
def test_every_executable_exists_as_module_and_script(
    policy: Path, monitor: Path, name: str
) -> None:
    given = {"policy": str(policy), "panel": True, "markers": True, "monitor": str(monitor)}
    spec = node(simulation_system(given), name)
    assert importlib.util.find_spec(spec.module) is not None
    script = Path(__file__).parents[2] / "scripts" / spec.executable
    assert f"from {spec.module} import main" in script.read_text()
    assert script.stat().st_mode & 0o111


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("policy", PolicyParameters),
        ("bridge", SimBridgeParameters),
        ("recorder", RecorderParameters),
        ("monitor", MonitorParameters),
    ],
)
def test_every_parameter_is_one_that_its_node_declares(
    policy: Path, monitor: Path, name: str, kind: type
) -> None:
    declared = {parameter.name: parameter for parameter in parameters_of(kind)}
    spec = node(simulation_system({"policy": str(policy), "monitor": str(monitor)}), name)
    for parameter, value in spec.parameters.items():
        assert type(value) is type(declared[parameter].default), parameter
        assert not declared[parameter].objection(value)


def test_a_monitor_is_told_what_to_do_and_the_policy_what_it_needs(
    policy: Path, monitor: Path, tmp_path: Path
) -> None:
    given = {"policy": str(policy), "monitor": str(monitor), "on_alarm": "bypass"}
    system = simulation_system(given)
    assert node(system, "monitor").parameters == {"monitor": str(monitor), "on_alarm": "bypass"}
    assert node(system, "policy").parameters["publish_pooled"] is True
    assert (
        "publish_pooled"
        not in node(simulation_system({"policy": str(policy)}), "policy").parameters
    )
    with pytest.raises(ConfigurationError, match=r"monitor\.yaml"):
        simulation_system({"policy": str(policy), "monitor": str(tmp_path)})
    with pytest.raises(ConfigurationError, match="'on_alarm'"):
        simulation_system(given | {"on_alarm": "steer more"})


def test_every_argument_says_what_it_is() -> None:
    for argument in SIMULATION_ARGUMENTS:
        assert argument.description and argument.permits(argument.default)


def test_real_time_chunking_is_off_until_it_is_asked_for(policy: Path) -> None:
    for given, expected in (({}, False), ({"rtc": "true"}, True)):
        system = simulation_system({"policy": str(policy), **given})
        assert node(system, "policy").parameters["rtc"] is expected


def test_an_exported_policy_is_served_by_onnx_and_by_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "exported.json").write_text("{}")
    parameters = node(
        simulation_system({"policy": str(tmp_path), "backend": "onnx", "threads": "2"}), "policy"
    ).parameters
    assert (parameters["backend"], parameters["threads"]) == ("onnx", 2)
    with pytest.raises(ConfigurationError, match="`backend` to onnx"):
        simulation_system({"policy": str(tmp_path)})


def test_the_exporter_and_the_system_mean_the_same_file() -> None:
    from vla_sae_ros.policy.onnx.names import DESCRIPTION
    from vla_sae_ros.systems.simulation import EXPORTED

    assert EXPORTED == DESCRIPTION


def test_the_simulators_time_limits_reach_the_bridge(policy: Path) -> None:
    given = {"policy": str(policy), "step_timeout": "45", "reset_timeout": "600"}
    parameters = node(simulation_system(given), "bridge").parameters
    assert (parameters["step_timeout"], parameters["reset_timeout"]) == (45.0, 600.0)


def test_a_policy_of_other_pictures_is_refused_before_anything_starts(policy: Path) -> None:
    write_picture_record(policy, PictureRecord("quick", "3.3.0"))
    with pytest.raises(ConfigurationError, match=r"'full'; allowed: quick.*`render_quality`"):
        simulation_system({"policy": str(policy)})
    fitting = simulation_system({"policy": str(policy), "render_quality": "quick"})
    assert node(fitting, "bridge").parameters["render_quality"] == "quick"
    told = simulation_system({"policy": str(policy), "allow_other_pictures": "true"})
    for name in ("bridge", "policy"):
        assert node(told, name).parameters["allow_other_pictures"] is True
        assert node(fitting, name).parameters["allow_other_pictures"] is False


def test_another_environment_reaches_the_bridge_and_its_contract_the_policy(
    policy: Path, tmp_path: Path
) -> None:
    given = {"policy": str(policy), "env": "metaworld", "suite": "push-v3"}
    system = simulation_system(given)
    bridge, served = (node(system, name).parameters for name in ("bridge", "policy"))
    assert (bridge["env"], bridge["suite"]) == ("metaworld", "push-v3")
    assert served["env"] == "metaworld:task=push-v3"
    assert "--suite push-v3" in simulation_system({**given, "autorun": "false"}).next_step
    given |= {"env": "so101:image_obs=true", "suite": ""}
    assert node(simulation_system(given), "policy").parameters["env"] == given["env"]
    own = tmp_path / "contract.yaml"
    with pytest.raises(ConfigurationError, match="argument 'contract'"):
        simulation_system({**given, "contract": str(own)})
    own.write_text("robot_type: mine")
    system = simulation_system({**given, "contract": str(own)})
    assert {node(system, one).parameters["contract"] for one in ("bridge", "policy")} == {str(own)}
    assert "env" not in node(simulation_system({"policy": str(policy)}), "policy").parameters


def test_a_donors_bag_reaches_the_policy_with_its_site(policy: Path, tmp_path: Path) -> None:
    given = {"policy": str(policy), "inject": str(tmp_path), "inject_site": "backbone.1"}
    parameters = node(simulation_system(given | {"inject_tokens": "camera,state"}), "policy")
    assert {name: value for name, value in parameters.parameters.items() if "inject" in name} == {
        "inject": str(tmp_path),
        "inject_episode": "1",
        "inject_site": "backbone.1",
        "inject_tokens": ("camera", "state"),
    }
    without = node(simulation_system({"policy": str(policy)}), "policy").parameters
    assert not [name for name in without if "inject" in name]


@pytest.mark.parametrize(
    "given, words",
    [
        ({"inject": "nowhere", "inject_site": "backbone.1"}, "'inject'.*nowhere.*bag"),
        ({"inject": "."}, "'inject_site'"),
        ({"inject_site": "backbone.1"}, "'inject_site'.*beside `inject`"),
    ],
)
def test_half_an_injection_is_refused(policy: Path, given: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        simulation_system({"policy": str(policy)} | given)
