"""Where compiled code is kept, and what happens to half of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from vla_sae_ros.policy.compiled.graph_cache import CACHE_VARIABLE, compiling_into, graph_cache


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The user's own folder, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(CACHE_VARIABLE, default_cache_dir())  # as torch sets it itself
    return tmp_path / "vla_sae_ros" / "compiled"


def test_it_is_in_the_users_cache_and_not_in_tmp_but_where_the_variable_says(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert graph_cache() == own
    monkeypatch.setenv(CACHE_VARIABLE, "/kept/elsewhere")
    assert graph_cache() == Path("/kept/elsewhere")


def test_what_was_compiled_is_there_at_the_next_start(own: Path) -> None:
    told: list[str] = []
    for _ in range(2):
        with compiling_into(own, told.append):
            (own / "part.so").touch()
    assert [path.name for path in own.iterdir()] == ["part.so"] and not told


def test_what_a_killed_or_failed_compilation_left_is_thrown_away(own: Path) -> None:
    told: list[str] = []
    with pytest.raises(RuntimeError), compiling_into(own, told.append):
        (own / "half.so").touch()
        raise RuntimeError("killed")
    with compiling_into(own, told.append):
        assert not (own / "half.so").exists()
    assert "broken off" in told[0]


def test_another_process_that_compiles_now_is_left_alone(own: Path) -> None:
    own.mkdir(parents=True)
    (own / f"unfinished.{os.getppid()}").touch()
    (own / "part.so").touch()
    with compiling_into(own, lambda text: pytest.fail(text)):
        assert (own / "part.so").exists()


def test_what_was_left_is_kept_while_another_process_compiles_beside_it(own: Path) -> None:
    own.mkdir(parents=True)
    other, broken_off = own / f"unfinished.{os.getppid()}", own / "unfinished.999999999"
    other.touch(), broken_off.touch(), (own / "part.so").touch()
    told: list[str] = []
    with compiling_into(own, told.append):
        assert (own / "part.so").exists()
    assert "another process" in told[0]
    other.unlink()
    with compiling_into(own, told.append):
        assert not (own / "part.so").exists() and not broken_off.exists()


def test_a_folder_that_the_user_named_is_not_emptied(own: Path, tmp_path: Path) -> None:
    named, told = tmp_path / "named", list[str]()
    named.mkdir()
    (named / "unfinished.999999999").touch()
    (named / "theirs").touch()
    with compiling_into(named, told.append):
        assert (named / "theirs").exists()
    assert str(named) in told[0]
