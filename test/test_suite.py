"""What the suite itself promises: runs that do not hear each other, and failures that tell."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import rclpy
from domains import CANDIDATES, take_domain
from node_logs import LINES, added_logs
from patience import PATIENCE
from rclpy.context import Context
from rclpy.node import Node

HELPERS = Path(__file__).parent / "helpers"


def domain_of_another_process(*candidates: int) -> str:
    program = f"from domains import take_domain; print(take_domain({list(candidates)}))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(HELPERS)},
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout.strip() or done.stderr


def test_tests_run_in_a_domain_that_no_other_run_can_take() -> None:
    ours = int(os.environ["ROS_DOMAIN_ID"])
    assert ours in CANDIDATES
    assert "domains for tests are taken" in domain_of_another_process(ours)


def test_a_process_can_take_several_domains_and_another_one_gets_none_of_them() -> None:
    first, second = take_domain(), take_domain()
    other = int(domain_of_another_process(*CANDIDATES))
    assert len({first, second, other}) == 3


def test_a_domain_in_which_somebody_elses_node_runs_is_not_taken() -> None:
    free = int(domain_of_another_process(*CANDIDATES))  # and given back
    elsewhere = int(os.environ["ROS_DOMAIN_ID"])
    contexts = [Context() for _ in range(2)]
    for context, domain in zip(contexts, (elsewhere, free), strict=True):
        rclpy.init(context=context, domain_id=domain)
    # The second participant of a process is not the first of its domain.
    nodes = [Node("somebody", context=context) for context in contexts]
    assert "are taken" in domain_of_another_process(free)
    for node, context in zip(nodes, contexts, strict=True):
        node.destroy_node()
        context.shutdown()


def test_a_failure_shows_the_end_of_what_the_nodes_logged_since_the_test_began(
    tmp_path: Path,
) -> None:
    begun = time.time()
    (tmp_path / "run").mkdir()
    logs = {
        name: tmp_path / name
        for name in ("earlier.log", "run/policy.log", f"python_{os.getpid()}_1.log", "bag.mcap")
    }
    for path in logs.values():
        path.write_text("".join(f"line {number}\n" for number in range(2 * LINES)))
    os.utime(logs["earlier.log"], (begun - 60, begun - 60))
    ((path, text),) = added_logs(tmp_path, begun - 1).items()
    assert path == logs["run/policy.log"]
    first, *rest = text.splitlines()
    assert first == f"({LINES} earlier lines are in {path})"
    assert rest == [f"line {number}" for number in range(LINES, 2 * LINES)]


def test_a_failing_tests_report_has_the_logs(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((Path(__file__).parent / "conftest.py").read_text())
    (tmp_path / "test_failing.py").write_text(
        "def test_it(tmp_path):\n"
        "    (tmp_path / 'policy.log').write_text('no such bundle')\n"
        "    assert False\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-c",
            os.devnull,
            "--rootdir",
            str(tmp_path),
            f"--basetemp={tmp_path / 'base'}",
            "-o",
            f"pythonpath={HELPERS}",
            str(tmp_path / "test_failing.py"),
        ],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "Log test_it0/policy.log" in done.stdout
    assert "no such bundle" in done.stdout


WORKERS = """
import group_scheduling

def pytest_xdist_make_scheduler(config, log):
    config.option.loadscopereorder = False
    return group_scheduling.GroupScheduling(config, log)
"""
FILE = """
import os, pytest
from pathlib import Path
from patience import eventually

@pytest.mark.parametrize("number", range({tests}))
def test_it(number):
    worker = os.environ["PYTEST_XDIST_WORKER"]
    with open("who", "a") as who:
        print("{name}", worker, file=who)
    if {deadly} and not Path("dead").exists():
        Path("dead").touch()
        os._exit(9)
    if worker == "gw2":
        Path("replaced").touch()
    if Path("dead").exists():  # the rest waits for the one that takes the place
        eventually(Path("replaced").exists)
