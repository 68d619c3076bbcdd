from __future__ import annotations

import subprocess
import sys


def test_a_child_whose_parent_has_gone_does_not_start() -> None:
    not_its_parent = "1"
    done = subprocess.run(
        [sys.executable, "-m", "vla_sae_ros.supervision.child", not_its_parent, "this"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "the supervisor (process 1) ended" in done.stderr
