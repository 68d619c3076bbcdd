from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from vla_sae_ros.core.contract import load_contract, parse_contract
from vla_sae_ros.core.errors import ContractError

CONTRACTS = Path(__file__).parents[3] / "config" / "contracts"

# Written as a lab would write one for rosetta: absolute topics, anchors, several sources.
LAB = yaml.safe_load("""
robot_type: lab_arm
robot_interface: ros2
fps: 15
x-qos: &sensor {reliability: best_effort, history: keep_last, depth: 10}
observations:
  observation.images.front:
    channel: {topic: /front/image_raw, type: sensor_msgs/msg/Image, qos: *sensor}
    align: {strategy: hold, timeline: header}
    apply: [resize: [224, 224]]
  observation.state:
    - channel: {topic: /joint_states, type: sensor_msgs/msg/JointState, qos: *sensor}
      align: {strategy: asof, timeline: header, tolerance_ms: 100}
      select: [position.j1, velocity.j1, j2]
      apply: [rad2deg]
    - channel: {topic: /gripper, type: std_msgs/msg/Float32}
      align: {strategy: drop, timeline: receive}
actions:
  action:
    channel: {topic: /command, type: sensor_msgs/msg/JointState, safety: hold}
    align: {strategy: hold, timeline: header}
    select: [position.j1, position.j2]
    apply: [rad2deg, clamp: {min: -2, max: 2}]
tasks:
  task:
    channel: {topic: /task_prompt, type: std_msgs/msg/String}
""")


def changed(path: str, value: object) -> dict:
    """Return LAB with the value at a slash-separated path replaced (or removed for ...)."""
    document = copy.deepcopy(LAB)
    *parents, last = path.split("/")
    place = document
    for key in parents:
        place = place[int(key)] if isinstance(place, list) else place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return document


def test_a_labs_contract_drops_in():
    contract = parse_contract(LAB)
    assert contract.robot_type == "lab_arm"
    assert contract.fps == 15.0
    image, state = contract.observations
    assert image.is_image
    assert (state.key, state.width) == ("observation.state", 4)
    assert state.sources[0].align.tolerance_ms == 100.0
    assert state.sources[0].channel.qos.reliability == "best_effort"
    assert contract.action.sources[0].channel.safety == "hold"
    assert [task.channel.topic for task in contract.tasks] == ["/task_prompt"]


def test_the_libero_contract_has_the_features_libero_policies_expect():
    contract = load_contract(CONTRACTS / "libero.yaml")
    assert contract.fps == 20.0
    assert {entry.key: entry.width for entry in contract.observations if not entry.is_image} == {
        "observation.state": 8
    }
    assert [entry.key for entry in contract.observations if entry.is_image] == [
        "observation.images.agentview",
        "observation.images.wrist",
    ]
    assert contract.action.width == 7


@pytest.mark.parametrize("path", sorted(CONTRACTS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_contract_that_comes_with_the_package_loads(path):
    load_contract(path)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("robot_type", ..., "robot_type is missing"),
        ("robot_interface", "ros1", "ros2"),
        ("fps", 0, "fps"),
        ("fps", True, "fps"),
        ("observations", {}, "observations is empty"),
        ("actions/second", LAB["actions"]["action"], "exactly one entry"),
        ("teleop", {}, "teleop is not supported"),
        ("rewards", {}, "rewards is not supported"),
        ("adjunct", [], "recorder"),
        ("observation", {}, "Unknown key"),
        ("observations/observation.state/0/channel/decoder", "os:system", "never imports code"),
        ("observations/observation.state/0/channel/frame", "x", r"channel\.frame"),
        ("observations/observation.state/0/channel/type", "std_msgs/msg/Byte", "std_msgs/msg/Byte"),
        ("observations/observation.state/0/channel/topic", ..., "topic is missing"),
        ("observations/observation.state/0/channel/qos", {"history": "keep_all"}, "keep_all"),
        ("observations/observation.state/0/channel/safety", "hold", "Unknown key"),
        ("observations/observation.state/0/channel/dtype", "float64", "same dtype"),
        ("observations/observation.state/0/align/strategy", "interpolate", "hold, asof, drop"),
        ("observations/observation.state/0/align/tolerance_ms", ..., "tolerance_ms is missing"),
        ("observations/observation.state/0/align/tolerance_ms", -1, "tolerance_ms"),
        ("observations/observation.state/1/align/timeline", "header", "has no header"),
        ("observations/observation.state/1/align/tolerance_ms", 5, "tolerance_ms"),
        ("observations/observation.state/0/select", [], "needs the names"),
        ("observations/observation.state/0/select", ["j1", "j1"], "every field once"),
        ("observations/observation.state/1/select", ["data"], "nothing, because all of"),
        ("observations/observation.state/0/apply", ["fft"], "fft"),
        ("observations/observation.state/0/apply", ["quat2axisangle"], "4 selected values"),
        ("observations/observation.state/0/apply", [{"resize": [2, 2]}], "pictures only"),
        ("observations/observation.state/0/apply", [{"clamp": {"min": 1, "max": 0}}], "clamp"),
        ("observations/observation.state/0/apply", [{"clamp": {"min": 1}}], "clamp"),
        ("observations/observation.images.front/apply", ["rad2deg"], "numbers only"),
        ("observations/observation.images.front/apply", [{"resize": [0, 4]}], "resize"),
        (
            "observations/observation.images.front",
            [LAB["observations"]["observation.images.front"]] * 2,
            "cannot share a key",
        ),
        ("actions/action/channel/safety", "float", "none, hold, zeros"),
        ("actions/action/channel/encoder", "os:system", "never imports code"),
        ("actions/action/apply", [{"resize": [2, 2]}], "numbers|pictures"),
        ("actions/action/select", ["x"] * 4, "every field once"),
        ("tasks/task/channel/type", "std_msgs/msg/Float32", "std_msgs/msg/String"),
        ("tasks/task/align", {}, "Unknown key"),
    ],
)
def test_what_is_wrong_or_not_implemented_is_refused_by_its_key(path, value, words):
    with pytest.raises(ContractError, match=words):
        parse_contract(changed(path, value))


def test_an_operator_without_inverse_cannot_be_used_for_an_action():
    document = changed("actions/action/select", [f"position.j{i}" for i in range(4)])
    document["actions"]["action"]["apply"] = ["quat2axisangle"]
    with pytest.raises(ContractError, match="has no inverse"):
        parse_contract(document)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ContractError, match=r"missing\.yaml"):
        load_contract(tmp_path / "missing.yaml")
    (tmp_path / "broken.yaml").write_text("robot_type: [")
    with pytest.raises(ContractError, match=r"broken\.yaml"):
        load_contract(tmp_path / "broken.yaml")
    (tmp_path / "list.yaml").write_text("- a")
    with pytest.raises(ContractError, match=r"list\.yaml.*mapping"):
        load_contract(tmp_path / "list.yaml")


def test_no_python_object_can_be_made_by_a_contract(tmp_path):
    (tmp_path / "evil.yaml").write_text("robot_type: !!python/object/apply:os.getcwd []")
    with pytest.raises(ContractError, match="python/object"):
        load_contract(tmp_path / "evil.yaml")
