"""A person's commands as LIBERO's actions, for an episode that they have taken over."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.person import PersonInput
from vla_sae_ros.nodes.episode.hand import Takeover
from vla_sae_ros.sim.by_hand import osc_action


class SimHand:
    """See Hand; only who has taken over and is still heard of moves anything."""

    def __init__(self, person: PersonInput, takeover: Takeover) -> None:
        self._person, self._takeover = person, takeover

    @property
    def taken(self) -> bool:
        """See Hand.taken."""
        return bool(self._takeover.in_charge.owner)

    def action(self, last: npt.NDArray[np.float32] | None) -> npt.NDArray[np.float32] | None:
        """See Hand.action."""
        command = self._person.newest() if self._takeover.heard else None
        if command is None:
            return None
        gripper = 0.0 if last is None else float(last[-1])
        return osc_action(command.velocity, self._person.closing, gripper).astype(np.float32)
