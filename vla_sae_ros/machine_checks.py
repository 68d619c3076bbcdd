"""What `vla-sae doctor` looks at beyond the installed packages: GPU, DDS, real time, the lock."""

from __future__ import annotations

import importlib.metadata
import os
import re
import resource as limits
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vla_sae_ros.environment import check_domain, check_middleware
from vla_sae_ros.resources import source_folder

TRIAL_SECONDS = 60
SMALL_SHARED_MEMORY = 64 * 2**20
"""[bytes] Docker's default, too small for Fast DDS's shared memory beside PyTorch's."""
REALTIME_PRIORITY = 99
SHOWN = 5
"""Packages that are named; the rest is counted."""

DRAW_A_PICTURE = "import mujoco; context = mujoco.GLContext(32, 32); context.make_current()"
USE_CUDA = "import torch; torch.zeros(1, device='cuda') + 1"


@dataclass(frozen=True)
class Finding:
    """What one check found. `mend` is a command or an instruction; empty when nothing is wrong.

    An `optional` finding matters only for what `detail` names and leaves the exit status at 0.
    """

    detail: str
    mend: str = ""
    optional: bool = False

    @property
    def word(self) -> str:
        """The first column."""
        return "ok" if not self.mend else "optional" if self.optional else "missing"


def check_gpu() -> Finding:
    """NVIDIA's driver, and whether PyTorch can use it."""
    found = gpus()
    if not found:
        return Finding("no NVIDIA GPU: policies run on the CPU")
    return trial(
        USE_CUDA, f"{found}; PyTorch uses it", "install a driver for the CUDA of the torch wheel"
    )


def check_egl() -> Finding:
    """Whether the simulator's pictures can be drawn on the GPU."""
    if not gpus():
        return Finding("not tried without a GPU")
    found = trial(DRAW_A_PICTURE, "MUJOCO_GL=egl draws", "", {"MUJOCO_GL": "egl"})
    if os.environ.get("MUJOCO_GL") == "egl" or found.detail != "MUJOCO_GL=egl draws":
        return found
    return Finding("pictures are drawn on the CPU", "export MUJOCO_GL=egl", optional=True)


def gpus() -> str:
    """Return the GPUs as NVIDIA's driver names them, "" without any."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    command = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TRIAL_SECONDS, check=False
    )
    return "; ".join(done.stdout.split("\n")).strip("; ") if done.returncode == 0 else ""


def check_dds_settings(shared_memory: Path = Path("/dev/shm")) -> Finding:
    """How far ROS looks for others, by which middleware, and the room that it has."""
    check_domain()
    check_middleware()
    middleware = os.environ.get("RMW_IMPLEMENTATION") or "default middleware (Fast DDS)"
    reach = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE") or "SUBNET"
    text = f"{middleware}, domain {os.environ.get('ROS_DOMAIN_ID') or 0}, discovery {reach}"
    transports = os.environ.get("FASTDDS_BUILTIN_TRANSPORTS", "")
    small = shutil.disk_usage(shared_memory).total <= SMALL_SHARED_MEMORY
    if small and transports != "UDPv4" and "cyclone" not in middleware:
        room = f"{text}; {shared_memory} is small"
        return Finding(room, "export FASTDDS_BUILTIN_TRANSPORTS=UDPv4", optional=True)
    return Finding(f"{text}, transports {transports}" if transports else text)


def check_realtime(kernel: Path = Path("/sys/kernel/realtime")) -> Finding:
    """What a robot in mode direct needs of the kernel and of this user."""
    lacking = []
    if not (kernel.is_file() and kernel.read_text().strip() == "1"):
        lacking.append("no PREEMPT_RT kernel")
    priority = limits.getrlimit(limits.RLIMIT_RTPRIO)[1]
    if os.geteuid() and priority != limits.RLIM_INFINITY and priority < REALTIME_PRIORITY:
        lacking.append(f"rtprio limit {priority} (needed: {REALTIME_PRIORITY})")
    if limits.getrlimit(limits.RLIMIT_MEMLOCK)[1] != limits.RLIM_INFINITY and os.geteuid():
        lacking.append("memlock is limited")
    if not lacking:
        return Finding("PREEMPT_RT, rtprio and memlock are there")
    mend = "for a robot in mode direct: docs/robot.md, Real-time kernel"
    return Finding(", ".join(lacking), mend, optional=True)


def check_lock() -> Finding:
    """Installed versions against requirements.lock."""
    lock = source_folder() / "requirements.lock"
    if not lock.is_file():
        return Finding("no requirements.lock beside this installation")
    pins = dict(re.findall(r"^([a-z0-9._-]+)==([^ ]+)", lock.read_text(), re.MULTILINE))
    differing = differences(pins)
    if not differing:
        return Finding("installed versions are those of requirements.lock")
    more = f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
    text = ", ".join(differing[:SHOWN]) + more
    return Finding(f"not as in requirements.lock: {text}", "make setup (or make ros)", True)


def differences(pins: Mapping[str, str]) -> list[str]:
    """Return "name found (lock: pinned)" for every installed package of another version.

    What is not installed is left out: an installation set has a part of the lock only.
    """
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "").lower()
        found.setdefault(name, distribution.version.split("+")[0])
    return [
        f"{name} {found[name]} (lock: {pinned})"
        for name, pinned in sorted(pins.items())
        if name in found and found[name] != pinned
    ]


def trial(
    program: str, success: str, mend: str, variables: Mapping[str, str] | None = None
) -> Finding:
    """Run a small program in a process of its own."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **(variables or {})},
            capture_output=True,
            text=True,
            timeout=TRIAL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding(f"no answer within {TRIAL_SECONDS} s", mend)
    if done.returncode == 0:
        return Finding(success)
    last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    return Finding(last, mend)
