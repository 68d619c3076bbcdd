"""OpenVLA's environment has no lerobot: what serves a loaded policy must not ask for it."""

from __future__ import annotations

import subprocess
import sys

from patience import PATIENCE

SCRIPT = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"lerobot", "transformers"}:
            raise ImportError(f"{name} is not installed in this environment")

sys.meta_path.insert(0, Blocker())
import vla_sae_ros.policy.engine
import vla_sae_ros.policy.families.openvla
"""


def test_engine_and_openvla_s_adapter_are_imported_without_lerobot() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
