"""The scenes of tools/screenshots.py: open the panel as an operator does, act, take a picture.

python tools/panel_scenes.py desk | scale | lost | sizes | monitor | directions | tell | ... FOLDER
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

if sys.argv[1] == "scale":
    os.environ["QT_SCALE_FACTOR"] = "2"  # read when the first QApplication is made

from vla_sae_ros.environment import prepare

prepare()

from PyQt5.QtCore import QPoint  # noqa: E402  (after the environment)
from PyQt5.QtGui import QCursor  # noqa: E402
from PyQt5.QtWidgets import QApplication  # noqa: E402

from vla_sae_ros.core.steering import Mode, Unit  # noqa: E402
from vla_sae_ros.live.demo_settings import read_demo_settings  # noqa: E402
from vla_sae_ros.panel.frame.window import PanelWidget  # noqa: E402
from vla_sae_ros.panel.ros.ros_thread import RosThread  # noqa: E402
from vla_sae_ros.panel.state.connection import Link, link_state  # noqa: E402
from vla_sae_ros.panel.state.feature_columns import SortKey  # noqa: E402
from vla_sae_ros.panel.state.values import EpisodeGoal, FeatureName  # noqa: E402
from vla_sae_ros.panel.table.delegates import MODES  # noqa: E402
from vla_sae_ros.panel.table.table_columns import Column  # noqa: E402
from vla_sae_ros.panel.views.view import Area  # noqa: E402
from vla_sae_ros.panel.widgets.guard import MISHAPS  # noqa: E402
from vla_sae_ros.panel.widgets.inks import use_theme  # noqa: E402
from vla_sae_ros.resources import resource  # noqa: E402

_EDIT = read_demo_settings(resource("config", "demo.yaml")).steering.edits[0]
HAND_UP: FeatureName = (_EDIT.site, _EDIT.feature)
GOAL = EpisodeGoal("libero_object", 0, init_state=41, seed=7)
REHEARSED = EpisodeGoal("", -1, -1, 7, "put the can next to the milk", 450)
OTHER_INSTRUCTION = "push the box to the edge of the table"
OTHER_OBJECT = "milk"
"""In the scene of GOAL; the task's own is the alphabet soup."""
DIRECTIONS = ".directions"
"""Ends the site of directions beside an SAE."""
ANSWER = 20.0
"""[s] within which a bridge that was asked for an episode says that one runs."""
LONGEST = 1200.0
"""[s] for anything to happen: a busy machine takes minutes to load a policy."""


