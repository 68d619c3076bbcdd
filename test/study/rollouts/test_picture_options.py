"""Every command that shows LIBERO to a policy says at which quality, and refuses another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from vla_sae_ros.cli import main
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.picture_record import PictureRecord, write_picture_record
from vla_sae_ros.study.rollouts.picture_options import told_pictures


@pytest.fixture
def quick_policy(tmp_path: Path) -> Path:
    """Only its record: it is looked at before anything is loaded."""
    write_picture_record(tmp_path / "policy", PictureRecord("quick", "3.3.0"))
    return tmp_path / "policy"


def test_what_is_shown_is_said_and_a_mismatch_only_where_it_is_allowed(quick_policy: Path) -> None:
    assert told_pictures(quick_policy, "quick", False).startswith("pictures: quick quality")
    assert "warning" not in told_pictures(None, "quick", False)
    with pytest.raises(ConfigurationError, match="--render-quality quick, or --allow-other"):
        told_pictures(quick_policy, "full", False)
    assert "warning: the policy was trained" in told_pictures(quick_policy, "full", True)


@pytest.mark.parametrize("command", ["rollout", "collect", "evaluate"])
def test_commands_refuse_a_policy_of_other_pictures(
    quick_policy: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(
        f"name: x\npolicy: {quick_policy}\nfeatures: [{{site: expert.1, ids: [1]}}]\n"
        "changes: [{strengths: [1]}]\nplaces: [{suite: libero_object}]\n"
    )
    arguments = {
        "rollout": ["--policy", str(quick_policy)],
        "collect": [str(tmp_path / "a"), "--sites", "expert.1", "--policy", str(quick_policy)],
        "evaluate": [str(study)],
    }[command]
    assert main([command, *arguments]) == 2
    assert "another render quality" in capsys.readouterr().err
