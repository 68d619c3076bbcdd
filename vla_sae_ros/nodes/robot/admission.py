"""The services that let a robot move, hold still, stop and recover; and the enable's heartbeat."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from vla_sae_ros.core.errors import VlaSaeError
from vla_sae_ros.core.steering.lease import LeaseBook
from vla_sae_ros.msg import SteeringLease
from vla_sae_ros.robot.admission import EnableRefused
from vla_sae_ros.robot.loop.loop import ControlLoop
from vla_sae_ros.wire import qos

PATIENCE = 1.0
"""[s] that an enable waits for the first heartbeat of who asked for it."""
CHECK_PERIOD = 0.1  # [s]

NO_HEARTBEAT = (
    "Nobody sends a heartbeat on bridge/heartbeat (SteeringLease): an arm moves only while who "
    "enabled it is heard of. Use the panel's Enable button or vla-sae run --robot."
)
TWO_BRIDGES = "another node publishes robot_command: two bridges command one robot. End one of them"


class RobotAdmission:
    """`bridge/enable`, `bridge/stop`, `bridge/recover` and `bridge/heartbeat` of one control loop.

    SetBool does not say who calls: the enable goes to the owner of the newest heartbeat, and only
    that owner's heartbeats prolong it.

    Args:
        longest: [s] that one heartbeat is good for.
        on_hold: called when motion was disabled by request.
    """

    def __init__(
        self, node: Node, loop: ControlLoop, longest: float, on_hold: Callable[[], None]
    ) -> None:
        self._node, self._loop, self._longest, self._on_hold = node, loop, longest, on_hold
        self._heard = LeaseBook(time.monotonic)
        self._newest = ""
        self._waiting: list[tuple[float, Future]] = []
        node.create_subscription(SteeringLease, "bridge/heartbeat", self._beat, qos.HEARTBEAT)
        # Two of them wait; in the node's own group nothing else would be served meanwhile.
        group = ReentrantCallbackGroup()
        for kind, name, answer in (
            (SetBool, "bridge/enable", self._enable),
            (Trigger, "bridge/stop", self._stop),
            (Trigger, "bridge/recover", self._recover),
        ):
            node.create_service(kind, name, answer, callback_group=group)
        node.create_timer(CHECK_PERIOD, self._look)

    def _beat(self, message: SteeringLease) -> None:
        duration = min(message.duration, self._longest)
        if not message.owner.strip() or not duration > 0:
            return
        self._heard.renew(message.owner, duration)
        self._newest = message.owner
        if self._loop.state().envelope.owner == message.owner:
            try:
                self._loop.renew(message.owner, duration)
            except EnableRefused as refusal:  # stopped in this very moment
                self._node.get_logger().info(f"heartbeat came too late: {refusal}")
        self._wake()

    async def _enable(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        if not request.data:
            self._loop.disable("bridge/enable")
            self._on_hold()
            response.success, response.message = True, "holding still; motion is disabled"
            return response
        try:
            owner = await self._owner()
            self._refuse_two_bridges()
            self._loop.enable(owner, min(self._longest, self._heard.remaining(owner)))
        except VlaSaeError as refusal:
            response.message = str(refusal)
            self._node.get_logger().warning(f"enable refused: {refusal}")
            return response
        response.success, response.message = True, f"motion is enabled for {owner}"
        return response

    def _stop(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._loop.stop("bridge/stop")
        response.success, response.message = True, "stopped; recover, then enable, to go on"
        return response

    async def _recover(
        self, _request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        # Reaching a robot takes seconds; a heartbeat or a stop must not wait for that.
        finished = Future(executor=self._node.executor)
        finished.add_done_callback(lambda _: None)  # rclpy looks at a coroutine when it is woken
        threading.Thread(target=self._recover_on_thread, args=(finished,), daemon=True).start()
        problem = await finished
        response.success, response.message = not problem, problem or "recovered; enable to go on"
        return response

    def _recover_on_thread(self, finished: Future) -> None:
        try:
            self._loop.recover("bridge/recover")
        except VlaSaeError as error:
            finished.set_result(str(error))
        except Exception as error:  # a driver's bug: the service must be answered all the same
            finished.set_result(repr(error))
        else:
            finished.set_result("")

    async def _owner(self) -> str:
        """Return who is heard of; waits for the first heartbeat. Raises EnableRefused."""
        if self._heard.remaining(self._newest) <= 0:
            heard = Future(executor=self._node.executor)
            self._waiting.append((time.monotonic() + PATIENCE, heard))
            await heard
        if self._heard.remaining(self._newest) <= 0:
            raise EnableRefused(NO_HEARTBEAT)
        return self._newest

    def _look(self) -> None:
        if self._bridges() > 1 and self._loop.state().envelope.owner:
            self._loop.stop("the bridge", TWO_BRIDGES)
        self._wake()

    def _wake(self) -> None:
        heard, now = self._heard.remaining(self._newest) > 0, time.monotonic()
        for waiting in list(self._waiting):
            if heard or now > waiting[0]:
                self._waiting.remove(waiting)
                waiting[1].set_result(None)

    def _refuse_two_bridges(self) -> None:
        if self._bridges() > 1:
            raise EnableRefused(f"Refused: {TWO_BRIDGES}.")

    def _bridges(self) -> int:
        return self._node.count_publishers("robot_command")