class Operator:
    """Works the panel."""

    def __init__(self, app: QApplication, folder: Path, goal: EpisodeGoal) -> None:
        """Open the panel and wait until a policy's features are there."""
        self.app, self._folder, self._goal = app, folder, goal
        self.ros = RosThread([])
        self.panel = PanelWidget(self.ros.client)
        self.panel.resize(1480, 900)
        self.panel.show()
        QCursor.setPos(QPoint(3590, 2390))
        self.store = self.panel.store
        self._asked = self.asked_to_enable = float("-inf")

    def until(self, done: Callable[[], bool], what: str, limit: float = LONGEST) -> None:
        """Let the panel run until something is so.

        Raises:
            TimeoutError: it is not so within `limit` [s].
        """
        end = time.monotonic() + limit
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {limit:g} s for {what}")
            self.app.processEvents()
            time.sleep(0.01)

    def rest(self, seconds: float) -> None:
        """Let the panel run for a while."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end, "time to pass")

    def live(self, seconds: float) -> None:
        """Let the panel run until features of so much observation time have come.

        An episode that ends meanwhile is followed by another, whose stamps may be earlier.
        """
        passed, before = 0.0, self.store.history.latest

        def enough() -> bool:
            nonlocal passed, before
            self._start_unless_one_runs()
            latest = self.store.history.latest
            if latest > before:  # never where it is NaN
                passed += latest - before
            before = latest
            return passed >= seconds

        self.until(enough, "features of a running episode")

    def take(self, name: str) -> None:
        """Save a picture of the window, the edited features on top of the table."""
        self.panel.table.scrollToTop()
        self.rest(0.2)
        self.app.processEvents()  # a text that has grown gets its room in the next round
        self.until(self._is_whole, "the newest inference of every site")
        path = self._folder / f"panel_{name}.png"
        if not self.panel.grab().save(str(path)):
            raise OSError(f"cannot write {path}")
        print(path, file=sys.stderr, flush=True)

    def _is_whole(self) -> bool:
        """Whether the newest inference is there of every site: traces end with zeros meanwhile."""
        return len({each.inference for each in self.store.newest.values()}) <= 1

    def show_tab(self, area: Area, title: str) -> None:
        """Bring a view to the front."""
        for tabs in self.panel.areas.tabs:
            titles = [tabs.tabText(index) for index in range(tabs.count())]
            if tabs.accessibleName() == area.value:
                tabs.setCurrentIndex(titles.index(title))

    def steer(self, name: FeatureName, value: float) -> None:
        """Commit a value as a released slider does."""
        row = self.store.columns.row_of(name)
        assert row is not None
        self.panel.table.committed.emit(row, value)

    def activation(self, name: FeatureName) -> float:
        """Return how active a feature is now."""
        row = self.store.columns.row_of(name)
        assert row is not None
        return float(self.store.columns.values(SortKey.ACTIVATION)[row])

    def pin_strongest(self, site: str, count: int, label: str = "") -> list[FeatureName]:
        """Pin the features of a site, with this in their label, that are most active now."""
        columns, labels = self.store.columns, self.store.catalogue.names
        order = (-columns.values(SortKey.ACTIVATION)).argsort()
        strongest = [columns.name_of(int(row)) for row in order[:200] if label in labels[int(row)]]
        names = [name for name in strongest if name[0] == site and name != HAND_UP][:count]
        for name in names:
            self.store.toggle_pin(name)
        return names

    def run_episode(self) -> None:
        """Start recording and an episode, unless one runs; wait for features."""
        self.until(lambda: self.panel._client.commands.can_run_episodes, "the bridge")
        # A scene before this one may have left a recording on.
        self.until(lambda: self.store.recording is not None, "the recorder")
        if not self.store.recording.recording:
            self.panel.areas.view("Controls").toggle_recording()
        self.live(0.5)

    def is_at(self, step: int) -> bool:
        """Whether an episode runs and has come so far; one is started where none runs."""
        self._start_unless_one_runs()
        episode = self.store.episode
        return episode is not None and episode.running and episode.step >= step

    def _start_unless_one_runs(self) -> None:
        """Ask for an episode; it may have ended since it was looked for last."""
        running = self.store.episode is not None and self.store.episode.running
        if running or time.monotonic() < self._asked + ANSWER:
            return
        self._asked = time.monotonic()
        episode = self.panel.areas.view("Episode")
        episode.form.show_goal(self._goal)
        episode.start()

    def close(self) -> None:
        """Leave."""
        self.panel.hide()  # its views tell the client what they no longer need while it is there
        self.panel.stop()
        self.ros.close()


def desk(operator: Operator) -> None:
    """Idle, then an episode with edits, then the light theme."""
    use_theme(operator.app, "dark")
    store = operator.store
    operator.until(lambda: store.catalogue.size > 0, "the policy's catalogue")
    operator.until(lambda: operator.panel._client.commands.can_run_episodes, "the bridge")
    operator.rest(1.5)
    operator.show_tab(Area.RIGHT, "Episode")
    operator.rest(0.5)
    operator.take("idle")
    operator.run_episode()
    store.toggle_pin(HAND_UP)
    second = operator.pin_strongest("expert.1", 1)[0]
    soup = operator.pin_strongest("backbone.1", 2, "object: alphabet_soup")
    operator.show_tab(Area.RIGHT, "Camera")
    operator.live(1.5)
    operator.steer(HAND_UP, 4.0)
    operator.live(1.0)
    operator.steer(second, -1.0)
    operator.panel.select(max(soup, key=operator.activation))
    operator.live(1.0)
    operator.take("running")
    use_theme(operator.app, "light")
    operator.panel.select(HAND_UP)
    operator.show_tab(Area.RIGHT, "Details")
    operator.show_tab(Area.BOTTOM, "Raster")
    operator.live(0.5)
    operator.take("light")


def scale(operator: Operator) -> None:
    """Twice the size."""
    use_theme(operator.app, "dark")
    operator.until(lambda: operator.store.catalogue.size > 0, "the policy's catalogue")
    operator.run_episode()
    operator.panel.select(HAND_UP)
    operator.steer(HAND_UP, 3.0)
    pin_some(operator)
    operator.live(1.0)
    operator.take("scale200")


def pin_some(operator: Operator) -> None:
    """Pin the steered feature and two more."""
    operator.store.toggle_pin(HAND_UP)
    operator.pin_strongest("expert.1", 2)


def lost(operator: Operator) -> None:
    """The policy falls silent."""
    use_theme(operator.app, "dark")
    operator.until(lambda: operator.store.catalogue.size > 0, "the policy's catalogue")
    operator.run_episode()
    pin_some(operator)
    operator.steer(HAND_UP, 2.0)
    operator.live(1.0)
    print("connected", flush=True)
    incoming = operator.panel._client.incoming
    operator.until(
        lambda: link_state(time.monotonic(), incoming.last_heard).link is Link.LOST, "silence", 60.0
    )
    operator.rest(0.5)
    operator.take("lost")


def sizes(operator: Operator) -> None:
    """A laptop's screen, a large one and half of one in rqt, dark and light."""
    operator.until(lambda: operator.store.catalogue.size > 0, "the policy's catalogue")
    operator.run_episode()
    operator.panel.select(HAND_UP)
    operator.steer(HAND_UP, 3.0)
    pin_some(operator)
    for theme in ("dark", "light"):
        use_theme(operator.app, theme)
        for width, height in ((1280, 800), (1920, 1080), (600, 800)):
            operator.panel.resize(width, height)
            operator.live(1.0)
            operator.take(f"{width}x{height}_{theme}")


