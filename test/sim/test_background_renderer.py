"""Drawing in a process of its own: the same pictures, and nobody waits for them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pytest
from patience import PATIENCE

from vla_sae_ros.core.errors import SimulationError
from vla_sae_ros.sim.quiet import prepare_simulator_imports

prepare_simulator_imports()

import mujoco  # noqa: E402  (after the choice of the GL backend)

from vla_sae_ros.sim.background_renderer import (  # noqa: E402
    PROCESS,
    MujocoBackgroundRenderer,
    RenderProcess,
)
from vla_sae_ros.sim.drawn_state import block_size, read_state, write_state  # noqa: E402

SIZE = 64
SCENE = """
<mujoco>
  <worldbody>
    <light pos="0 0 3"/>
    <geom type="plane" size="2 2 .1" rgba=".3 .5 .4 1"/>
    <camera name="above" pos="0 -1.5 1.5" xyaxes="1 0 0 0 .7 .7"/>
    <camera name="aside" pos="1.5 0 1" xyaxes="0 1 0 -.6 0 .8"/>
    <body name="box" pos="0 0 1">
      <freejoint/>
      <geom type="box" size=".2 .3 .1" rgba="1 0 0 1"/>
    </body>
    <site name="lamp" pos=".4 .4 .3" size=".1" rgba="1 1 0 0"/>
  </worldbody>
</mujoco>
"""
CAMERAS = {"one": "above", "two": "aside"}

SILENT = "import sys; print('ready', flush=True); sys.stdin.read()"
"""A process that never draws."""
DRAWS_NOTHING = """
import sys
print('ready', flush=True)
for line in sys.stdin:
    print('drawn', flush=True)
