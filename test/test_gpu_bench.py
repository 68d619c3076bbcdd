"""bench/on_gpu.py, whole, on a CPU at small sizes; compiling itself is test/policy/compiled's."""

from __future__ import annotations

import importlib
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
import torch

from vla_sae_ros.policy.compiled import parts


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, with a torch.compile that traces and generates no code."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "bench"))
    traced = partial(torch.compile, fullgraph=True, dynamic=False, backend="eager")
    monkeypatch.setattr(parts, "_compile", lambda part, _captured: traced(part))
    return importlib.import_module("on_gpu")


def test_every_part_is_measured_and_neutral_taps_leave_every_bit(on_gpu: ModuleType) -> None:
    table = on_gpu.measure(on_gpu.SMALL, "cpu", 600.0, lambda _text: None)
    assert list(table) == list(on_gpu.PARTS)
    assert not [rows for rows in table.values() if rows[0][0] in ("failed", "not measured")]
    exact = table["Exactness"][1:]
    assert {row[0] for row in exact} == {"float32", "bfloat16"}
    for _precision, what, expected, got in exact:
        if expected == "0":
            assert got == "0", what
        if expected == "> 0":
            assert float(got) > 0.0, what
        if expected == "rounding":
            assert float(got) < 0.1, what
    assert [row[:2] for row in table["pi0.5, chunks"][1:]] == [
        (how, taps)
        for how in ("eager", "compiled")
        for taps in ("none", "4, no edits", "4, 16 edits")
    ]
    assert "ours" in {row[1] for row in table["Training of autoencoders"]}
    text = on_gpu.as_markdown(table, "cpu")
    assert text.startswith("Measured on a CPU") and "| compiled | 4, 16 edits |" in text


def test_a_part_that_fails_is_a_line_and_the_others_go_on(
    on_gpu: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_sizes: object, _device: str) -> None:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(on_gpu, "PARTS", {"one": fail, "two": lambda _sizes, _device: [("fine",)]})
    table = on_gpu.measure(on_gpu.SMALL, "cpu", 600.0, lambda _text: None)
    assert table == {
        "one": [("failed", "RuntimeError: no kernel image is available")],
        "two": [("fine",)],
    }


def test_what_there_is_no_time_for_is_said(on_gpu: ModuleType) -> None:
    table = on_gpu.measure(on_gpu.SMALL, "cpu", -1.0, lambda _text: None)
    assert {rows[0][0] for rows in table.values()} == {"not measured"}
