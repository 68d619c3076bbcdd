"""A robot computer has neither PyTorch nor lerobot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from patience import WORK

SCRIPT = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "torchvision", "lerobot", "transformers", "onnx"}:
            raise ImportError(f"{name} is not installed on this robot")

sys.meta_path.insert(0, Blocker())
from pathlib import Path

import numpy as np

import vla_sae_ros.nodes.policy.policy_node  # the node itself, too
from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot
from vla_sae_ros.policy.onnx.engine import OnnxEngine

engine = OnnxEngine(Path(sys.argv[1]))
engine.warm_up()
frame = {key: np.zeros((256, 256, 3), np.uint8) for key in engine.description.cameras}
frame["observation.state"] = np.zeros(8, np.float32)
edits = Snapshot(1, {"expert.0": (AppliedEdit(3, Mode.ADD, 2.0, 1.0),)}, 1.0)
inference = engine.infer(frame, "pick up the butter", (0, 0), edits)
print(inference.actions.shape, inference.sites[1].edit_norm_ratio > 0)
"""


def test_an_export_runs_and_steers_without_pytorch_and_lerobot(export_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(export_folder)],
        capture_output=True,
        text=True,
        timeout=WORK,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(6, 7) True"
