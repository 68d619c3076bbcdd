from __future__ import annotations

import argparse
import subprocess
import tomllib
from pathlib import Path

import pytest

from vla_sae_ros import doctor
from vla_sae_ros.machine_checks import TRIAL_SECONDS, Finding


def examine(monkeypatch: pytest.MonkeyPatch, **findings: Finding) -> int:
    checks = {name: (lambda finding=finding: finding) for name, finding in findings.items()}
    monkeypatch.setattr(doctor, "CHECKS", checks)
    return doctor.run(argparse.Namespace())


def test_a_healthy_machine_has_only_ok_lines(monkeypatch, capsys) -> None:
    assert examine(monkeypatch, disk=Finding("90 GB")) == 0
    assert capsys.readouterr().out == "ok       disk              90 GB\n"


def test_what_is_missing_comes_with_the_command_that_mends_it(monkeypatch, capsys) -> None:
    assert examine(monkeypatch, lerobot=Finding("not installed", "make setup")) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("missing  lerobot")
    assert second.strip() == "to repair: make setup"


def test_what_only_a_window_needs_is_no_failure(monkeypatch, capsys) -> None:
    assert examine(monkeypatch, panel=Finding("no PyQt5", "make setup", optional=True)) == 0
    assert capsys.readouterr().out.startswith("optional panel")


def test_another_mujoco_than_the_pinned_one_is_a_warning(monkeypatch) -> None:
    versions = {"mujoco": "3.17.0"}
    monkeypatch.setattr(doctor, "_version", versions.__getitem__)
    finding = doctor.check_mujoco()
    assert finding.word == "optional" and "3.17.0" in finding.detail and "3.3.0" in finding.mend
    versions["mujoco"] = doctor.REFERENCE_MUJOCO
    assert doctor.check_mujoco().word == "ok"


def test_the_doctor_asks_for_the_mujoco_that_the_project_pins() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    pins = {line for lines in extras.values() for line in lines if line.startswith("mujoco")}
    assert pins == {f"mujoco=={doctor.REFERENCE_MUJOCO}"}


def test_libraries_that_cannot_be_loaded_are_named_by_package() -> None:
    table = "# comment\nlibc.so.6 libc6 everything\n\nlibnope.so.1 libnope1 nothing at all\n"
    assert doctor.missing_libraries(table) == {"libnope1": "nothing at all"}


def test_changed_and_new_definitions_are_stale(tmp_path: Path) -> None:
    source, installed = tmp_path / "source", tmp_path / "installed"
    for folder in (source, installed):
        (folder / "msg").mkdir(parents=True)
        (folder / "msg" / "Same.msg").write_text("int32 a\n")
    (source / "msg" / "Changed.msg").write_text("int32 a\n")
    (installed / "msg" / "Changed.msg").write_text("int32 b\n")
    (source / "srv").mkdir()
    (source / "srv" / "New.srv").write_text("---\n")
    assert doctor.stale_interfaces(source, installed) == ["Changed.msg", "New.srv"]


def test_stale_messages_are_a_finding(tmp_path: Path) -> None:
    (tmp_path / "share" / "vla_sae_ros").mkdir(parents=True)
    finding = doctor.check_messages(tmp_path)
    assert finding.word == "missing" and "ActionChunk.msg" in finding.detail
    assert finding.mend == "make setup"


def test_a_full_disk_is_a_finding(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "FREE_DISK_GB", 10**9)
    assert doctor.check_disk(tmp_path).word == "missing"


def test_a_trial_that_aborts_is_a_finding_and_not_the_end_of_the_doctor(monkeypatch) -> None:
    monkeypatch.setattr(doctor, "DRAW_A_PICTURE", "import os; os.abort()")
    assert doctor.check_graphics().word == "missing"


def test_a_trial_that_hangs_is_a_finding(monkeypatch) -> None:
    def hang(*_args: object, timeout: float, **_options: object) -> None:
        raise subprocess.TimeoutExpired("program", timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    assert doctor.check_graphics().detail == f"no answer within {TRIAL_SECONDS} s"


@pytest.mark.parametrize(
    "check",
    [
        doctor.check_python,
        doctor.check_rclpy,
        doctor.check_messages,
        doctor.check_dds,
        doctor.check_graphics,
        doctor.check_libero,
        doctor.check_lerobot,
        doctor.check_panel,
    ],
)
def test_where_this_suite_runs_nothing_needed_is_missing(check) -> None:
    assert check().word == "ok"
