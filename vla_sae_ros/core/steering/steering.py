"""The steering state: accepts or refuses requests, ramps edits, and hands each inference its view.

Two clocks: ramps, durations and windows run in observation time, so that a lockstep experiment is
reproducible; leases run in wall time, because they tell whether an owner is alive.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, replace

import numpy as np

from vla_sae_ros.core.errors import SteeringRefused, bounded, complaint
from vla_sae_ros.core.steering.condition import FEATURE, STEP, Gate, Readings, ReadOut
from vla_sae_ros.core.steering.control import Controller
from vla_sae_ros.core.steering.edit import Edit, Mode
from vla_sae_ros.core.steering.event import Event, EventKind
from vla_sae_ros.core.steering.lease import LeaseBook
from vla_sae_ros.core.steering.limits import SteeringLimits
from vla_sae_ros.core.steering.site import SteeringSite
from vla_sae_ros.core.steering.slot import NO_READINGS, Slot
from vla_sae_ros.core.steering.snapshot import Snapshot, StandingEdit, StateView, snapshot_of
from vla_sae_ros.core.steering.validation import (
    check_name,
    check_owner,
    check_ramp,
    check_size,
    resolve_edit,
    resolve_site,
)


class Steering:
    """Thread-safe steering state. Every request is all-or-nothing.

    Args:
        sites: the sites that have an SAE.
        limits: what requests are held to.
        clock: monotonic wall time [s], for leases.
        revision: to count on from, where another state of the same process has counted before.
        known_readings: kinds of readings that conditions may use here, see `Condition`.
        injection: site at which another episode's residual stream can be injected, and is at first;
            empty = none.
    """

    def __init__(
        self,
        sites: Iterable[SteeringSite],
        limits: SteeringLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        revision: int = 0,
        known_readings: Iterable[str] = (FEATURE, STEP),
        injection: str = "",
    ) -> None:
        self.sites = {site.name: site for site in sites}
        self.limits = limits or SteeringLimits()
        self._leases = LeaseBook(clock)
        self._lock = threading.RLock()
        self._slots: list[Slot] = []
        self._events: list[Event] = []
        self._revision = revision
        self._bypass = False
        self._injection, self._injecting = injection, bool(injection)
        self._now: float | None = None
        self._capped: set[str] = set()
        self._known_readings = frozenset(known_readings)
        self._episode_start: float | None = None
        self._read_out = ReadOut()

    @property
    def revision(self) -> int:
        with self._lock:
            return self._revision

    def set(
        self,
        edits: Sequence[Edit],
        owner: str,
        release: Sequence[tuple[str, int]] = (),
        lease: float = 0.0,
        release_ramp: float | None = None,
    ) -> int:
        """Set edits and release others in one step; return the new revision.

        Args:
            edits: to set; each replaces a standing edit of the same site and feature.
            owner: under whose lease the edits stand.
            release: (site, feature) of standing edits to ramp back to natural.
            lease: [s] first lease; 0 = the default.
            release_ramp: [s] ramp of the releases, or the slew limit's if that is longer; None =
                each edit's own.

        Raises:
            SteeringRefused: with the reason; the state is unchanged and the refusal is logged.
        """
        with self._lock, self._refusals_logged(owner):
            lease = self._check_owner(owner, lease)
            check_size(len(edits), "edits", self.limits)
            check_size(len(release), "releases", self.limits)
            if not edits and not release:
                raise SteeringRefused("the request names no edit to set and none to release.")
            if release_ramp is not None:
                check_ramp(release_ramp, self.limits)
            resolved = [self._resolved(edit) for edit in edits]
            leaving = [self._standing_key(key) for key in release]
            self._check_together(resolved, leaving)
            self._leases.renew(owner, lease)
            return self._commit(resolved, leaving, owner, release_ramp)

    def apply_preset(self, edits: Sequence[Edit], name: str, owner: str, lease: float = 0.0) -> int:
        """Set these edits and release every other edit of this owner; return the new revision.

        Raises:
            SteeringRefused: with the reason; the state is unchanged and the refusal is logged.
        """
        with self._lock, self._refusals_logged(owner):
            lease = self._check_owner(owner, lease)
            check_name(name, "name of the preset", self.limits)
            check_size(len(edits), "edits", self.limits)
            resolved = [self._resolved(edit) for edit in edits]
            wanted = {edit.key for edit in resolved}
            leaving = [
                s.edit.key
                for s in self._standing()
                if s.owner == owner and s.edit.key not in wanted
            ]
            self._check_together(resolved, leaving)
            self._leases.renew(owner, lease)
            revision = self._commit(resolved, leaving, owner, None)
            self._log(EventKind.PRESET, owner, reason=name)
            return revision

    def reset(self, owner: str) -> int:
        """Release every edit, whoever set it, lift the bypass and end an injection; return the new
        revision."""
        with self._lock:
            self._revision += 1
            self._bypass = self._injecting = False
            for slot in self._standing():
                slot.release(self._way_back(slot))
            self._log(EventKind.RESET, owner, reason="every edit ramps back to natural")
            return self._revision

    def drop(self, reason: str) -> None:
        """Take every edit away at once, with an event each: nothing infers any more."""
        with self._lock:
            if not self._slots:
                return
            self._revision += 1
            for slot in self._slots:
                key = slot.edit.key
                self._log(EventKind.REMOVED, slot.owner, *key, from_value=slot.value, reason=reason)
            self._slots.clear()

    def set_limits(self, limits: SteeringLimits, owner: str) -> None:
        """Hold inferences and requests from now on to other limits; edits that stand stay."""
        with self._lock:
            changes = [
                f"{one.name} {old:g} to {new:g}"
                for one in fields(limits)
                if (old := getattr(self.limits, one.name)) != (new := getattr(limits, one.name))
            ]
            if changes:
                self._revision += 1
                self.limits = limits
                self._log(EventKind.LIMITS, owner, reason=", ".join(changes))

    def set_bypass(self, bypass: bool, owner: str) -> int:
        """Let no edit act (True) or all again (False), keeping them; return the revision."""
        with self._lock:
            if bypass != self._bypass:
                self._bypass = bypass
                self._revision += 1
                self._log(EventKind.BYPASS, owner, reason="on" if bypass else "off")
            return self._revision

    def set_injection(self, on: bool, owner: str) -> int:
        """Inject another episode's residual stream, or no more; return the revision.

        Raises:
            SteeringRefused: there is none to inject.
        """
        with self._lock, self._refusals_logged(owner):
            if not self._injection:
                raise SteeringRefused(
                    "the policy was started without a stream to inject. Start the simulation with "
                    "the arguments inject and inject_site."
                )
            if on != self._injecting:
                self._injecting = on
                self._revision += 1
                said = "on" if on else "off"
                self._log(EventKind.INJECTION, owner, self._injection, reason=said)
            return self._revision

    def heartbeat(self, owner: str, duration: float) -> None:
        """Renew an owner's lease.

        Raises:
            SteeringRefused: empty owner, or a duration outside the limits.
        """
        with self._lock:
            self._leases.renew(owner, self._check_owner(owner, duration))

    def expire_leases(self) -> bool:
        """Release the edits of owners that were not heard of in time; return whether any were."""
        with self._lock:
            expired = [
                slot
                for slot in self._standing()
                if not slot.edit.hold and self._leases.remaining(slot.owner) == 0.0
            ]
            if not expired:
                return False
            self._revision += 1
            for slot in expired:
                self._release(slot, EventKind.LEASE_EXPIRED, "no heartbeat from its owner")
            for owner in {slot.owner for slot in expired}:
                self._leases.forget(owner)
            return True

    def begin_inference(
        self,
        observation_time: float,
        episode_start: float | None = None,
        readings: Readings = NO_READINGS,
    ) -> Snapshot:
        """Move ramps on to this observation's time and return what the inference applies.

        The time between two episodes counts for edits on their way back to natural only: whatever
        begins or lasts goes on in the next episode where it was.

        Args:
            observation_time: [s] stamp of the observation. Time that runs backwards moves nothing.
            episode_start: [s] stamp of the episode's first observation; None = this one.
            readings: of this observation, for conditions and controllers; features are told by
                `read_out`.
        """
        with self._lock:
            start = observation_time if episode_start is None else episode_start
            elapsed = 0.0 if self._now is None else max(0.0, observation_time - self._now)
            # The stamps go on between two episodes, while nothing moves and nothing is seen.
            seconds = elapsed
            if episode_start is not None:
                seconds = min(elapsed, max(0.0, observation_time - episode_start))
            self._now = observation_time
            known = {**self._fresh_features(observation_time, start), **readings}
            for slot in self._slots:
                held_back = self._bypass or slot.edit.site in self._capped
                slot.advance(seconds, elapsed, observation_time - start, known, held_back)
            self._release_due()
            self._remove_spent()
            return snapshot_of(self.view())

    def read_out(self, observation_time: float, features: Readings) -> None:
        """Tell what conditions and controllers read in an inference: it counts in the next one.

        Args:
            observation_time: [s] stamp of the inference's observation.
            features: of `wanted_features`, those whose site was read out.
        """
        with self._lock:
            self._read_out = ReadOut(observation_time, dict(features))

    @property
    def wanted_features(self) -> frozenset[tuple[str, int]]:
        """(site, feature) that conditions and controllers of the standing edits read."""
        with self._lock:
            found = [one for slot in self._slots for one in (slot.edit.when, slot.edit.control)]
            return frozenset(
                (one.site, one.feature) for one in found if one and one.reading == FEATURE
            )

    def _fresh_features(self, observation_time: float, episode_start: float) -> Readings:
        """Return what the inference before read; nothing in another episode, or if it is old."""
        if episode_start != self._episode_start:
            self._episode_start, self._read_out = episode_start, ReadOut()
            for slot in self._slots:
                if slot.gate is not None:
                    slot.gate.close()
                if slot.controller is not None:
                    slot.controller.begin()
        return self._read_out.known_at(observation_time)

    def report_capped(self, site: str, capped: bool) -> None:
        """Tell that this inference's edit of a site was, or was not, scaled down to the cap."""
        with self._lock:
            if capped and site not in self._capped:
                self._log(
                    EventKind.CAPPED,
                    site=site,
                    reason=f"scaled down to ||dx||/||x|| = {self.limits.cap}",
                )
            (self._capped.add if capped else self._capped.discard)(site)

    def record_refusal(self, owner: str, reason: str) -> None:
        """Write a request that could not even be read to the audit trail."""
        with self._lock:
            self._log(EventKind.REFUSED, owner, reason=reason)

    def drain_events(self) -> list[Event]:
        """Return the events since the last call, oldest first."""
        with self._lock:
            events, self._events = self._events, []
            return events

    def view(self) -> StateView:
        """Return the whole state as people see it."""
        with self._lock:
            return StateView(
                self._revision,
                self._bypass,
                self.limits.cap,
                self.limits.slew_limit,
                self._now or 0.0,
                tuple(self._standing_edit(slot) for slot in self._slots),
                injection=self._injection if self._injecting else "",
            )

    def _resolved(self, edit: Edit) -> Edit:
        return resolve_edit(edit, self.sites, self.limits, self._known_readings)

    def _standing(self) -> list[Slot]:
        return [slot for slot in self._slots if not slot.releasing]

    def _standing_edit(self, slot: Slot) -> StandingEdit:
        remaining = math.inf if slot.edit.hold else self._leases.remaining(slot.owner)
        return StandingEdit(
            slot.edit,
            slot.owner,
            slot.phase,
            slot.target,
            float(np.float32(slot.value)),
            float(np.float32(slot.weight)),
            remaining,
            None if slot.gate is None else slot.gate.reading,
            None if slot.controller is None else slot.controller.reading,
        )

    def _check_owner(self, owner: str, lease: float) -> float:
        check_owner(owner, self.limits)
        if not 0.0 <= lease <= self.limits.max_lease:
            raise SteeringRefused(
                complaint("bad lease [s]", lease, f"0 (the default) to {self.limits.max_lease}")
            )
        return lease or self.limits.default_lease

    def _standing_key(self, key: tuple[str, int]) -> tuple[str, int]:
        site, feature = resolve_site(key[0], self.sites).name, key[1]
        standing = sorted(slot.edit.key for slot in self._standing())
        if (site, feature) not in standing:
            raise SteeringRefused(
                complaint(
                    "no such edit to release", (site, feature), standing or "there are no edits"
                )
            )
        return site, feature

    def _check_together(self, edits: Sequence[Edit], leaving: Sequence[tuple[str, int]]) -> None:
        keys = [edit.key for edit in edits] + list(leaving)
        twice = sorted(key for key, count in Counter(keys).items() if count > 1)
        if twice:
            raise SteeringRefused(
                complaint("feature named twice in one request", twice, "each feature once")
            )
        staying = {slot.edit.key for slot in self._standing()} - set(leaving)
        total = len(staying | {edit.key for edit in edits})
        if total > self.limits.max_edits:
            raise SteeringRefused(complaint("too many edits at once", total, self.limits.max_edits))
        fading = sum(slot.releasing for slot in self._slots) + len(keys)
        if fading + len(staying) > self.limits.max_slots:
            raise SteeringRefused(
                f"{fading} edits are still ramping back to natural; at most "
                f"{self.limits.max_slots} are possible. Wait until the ramps end."
            )

    def _commit(
        self,
        edits: Sequence[Edit],
        leaving: Sequence[tuple[str, int]],
        owner: str,
        release_ramp: float | None,
    ) -> int:
        self._revision += 1
        self._remove_spent()  # they would pile up while nothing infers
        for slot in self._standing():
            if slot.edit.key in leaving:
                self._release(slot, EventKind.RELEASED, "on request", owner, release_ramp)
        for edit in edits:
            self._set_one(edit, owner)
        return self._revision

    def _set_one(self, edit: Edit, owner: str) -> None:
        site = self.sites[edit.site]
        target = site.natural_value(edit)
        old = next((slot for slot in self._standing() if slot.edit.key == edit.key), None)
        if old is not None and old.edit.acts_like(edit):
            new = self._under_control(self._retargeted(old, edit, owner, target, site), old)
            self._slots[self._slots.index(old)] = new
        else:
            if old is not None:
                self._replace(old)
            ramp = max(edit.ramp, self._slew_time(edit, target))
            new = Slot(edit, owner, target, target, 0.0, ramp, ramp, gate=_gate_of(edit))
            new = self._under_control(new)
            self._slots.append(new)
        self._log(
            EventKind.SET,
            owner,
            edit.site,
            edit.feature,
            math.nan if old is None else old.value,
            target,
            f"{edit.mode.name.lower()} over {new.rise:.3g} s",
        )

    def _replace(self, old: Slot) -> None:
        """Let an edit of another mode or scope fade out as its successor fades in.

        One of which nothing is felt yet has nothing to fade.
        """
        if old.weight == 0.0:
            self._slots.remove(old)
        else:
            old.release(self._way_back(old))

    def _slew_time(self, edit: Edit, target: float) -> float:
        """Return the least seconds from natural to fully applied, and back."""
        if edit.mode is Mode.PROJECT_OUT:
            return 1.0 / self.limits.slew_limit
        neutral = 1.0 if edit.mode is Mode.SCALE else 0.0
        return self.sites[edit.site].distance(edit, neutral, target) / self.limits.slew_limit

    def _retargeted(
        self, old: Slot, edit: Edit, owner: str, target: float, site: SteeringSite
    ) -> Slot:
        """Return the slot on its way to the new target.

        Value and weight arrive together. |d(weight * v)/dt| is at most |v| d(weight)/dt + |dv/dt|,
        and that is held to the slew limit.
        """
        missing = 1.0 - old.weight
        farthest = max(self._slew_time(edit, old.value), self._slew_time(edit, target))
        turn = site.distance(edit, old.value, target) / self.limits.slew_limit
        seconds = max(edit.ramp, missing * farthest + turn)
        return replace(
            old,
            edit=edit,
            owner=owner,
            target=target,
            value=target if seconds == 0.0 else old.value,
            value_rate=abs(target - old.value) / seconds if seconds > 0.0 else 0.0,
            ramp=max(edit.ramp, farthest),
            rise=seconds / missing if missing > 0.0 else max(edit.ramp, farthest),
            age=0.0,
            gate=old.gate if edit.when == old.edit.when else _gate_of(edit),
            changed=True,
        )

    def _under_control(self, slot: Slot, old: Slot | None = None) -> Slot:
        """Return the slot with its edit's controller, which goes on where the same one stood.

        Its value moves no faster than the slew limit; a ramp takes as long as from the far bound.
        """
        edit, control = slot.edit, slot.edit.control
        if control is None:
            return replace(slot, controller=None)
        site = self.sites[edit.site]
        scale = site.natural_value(replace(edit, value=1.0))
        farthest = max(self._slew_time(edit, bound * scale) for bound in control.bounds)
        fastest = self.limits.slew_limit / site.distance(edit, 0.0, 1.0)
        same = old is not None and (old.edit.control, old.edit.value) == (control, edit.value)
        return replace(
            slot,
            controller=old.controller if old and same else Controller(control, edit.value),
            scale=scale,
            value=slot.value if old is None else old.value,
            value_rate=min(fastest, control.slew * abs(scale) or math.inf),
            ramp=max(slot.ramp, farthest),
            rise=max(slot.rise, farthest),
        )

    def _way_back(self, slot: Slot, ramp: float | None = None) -> float:
        """Return the seconds from 1 to 0: as asked for, or the slew limit's if that is longer."""
        wanted = slot.edit.ramp if ramp is None else ramp
        return max(wanted, self._slew_time(slot.edit, slot.value))

    def _release(
        self,
        slot: Slot,
        kind: EventKind,
        reason: str,
        owner: str = "",
        ramp: float | None = None,
    ) -> None:
        slot.release(self._way_back(slot, ramp))
        self._log(
            kind,
            owner or slot.owner,
            slot.edit.site,
            slot.edit.feature,
            slot.value,
            math.nan,
            reason,
        )

    def _release_due(self) -> None:
        due = [slot for slot in self._slots if slot.is_due]
        if due:
            self._revision += 1
        for slot in due:
            self._release(slot, EventKind.RELEASED, "its duration has passed")

    def _remove_spent(self) -> None:
        for slot in [slot for slot in self._slots if slot.is_spent]:
            self._slots.remove(slot)
            self._log(
                EventKind.REMOVED,
                slot.owner,
                slot.edit.site,
                slot.edit.feature,
                reason="back to natural",
            )

    def _log(
        self,
        kind: EventKind,
        owner: str = "",
        site: str = "",
        feature: int = 0,
        from_value: float = math.nan,
        to_value: float = math.nan,
        reason: str = "",
    ) -> None:
        said = bounded(reason)
        self._events.append(
            Event(kind, self._revision, owner, site, feature, from_value, to_value, said)
        )

    @contextlib.contextmanager
    def _refusals_logged(self, owner: str) -> Iterator[None]:
        try:
            yield
        except SteeringRefused as refusal:
            self._log(EventKind.REFUSED, owner, reason=str(refusal))
            raise


def _gate_of(edit: Edit) -> Gate | None:
    return None if edit.when is None else Gate(edit.when)