"""


class Falling:
    """A box that falls, and the news about its pictures."""

    def __init__(self) -> None:
        self.model = mujoco.MjModel.from_xml_string(SCENE)
        self.data = mujoco.MjData(self.model)
        self.news = threading.Event()
        self._made: list[RenderProcess] = []
        mujoco.mj_step(self.model, self.data)

    def renderer(
        self,
        *process: str,
        draw_limit: float = PATIENCE,
        begin: bool = True,
        cameras: Mapping[str, str] = CAMERAS,
    ) -> RenderProcess:
        command = process or PROCESS
        view = mujoco.MjvOption()
        made = RenderProcess(
            self.model, self.data, cameras, SIZE, view, True, PATIENCE, draw_limit, command
        )
        self._made.append(made)
        if begin:
            made.begin(self.news.set)
        return made

    def picture(self, camera: str) -> np.ndarray:
        renderer = mujoco.Renderer(self.model, SIZE, SIZE)
        renderer.update_scene(self.data, CAMERAS[camera])
        picture = renderer.render()[:, ::-1].copy()
        renderer.close()
        return picture

    def close(self) -> None:
        for made in self._made:
            made.close()


@pytest.fixture
def falling() -> Iterator[Falling]:
    world = Falling()
    yield world
    world.close()


def script(code: str) -> tuple[str, str, str]:
    return (sys.executable, "-c", code)


def until(renderer: RenderProcess, condition: Callable[[], bool]) -> None:
    with renderer._changed:
        assert renderer._changed.wait_for(condition, PATIENCE)


def test_the_pictures_are_those_of_this_process_to_the_bit(falling) -> None:
    renderer = falling.renderer()
    seen = []
    for _ in range(3):
        assert renderer.submit()
        pictures = renderer.collect(PATIENCE)
        assert set(pictures) == set(CAMERAS)
        for camera, picture in pictures.items():
            np.testing.assert_array_equal(picture, falling.picture(camera))
        seen.append(pictures["one"])
        mujoco.mj_step(falling.model, falling.data, 80)
    assert not np.array_equal(seen[0], seen[1])


def test_a_lamp_that_lights_up_does_so_in_the_pictures(falling) -> None:
    renderer = falling.renderer()
    falling.model.site_rgba[0, 3] = 1.0
    assert renderer.submit()
    lit = renderer.collect(PATIENCE)["one"]
    np.testing.assert_array_equal(lit, falling.picture("one"))
    falling.model.site_rgba[0, 3] = 0.0
    assert not np.array_equal(lit, falling.picture("one"))


def test_a_picture_shows_the_state_handed_over_and_not_a_later_one(falling) -> None:
    renderer = falling.renderer()
    expected = falling.picture("two")
    assert renderer.submit()
    mujoco.mj_step(falling.model, falling.data, 150)
    np.testing.assert_array_equal(renderer.collect(PATIENCE)["two"], expected)
    assert not np.array_equal(falling.picture("two"), expected)


def test_while_one_state_is_drawn_no_other_is_taken_and_nobody_waits(falling) -> None:
    renderer = falling.renderer(*script(SILENT))
    assert renderer.submit()
    assert not renderer.submit()
    assert renderer.collect() is None


def test_news_come_when_pictures_are_there_and_they_are_handed_out_once(falling) -> None:
    renderer = falling.renderer(*script(DRAWS_NOTHING))
    falling.news.clear()
    assert renderer.submit()
    assert falling.news.wait(PATIENCE)
    assert renderer.collect() is not None
    assert renderer.collect() is None


def test_a_process_that_is_killed_is_named_and_the_next_one_draws_the_same_state(falling) -> None:
    renderer = falling.renderer()
    os.kill(renderer._child.pid, signal.SIGSTOP)  # in the middle of its work
    expected = falling.picture("one")
    assert renderer.submit()
    mujoco.mj_step(falling.model, falling.data, 100)
    os.kill(renderer._child.pid, signal.SIGKILL)
    np.testing.assert_array_equal(renderer.collect(PATIENCE)["one"], expected)
    assert renderer.restarts == 1
    assert renderer.trouble == "The rendering process ended by SIGKILL."


def test_a_process_that_draws_for_too_long_is_replaced(falling) -> None:
    renderer = falling.renderer(*script(SILENT), draw_limit=0.0)
    first = renderer._child
    assert renderer.submit()
    assert renderer.collect() is None
    until(renderer, lambda: renderer._child is not first and renderer._ready)
    assert "SIGKILL" in renderer.trouble


def test_one_that_ends_again_and_again_is_given_up_with_its_status(falling) -> None:
    renderer = falling.renderer(*script("import sys; sys.exit(3)"), begin=False)
    with pytest.raises(SimulationError, match=r"ended with status 3\..*2 times.*lockstep"):
        renderer.begin(falling.news.set)
    assert not renderer.submit()
    with pytest.raises(SimulationError, match="status 3"):
        renderer.collect()


def test_a_program_that_is_not_there_is_named(falling) -> None:
    renderer = falling.renderer("/nowhere/python", begin=False)
    with pytest.raises(SimulationError, match=r"cannot be started.*nowhere"):
        renderer.begin(falling.news.set)


def test_the_next_episode_begins_without_the_last_ones_picture(falling) -> None:
    renderer = falling.renderer()
    assert renderer.submit()
    renderer.begin(falling.news.set)
    assert renderer.collect() is None
    assert renderer.submit()
    np.testing.assert_array_equal(renderer.collect(PATIENCE)["one"], falling.picture("one"))


def test_closing_ends_the_process_and_twice_is_harmless(falling) -> None:
    renderer = falling.renderer()
    child = renderer._child
    renderer.close()
    renderer.close()
    assert child.wait(PATIENCE) is not None
    assert not renderer.submit()


def test_each_camera_has_a_process_and_pictures_come_when_all_are_drawn(
    falling, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[RenderProcess] = []

    def process(cameras: Mapping[str, str]) -> RenderProcess:
        made.append(falling.renderer(begin=False, cameras=cameras))
        return made[-1]

    renderer = MujocoBackgroundRenderer(CAMERAS, process)
    renderer.begin(falling.news.set)
    os.kill(made[1]._child.pid, signal.SIGSTOP)
    assert renderer.submit()
    until(made[0], lambda: made[0]._drawn)
    assert renderer.collect() is None
    assert not renderer.submit()
    os.kill(made[1]._child.pid, signal.SIGKILL)
    monkeypatch.setattr(made[0], "collect", None)  # who has drawn is not asked again
    pictures = renderer.collect(PATIENCE)
    for camera in CAMERAS:
        np.testing.assert_array_equal(pictures[camera], falling.picture(camera))
    assert (renderer.restarts, "SIGKILL" in renderer.trouble) == (1, True)
    assert renderer.submit()
    renderer.close()


def test_a_state_comes_back_as_it_was_written(falling) -> None:
    block = memoryview(bytearray(block_size(falling.model, falling.data)))
    write_state(falling.model, falling.data, block)
    other = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(other)
    read_state(block, other, data)
    np.testing.assert_array_equal(data.geom_xpos, falling.data.geom_xpos)
    np.testing.assert_array_equal(data.qpos, falling.data.qpos)
