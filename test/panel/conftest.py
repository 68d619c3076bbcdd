"""Qt without a screen, and a catalogue to show."""

from __future__ import annotations

import os
import time

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from patience import PATIENCE_MS
from pytestqt.qtbot import QtBot

from vla_sae_ros.core.steering import Edit, Mode, Phase, StandingEdit, StateView, Unit
from vla_sae_ros.panel.ros.ros_thread import RosThread
from vla_sae_ros.panel.state.incoming import Incoming
from vla_sae_ros.panel.state.monitors import MonitorView
from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.state.values import (
    Activations,
    CatalogueView,
    EpisodeGoal,
    EpisodeView,
    EventView,
    FeatureName,
    RecordingView,
    Site,
)
from vla_sae_ros.panel.views.view import Context
from vla_sae_ros.panel.widgets.guard import MISHAPS

LABELS = ("gripper closes", "hand above basket", "soup in view", "")


class PatientBot(QtBot):
    """pytest-qt's own, which waits a second or five: too little for a busy machine."""

    def waitUntil(self, callback, *, timeout=PATIENCE_MS):
        super().waitUntil(callback, timeout=timeout)

    def waitExposed(self, widget, *, timeout=PATIENCE_MS):
        return super().waitExposed(widget, timeout=timeout)


@pytest.fixture
def qtbot(qapp, request) -> PatientBot:
    return PatientBot(request)


class FakeCommands:
    """Remembers requests as (kind, what) and answers nothing."""

    def __init__(self) -> None:
        self.owner = "panel_test"
        self.lease = 2.0
        self.busy = False
        self.listening = True
        self.requests: list[tuple[str, object]] = []
        self.offered: set[str] = set()
        self.moves: list[tuple[float, float, float]] = []

    @property
    def can_run_episodes(self) -> bool:
        return "run_episode" in self.offered

    def offers(self, service: str) -> bool:
        return service in self.offered

    def gui_alive(self) -> None:
        pass

    def steer(
        self,
        edits: Sequence[Edit],
        release: Sequence[FeatureName] = (),
        ramp: float = 0.0,
        words: str = "steering",
    ) -> int:
        return self._note("steer", (list(edits), list(release)))

    def apply_preset(self, text: str) -> int:
        return self._note("preset", text)

    def set_bypass(self, bypass: bool) -> int:
        return self._note("bypass", bypass)

    def reset(self) -> int:
        return self._note("reset", None)

    def tell(self, instruction: str, episode_id: str) -> int:
        return self._note("tell", (instruction, episode_id))

    def run_episode(self, goal: EpisodeGoal) -> bool:
        return bool(self._note("run", goal))

    def cancel_episode(self) -> bool:
        return bool(self._note("cancel", None))

    def start_recording(self, uri: str = "", images: bool = True) -> int:
        return self._note("record", (uri, images))

    def stop_recording(self) -> int:
        return self._note("stop recording", None)

    def annotate(self, text: str, episode: EpisodeView | None) -> None:
        self._note("remark", text)

    def select_heatmap(self, name: FeatureName | None) -> int:
        return self._note("heatmap", name)

    def annotate_feature(self, name: FeatureName, label: str, notes: str) -> int:
        return self._note("notes", (name, label, notes))

    def enable_bridge(self, enable: bool) -> int:
        return self._note("enable", enable)

    def take_over(self, on: bool) -> int:
        return self._note("take over", on)

    def move_by_hand(self, linear: tuple[float, float, float]) -> None:
        self.moves.append(linear)

    def grip_by_hand(self, closing: float) -> None:
        self._note("grip", closing)

    def stop_bridge(self) -> int:
        return self._note("stop", None)

    def recover_bridge(self) -> int:
        return self._note("recover", None)

    def _note(self, kind: str, what: object) -> int:
        self.requests.append((kind, what))
        return len(self.requests) if self.listening else 0


class FakeClient:
    """What a test puts into `incoming` is heard; what the panel asks for is in `commands`."""

    def __init__(self) -> None:
        self.incoming = Incoming(last_heard=time.monotonic() + 1000)
        self.commands = FakeCommands()
        self.policies = 1
        self.watched: list[str] = []
        self.seen_cameras: list[str] = []

    @property
    def owner(self) -> str:
        return self.commands.owner

    @property
    def requests(self) -> list[tuple[str, object]]:
        return self.commands.requests

    def cameras(self) -> list[str]:
        return self.seen_cameras

    def watch(self, camera: str) -> None:
        self.watched.append(camera)

    def unwatch(self, camera: str) -> None:
        if camera in self.watched:
            self.watched.remove(camera)


