"""An executor whose node no callback ends: what one raises is refused, counted and logged."""

from __future__ import annotations

import inspect
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.executors import SingleThreadedExecutor, TimeoutException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.service import Service

from vla_sae_ros.core.errors import bounded

InvalidHandle = rclpy_implementation.InvalidHandle
NAMES_TOLD = 100
"""Different failures whose trace is logged; a node that fails in more ways counts them only."""


AT_A_TURN = 2
"""Requests of one service that are answered before others are heard. More would come faster than a
client with the default queue of ten takes them in."""


class NodeFailed(Exception):
    """Raised in a callback by a node that cannot go on: the only exception that ends it."""


class GuardedExecutor(SingleThreadedExecutor):
    """Runs a node's callbacks: of services, subscriptions, timers, actions, parameters, futures.

    A callback that raises ends nothing. A service answers with the reason where its response has a
    place for one; every answer's texts are bounded, so that it can be sent.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.failures: Counter[str] = Counter()
        """What was raised, by place and class."""

    def create_task(self, callback: Any, *args: Any, **kwargs: Any) -> Any:
        """As rclpy's; here come the callbacks of futures and the bodies of actions."""
        return super().create_task(self._guarded(callback), *args, **kwargs)

    def wait_for_ready_callbacks(self, *args: Any, **options: Any) -> Any:
        """As rclpy's, but a turn ends without work where another thread has destroyed something.

        rclpy takes care of what is destroyed while it collects what to wait for, except for
        waitables such as a publisher's events: they raise, and whoever spins would end.
        """
        try:
            return super().wait_for_ready_callbacks(*args, **options)
        except InvalidHandle as error:
            raise TimeoutException from error

    def _make_handler(
        self, entity: Any, node: Node, take_from_wait_list: Callable[[Any], Any]
    ) -> Any:
        # rclpy has no public hook between taking what has come and calling back. What taking
        # raises (text that is no UTF-8) would leave the entity out of the wait set for ever.
        return super()._make_handler(entity, node, self._guarded_take(node, take_from_wait_list))

    def _guarded_take(
        self, node: Node, take: Callable[[Any], Callable[[], Awaitable[None]] | None]
    ) -> Callable[[Any], Callable[[], Coroutine[Any, Any, None]] | None]:
        def take_guarded(entity: Any) -> Callable[[], Coroutine[Any, Any, None]] | None:
            place = _name_of(entity)
            if isinstance(entity, Service) and not hasattr(entity.callback, "always_answers"):
                entity.callback = self._answering(entity.callback, place, node)
            try:
                work = take(entity)
            except Exception as error:
                self.caught(place, error, node)
                return None
            if work is None:
                return None
            if isinstance(entity, Service):
                work = _and_those_behind(work, entity)
            return self._guarded(work, place, node)

        return take_guarded

    def _guarded(self, callback: Any, place: str = "", node: Node | None = None) -> Any:
        place = place or getattr(callback, "__qualname__", repr(callback))
        if inspect.iscoroutinefunction(callback):

            async def guarded(*args: Any, **kwargs: Any) -> Any:
                try:
                    return await callback(*args, **kwargs)
                except Exception as error:
                    self.caught(place, error, node)

            return guarded
        if not callable(callback):
            return callback  # a coroutine that was begun elsewhere

        def guarded_call(*args: Any, **kwargs: Any) -> Any:
            try:
                return callback(*args, **kwargs)
            except Exception as error:
                self.caught(place, error, node)

        return guarded_call

    def _answering(self, callback: Any, place: str, node: Node) -> Any:
        """Return a service's callback that always gives an answer that can be sent."""

        async def answer(request: Any, response: Any) -> Any:
            kind = type(response)
            if why := _unreadable_parameter(request):
                return _refusal(kind(), request, why)
            try:
                given = callback(request, response)
                if inspect.isawaitable(given):
                    given = await given
                bound_texts(given)
            except Exception as error:
                self.caught(place, error, node)
                return _refusal(kind(), request, bounded(f"internal error: {error!r}"))
            return given

        answer.always_answers = True  # type: ignore[attr-defined]  # the mark of what is guarded
        return answer

    def caught(self, place: str, error: Exception, node: Node | None = None) -> None:
        """Count and log what a callback raised; raises it again when it is meant to end the node.

        Raises:
            NodeFailed: `error` is one.
        """
        if isinstance(error, NodeFailed):
            raise error
        name = f"{place}: {type(error).__name__}"
        first = name not in self.failures
        if first and len(self.failures) >= NAMES_TOLD:
            name, first = "others", False
        self.failures[name] += 1
        logger = node.get_logger() if node is not None else get_logger("executor")
        if first:
            trace = "".join(traceback.format_exception(error))
            logger.error(bounded(f"{place} failed, the node continues. {trace}", 8000))


def failures_of(node: Node) -> int:
    """Return how many callbacks of a node's executor have raised."""
    return sum(failures_by_place(node).values())


def failures_by_place(node: Node) -> dict[str, int]:
    """Return how many callbacks of a node's executor have raised, by place and class."""
    executor = node.executor
    return dict(executor.failures) if isinstance(executor, GuardedExecutor) else {}


def _and_those_behind(
    work: Callable[[], Awaitable[None]], service: Any
) -> Callable[[], Coroutine[Any, Any, None]]:
    """Answer requests that wait behind the first, too: a turn of the executor costs as much."""

    async def answer_several() -> None:
        await work()
        for _ in range(AT_A_TURN - 1):
            with service.handle:
                request, header = service.handle.service_take_request(service.srv_type.Request)
            if header is None:
                return
            service.send_response(
                await service.callback(request, service.srv_type.Response()), header
            )

    return answer_several


def _unreadable_parameter(request: Any) -> str:
    """Return why a request to set parameters cannot be taken, or an empty text.

    rclpy would raise at the first that is of no known type, when those before it are set already,
    and takes one without a name for a declared one.
    """
    for each in getattr(request, "parameters", ()):
        try:
            Parameter.from_parameter_msg(each)
        except Exception as error:  # of rclpy, enum and array, as the case may be
            return bounded(f"none was set: {error}, of parameter {each.name!r}", 300)
        if not each.name:
            return "a parameter without a name was given, none was set"
    return ""


def _refusal(response: Any, request: Any, reason: str) -> Any:
    """Fill the places for a reason that an empty response has."""
    for name in ("reason", "message"):
        if hasattr(response, name):
            setattr(response, name, reason)
    if hasattr(response, "result") and hasattr(response.result, "reason"):
        response.result.reason = reason
    if hasattr(response, "results") and hasattr(request, "parameters"):
        response.results = [SetParametersResult(reason=reason) for _ in request.parameters]
    return response


def bound_texts(message: Any) -> None:
    """Cut every text of a message, nested ones included, to what can be sent and read."""
    for name, kind in message.get_fields_and_field_types().items():
        value = getattr(message, name)
        if kind == "string":
            if len(value) > 0:
                setattr(message, name, bounded(value))
        elif hasattr(value, "get_fields_and_field_types"):
            bound_texts(value)
        elif kind.startswith("sequence<") and isinstance(value, list):
            for each in value:
                if hasattr(each, "get_fields_and_field_types"):
                    bound_texts(each)


def _name_of(entity: Any) -> str:
    for name in ("srv_name", "service_name", "topic_name", "topic"):
        if isinstance(found := getattr(entity, name, None), str):
            return found
    callback = getattr(entity, "callback", None)
    return getattr(callback, "__qualname__", type(entity).__name__)
