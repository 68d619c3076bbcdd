"""Who commands a simulated arm: the policy, or the one client that has taken over."""

from __future__ import annotations

from typing import Protocol

import numpy.typing as npt
from numpy import float32
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from std_srvs.srv import SetBool

from vla_sae_ros.core.errors import VlaSaeError
from vla_sae_ros.core.person import PersonInput
from vla_sae_ros.nodes.base.heard_clients import HeardClients, said_several
from vla_sae_ros.nodes.episode.person import InCharge
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.robot_words import handed_back_by, taken_over_by

LONGEST = 1.0
"""[s] that one heartbeat is good for, at most."""

NO_HEARTBEAT = (
    "Nobody sends a heartbeat on bridge/heartbeat (SteeringLease). It identifies who takes over. "
    "Use the panel's key F4 or Client.takeover."
)


class TakeoverRefused(VlaSaeError):
    """Who commands has not changed."""


class Hand(Protocol):
    """A person, as an episode sees them."""

    @property
    def taken(self) -> bool:
        """Tell whether the person commands, and the policy does not."""
        ...

    def action(self, last: npt.NDArray[float32] | None) -> npt.NDArray[float32] | None:
        """Return the action (A,) that is asked for; None: nothing, hold still.

        Args:
            last: (A,) that was executed before; None at the first tick.
        """
        ...


class Takeover:
    """`bridge/takeover` of a simulation, with the heartbeat of `bridge/heartbeat`.

    As on a robot, SetBool does not say who calls: it is the one client that is heard of. A client
    that has taken over and is not heard of any more moves nothing; the arm holds still until
    somebody takes over or hands back.

    Args:
        node: owns the service.
        person: whose commands they are.
        why_not: why nobody can take over here; empty: one can.
    """

    def __init__(self, node: Node, person: PersonInput, why_not: str = "") -> None:
        self._node, self._person, self._why_not = node, person, why_not
        self._clients = HeardClients(node, LONGEST)
        self.in_charge = InCharge()
        """Who commands."""
        node.create_service(
            SetBool,
            "bridge/takeover",
            self._switch,
            callback_group=ReentrantCallbackGroup(),
            qos_profile=qos.SERVICE,
        )

    @property
    def heard(self) -> bool:
        """Tell whether who has taken over is still heard of."""
        return self._clients.remaining(self.in_charge.owner) > 0

    async def _switch(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        try:
            client = await self._client()
            self._change(client, request.data)
        except TakeoverRefused as refusal:
            response.message = str(refusal)
            self._node.get_logger().warning(f"takeover refused: {refusal}")
            return response
        words = taken_over_by if request.data else handed_back_by
        response.success, response.message = True, words(client)
        self._node.get_logger().info(response.message)
        return response

    def _change(self, client: str, taken: bool) -> None:
        if taken and self._why_not:
            raise TakeoverRefused(self._why_not)
        owner, takeovers = self.in_charge.owner, self.in_charge.takeovers
        if owner and owner != client and self.heard:
            raise TakeoverRefused(f"{owner!r} has taken over and must hand back first.")
        self.in_charge = InCharge(client if taken else "", takeovers + taken)
        self._person.note(self.in_charge.number)

    async def _client(self) -> str:
        """Return who alone is heard of; waits for that."""
        alive = await self._clients.settled()
        if not alive:
            raise TakeoverRefused(NO_HEARTBEAT)
        if len(alive) > 1:
            raise TakeoverRefused(said_several(alive))
        return alive[0]
