"""A client that also knows the newest steering state and catalogue."""

from __future__ import annotations

import os
import threading

from vla_sae_ros.clients.client import Client, NoAnswer
from vla_sae_ros.core.steering import Edit
from vla_sae_ros.msg import FeatureCatalogue, FeatureInfo, SteeringState
from vla_sae_ros.wire import qos

STATE_TIMEOUT = 10.0  # [s] for the latched steering state; discovery takes 2 to 3


class SteerClient(Client):
    """A client that also knows the newest steering state. It owns its edits as steer_<process>."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name or f"steer_{os.getpid()}")
        self._changed = threading.Condition()
        self._state: SteeringState | None = None
        self._catalogue: FeatureCatalogue | None = None
        self._node.create_subscription(SteeringState, "steering/state", self._receive, qos.LATCHED)

    def state(self) -> SteeringState:
        """Return the newest steering state; NoAnswer when nobody publishes one."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._state is not None, STATE_TIMEOUT):
                raise NoAnswer(
                    "no node publishes steering/state. Is a system running? Start: vla-sae up sim"
                )
            assert self._state is not None
            return self._state

    def bundles(self) -> dict[str, str]:
        """Return site -> content id of the SAE bundles that serve; NoAnswer when nobody says."""
        if self._catalogue is None:
            self._node.create_subscription(
                FeatureCatalogue, "policy/catalogue", self._receive_catalogue, qos.LATCHED
            )
        with self._changed:
            if not self._changed.wait_for(lambda: self._catalogue is not None, STATE_TIMEOUT):
                raise NoAnswer("no node publishes policy/catalogue. Is a policy running?")
            assert self._catalogue is not None
            return dict(zip(self._catalogue.sites, self._catalogue.bundle_ids, strict=True))

    def known(self, site: str, feature: int) -> FeatureInfo | None:
        """Return what the policy says about a feature, or None; `site` may be empty if only one.

        Raises NoAnswer when no policy says anything.
        """
        self.bundles()
        assert self._catalogue is not None
        steerable = [
            name
            for name, can in zip(self._catalogue.sites, self._catalogue.can_steer, strict=True)
            if can
        ]
        site = site or (steerable[0] if len(steerable) == 1 else "")
        features = self._catalogue.features
        return next((one for one in features if (one.site, one.feature) == (site, feature)), None)

    def wait_until_gone(self, revision: int) -> None:
        """Wait until this client's edits, set at `revision`, have left the state but for `hold`, or
        the policy that they were set at was started again."""
        with self._changed:
            of = self._state
            self._changed.wait_for(lambda: self._gone(revision, of))

    def release(self, edit: Edit) -> None:
        """Ramp an edit of this client's back to natural."""
        self.set_steering([], release=[edit.key])

    def _gone(self, revision: int, of: SteeringState | None) -> bool:
        if self._state is None:
            return False
        if of is not None and self._state.policy_start != of.policy_start:
            return True
        if self._state.revision < revision:
            return False
        return all(each.edit.hold or each.owner != self.name for each in self._state.edits)

    def _receive(self, state: SteeringState) -> None:
        with self._changed:
            self._state = state
            self._changed.notify_all()

    def _receive_catalogue(self, catalogue: FeatureCatalogue) -> None:
        with self._changed:
            self._catalogue = catalogue
            self._changed.notify_all()
