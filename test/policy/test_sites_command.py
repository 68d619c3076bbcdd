"""`vla-sae sites` on checkpoint folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_families import statistics

from vla_sae_ros.cli import main
from vla_sae_ros.core.user_notes import notes_file, write_note
from vla_sae_ros.policy.tiny.tiny_pi import PiSize, build_tiny_pi, save_tiny_pi


def described(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict:
    assert main(["sites", str(folder), "--json"]) == 0
    content: dict = json.loads(capsys.readouterr().out)
    return content


def test_the_table_shows_every_site_and_why_one_cannot_steer(
    tiny_policy_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sites", str(tiny_policy_folder)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert all(f"{kind}.{layer}" in shown for kind in ("backbone", "expert") for layer in range(3))
    assert "no (1)" in shown
    assert "(1) the action expert reads only keys and values" in shown


def test_labels_and_notes_of_the_users_own_are_told(
    tiny_policy_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    for feature in (3, 9):
        write_note("expert.1", "abc", feature, "[red]hand opens[/]", "")
    write_note("elsewhere.7", "def", 1, "of another policy", "")
    notes_file("cut").write_text("{")
    unread, note = described(tiny_policy_folder, capsys)["notes"][::-1]
    assert note == {"site": "expert.1", "bundle_id": "abc", "features": 2}
    assert unread["bundle_id"] == "cut" and "not JSON" in unread["problem"]
    assert main(["sites", str(tiny_policy_folder)]) == 0
    assert "2 feature(s) of bundle abc" in " ".join(capsys.readouterr().out.split())


def test_programs_get_the_same_as_json(
    tiny_policy_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = described(tiny_policy_folder, capsys)
    assert [camera["rows"] for camera in content["cameras"]] == [2, 2]
    sites = {site["name"]: site for site in content["sites"]}
    assert sites["backbone.0"]["tokens"]["camera"] == 8
    assert sites["backbone.0"]["tokens"]["state"] == 1
    assert [name for name, site in sites.items() if not site["can_steer"]] == ["backbone.2"]
    assert sites["expert.1"]["runs_per_inference"] == 3


@pytest.mark.parametrize(
    ("family", "suffix"), [("pi0", {"state": 1, "action": 6}), ("pi05", {"action": 6})]
)
def test_pi_policies_are_described_from_their_folders(
    family: str, suffix: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_tiny_pi(build_tiny_pi(family), PiSize(), statistics(), tmp_path)
    sites = {site["name"]: site for site in described(tmp_path, capsys)["sites"]}
    assert sites["expert.0"]["tokens"] == suffix
    assert sites["backbone.0"]["tokens"]["camera"] == 32


def test_a_folder_that_is_not_there_is_a_wrong_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sites", "nobody/nothing"]) == 2
    assert "hf download nobody/nothing" in capsys.readouterr().err
