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
from vla_sae_ros.robot.outcome import Outcome
from vla_sae_ros.robot.reasons import Stop
from vla_sae_ros.robot.report import LoopState, Report


def report_of(rig: Rig, outcome: Outcome | None, event: str = "") -> Report:
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


def test_a_full_disk_loses_lines_that_are_counted_and_told(rig: Rig, tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    real = log._file

    class Full:
        """A file on a disk that is full for three lines; the first one is cut half way."""

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
    assert [line["event"] for line in kept] == ["before", "event 3", "event 4"]
    assert log.lost == 3 and kept[1]["lost_lines"] == 3 and "lost_lines" not in kept[2]
