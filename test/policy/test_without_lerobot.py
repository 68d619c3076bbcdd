"""OpenVLA's environment has no lerobot: what serves and studies a policy must not ask for it."""

from __future__ import annotations

import subprocess
import sys

from patience import PATIENCE

SCRIPT = """
import importlib
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"lerobot", "transformers"}:
            raise ModuleNotFoundError(f"No module named {name}", name=name)

sys.meta_path.insert(0, Blocker())
for module in sys.argv[1:]:
    importlib.import_module(module)
from pathlib import Path
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.loading import load_policy
try:
    load_policy(Path.cwd())
except ConfigurationError as error:
    print(error)
"""
MODULES = (
    "policy.engine",
    "policy.families.openvla",
    "nodes.policy.torch_backend",
    "policy.sites_command",
    "study.rollouts.rollout",
    "study.collection.collect",
    "study.autoencoders.train_sae",
    "study.autoencoders.substitution",
    "study.autoencoders.convert_sae",
    "study.features.heatmaps",
    "study.features.generality.classify",
    "study.features.labels.label",
    "study.experiment.command",
    "study.replay.command",
    "study.screen.command",
)


def test_what_openvla_needs_is_imported_without_lerobot_and_other_policies_are_refused() -> None:
    modules = [f"vla_sae_ros.{name}" for name in MODULES]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *modules], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert "is loaded with lerobot, which is not installed for this Python" in done.stdout
