"""An action client whose answers are heard however quickly they come."""

from __future__ import annotations

import threading
from typing import Any

from rclpy.action import client


class ActionClient(client.ActionClient):
    """rclpy's, safe to ask from a thread that does not spin the node.

    rclpy sends a request first and notes its number afterwards. When the spinning thread takes the
    answer in between, rclpy logs "Ignoring unexpected goal response" and the future never ends.
    Here an answer waits until the request under way is noted.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._asking = threading.RLock()
        super().__init__(*args, **options)

    def send_goal_async(self, *args: Any, **options: Any) -> Any:
        """As rclpy's."""
        with self._asking:
            return super().send_goal_async(*args, **options)

    async def execute(self, taken_data: Any) -> None:
        """As rclpy's, after the request under way."""
        with self._asking:
            pass
        await super().execute(taken_data)

    def _get_result_async(self, goal_handle: Any) -> Any:
        with self._asking:
            return super()._get_result_async(goal_handle)

    def _cancel_goal_async(self, goal_handle: Any) -> Any:
        with self._asking:
            return super()._cancel_goal_async(goal_handle)
