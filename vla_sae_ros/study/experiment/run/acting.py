"""How far a rollout's changes act in an inference: inside the window, while the condition holds,
by the share that the controller sets.

Condition and controller are those that an edit has live, with the same readings, in observation
time.
"""

from __future__ import annotations

from vla_sae_ros.activations.source import PolicyQuery
from vla_sae_ros.core.steering.condition import Gate, Readings, ReadOut, feature_readings
from vla_sae_ros.core.steering.control import Controller
from vla_sae_ros.policy.inference import Inference
from vla_sae_ros.sim.conventions import observation_readings
from vla_sae_ros.study.experiment.design.study_parts import Window
from vla_sae_ros.study.experiment.run.recorder import Recorder
from vla_sae_ros.study.rollouts.simulated import scene_readings


class Acting:
    """Goes through one episode: `begins`, then `ends`, at every inference.

    Args:
        recorder: knows the episode's events.
        window: of the run.
    """

    def __init__(self, recorder: Recorder, window: Window) -> None:
        self._recorder, self._window = recorder, window
        self._rate = recorder.scene.control_rate_hz
        self._kinds = scene_readings(recorder.scene)
        self._gate = None if window.when is None else Gate(window.when)
        self._controller = None if window.control is None else Controller(window.control, 0.0)
        self._before, self._read = 0, ReadOut()
        self._share, self._capped = 0.0, False

    def begins(self, query: PolicyQuery) -> float:
        """Return the share of the changes that acts in the inference that begins, 0 to 1."""
        inside = self._recorder.inside(self._window, query.step)
        if self._gate is None and self._controller is None:
            return float(inside)
        own = observation_readings(query.frame, query.step, self._kinds)
        readings = {**self._read.known_at(query.step / self._rate), **own}
        seconds = (query.step - self._before) / self._rate
        is_open = self._gate is None or self._gate.update(readings, seconds)
        self._share = self._wanted(readings, seconds) if is_open and inside else self._off()
        return self._share

    def ends(self, query: PolicyQuery, inference: Inference) -> None:
        """See what the inference read: it counts in the next one."""
        self._before, features = query.step, self._window.features_read
        if features:
            time = query.step / self._rate
            self._read = ReadOut(time, feature_readings(inference.sites, features))
        if self._controller is not None:
            self._capped = any(site.capped for site in inference.sites)

    def _wanted(self, readings: Readings, seconds: float) -> float:
        if self._controller is None:
            return 1.0
        wanted = self._controller.update(readings, seconds, self._share, self._capped)
        if wanted is None:  # its reading is not known
            return 0.0
        slew = self._controller.control.slew
        if not slew:
            return wanted
        step = slew * seconds
        return min(max(wanted, self._share - step), self._share + step)

    def _off(self) -> float:
        if self._controller is not None:
            self._controller.begin()
        return 0.0
