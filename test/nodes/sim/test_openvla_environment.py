"""OpenVLA served by a process of its own environment, and the bridge in this one.

With OPENVLA_PYTHON naming the Python of an environment as docs/families.md makes it; its loader
runs there, with transformers 4.40.1 and the code that comes with the folder.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from action_msgs.msg import GoalStatus
from patience import PATIENCE, answer_of
from second_domain import SECOND_DOMAIN
from sim_graph import Graph

from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
from vla_sae_ros.core.steering import Edit, Mode
from vla_sae_ros.policy.checkpoints.policy_id import policy_id_of
from vla_sae_ros.sae import SaeBundle, TopKSAE
from vla_sae_ros.sae.bundle import BundleCard
from vla_sae_ros.srv import SetSteering
from vla_sae_ros.wire.steering_messages import from_edit

PYTHON = os.environ.get("OPENVLA_PYTHON", "")
pytestmark = pytest.mark.skipif(
    not PYTHON, reason="OPENVLA_PYTHON names no Python of OpenVLA's environment: docs/families.md"
)
REPOSITORY = Path(__file__).parents[3]
SITE, WIDTH, SIZE, TICKS = "backbone.1", 32, 64, 12


def there(prefix: Path) -> dict[str, str]:
    """Return the variables of a process in OpenVLA's environment, in the tests' own domain."""
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return kept | {
        "AMENT_PREFIX_PATH": str(prefix),
        "PYTHONPATH": str(REPOSITORY),
        "ROS_DOMAIN_ID": str(SECOND_DOMAIN),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    script = REPOSITORY / "test" / "helpers" / "write_openvla_folder.py"
    (tmp_path / "openvla").mkdir()
    subprocess.run([PYTHON, script, tmp_path / "openvla"], check=True)
    return tmp_path / "openvla"


@pytest.fixture
def bundle(folder: Path, tmp_path: Path) -> Path:
    generator = torch.Generator().manual_seed(5)
    rows = torch.nn.functional.normalize(torch.randn(SIZE, WIDTH, generator=generator), dim=-1)
    sae = TopKSAE(rows.T.clone(), torch.zeros(SIZE), rows, torch.zeros(WIDTH), 8, "layer_norm")
    identity = policy_id_of(*sorted(folder.glob("*.safetensors")))
    groups = ("language", "camera")
    card = BundleCard(
        identity, "openvla", SITE, WIDTH, SIZE, 8, "mean", groups, "layer_norm", 3.0, 1.0
    )
    entries = [FeatureEntry(4, label="a feature", observed_max=2.0)]
    SaeBundle(sae, card, Catalogue(SITE, entries)).save(tmp_path / "sae")
    return tmp_path / "sae"


@pytest.fixture
def system(folder: Path, bundle: Path, environment: Any, find_task: Any) -> Iterator[Graph]:
    values = f"policy:={folder} bundles:=['{bundle}'] trust_remote_code:=true"
    values += " slew_limit:=1e6 max_multiple:=1e3 cap:=100.0"
    parameters = [word for value in values.split() for word in ("-p", value)]
    command = [PYTHON, "-m", "vla_sae_ros.nodes.policy.policy_node", "--ros-args", *parameters]
    node = subprocess.Popen(
        command, env=there(Path(PYTHON).parents[1]), stderr=subprocess.PIPE, text=True
    )
    try:
        assert node.stderr is not None
        said = ""
        for line in node.stderr:  # ends with the process
            said += line
            if "serving openvla" in line:
                break
        assert "serving openvla" in said, said
        made = Graph(environment, find_task, lambda client: node)
        yield made
        made.close()
    finally:
        node.terminate()
        try:
            node.communicate(timeout=PATIENCE)
        finally:
            node.kill()


def test_the_bridge_executes_what_it_answers_and_an_edit_changes_it(system: Graph) -> None:
    status, result = system.run(task=1)
    assert status == GoalStatus.STATUS_SUCCEEDED
    assert (result.steps, result.held_ticks, result.dropped_chunks) == (TICKS, 0, 0)
    system.until(lambda: len(system.executed) == TICKS)
    plain = np.array([list(one.action) for one in system.executed])
    assert {one.chunk_index for one in system.executed} == {0}

    edit = Edit(4, Mode.ADD, 200.0, SITE, hold=True)
    steering = system.node.create_client(SetSteering, "steering/set")
    assert steering.wait_for_service(PATIENCE)
    asked = SetSteering.Request(edits=[from_edit(edit)], owner="test", lease=30.0)
    answer = answer_of(steering.call_async(asked))
    assert answer.accepted, answer.reason
    assert system.run(task=1)[0] == GoalStatus.STATUS_SUCCEEDED
    system.until(lambda: len(system.executed) == 2 * TICKS)
    edited = np.array([list(one.action) for one in system.executed[TICKS:]])
    assert np.abs(edited - plain).max() > 0