"""


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on a folder, with what it says about its configuration and no other."""
    settings = ["-pno:cacheprovider", "-c/dev/null", "--rootdir=."]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *settings, *arguments],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if "PYTEST" not in k}
        | {"PYTHONPATH": str(HELPERS)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def shared_among_workers(folder: Path, tests: int, deadly: str = "") -> tuple[str, set[str]]:
    """Run nine files in two workers; return what pytest prints and "FILE WORKER" of every test."""
    (folder / "conftest.py").write_text(WORKERS)
    for name in "abcdefghi":
        text = FILE.format(name=name, tests=tests, deadly=name == deadly)
        (folder / f"test_{name}.py").write_text(text)
    done = run_pytest(folder, "-n2")
    return done.stdout + done.stderr, set((folder / "who").read_text().splitlines())


def test_a_file_runs_in_one_worker(tmp_path: Path) -> None:
    told, who = shared_among_workers(tmp_path, tests=4)
    assert "36 passed" in told
    assert len(who) == 9, who
    assert {line.split()[1] for line in who} == {"gw0", "gw1"}


@pytest.mark.parametrize("tests", [1, 3])
def test_a_worker_that_dies_costs_its_test_and_the_run_ends(tmp_path: Path, tests: int) -> None:
    told, who = shared_among_workers(tmp_path, tests, deadly="b")
    assert "1 failed" in told and f"{9 * tests - 1} passed" in told
    assert {line.split()[0] for line in who} == set("abcdefghi")
    assert any(line.endswith("gw2") for line in who)


HANGING = """
import ctypes, os
from pathlib import Path
import pytest

def hang():
    libc = ctypes.PyDLL(None)  # which keeps the GIL
    lock = (ctypes.c_char * 64)()
    libc.pthread_mutex_lock(lock)
    libc.pthread_mutex_lock(lock)  # for ever, whatever signals come
"""
HANGING_FILES = {
    "once": """
@pytest.fixture
def node():
    yield
    if not Path("hung").exists():
        Path("hung").touch()
        hang()

def test_before(): pass
def test_once(node): pass
def test_after(): pass
""",
    "always": "def test_always(): hang()\n",
    "dying": "def test_dying(): os._exit(1)\n",
    "failing": """
@pytest.fixture
def node():
    yield
    hang()

def test_failing(node): assert False
""",
}


def run_hanging(folder: Path, *names: str, arguments: tuple[str, ...] = ()) -> tuple[int, str]:
    """Run files in which tests hang in native code; return the exit status and what is printed."""
    (folder / "conftest.py").write_text(f"pytest_plugins = ['hanging_tests']\n{WORKERS}")
    for name in names:
        (folder / f"test_{name}.py").write_text(HANGING + HANGING_FILES[name])
    # pytest-timeout has its turn before, and cannot end them.
    limits = ("-ohang_limit=6", "-otimeout=3")
    done = run_pytest(folder, *limits, *arguments)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_a_test_that_hangs_in_native_code_is_repeated_once_and_the_run_says_so(
    tmp_path: Path,
) -> None:
    status, told = run_hanging(tmp_path, "once", arguments=("-n2",))
    assert status == 0, told
    assert "1 repeated" in told and "passed" in told and "failed" not in told
    heading = told.index("repeated after its worker ended: test_once.py::test_once")
    assert "in hang" in told[heading:]


@pytest.mark.slow
def test_a_test_that_hangs_again_or_whose_worker_dies_otherwise_has_failed(tmp_path: Path) -> None:
    status, told = run_hanging(tmp_path, "always", "dying", arguments=("-n2",))
    assert status == pytest.ExitCode.TESTS_FAILED, told
    assert "2 failed, 1 repeated" in told
    assert "FAILED test_dying.py" in told and "FAILED test_always.py" in told
    assert "repeated after its worker ended: test_dying" not in told


def test_a_test_that_fails_and_then_hangs_ends_a_run_without_workers(tmp_path: Path) -> None:
    status, told = run_hanging(tmp_path, "failing")
    assert status == 1
    assert "Timeout" in told and "in hang" in told
