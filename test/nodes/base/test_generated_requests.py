"""A thousand generated requests to the services of a node: it lives, and what is refused changes
nothing. Over DDS, through the executor that every node's process has."""

from __future__ import annotations

import importlib
import random
from typing import Any

import numpy as np
import pytest
from rclpy.node import Node
from rclpy.serialization import serialize_message

from vla_sae_ros.core.steering import Steering, SteeringSite
from vla_sae_ros.nodes.policy.steering_service import SteeringService
from vla_sae_ros.nodes.recorder.recorder_node import RecorderNode
from vla_sae_ros.wire.guarded_executor import GuardedExecutor

REQUESTS = 1000
PRESET = "format: 1\nname: x\nedits:\n  - {site: s, feature: 1, mode: clamp, value: 1.0}\n"
TEXTS = (
    "",
    "s",
    "me",
    "~nobody_has_this_name/x",
    "/" * 300,
    "../../x",
    "a b/c",
    "x" * 100_000,
    "\U0001f916é\u202e",
    "%s {0} $x$ <b>",
    PRESET,
    PRESET.replace("name: x", "name: 2026-28-11"),
    PRESET.replace("name: x", 'name: "\\uD83D"'),
    PRESET.replace("feature: 1", "feature: 0b_"),
    PRESET.replace("value: 1.0", "value: 1" + "0" * 400),
    PRESET.replace("value: 1.0", "value: 1.0, duration: 1.0e+39"),
    "edits: " + "[" * 5000,
    "a: &a [*a]",
    "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\nname: !!python/object:os.system x",
)
NUMBERS = (0.0, 1.0, -1.0, 1e-40, 3.4e38, -3.4e38, float("nan"), float("inf"), 19.9, 60.0)


class Generator:
    """Makes requests of any type: empty, plausible, huge and absurd values mixed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def fill(self, message: Any) -> Any:
        for name, kind in message.get_fields_and_field_types().items():
            if self._random.random() < 0.8:
                setattr(message, name, self._value(kind))
        return message

    def _value(self, kind: str) -> Any:
        if kind.startswith("sequence<"):
            inner = kind.removeprefix("sequence<").removesuffix(">")
            return [self._value(inner) for _ in range(self._random.choice((0, 1, 1, 2, 3, 70)))]
        if kind == "string":
            return self._random.choice(TEXTS)
        if kind == "boolean":
            return self._random.random() < 0.5
        if kind in ("float", "double"):
            return self._random.choice(NUMBERS)
        if "int" in kind and "/" not in kind:
            bits, signed = int(kind.removeprefix("u").removeprefix("int")), kind[0] != "u"
            low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
            return self._random.choice((0, 1, 2, 3, low, high))
        if kind == "octet":
            return b"\x00"
        package, name = kind.split("/")
        return self.fill(getattr(importlib.import_module(f"{package}.msg"), name)())


class SteeredNode(Node):
    """A node with the policy's steering service and no policy."""

    def __init__(self, context: Any) -> None:
        super().__init__("policy", context=context)
        observed = np.ones(16, np.float32)
        site = SteeringSite("s", observed, 10.0, ("action",), denoising_steps=10)
        self.steering = Steering([site])
        self.service = SteeringService(self, self.steering, lambda: None, {"s": "abc"})

    def stand(self) -> object:
        """Return what a refused request must leave as it is: all but the leases."""
        view = self.steering.view()
        edits = [(each.edit, each.owner, each.phase, each.commanded) for each in view.edits]
        return view.revision, view.bypass, edits


class Recorder(RecorderNode):
    """The recorder, in a test's context."""

    def stand(self) -> object:
        return self._recording is not None


@pytest.mark.parametrize("kind", [SteeredNode, Recorder])
def test_generated_requests_end_no_node_and_change_nothing_where_refused(
    ros_context, tmp_path, monkeypatch, kind
):
    monkeypatch.chdir(tmp_path)
    node, asker = kind(context=ros_context), Node("asker", context=ros_context)
    executor = GuardedExecutor(context=ros_context)
    for each in (node, asker):
        executor.add_node(each)
    generator, refused, accepted = Generator(7), 0, 0
    services = list(node.services)
    clients = {one.srv_name: asker.create_client(one.srv_type, one.srv_name) for one in services}
    assert all(client.wait_for_service(30.0) for client in clients.values())
    for turn in range(REQUESTS):
        service = services[turn % len(services)]
        before, request = node.stand(), generator.fill(service.srv_type.Request())
        future = clients[service.srv_name].call_async(request)
        for _ in range(2000):
            if future.done():
                break
            executor.spin_once(timeout_sec=0.05)
        answer = future.result()
        assert answer is not None, (service.srv_name, request)
        assert len(serialize_message(answer)) < 100_000
        taken = getattr(answer, "accepted", getattr(answer, "success", None))
        if taken is False:
            refused += 1
            assert node.stand() == before, (service.srv_name, request, answer)
        accepted += taken is True
    assert refused > REQUESTS / 50 and accepted > 0
    executor.shutdown()
    for each in (node, asker):
        each.destroy_node()
