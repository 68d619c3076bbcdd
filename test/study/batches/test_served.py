"""A child that does what comes through its pipe; what it makes and does is a fake."""

from __future__ import annotations

import pytest
from fake_child import target

from vla_sae_ros.core.errors import ConfigurationError, SimulationError
from vla_sae_ros.study.batches.children import Children
from vla_sae_ros.study.batches.jobs import Done, Failed


def said(children: Children, number: int, thing: object) -> Done | Failed:
    children.send(number, thing)
    ((heard, what),) = children.wait([number])
    assert heard == number
    return what


def test_a_refusal_leaves_the_child_as_it_was_and_a_failure_ends_it() -> None:
    children = Children(target)
    try:
        assert said(children, 0, 4) == Done(8)
        assert said(children, 0, ConfigurationError("not this")) == Failed(
            "ConfigurationError: not this", usable=True
        )
        assert said(children, 0, 5) == Done(10)
        # The pipe has not ended: a file that was cut short raises the same.
        assert said(children, 0, EOFError("a file")) == Failed("EOFError: a file", usable=False)
        assert said(children, 1, SimulationError("stuck")).usable is False
        children.dismiss(0)
        assert said(children, 0, 6) == Done(12)
    finally:
        children.close()


def test_a_child_that_cannot_begin_ends_it_all_with_the_reason() -> None:
    children = Children(target, "no such policy")
    try:
        with pytest.raises(ConfigurationError, match="no such policy"):
            said(children, 0, 1)
    finally:
        children.close()
