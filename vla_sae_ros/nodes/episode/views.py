"""Observations on their way out; their pictures are drawn at once, or in the background."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vla_sae_ros.core.errors import SimulationError
from vla_sae_ros.nodes.episode.episode import Counts, EpisodeGoal, Request, SimulatedEpisodeOutput
from vla_sae_ros.sim.environment import BackgroundRenderer, Environment, Observation

LAST_LIMIT = 10.0
"""Seconds that the pictures of an episode's end are waited for; nothing moves meanwhile."""


@dataclass(frozen=True)
class View:
    """A state that is to be seen."""

    stamp_ns: int
    """Time of the state."""
    at: float
    """The same on the monotonic clock, seconds."""
    step: int
    observation: Observation
    asks: bool
    """A chunk is wanted for it."""


class Views:
    """Publishes states with their pictures, and then asks for chunks; on the episode's thread.

    Args:
        goal, start_ns: of the episode; `goal` may be replaced while it runs.
        environment: draws on demand while it stands still.
        renderer: draws while the environment goes on; None: the environment does, at once.
        output: where observations and requests go.
        counts: what is counted is written in here.
        now: the monotonic clock of a view's `at`, seconds; None where time stands still meanwhile.
    """

    def __init__(
        self,
        goal: EpisodeGoal,
        start_ns: int,
        environment: Environment,
        renderer: BackgroundRenderer | None,
        output: SimulatedEpisodeOutput,
        counts: Counts,
        now: Callable[[], float] | None,
    ) -> None:
        self.goal, self._start_ns = goal, start_ns
        self._environment, self._renderer, self._output = environment, renderer, output
        self._counts, self._now = counts, now
        self._under_way: View | None = None

    def take(self, view: View) -> bool:
        """Publish the environment's present state, or have it drawn to be published later.

        Returns False while an earlier one is being drawn; nothing happens then.
        """
        if self._renderer is None:
            cameras = self._environment.cameras
            self._publish(view, {name: self._environment.render(name) for name in cameras})
            return True
        if not self._renderer.submit():
            return False
        self._under_way = view
        return True

    def publish_drawn(self, timeout: float = 0.0) -> None:
        """Publish the view under way if it is drawn, or is within timeout seconds.

        Raises SimulationError when it never will be.
        """
        if self._renderer is None:
            return
        try:
            pictures = self._renderer.collect(timeout)
        finally:
            self._counts.renderer_restarts = self._renderer.restarts
            self._counts.renderer_trouble = self._renderer.trouble
        if pictures is not None and self._under_way is not None:
            view, self._under_way = self._under_way, None
            self._publish(view, pictures)

    def take_last(self, view: View) -> str:
        """Publish the state in which the episode ended; a text says why that could not be done."""
        try:
            if self._under_way is not None:
                self._publish_last(self._under_way)
            if not self.take(view):
                return f"the last pictures are missing: none within {LAST_LIMIT:g} s"
            if self._under_way is not None:
                self._publish_last(self._under_way)
        except SimulationError as error:
            return f"the last pictures are missing: {error}"
        return ""

    def _publish_last(self, view: View) -> None:
        # Nobody needs a chunk any more.
        self._under_way = View(view.stamp_ns, view.at, view.step, view.observation, asks=False)
        self.publish_drawn(LAST_LIMIT)

    def _publish(self, view: View, pictures: dict) -> None:
        self._output.observation(view.stamp_ns, view.observation, pictures)
        age = 0.0 if self._now is None else self._now() - view.at
        self._counts.observations += 1
        self._counts.observation_age = age
        self._counts.worst_observation_age = max(self._counts.worst_observation_age, age)
        if view.asks:
            self._output.request(Request(self.goal, view.stamp_ns, self._start_ns, view.step, age))
