"""Errors that tell a user what was wrong, what was got, what is allowed and what to do next."""

from __future__ import annotations

import reprlib

LONGEST_REASON = 2000
"""Characters; a reason goes over the wire, into bags and logs."""

_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxdict = _SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxfrozenset = 40
_SHORT.maxstring = _SHORT.maxother = 400
_SHORT.maxlong = 60


class VlaSaeError(Exception):
    """Base of every error this package raises on purpose.

    Its text may quote others, and libraries that quote others: it is safe to print and to send.
    """

    def __init__(self, *said: object) -> None:
        super().__init__(*(escaped(each) if isinstance(each, str) else each for each in said))


class ConfigurationError(VlaSaeError):
    """A file, parameter or argument cannot be used; nothing was started."""


class SteeringRefused(VlaSaeError):
    """A steering request was refused; the steering state is unchanged."""


class ContractError(VlaSaeError):
    """An observation/action contract is invalid or asks for something not implemented."""


class ObservationError(VlaSaeError):
    """An observation is missing, stale or malformed; no inference was made from it."""


class SimulationError(VlaSaeError):
    """The simulator failed, or did not answer within its limit."""


class RecordingError(VlaSaeError):
    """A recording could not be started or had to be stopped."""


def complaint(what: str, got: object, allowed: object, next_step: str = "") -> str:
    """Return one sentence: what was wrong, the value got, what is allowed, what to do next."""
    text = f"{bounded(what, 400)}: got {_SHORT.repr(got)}; allowed: {allowed}."
    return f"{text} {next_step}" if next_step else text


def escaped(text: str) -> str:
    """Return the text with escapes for what a terminal obeys or hides, and for lone surrogates.

    Line breaks and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )


def bounded(text: str, longest: int = LONGEST_REASON) -> str:
    """Return the text as every consumer of it can take it: whole characters, not too many."""
    if len(text) > longest:
        text = f"{text[: longest - 40]} ... ({len(text)} characters, cut)"
    return text.encode("utf-8", "backslashreplace").decode()
