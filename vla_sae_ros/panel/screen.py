"""Is there a screen? Qt aborts the whole process where there is none, without an exception."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping


def why_no_screen(environment: Mapping[str, str]) -> str:
    """Return why Qt would find no screen, in a sentence; empty when it will, or may."""
    platform = environment.get("QT_QPA_PLATFORM", "")
    is_x = platform.startswith("xcb")
    if not is_x and (platform or environment.get("WAYLAND_DISPLAY")):
        return ""
    display = environment.get("DISPLAY")
    if not display:
        return "DISPLAY is not set."
    if _answers(display):
        return ""
    return (
        f"no X server lets this process in at DISPLAY={display}. "
        "Log in with a desktop (ssh -X from another computer), or correct DISPLAY."
    )


def _answers(display: str) -> bool:
    """Return whether an X server accepts a connection; True where that cannot be tried."""
    try:
        xcb = ctypes.CDLL("libxcb.so.1")  # what Qt's own plugin connects with
    except OSError:
        return True
    xcb.xcb_connect.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xcb.xcb_connect(display.encode(), None))
    failed = bool(xcb.xcb_connection_has_error(connection))
    xcb.xcb_disconnect(connection)
    return not failed
