"""Namespaces of ROS: how a person writes them, and what is one."""

from __future__ import annotations

import re

from vla_sae_ros.core.errors import ConfigurationError, complaint

_NAMES = re.compile(r"/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*/?")


def checked_namespace(given: str, what: str = "namespace") -> str:
    """Return a namespace without the slashes around it; "" for the root, given as "" or "/".

    Args:
        given: e.g. "left", "/left" or "lab/left".
        what: names the value in the message.

    Raises:
        ConfigurationError: it is no namespace.
    """
    if given in ("", "/"):
        return ""
    if not _NAMES.fullmatch(given):
        raise ConfigurationError(
            complaint(
                what,
                given,
                "names of letters, digits and _ that do not begin with a digit, joined by /, "
                "e.g. /left",
            )
        )
    return given.strip("/")
