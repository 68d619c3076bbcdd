"""Two warnings of torch's are left out while a policy is compiled, and no other."""

from __future__ import annotations

import logging
import warnings

import pytest

from vla_sae_ros.policy.compiled.usual_warnings import LOGGER, without_usual_warnings

SCRIPT_METHOD = "`torch.jit.script_method` is deprecated. Please switch to `torch.compile`."
NO_CUDA = "No CUDA runtime is found, using CUDA_HOME='/usr/local'"


def warn_of_everything() -> None:
    logging.getLogger(LOGGER).warning(NO_CUDA)
    logging.getLogger(LOGGER).warning("the compiler is too old")
    warnings.warn(SCRIPT_METHOD, DeprecationWarning, stacklevel=1)
    warnings.warn("something else is deprecated", DeprecationWarning, stacklevel=1)


def test_what_is_news_is_shown_and_afterwards_everything_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with without_usual_warnings():
            warn_of_everything()
        assert caplog.messages == ["the compiler is too old"]
        caplog.clear()
        assert [str(each.message) for each in shown] == ["something else is deprecated"]
        warn_of_everything()
    assert caplog.messages == [NO_CUDA, "the compiler is too old"]
    assert [str(each.message) for each in shown][1:] == [
        SCRIPT_METHOD,
        "something else is deprecated",
    ]
