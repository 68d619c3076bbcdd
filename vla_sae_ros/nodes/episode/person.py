"""The topics of a person who has taken over, as every bridge hears and tells them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TwistStamped
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64

from vla_sae_ros.core.errors import bounded, complaint
from vla_sae_ros.core.person import PersonInput
from vla_sae_ros.msg import TakeoverState
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header, to_ns
from vla_sae_ros.wire.person_topics import GRIPPER, JOINTS, STATE, TWIST
from vla_sae_ros.wire.steady import steady_timer

_LOOK = 0.1
"""[s] between two looks whether the state has changed."""
_PERIOD_NS = 1_000_000_000


@dataclass(frozen=True)
class InCharge:
    """Who commands."""

    owner: str = ""
    """Client that has taken over; empty: the policy commands."""
    takeovers: int = 0
    """So far."""

    @property
    def number(self) -> int:
        """Return the number of the takeover that lasts, 0: the policy commands."""
        return self.takeovers if self.owner else 0


class PersonTopics:
    """Hears `teleop/twist`, `teleop/joints` and `teleop/gripper`; tells `bridge/takeover_state`.

    Args:
        person: gets what is heard.
        in_charge: says who commands; on any thread.
        joint_names: (N,) base to flange, of `teleop/joints`; empty: it is not offered.
        twists: whether `teleop/twist` is.
    """

    def __init__(
        self,
        node: Node,
        person: PersonInput,
        in_charge: Callable[[], InCharge],
        joint_names: Sequence[str] = (),
        twists: bool = True,
    ) -> None:
        self._node, self._person, self._in_charge = node, person, in_charge
        self._names = tuple(joint_names)
        self._commands: list[str] = []
        if twists:
            self._hear(TwistStamped, TWIST, self._twist)
        if joint_names:
            self._hear(JointState, JOINTS, self._joints)
        node.create_subscription(Float64, GRIPPER, self._gripper, qos.COMMAND)
        self._states = node.create_publisher(TakeoverState, STATE, qos.LATCHED)
        self._told: tuple[InCharge, bool, int] | None = None
        self._told_ns = 0
        self._tell()
        steady_timer(node, _LOOK, self._tell)

    def _hear[Kind: (TwistStamped, JointState)](
        self, kind: type[Kind], topic: str, take: Callable[[Kind], str]
    ) -> None:
        self._commands.append(topic)

        def heard(message: Kind) -> None:
            self._person.note(self._in_charge().number)
            refusal = self._rivals() or take(message)
            if refusal:
                self._node.get_logger().warning(
                    f"{topic} refused: {refusal}", throttle_duration_sec=2.0
                )

        self._node.create_subscription(kind, topic, heard, qos.TELEOP)

    def _rivals(self) -> str:
        """Refuse commands of several nodes at once: they would take turns, tick by tick."""
        nodes = max(self._node.count_publishers(topic) for topic in self._commands)
        if nodes <= 1 or not self._in_charge().owner:
            return ""
        names = " and ".join(self._commands)
        return self._person.refuse(
            complaint(f"Nodes that publish {names}", nodes, "one", "End all but one.")
        )

    def _twist(self, message: TwistStamped) -> str:
        linear, angular = message.twist.linear, message.twist.angular
        values = np.array([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z])
        return self._person.twist(values, message.header.frame_id, self._age(message.header.stamp))

    def _joints(self, message: JointState) -> str:
        """Take velocities by name, in any order; a target position is not a command here."""
        if len(message.name) != len(message.velocity) or sorted(message.name) != sorted(
            self._names
        ):
            return self._person.refuse(
                complaint(
                    "Names and velocities of a person's joints",
                    (list(message.name), list(message.velocity)),
                    f"one velocity [rad/s] for each of {', '.join(self._names)}",
                )
            )
        velocity = dict(zip(message.name, message.velocity, strict=True))
        values = np.array([velocity[name] for name in self._names])
        return self._person.joint_velocities(values, self._age(message.header.stamp))

    def _gripper(self, message: Float64) -> None:
        self._person.note(self._in_charge().number)
        refusal = self._person.gripper(message.data)
        if refusal:
            self._node.get_logger().warning(
                f"{GRIPPER} refused: {refusal}", throttle_duration_sec=2.0
            )

    def _age(self, stamp: Time) -> float:
        """Return how old a command is [s], by the clocks of both machines; NaN without a stamp."""
        stamp_ns = to_ns(stamp)
        return (self._now_ns() - stamp_ns) / 1e9 if stamp_ns else math.nan

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds

    def _tell(self) -> None:
        """Publish the state at a change and once a second."""
        charge, person = self._in_charge(), self._person
        silent = bool(charge.owner) and person.silent
        essence, now_ns = (charge, silent, person.refused), self._now_ns()
        if essence == self._told and 0 <= now_ns - self._told_ns < _PERIOD_NS:
            return
        self._told, self._told_ns = essence, now_ns
        limits = person.limits
        self._states.publish(
            TakeoverState(
                header=to_header(now_ns),
                taken_over=bool(charge.owner),
                owner=charge.owner,
                silent=silent,
                takeovers=charge.takeovers,
                accepted=person.accepted,
                refused=person.refused,
                refusal=bounded(person.refusal),
                max_linear=limits.linear,
                max_angular=limits.angular,
                timeout=limits.timeout,
            )
        )