def monitor(operator: Operator) -> None:
    """An edit that the policy does not cope with, until the monitor raises its alarm."""
    use_theme(operator.app, "dark")
    store = operator.store
    operator.until(lambda: store.catalogue.size > 0, "the policy's catalogue")
    operator.run_episode()
    operator.until(lambda: store.monitors.newest is not None, "the monitor")
    operator.panel.select(HAND_UP)
    operator.store.toggle_pin(HAND_UP)
    operator.live(1.0)
    operator.steer(HAND_UP, 4.0)
    operator.until(lambda: store.monitors.alarm is not None, "an alarm")
    operator.until(lambda: store.steering is not None and store.steering.bypass, "the bypass")
    operator.live(0.5)
    operator.take("monitor")


def directions(operator: Operator) -> None:
    """An edit of a direction that is no feature, and what the features beside it do."""
    use_theme(operator.app, "dark")
    store, tools = operator.store, operator.panel.tools
    operator.until(lambda: store.catalogue.size > 0, "the policy's catalogue")
    tools.mode.setCurrentIndex(MODES.index((Mode.ADD, Unit.NATURAL)))
    rows = [name for name in named(operator, "") if name[0].endswith(DIRECTIONS)]
    (height,) = [name for name in named(operator, "end-effector height") if name in rows]
    for column, words in ((Column.SITE, height[0]), (Column.LABEL, "probe: end-effector height")):
        width = operator.panel.table.fontMetrics().horizontalAdvance(words)
        operator.panel.table.setColumnWidth(column, width + 20)
    operator.run_episode()
    operator.until(lambda: operator.is_at(20), "an episode")
    for name in sorted(rows, key=lambda name: name != height):
        store.toggle_pin(name)
    operator.pin_strongest(height[0].removesuffix(DIRECTIONS), 1)
    operator.pin_strongest("expert.1", 1)
    operator.panel.select(height)
    operator.show_tab(Area.RIGHT, "Camera")
    operator.until(lambda: operator.is_at(30), "the middle of an episode")
    operator.steer(height, 6.0)
    operator.live(1.5)
    operator.take("directions")


def tell(operator: Operator) -> None:
    """Another instruction in the middle of an episode, and where the hand goes then."""
    use_theme(operator.app, "dark")
    store = operator.store
    operator.until(lambda: store.catalogue.size > 0, "the policy's catalogue")
    operator.show_tab(Area.RIGHT, "Episode")
    operator.run_episode()
    operator.until(lambda: operator.is_at(20), "the middle of an episode")
    operator.pin_strongest("backbone.1", 2, "object: alphabet_soup")
    say(operator, f"pick up the {OTHER_OBJECT} and place it in the basket")
    operator.live(0.75)
    seen, *_ = operator.pin_strongest("backbone.1", 2, f"object: {OTHER_OBJECT}")
    operator.panel.select(seen)
    operator.rest(1.0)
    operator.take("tell_libero")
    operator.show_tab(Area.RIGHT, "Camera")
    operator.until(lambda: operator.is_at(70), "the hand at the other object")
    operator.until(lambda: store.heatmap is not None, "a heatmap")
    operator.take("told_libero")


