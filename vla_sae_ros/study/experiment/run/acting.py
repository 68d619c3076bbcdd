"""Whether a rollout's changes act in an inference: inside the window, while the condition holds.

The condition is the one that an edit has live: the same gate, from the same readings, in
observation time.
"""

from __future__ import annotations

from vla_sae_ros.activations.source import PolicyQuery
from vla_sae_ros.core.steering.condition import FEATURE, Gate, ReadOut, feature_readings
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
        self._before, self._read = 0, ReadOut()

    def begins(self, query: PolicyQuery) -> bool:
        """Tell whether the changes act in the inference that begins."""
        inside = self._recorder.inside(self._window, query.step)
        if self._gate is None:
            return inside
        own = observation_readings(query.frame, query.step, self._kinds)
        readings = {**self._read.known_at(query.step / self._rate), **own}
        is_open = self._gate.update(readings, (query.step - self._before) / self._rate)
        return is_open and inside

    def ends(self, query: PolicyQuery, inference: Inference) -> None:
        """See what the inference read: it counts in the next one."""
        self._before, when = query.step, self._window.when
        if when is not None and when.reading == FEATURE:
            wanted = [(when.site, when.feature)]
            time = query.step / self._rate
            self._read = ReadOut(time, feature_readings(inference.sites, wanted))
