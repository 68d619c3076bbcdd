"""What the doctor says about GPU, DDS, real time and versions."""

from __future__ import annotations

import importlib.metadata
import resource
from pathlib import Path
from types import SimpleNamespace

import pytest

from vla_sae_ros import machine_checks
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.machine_checks import Finding


def test_a_machine_without_a_gpu_lacks_nothing(monkeypatch) -> None:
    monkeypatch.setattr(machine_checks, "gpus", lambda: "")
    assert machine_checks.check_gpu().word == "ok"
    assert machine_checks.check_egl().word == "ok"


def test_a_gpu_that_pytorch_cannot_use_is_missing_a_driver(monkeypatch) -> None:
    monkeypatch.setattr(machine_checks, "gpus", lambda: "NVIDIA H100, 81559 MiB")
    monkeypatch.setattr(machine_checks, "USE_CUDA", "raise SystemExit('no CUDA here')")
    finding = machine_checks.check_gpu()
    assert finding.word == "missing" and finding.detail == "no CUDA here"


def test_egl_that_works_and_is_not_used_is_offered(monkeypatch) -> None:
    monkeypatch.setattr(machine_checks, "gpus", lambda: "NVIDIA H100, 81559 MiB")
    program = "import os; assert os.environ['MUJOCO_GL'] == 'egl'"
    monkeypatch.setattr(machine_checks, "DRAW_A_PICTURE", program)
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    assert machine_checks.check_egl() == Finding(
        "pictures are drawn on the CPU", "export MUJOCO_GL=egl", optional=True
    )
    monkeypatch.setenv("MUJOCO_GL", "egl")
    assert machine_checks.check_egl().word == "ok"


def test_dds_settings_are_told_and_small_shared_memory_has_a_remedy(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "42")
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    monkeypatch.delenv("RMW_IMPLEMENTATION", raising=False)
    monkeypatch.delenv("FASTDDS_BUILTIN_TRANSPORTS", raising=False)
    told = machine_checks.check_dds_settings(tmp_path)
    assert told.word == "ok" and "domain 42, discovery SUBNET" in told.detail
    disk = SimpleNamespace(total=64 * 2**20)
    monkeypatch.setattr(machine_checks.shutil, "disk_usage", lambda _: disk)
    assert "UDPv4" in machine_checks.check_dds_settings(tmp_path).mend
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp")
    told = machine_checks.check_dds_settings(tmp_path)
    assert told.word == "ok" and "rmw_cyclonedds_cpp" in told.detail


def test_a_wrong_domain_is_refused(monkeypatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "233")
    with pytest.raises(ConfigurationError, match="233"):
        machine_checks.check_dds_settings()


def test_what_a_robot_needs_of_the_kernel_and_of_the_user(monkeypatch, tmp_path: Path) -> None:
    kernel = tmp_path / "realtime"
    kernel.write_text("1\n")
    unlimited = (resource.RLIM_INFINITY,) * 2
    given = {resource.RLIMIT_RTPRIO: (99, 99), resource.RLIMIT_MEMLOCK: unlimited}
    monkeypatch.setattr(machine_checks.limits, "getrlimit", given.__getitem__)
    monkeypatch.setattr(machine_checks.os, "geteuid", lambda: 1000)
    assert machine_checks.check_realtime(kernel).word == "ok"
    given[resource.RLIMIT_RTPRIO] = (0, 0)
    told = machine_checks.check_realtime(tmp_path / "none")
    assert told.word == "optional"
    assert told.detail == "no PREEMPT_RT kernel, rtprio limit 0 (needed: 99)"


def test_versions_that_differ_from_the_lock_are_named() -> None:
    numpy = importlib.metadata.version("numpy")
    pins = {"numpy": "0.1", "pillow": importlib.metadata.version("pillow"), "not-installed": "1.0"}
    assert machine_checks.differences(pins) == [f"numpy {numpy} (lock: 0.1)"]


def test_an_installation_by_make_setup_is_as_locked() -> None:
    assert machine_checks.check_lock().word == "ok"
