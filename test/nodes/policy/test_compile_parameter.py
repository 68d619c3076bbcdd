"""The policy node's parameter `compile`: refused with a reason, eager where told so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rclpy.context import Context
from rclpy.parameter import Parameter

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.nodes.policy import policy_node
from vla_sae_ros.nodes.policy.backend import make_engine
from vla_sae_ros.nodes.policy.parameters import PolicyParameters
from vla_sae_ros.nodes.policy.policy_node import PolicyNode
from vla_sae_ros.policy.inference import Engine, NotCompiled


@pytest.fixture
def cannot_compile(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make every compilation fail; return what `compile` each engine was made with."""
    asked: list[str] = []

    def made(values: PolicyParameters, tell: Callable[[str], None]) -> Engine:
        asked.append(values.compile)
        tell("compiling part 1 of 3")
        if values.compile != "never":
            raise NotCompiled("no compiler on this machine. Serve it with compile:=never.")
        return make_engine(values, tell)

    monkeypatch.setattr(policy_node, "make_engine", made)
    return asked


def node_with(context: Context, folder: Path, compile_it: str) -> PolicyNode:
    overrides = [Parameter("policy", value=str(folder)), Parameter("compile", value=compile_it)]
    return PolicyNode(context=context, parameter_overrides=overrides)


def test_a_policy_that_cannot_be_compiled_is_served_eagerly_when_told_so(
    ros_context: Context, tiny_policy_folder: Path, cannot_compile: list[str]
) -> None:
    node = node_with(ros_context, tiny_policy_folder, "if_possible")
    try:
        node.start()
        assert cannot_compile == ["if_possible", "never"]
        assert node._server is not None
    finally:
        node.destroy_node()


def test_otherwise_it_says_why_and_is_not_served(
    ros_context: Context, tiny_policy_folder: Path, cannot_compile: list[str]
) -> None:
    node = node_with(ros_context, tiny_policy_folder, "always")
    try:
        with pytest.raises(NotCompiled, match="no compiler on this machine"):
            node.start()
        assert cannot_compile == ["always"]
        assert node._server is None
    finally:
        node.destroy_node()


def test_what_a_compiled_policy_cannot_do_is_refused_before_it_is_compiled(tmp_path: Path) -> None:
    collecting = PolicyParameters(policy=str(tmp_path), compile="always", activations_folder="rows")
    with pytest.raises(ConfigurationError, match="compile where activations are collected"):
        make_engine(collecting, print)
    exported = PolicyParameters(policy=str(tmp_path), backend="onnx", compile="always")
    with pytest.raises(ConfigurationError, match="compile of an exported policy"):
        make_engine(exported, print)