@pytest.fixture
def client() -> FakeClient:
    """A connection without a wire."""
    return FakeClient()


@pytest.fixture(autouse=True)
def no_mishaps() -> Iterator[None]:
    """Fail a test in which a guard caught something."""
    before = MISHAPS.count
    yield
    assert MISHAPS.count == before, MISHAPS.last


@pytest.fixture
def make_catalogue() -> Callable[..., CatalogueView]:
    """Return a maker of two sites with `size` features each; feature 3 of each is dead."""

    def make(size: int = 4, can_steer: bool = True, policy: str = "policy-a") -> CatalogueView:
        count = 2 * size
        largest = np.full(count, 2.0, np.float32)
        largest[3::size] = 0.0
        unknown = np.full(count, np.nan, np.float32)
        return CatalogueView(
            policy_id=policy,
            bundle_ids=("b", "e"),
            sites=(Site("backbone.1", size, True), Site("expert.0", size, can_steer)),
            labels=tuple(LABELS[row % len(LABELS)] for row in range(count)),
            classes=tuple(("general", "memorized")[row % 2] for row in range(count)),
            descriptions=("",) * count,
            label_sources=("",) * count,
            tests=("",) * count,
            outcomes=("",) * count,
            tested_names=("",) * count,
            notes=("",) * count,
            listed=largest > 0,
            observed_max=largest,
            coverage=np.linspace(0, 1, count, dtype=np.float32),
            density=unknown,
            onset_count=unknown,
            relative_run_length=unknown,
            general_probability=unknown,
            examples={},
        )

    return make


@pytest.fixture
def make_activations() -> Callable[..., Activations]:
    """Return a maker of one inference's activations: make(site, {feature: (natural, applied)})."""

    def make(
        site: str,
        values: dict[int, tuple[float, float]],
        inference: int = 1,
        time: float = 0.0,
        revision: int = 1,
        capped: bool = False,
        policy_start_ns: int = 0,
    ) -> Activations:
        features = sorted(values)
        pairs = np.array([values[each] for each in features], np.float32).reshape(-1, 2)
        return Activations(
            site=site,
            episode_id="e",
            time=time,
            inference=inference,
            step=5,
            revision=revision,
            index=np.array(features, np.uint32),
            natural=pairs[:, 0],
            applied=pairs[:, 1],
            edit_norm_ratio=0.1,
            capped=capped,
            bypassed=False,
            inference_ms=140.0,
            policy_start_ns=policy_start_ns,
        )

    return make


@pytest.fixture
def make_steering() -> Callable[..., StateView]:
    """Return a maker of a steering state: make((site, feature, multiple of 2.0), ...)."""

    def make(
        *edits: tuple[str, int, float],
        revision: int = 1,
        bypass: bool = False,
        owner: str = "panel_test",
        phase: Phase = Phase.HOLDING,
        time: float = 0.0,
        policy_start_ns: int = 0,
    ) -> StateView:
        return StateView(
            revision,
            bypass,
            0.5,
            20.0,
            time,
            tuple(
                StandingEdit(
                    Edit(feature, Mode.CLAMP, value, site, Unit.OBSERVED_MAX),
                    owner,
                    phase,
                    2.0 * value,
                    2.0 * value,
                    1.0,
                    2.0,
                )
                for site, feature, value in edits
            ),
            policy_start_ns,
        )

    return make


@pytest.fixture
def ros() -> Iterator[RosThread]:
    made = RosThread()
    yield made
    made.close()


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
def make_monitor():
    """Return a maker of a monitor's word on an inference: 10 a second, 20 steps a second."""

    def make(score: float, inference: int = 1, **others) -> MonitorView:
        view = MonitorView(
            monitor_id="m",
            score_name="fvu",
            site="backbone.1",
            episode_id="e",
            time=inference / 10,
            inference=inference,
            step=2 * inference,
            score=score,
            threshold=0.5,
            above=score > 0.5,
            alarm=False,
            alarm_step=-1,
            on_alarm="bypass",
            acted=False,
            detail="",
        )
        return replace(view, **others)

    return make


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
