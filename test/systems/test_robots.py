from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from vla_sae_ros.core.contract import load_contract
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.systems.robots import SIMULATED_HOST, SYSTEMS
from vla_sae_ros.systems.simulation import System

ROOT = Path(__file__).parents[2]


@pytest.fixture
def policy(tmp_path: Path) -> str:
    (tmp_path / "config.json").write_text("{}")
    return str(tmp_path)


def node(system: System, name: str):
    return next(spec for spec in system.nodes if spec.name == name)


def test_a_rehearsal_needs_nothing_and_its_bridge_does_not_know_that_it_is_one():
    system = SYSTEMS["droid-sim"].describe({})
    assert [spec.name for spec in system.nodes] == [
        "robot",
        "cameras",
        "policy",
        "bridge",
        "recorder",
    ]
    bridge = node(system, "bridge").parameters
    assert (bridge["mode"], bridge["robot_ip"]) == ("direct", SIMULATED_HOST)
    assert node(system, "robot").parameters["host"] == SIMULATED_HOST
    assert node(system, "bridge").on_exit == "shutdown"


def test_a_real_robot_needs_its_address_and_a_policy(policy):
    with pytest.raises(ConfigurationError, match="robot_ip"):
        SYSTEMS["droid"].describe({"policy": policy})
    with pytest.raises(ConfigurationError, match="policy"):
        SYSTEMS["droid"].describe({"robot_ip": "172.16.0.2"})
    system = SYSTEMS["droid"].describe({"policy": policy, "robot_ip": "172.16.0.2"})
    assert node(system, "bridge").parameters["robot_ip"] == "172.16.0.2"


def test_policy_and_bridge_read_the_same_contract(policy):
    for compressed, name in (("false", "droid.yaml"), ("true", "droid_compressed.yaml")):
        system = SYSTEMS["droid"].describe(
            {"policy": policy, "mode": "ros2_control", "compressed": compressed}
        )
        contracts = {node(system, each).parameters["contract"] for each in ("policy", "bridge")}
        (contract,) = contracts
        assert Path(str(contract)).name == name
        assert load_contract(str(contract)).fps == 15


def test_a_labs_camera_topics_reach_the_policy_and_the_recorder(policy):
    system = SYSTEMS["droid"].describe(
        {
            "policy": policy,
            "mode": "ros2_control",
            "wrist": "/zed_mini/rgb/color/rect/image",
            "compressed": "true",
        }
    )
    mapping = (
        "observation/image/wrist_image_left/compressed",
        "/zed_mini/rgb/color/rect/image/compressed",
    )
    for name in ("policy", "recorder"):
        assert mapping in node(system, name).remappings


def test_the_bridges_joint_states_do_not_stand_on_the_arms_topic(policy):
    system = SYSTEMS["droid"].describe({"policy": policy, "mode": "ros2_control"})
    for name in ("policy", "bridge", "recorder"):
        assert ("joint_states", "arm/joint_states") in node(system, name).remappings


def test_a_forward_controller_is_spoken_to_by_its_watchdog_only(policy):
    given = {
        "policy": policy,
        "mode": "ros2_control",
        "output": "forward",
        "output_topic": "/arm/commands",
    }
    system = SYSTEMS["droid"].describe(given)
    assert node(system, "forward_watchdog").parameters["controller_topic"] == "/arm/commands"
    assert "output_topic" not in node(system, "bridge").parameters
    given["output"] = "joint_trajectory"
    assert "forward_watchdog" not in {spec.name for spec in SYSTEMS["droid"].describe(given).nodes}


@pytest.mark.parametrize(
    "given, words",
    [
        ({"time_scale": "fast"}, "number"),
        ({"control": "torque"}, "joint_impedance"),
        ({"robot_ip": "1.2.3.4"}, "unknown argument"),
    ],
)
def test_what_cannot_be_is_refused(given, words):
    with pytest.raises(ConfigurationError, match=words):
        SYSTEMS["droid-sim"].describe(given)


@pytest.mark.parametrize("name", ["droid", "droid-sim"])
def test_every_node_can_be_started_both_ways(name, policy):
    given = {"policy": policy, "mode": "ros2_control"} if name == "droid" else {}
    for spec in SYSTEMS[name].describe(given).nodes:
        assert importlib.util.find_spec(spec.module), spec.module
        assert (ROOT / "scripts" / spec.executable).stat().st_mode & 0o100, spec.executable


def test_what_a_node_logs_when_it_works_is_what_the_supervisor_waits_for():
    nodes = "".join(path.read_text() for path in (ROOT / "vla_sae_ros" / "nodes").rglob("*.py"))
    for name in ("sim", "droid-sim"):
        for spec in SYSTEMS[name].describe({}).nodes:
            if (name, spec.name) != ("droid-sim", "bridge"):  # that one: test_robot_bridge.py
                assert spec.ready and spec.ready in nodes, spec.name


def test_each_system_has_a_launch_file_that_names_its_description():
    for name, kind in SYSTEMS.items():
        text = (ROOT / "launch" / f"{name.replace('-', '_')}.launch.py").read_text()
        assert re.search(rf"launch_nodes\(\s*{kind.describe.__name__}, [A-Z]+_ARGUMENTS,", text)


@pytest.mark.parametrize("name", ["droid", "droid-sim"])
def test_no_system_of_a_robot_takes_an_injection(policy, name, tmp_path):
    given = {"policy": policy, "inject": str(tmp_path), "inject_site": "backbone.1"}
    given |= {"robot_ip": "172.16.0.2"} if name == "droid" else {}
    with pytest.raises(ConfigurationError, match=r"unknown argument.*inject"):
        SYSTEMS[name].describe(given)
