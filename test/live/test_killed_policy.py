"""A policy process that is killed in the middle of an episode, with real nodes and real LIBERO."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from patience import WORK
from running_system import RunningSystem

from vla_sae_ros.clients.client import Client
from vla_sae_ros.msg import EpisodeState

pytestmark = pytest.mark.slow  # real nodes load a real policy and LIBERO


def policy_process(supervisor: int) -> int:
    """Return the id of the supervised process that runs the policy node."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it ended meanwhile
        if b"vla_sae_ros.nodes.policy.policy_node" in words and str(supervisor).encode() in words:
            return int(folder.name)
    raise AssertionError("no policy process")


def test_a_killed_policy_is_started_again_and_the_episode_goes_on_from_where_it_held(
    running_system: RunningSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []
    statuses: list[int] = []

    def kill_once(state: EpisodeState) -> None:
        statuses.append(state.status)
        if state.step >= 12 and not killed:
            killed.append(policy_process(running_system.process.pid))
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setenv("ROS_DOMAIN_ID", str(running_system.domain))
    with Client("test_killed_policy") as client:
        client.wait_until_ready(timeout=WORK)
        result = client.run_episode(
            "libero_object", 0, 41, 7, max_steps=30, on_state=kill_once, timeout=WORK
        )
    assert killed
    assert EpisodeState.HOLDING in statuses
    assert (result.steps, result.held_ticks) == (30, 0)  # lockstep: no tick passed meanwhile
    said = running_system.log.read_text()
    assert "policy was ended by SIGKILL" in said
    assert "starting policy again" in said
