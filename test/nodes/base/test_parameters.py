from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.parameters import parameter, parameters_of
from vla_sae_ros.nodes.base.parameters import declare_parameters
from vla_sae_ros.nodes.markers.parameters import MarkersParameters
from vla_sae_ros.nodes.policy.parameters import PolicyParameters
from vla_sae_ros.nodes.recorder.parameters import RecorderParameters
from vla_sae_ros.nodes.robot.forward_watchdog_node import WatchdogParameters
from vla_sae_ros.nodes.robot.parameters import RobotBridgeParameters
from vla_sae_ros.nodes.robot.simulated_robot_node import SimulatedRobotParameters
from vla_sae_ros.nodes.sim.droid_scene_node import SceneParameters
from vla_sae_ros.nodes.sim.parameters import SimBridgeParameters

KINDS = (
    MarkersParameters,
    PolicyParameters,
    RecorderParameters,
    RobotBridgeParameters,
    SceneParameters,
    SimBridgeParameters,
    SimulatedRobotParameters,
    WatchdogParameters,
)


@dataclass(frozen=True)
class Values:
    rate: float = parameter(20.0, "how often", unit="Hz", minimum=1.0, maximum=100.0, live=True)
    steps: int = parameter(5, "how many", minimum=1, maximum=9)
    clock: str = parameter("lockstep", "who waits", choices=("lockstep", "realtime"), live=True)
    record: bool = parameter(False, "whether")
    bundles: tuple[str, ...] = parameter((), "folders")
    open: float = parameter(0.0, "at least nothing", minimum=0.0)


@pytest.fixture
def context() -> Iterator[Context]:
    made = Context()
    rclpy.init(context=made)
    yield made
    made.try_shutdown()


@pytest.fixture
def make_node(context):
    def make(*arguments: str, **overrides: object) -> Node:
        given = [RosParameter(name, value=value) for name, value in overrides.items()]
        cli = ["--ros-args", *[word for pair in arguments for word in ("-p", pair)]]
        return Node("n", context=context, parameter_overrides=given, cli_args=cli)

    return make


def test_the_defaults_count_where_nothing_is_given(make_node):
    assert declare_parameters(make_node(), Values) == Values(20.0, 5, "lockstep", False, (), 0.0)


def test_given_values_are_taken_from_the_command_line_and_as_lists(make_node):
    node = make_node("rate:=50.0", "clock:=realtime", "bundles:=['a','b']")
    values = declare_parameters(node, Values)
    assert (values.rate, values.clock, values.bundles) == (50.0, "realtime", ("a", "b"))


def test_every_wrong_value_is_named_at_once(make_node):
    node = make_node(rate=0.5, steps="many", clock="sundial", stepz=3, open=float("inf"))
    with pytest.raises(ConfigurationError) as refusal:
        declare_parameters(node, Values)
    text = str(refusal.value)
    assert "'rate': got 0.5; allowed: a number from 1 to 100 Hz" in text
    assert "'steps': got 'many'; allowed: an integer from 1 to 9" in text
    assert "'clock': got 'sundial'; allowed: one of 'lockstep', 'realtime'" in text
    assert "Unknown parameter: got 'stepz'" in text
    assert "Did you mean 'steps'?" in text
    assert "'open': got inf" in text


def test_an_integer_for_a_decimal_number_comes_with_advice(make_node):
    with pytest.raises(ConfigurationError, match="decimal point"):
        declare_parameters(make_node("rate:=50"), Values)


def test_parameters_of_rclpy_itself_are_not_unknown(make_node):
    declare_parameters(make_node("use_sim_time:=false"), Values)


def test_a_live_parameter_can_change_within_its_range_and_choices(make_node):
    node = make_node()
    told: list[Values] = []
    declare_parameters(node, Values, told.append)
    assert node.set_parameters([RosParameter("rate", value=30.0)])[0].successful
    assert told == [Values(rate=30.0)]
    assert not node.set_parameters([RosParameter("rate", value=1000.0)])[0].successful
    refusal = node.set_parameters([RosParameter("clock", value="sundial")])[0]
    assert not refusal.successful
    assert "lockstep" in refusal.reason
    assert told == [Values(rate=30.0)]


def test_a_parameter_that_is_not_live_cannot_change(make_node):
    node = make_node()
    declare_parameters(node, Values)
    assert not node.set_parameters([RosParameter("steps", value=6)])[0].successful


def test_the_description_carries_unit_and_range(make_node):
    node = make_node()
    declare_parameters(node, Values)
    described = node.describe_parameter("rate")
    assert described.description == "how often [Hz]"
    assert described.floating_point_range[0].to_value == 100.0
    assert "realtime" in node.describe_parameter("clock").additional_constraints


def test_what_is_said_for_a_group_of_nodes_ends_none_of_them(make_node):
    node = make_node(rate=50.0, camera_topic="/left", bridge_host="10.0.0.1")
    assert declare_parameters(node, Values).rate == 50.0


@pytest.mark.parametrize("kind", KINDS)
def test_no_parameter_of_another_node_is_taken_for_a_misspelled_one(make_node, kind):
    own = {each.name for each in parameters_of(kind)}
    of_others = {each.name for other in KINDS for each in parameters_of(other)} - own
    said = ""
    try:
        declare_parameters(make_node(**dict.fromkeys(of_others, "x")), kind)
    except ConfigurationError as refusal:  # of a node that needs something to be named
        said = str(refusal)
    assert "Unknown parameter" not in said
