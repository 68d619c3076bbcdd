"""`instruction/set`: what the policy is told can change in the middle of an episode."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.msg import InstructionChange
from vla_sae_ros.nodes.episode.episode import Progress, Told
from vla_sae_ros.srv import SetInstruction
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header

LONGEST = 500
"""Characters of an instruction; no policy's prompt holds as many."""


class InstructionService:
    """Takes changes for the episode that runs and tells them on `instruction`.

    Nobody owns the instruction and no lease runs: a change is an event.

    Args:
        node: whose service and topic these are.
        present: the progress of the episode that was told last.
        tell: hands a change to the episode with this id; False: it does not run any more.
    """

    def __init__(
        self, node: Node, present: Callable[[], Progress], tell: Callable[[str, Told], bool]
    ) -> None:
        self._node, self._present, self._tell = node, present, tell
        self._revision, self._newest = 0, ("", "")
        self._changes = node.create_publisher(InstructionChange, "instruction", qos.EVENTS)
        self._service = node.create_service(
            SetInstruction, "instruction/set", self._set, qos_profile=qos.SERVICE
        )

    def _set(
        self, request: SetInstruction.Request, response: SetInstruction.Response
    ) -> SetInstruction.Response:
        try:
            self._change(request)
            response.accepted = True
        except ConfigurationError as refusal:
            response.reason = str(refusal)
            self._node.get_logger().warning(
                f"new instruction of {request.owner!r} refused: {refusal}"
            )
        response.revision = self._revision
        return response

    def _change(self, request: SetInstruction.Request) -> None:
        """Hand the change over and tell it. Raises ConfigurationError; nothing is changed then."""
        text = checked(request.instruction)
        progress = self._present()
        goal = progress.goal
        if goal is None or not progress.status.under_way:
            raise ConfigurationError(
                "No episode runs. Start one with its instruction: vla-sae run --instruction TEXT, "
                "or the action run_episode."
            )
        if request.episode_id not in ("", goal.episode_id):
            raise ConfigurationError(
                complaint("episode_id", request.episode_id, repr(goal.episode_id))
            )
        told = Told(text, self._revision + 1)
        if not self._tell(goal.episode_id, told):
            raise ConfigurationError(f"The episode {goal.episode_id} has just ended.")
        self._revision = told.revision
        # A second change may come before the episode has told of the first.
        episode, newest = self._newest
        previous = newest if episode == goal.episode_id else goal.instruction
        self._newest = goal.episode_id, text
        self._changes.publish(
            InstructionChange(
                header=to_header(progress.stamp_ns),
                episode_id=goal.episode_id,
                revision=told.revision,
                step=progress.step,
                instruction=text,
                previous=previous,
                owner=request.owner,
            )
        )
        self._node.get_logger().info(
            f"new instruction of {request.owner or 'an unnamed client'}: {text}"
        )


def checked(instruction: str) -> str:
    """Return an instruction in one line. Raises ConfigurationError for none, or too long a one."""
    text = " ".join(instruction.split())
    if not text:
        raise ConfigurationError(complaint("instruction", instruction, "words"))
    if len(text) > LONGEST:
        what = f"at most {LONGEST} characters"
        raise ConfigurationError(complaint("instruction", f"{len(text)} characters", what))
    if not text.isprintable():
        raise ConfigurationError(complaint("instruction", text, "characters that can be printed"))
    return text
