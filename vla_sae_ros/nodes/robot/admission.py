"""The services that let a robot move, hold still, stop and recover; and the enable's heartbeat."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from vla_sae_ros.core.errors import VlaSaeError
from vla_sae_ros.nodes.base.heard_clients import HeardClients, said_several, said_twins
from vla_sae_ros.robot.admission import EnableRefused
from vla_sae_ros.robot.loop.loop import ControlLoop
from vla_sae_ros.robot.machine.events import Kind
from vla_sae_ros.robot.machine.states import State
from vla_sae_ros.robot.machine.table import REFUSALS
from vla_sae_ros.robot.reasons import Status
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.robot_words import enabled_for, handed_back_by, taken_over_by
from vla_sae_ros.wire.steady import steady_timer

CHECK_PERIOD = 0.1  # [s]

NO_HEARTBEAT = (
    "Nobody sends a heartbeat on bridge/heartbeat (SteeringLease). An arm moves only while the "
    "client that enabled it sends one. Use the panel's Enable button or vla-sae run --robot."
)
TWO_BRIDGES = "another node publishes robot_command: two bridges command one robot. End one of them"


class RobotAdmission:
    """`bridge/enable`, `takeover`, `stop`, `recover`, `way_back`, `heartbeat` of one control loop.

    SetBool does not say who calls: the enable goes to the one client that is heard of, and only
    that client's heartbeats prolong it. While several are heard of, nobody is enabled.

    Args:
        longest: [s] that one heartbeat is good for.
        on_hold: called when motion was disabled by request.
        rivals: names who else commands the arm or its controller.
    """

    def __init__(
        self,
        node: Node,
        loop: ControlLoop,
        longest: float,
        on_hold: Callable[[], None],
        rivals: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._node, self._loop, self._longest, self._on_hold = node, loop, longest, on_hold
        self._rivals = rivals
        self.heard = HeardClients(node, longest, self._beat)
        # Two of them wait; in the node's own group nothing else would be served meanwhile.
        group = ReentrantCallbackGroup()
        for kind, name, answer in (
            (SetBool, "bridge/enable", self._enable),
            (SetBool, "bridge/takeover", self._take_over),
            (Trigger, "bridge/stop", self._stop),
            (Trigger, "bridge/recover", self._recover),
            (Trigger, "bridge/way_back", self._go_back),
        ):
            node.create_service(kind, name, answer, callback_group=group, qos_profile=qos.SERVICE)
        steady_timer(node, CHECK_PERIOD, self._look)

    def _beat(self, client: str, duration: float) -> None:
        if self._loop.state().envelope.owner == client:
            try:
                self._loop.renew(client, duration)
            except EnableRefused as refusal:  # stopped in this very moment
                self._node.get_logger().info(f"heartbeat came too late: {refusal}")

    async def _enable(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        if not request.data:
            self._loop.disable("bridge/enable")
            self._on_hold()
            response.success, response.message = True, "holding still; motion is disabled"
            return response
        return await self._grant(response, way_back=False)

    async def _go_back(
        self, _request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        return await self._grant(response, way_back=True)

    async def _grant[Answer: (SetBool.Response, Trigger.Response)](
        self, response: Answer, way_back: bool
    ) -> Answer:
        asked = self._loop.ticket()  # a stop or a disable from now on wins over this enable
        try:
            owner = await self._owner()
            self._refuse_rivals()
            lease = min(self._longest, self.heard.remaining(owner))
            self._loop.enable(owner, lease, asked, way_back)
        except VlaSaeError as refusal:
            response.message = str(refusal)
            self._node.get_logger().warning(f"enable refused: {refusal}")
            return response
        response.success, response.message = True, enabled_for(owner)
        return response

    async def _take_over(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        asked = self._loop.ticket()
        try:
            owner = await self._owner()
            if request.data:
                self._loop.take_over(owner, asked)
            else:
                self._loop.hand_back(owner, asked)
        except VlaSaeError as refusal:
            response.message = str(refusal)
            self._node.get_logger().warning(f"takeover refused: {refusal}")
            return response
        words = taken_over_by if request.data else handed_back_by
        response.success, response.message = True, words(owner)
        self._node.get_logger().info(response.message)
        return response

    def _stop(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._loop.stop("bridge/stop")
        response.success, response.message = True, "stopped; to continue, recover and then enable"
        return response

    async def _recover(
        self, _request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        # Reaching a robot takes seconds; a heartbeat or a stop must not wait for that.
        finished = Future(executor=self._node.executor)
        finished.add_done_callback(lambda _: None)  # rclpy looks at a coroutine when it is woken
        asked = self._loop.ticket()
        threading.Thread(target=self._recover_there, args=(finished, asked), daemon=True).start()
        problem = await finished
        response.success, response.message = not problem, problem or "recovered; enable to continue"
        return response

    def _recover_there(self, finished: Future, asked: int) -> None:
        try:
            self._loop.recover("bridge/recover", asked)
        except VlaSaeError as error:
            finished.set_result(str(error))
        except Exception as error:  # a driver's bug: the service must be answered all the same
            finished.set_result(repr(error))
        else:
            finished.set_result("")

    async def _owner(self) -> str:
        """Return who alone is heard of; waits for the first heartbeat, and for the last of others.

        Raises EnableRefused.
        """
        disabled = self._loop.state().envelope.status is Status.DISABLED
        alive = await self.heard.settled() if disabled else self.heard.names()
        state = self._loop.state().envelope
        owner = state.owner
        if not alive:
            raise EnableRefused(NO_HEARTBEAT)
        if owner and alive != [owner]:
            raise EnableRefused(f"The arm is enabled by {owner!r}, which must disable it first.")
        if len(alive) > 1 and state.status is Status.STOPPED:
            raise EnableRefused(REFUSALS[State.STOPPED, Kind.ENABLE].format(reason=state.said))
        if len(alive) > 1:
            raise EnableRefused(said_several(alive))
        if self.heard.twins(alive[0]):
            raise EnableRefused(said_twins(alive[0]))
        return alive[0]

    def _look(self) -> None:
        if self._loop.state().envelope.owner:
            rivals = self._commanders()
            if rivals:
                self._loop.stop("the bridge", rivals)

    def _refuse_rivals(self) -> None:
        rivals = self._commanders()
        if rivals:
            raise EnableRefused(f"Refused: {rivals}.")

    def _commanders(self) -> str:
        """Say who else commands this arm; empty: nobody."""
        if self._node.count_publishers("robot_command") > 1:
            return TWO_BRIDGES
        rivals = self._rivals()
        return f"{', '.join(rivals)}: another node commands this arm. End it" if rivals else ""
