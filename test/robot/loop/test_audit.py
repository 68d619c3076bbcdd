"""The audit log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arm_rig import Rig, action

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.robot.loop.audit import AuditLog
from vla_sae_ros.robot.outcome import TickOutcome
from vla_sae_ros.robot.reasons import Stop
from vla_sae_ros.robot.report import LoopState, Report


def report_of(rig: Rig, outcome: TickOutcome | None, event: str = "") -> Report:
    state = LoopState(rig.envelope.state(), "recording", "panda", 0, 0, 0, 0.0, 0, "")
    return Report(state, rig.cycle.reading, outcome, event)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_commands_refusals_stops_and_requests_are_lines(rig: Rig, tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit", clock=lambda: 1.5)
    log(report_of(rig, None, "enable by panel"))
    log(report_of(rig, rig.tick(action(1, 0.5), steering_revision=8, chunk_id=4, chunk_index=2)))
    log(report_of(rig, rig.tick(action(1, np.nan))))
    rig.driver.fault, rig.driver.detail = Stop.USER_STOP, "pressed"
    log(report_of(rig, rig.tick(action(1, 0.5), steering_revision=9)))
    asked, sent, refused, stopped = lines(tmp_path / "audit" / "audit.jsonl")
    assert (asked["event"], asked["owner"], asked["wall"]) == ("enable by panel", "panel", 1.5)
    assert (sent["revision"], sent["chunk"], sent["row"]) == (8, 4, 2)
    assert sent["sent"][0] < sent["requested"][0] and "acceleration" in sent["limits"]
    assert refused["refused"] == "not_finite" and refused["requested"] is None
    assert (stopped["stop"], stopped["reason"], stopped["revision"]) == ("user_stop",) * 2 + (9,)
    log.close()


def test_files_rotate_and_the_oldest_goes(rig: Rig, tmp_path: Path) -> None:
    log = AuditLog(tmp_path, largest=2000, kept=3)
    for number in range(60):
        log(report_of(rig, None, f"event {number}"))
    log.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "audit.1.jsonl",
        "audit.2.jsonl",
        "audit.jsonl",
    ]
    kept = [
        line["event"] for age in (".2", ".1", "") for line in lines(tmp_path / f"audit{age}.jsonl")
    ]
    assert kept == [f"event {number}" for number in range(60 - len(kept), 60)]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="audit"):
        AuditLog(tmp_path / "file" / "audit")


def test_two_bridges_do_not_write_to_one_file(rig: Rig, tmp_path: Path) -> None:
    first = AuditLog(tmp_path, largest=1000, kept=2)
    for number in range(12):  # the file of another age is kept from others, too
        first(report_of(rig, None, f"event {number}"))
        with pytest.raises(ConfigurationError, match=r"another bridge.*audit_folder"):
            AuditLog(tmp_path)
    first.close()
    AuditLog(tmp_path).close()


def test_a_full_disk_loses_lines_that_are_counted_and_told(rig: Rig, tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    real = log._file

    class Full:
        """A file on a disk that is full for three writes; the first one is cut half way."""

        left = 3

        def write(self, line: bytes) -> int:
            if not self.left:
                return real.write(line)
            self.left -= 1
            if self.left == 2:
                return real.write(line[:7])
            raise OSError(28, "No space left on device")

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    log(report_of(rig, None, "before"))
    log._file = Full()
    for number in range(5):
        log(report_of(rig, None, f"event {number}"))
    log.close()
    kept = lines(tmp_path / "audit.jsonl")
    assert [line["event"] for line in kept] == ["before", "event 2", "event 3", "event 4"]
    assert log.lost == 2 and kept[1]["lost_lines"] == 2 and "lost_lines" not in kept[2]


def test_a_new_file_that_cannot_be_begun_loses_lines_and_no_old_file(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(tmp_path, largest=1000, kept=3)
    for number in range(12):
        log(report_of(rig, None, f"event {number}"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    log.size = 1000
    real = Path.open

    def full(path: Path, *arguments: Any, **more: Any) -> Any:
        if path.name == "audit.jsonl" and full.left > 0:
            full.left -= 1
            raise OSError(28, "No space left on device")
        return real(path, *arguments, **more)

    full.left = 4
    monkeypatch.setattr(Path, "open", full)
    for number in range(6):
        log(report_of(rig, None, f"late {number}"))
    log.close()
    assert log.lost == 4
    late = lines(tmp_path / "audit.jsonl")
    assert [line["event"] for line in late] == ["late 4", "late 5"]
    assert late[0]["lost_lines"] == 4
    assert (tmp_path / "audit.1.jsonl").read_bytes() == before["audit.jsonl"]
    assert (tmp_path / "audit.2.jsonl").read_bytes() == before["audit.1.jsonl"]


def test_half_a_line_of_a_process_that_was_killed_is_taken_off(rig: Rig, tmp_path: Path) -> None:
    first = AuditLog(tmp_path)
    first(report_of(rig, None, "before"))
    first.close()
    with (tmp_path / "audit.jsonl").open("ab") as file:
        file.write(b'{"wall": 1.5, "sta')
    log = AuditLog(tmp_path)
    log(report_of(rig, None, "after"))
    log.close()
    assert [line["event"] for line in lines(tmp_path / "audit.jsonl")] == ["before", "after"]


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").write_text("my notes")
    with pytest.raises(ConfigurationError, match="not a file of JSON lines"):
        AuditLog(tmp_path)
    assert (tmp_path / "audit.jsonl").read_text() == "my notes"
