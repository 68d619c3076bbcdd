"""A store with two sites, and a context whose client is a fake."""

from __future__ import annotations

import pytest

from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.state.values import EpisodeView, EventView, RecordingView
from vla_sae_ros.panel.views.view import Context


class Told:
    """Remembers what the operator was told, and what was selected."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.lines: list[tuple[str, bool]] = []

    def tell(self, text: str, warning: bool) -> None:
        self.lines.append((text, warning))

    def select(self, name: tuple[str, int]) -> None:
        self._store.selected = name


@pytest.fixture
def store(client, make_catalogue) -> Store:
    """Return a store that has heard of two sites with four features each."""
    result = Store()
    client.incoming.catalogues.put("", make_catalogue())
    result.take(client.incoming)
    return result


@pytest.fixture
def told(store) -> Told:
    return Told(store)


@pytest.fixture
def context(store, client, told) -> Context:
    return Context(store, client, told.select, told.tell)


@pytest.fixture
def infer(store, client, make_activations):
    """Return a function that lets the store hear one inference of both sites."""
    count = 0

    def hear(values, time: float, sites=("backbone.1", "expert.0")) -> None:
        nonlocal count
        count += 1
        for site in sites:
            client.incoming.activations.put(make_activations(site, values, count, time))
        store.take(client.incoming)

    return hear


@pytest.fixture
def make_event():
    def make(
        kind: str = "set",
        time: float = 1.0,
        feature: int = 1,
        reason: str = "",
        owner: str = "panel_test",
        site: str = "expert.0",
    ) -> EventView:
        return EventView(time, kind, owner, site, feature, float("nan"), 4.0, reason, 2)

    return make


@pytest.fixture
def make_episode():
    def make(running: bool = True, step: int = 30, status: str = "running") -> EpisodeView:
        return EpisodeView(
            "e1",
            "libero_object",
            3,
            "pick up the soup",
            step,
            280,
            status,
            "",
            False,
            2,
            0,
            0,
            running,
            10.0,
            8.5,
            41,
            7,
        )

    return make


@pytest.fixture
def make_recording():
    def make(
        status: str = "recording", elapsed: float = 75.0, dropped: int = 0, detail: str = ""
    ) -> RecordingView:
        return RecordingView(status, "/tmp/bags/sim_1", elapsed, 2_500_000, 1200, dropped, detail)

    return make