def named(operator: Operator, label: str) -> list[FeatureName]:
    """Return the features whose label contains this, in the order of the catalogue."""
    columns = operator.store.columns
    names = operator.store.catalogue.names
    return [columns.name_of(row) for row, name in enumerate(names) if label in name]


def environment(operator: Operator) -> None:
    """Any policy in the middle of an episode, with an edit of a feature that was active."""
    use_theme(operator.app, "dark")
    store = operator.store
    operator.until(lambda: store.catalogue.size > 0, "the policy's catalogue")
    operator.run_episode()
    first, *_, last = [site.name for site in store.catalogue.sites]
    seen = operator.pin_strongest(first, 2)
    edited, _ = operator.pin_strongest(last, 2)
    operator.panel.select(seen[0])
    operator.show_tab(Area.RIGHT, "Camera")
    operator.steer(edited, 1.5)
    operator.live(1.0)
    operator.until(lambda: operator.is_at(40), "the middle of an episode")
    operator.until(lambda: store.heatmap is not None, "a heatmap")
    operator.take(sys.argv[4])


def rehearsal(operator: Operator) -> None:
    """Another instruction in the middle of a rehearsal's episode, and the alarm that it raises.

    The monitor knows the first instruction only; the alarm holds the arm.
    """
    store = operator.store
    _tell_in_a_rehearsal(operator)
    operator.take("tell_droid")
    operator.until(lambda: store.monitors.alarm is not None, "an alarm")
    operator.until(lambda: store.robot is not None and store.robot.status != "ENABLED", "a hold")
    operator.rest(2.0)
    operator.take("monitor_droid")


def _tell_in_a_rehearsal(operator: Operator) -> None:
    use_theme(operator.app, "dark")
    store = operator.store
    operator.until(lambda: store.catalogue.size > 0, "the policy's catalogue")
    operator.until(lambda: operator.panel._client.commands.can_run_episodes, "the bridge")
    operator.show_tab(Area.RIGHT, "Episode")
    operator.until(lambda: _is_enabled(operator), "an enabled arm")
    operator.until(lambda: operator.is_at(16), "an episode")
    for name in operator.pin_strongest(store.catalogue.sites[0].name, 2):
        operator.panel.select(name)
    operator.until(lambda: operator.is_at(60), "the middle of an episode")
    say(operator, OTHER_INSTRUCTION)


def say(operator: Operator, instruction: str) -> None:
    """Type another instruction and wait until the bridge has it."""
    pane, store = operator.panel.areas.view("Episode"), operator.store
    pane.telling.setText(instruction)
    pane.tell.click()
    told = lambda: store.episode is not None and store.episode.instruction == instruction  # noqa: E731
    operator.until(told, "the other instruction")


def _is_enabled(operator: Operator) -> bool:
    """Whether the arm is enabled; it is asked for now and then."""
    robot = operator.store.robot
    if robot is not None and robot.status == "ENABLED":
        return True
    if time.monotonic() > operator.asked_to_enable + ANSWER:
        operator.asked_to_enable = time.monotonic()
        operator.panel._client.commands.enable_bridge(True)
    return False


SCENES = {
    "rehearsal": rehearsal,
    "desk": desk,
    "scale": scale,
    "lost": lost,
    "sizes": sizes,
    "monitor": monitor,
    "directions": directions,
    "tell": tell,
    "environment": environment,
}


def main() -> int:
    """Play one scene; return 1 when an exception was caught in the panel meanwhile."""
    elsewhere = sys.argv[3:4]
    goal = EpisodeGoal(*elsewhere, 0, init_state=0, seed=GOAL.seed) if elsewhere else GOAL
    goal = REHEARSED if sys.argv[1] == "rehearsal" else goal
    operator = Operator(QApplication(["panel scenes"]), Path(sys.argv[2]), goal)
    try:
        SCENES[sys.argv[1]](operator)
    finally:
        operator.close()
    if MISHAPS.count:
        print(f"{MISHAPS.count} internal errors, the last: {MISHAPS.last}", file=sys.stderr)
    return 1 if MISHAPS.count else 0


if __name__ == "__main__":
    sys.exit(main())
