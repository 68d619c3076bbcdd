"""The shipped policy and its pooled SAEs, exported by the command a user types."""

from __future__ import annotations

from pathlib import Path

import pytest

from vla_sae_ros.cli import main
from vla_sae_ros.policy.onnx.engine import OnnxEngine
from vla_sae_ros.resources import resource


@pytest.mark.slow
def test_the_demonstration_is_exported_and_agrees_with_pytorch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = resource("models", "demo")
    bundles = sorted((demo / "sae").iterdir())
    folder = tmp_path / "onnx"
    arguments = ["export", str(demo / "policy"), "--output", str(folder), "--bundles"]
    assert main([*arguments, *map(str, bundles)]) == 0
    assert "is ready" in capsys.readouterr().out  # the command compares, and fails above 1e-4
    engine = OnnxEngine(folder, bundles)
    assert [site.name for site in engine.steering_sites()] == ["backbone.1", "expert.1", "expert.2"]
