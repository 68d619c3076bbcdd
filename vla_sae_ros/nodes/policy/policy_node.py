"""The policy node: a lifecycle node round a tapped policy."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from vla_sae_ros.core.contract import load_contract
from vla_sae_ros.core.errors import ConfigurationError, VlaSaeError, complaint
from vla_sae_ros.core.picture_record import read_picture_record
from vla_sae_ros.core.steering import Steering
from vla_sae_ros.nodes.base.node_description import DescriptionPublisher
from vla_sae_ros.nodes.base.parameters import declare_parameters
from vla_sae_ros.nodes.base.running import exit_at_once, run_node
from vla_sae_ros.nodes.base.told_pictures import ToldPictures, picture_facts
from vla_sae_ros.nodes.policy.backend import (
    bundle_folders,
    make_collector,
    make_engine,
    make_injected,
)
from vla_sae_ros.nodes.policy.heatmap_publisher import first_choice
from vla_sae_ros.nodes.policy.messages import facts
from vla_sae_ros.nodes.policy.parameters import PolicyParameters, steering_limits
from vla_sae_ros.nodes.policy.server import PolicyServer, ServingOptions
from vla_sae_ros.policy.checkpoints.feature_match import read_map
from vla_sae_ros.policy.inference import Engine, NotCompiled
from vla_sae_ros.sim.benchmark import benchmark_named
from vla_sae_ros.sim.conventions import known_readings
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header
from vla_sae_ros.wire.leaving import leave_graph
from vla_sae_ros.wire.steady import steady_timer

if TYPE_CHECKING:
    from vla_sae_ros.nodes.policy.activation_collector import ActivationCollector
    from vla_sae_ros.nodes.policy.injected_stream import InjectedStream

SWITCH_INTERVAL = 0.0005  # [s] between threads' turns with the interpreter


class PolicyNode(LifecycleNode):
    """Configure loads and warms up; activate serves; deactivate stops; cleanup unloads."""

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("policy", **node_arguments)
        self._values = declare_parameters(self, PolicyParameters, self._changed)
        self._revision = 0  # goes on counting: within one process it never says two things
        self._engine: Engine | None = None
        self._server: PolicyServer | None = None
        self._description: DescriptionPublisher | None = None
        self._collector: ActivationCollector | None = None
        self._injected: InjectedStream | None = None
        self._failure: Exception | None = None
        self.loads = False  # while a model is loaded and warmed up; see `spin_until`
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        steady_timer(self, 1.0, self._say_inactive)

    def _changed(self, values: PolicyParameters) -> None:
        self._values = values
        if self._server is not None:
            self._server.set_limits(steering_limits(values))

    def start(self) -> None:
        """Configure and activate, as the parameter `autostart` says.

        Raises:
            VlaSaeError: why the policy cannot be served.
        """
        if not self._values.autostart:
            return
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() is not TransitionCallbackReturn.SUCCESS:
                assert self._failure is not None
                raise self._failure

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt(self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = self._attempt(self._serve)
        return super().on_activate(state) if result is TransitionCallbackReturn.SUCCESS else result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop_serving()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._unload()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop_serving()
        self._unload()
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        self._stop_serving()
        self._unload()
        super().destroy_node()
        # rclpy forgets it, and the DDS participant lives as long: others would see this node on.
        self._state_machine.destroy_when_not_in_use()

    def _say_inactive(self) -> None:
        """Say that nothing is served; while something is, the server says how it goes."""
        if self._server is not None:
            return
        state = "inactive" if self._engine is not None else "unconfigured"
        status = DiagnosticStatus(
            level=DiagnosticStatus.WARN,
            name=f"{self.get_name()}: inference",
            message=f"{state}: no inference, no steering",
            values=[KeyValue(key="lifecycle", value=state)],
        )
        header = to_header(self.get_clock().now().nanoseconds)
        self._diagnostics.publish(DiagnosticArray(header=header, status=[status]))

    def _attempt(self, transition: Callable[[], None]) -> TransitionCallbackReturn:
        """Make a transition. rclpy drops what a transition raises, so it is kept and told here."""
        try:
            transition()
        except VlaSaeError as refusal:
            self._failure = refusal
            self.get_logger().error(str(refusal))
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            self._failure = error
            self.get_logger().fatal("".join(traceback.format_exception(error)))
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    def _serve(self) -> None:
        assert self._engine is not None
        self._steering = steering = Steering(
            self._engine.steering_sites(),
            steering_limits(self._values),
            revision=self._revision,
            known_readings=known_readings(self._contract),
            injection=self._injected.site if self._injected is not None else "",
        )
        trained = read_picture_record(Path(self._values.policy))
        pictures = ToldPictures(self, "trained on", trained, self._values.allow_other_pictures)
        self._server = PolicyServer(
            self,
            self._engine,
            steering,
            self._contract,
            pictures,
            self._options(),
            self._collector,
            self._injected,
        )
        known = facts(self._engine) | picture_facts("trained on", trained)
        if self._injected is not None:
            known |= self._injected.facts
        self._description = DescriptionPublisher(self, known)
        self.get_logger().info(f"serving {self._engine.policy_name}")

    def _options(self) -> ServingOptions:
        assert self._engine is not None
        values = self._values
        return ServingOptions(
            values.frame_timeout,
            bundle_folders(self._engine, values),
            first_choice(self._engine, values),
            values.publish_pooled,
            values.rtc,
        )

    def _configure(self) -> None:
        values = self._values
        self._contract = (
            load_contract(values.contract)
            if values.contract
            else benchmark_named(values.env).contract()
        )
        self.loads = True
        try:
            self._load(values)
        except NotCompiled as refusal:
            if values.compile != "if_possible":
                raise
            self.get_logger().warning(
                f"{refusal} compile:=if_possible: running uncompiled, slower."
            )
            self._unload()
            self._load(replace(values, compile="never"))
        finally:
            self.loads = False

    def _load(self, values: PolicyParameters) -> None:
        self._engine = make_engine(values, self.get_logger().info)
        self._narrow_contract()
        self._require_actions(self._engine.warm_up()[1])
        tell = self.get_logger().info
        self._injected = make_injected(self._engine, values, self._contract, tell)
        self._collector = make_collector(
            self._engine, values, self._contract.fps, self.get_logger().error
        )

    def _narrow_contract(self) -> None:
        """Keep of the contract what the policy needs; raises ConfigurationError without that."""
        assert self._engine is not None
        given = read_map(self._values.map, self._contract.names)
        self._engine.observe(self._contract.offered, given)
        self._contract = self._contract.observing(self._engine.input_features)

    def _require_actions(self, width: int) -> None:
        wanted = self._contract.action.width
        if width != wanted:
            raise ConfigurationError(
                complaint(
                    "numbers in an action of the policy",
                    width,
                    f"{wanted}, as {self._contract.robot_type}'s contract has it",
                    "Use the contract of the robot that the policy was trained for.",
                )
            )

    def _stop_serving(self) -> None:
        if self._server is not None:
            self._server.destroy()
            self._server = None
            self._revision = self._steering.revision + 1
        if self._description is not None:
            self._description.destroy()
            self._description = None

    def _unload(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = self._injected = None
        if self._collector is not None:
            self._collector.close()
            self._collector = None


def _make_node() -> PolicyNode:
    node = PolicyNode()
    try:
        node.start()
    except Exception:
        leave_graph(node)
        raise
    return node


def main(args: list[str] | None = None) -> int:
    """Run the policy node; return the exit status."""
    # A service call must not wait the default 5 ms for every turn of the inference's Python code.
    sys.setswitchinterval(SWITCH_INTERVAL)
    return run_node(_make_node, args)


if __name__ == "__main__":
    exit_at_once(main())
