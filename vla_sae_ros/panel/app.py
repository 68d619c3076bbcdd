"""The stand-alone window: `python -m vla_sae_ros.panel`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from types import TracebackType

from PyQt5.QtWidgets import QApplication

from vla_sae_ros.panel.guard import MISHAPS
from vla_sae_ros.panel.ros_thread import RosThread
from vla_sae_ros.panel.window import PanelWidget

NO_SCREEN = 3
"""Exit status where there is no screen."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vla-sae panel`: none."""


def run(args: argparse.Namespace) -> int:
    """Open the window for `vla-sae panel`; return the exit status."""
    return main([])


def main(args: list[str] | None = None) -> int:
    """Open the window; return when it is closed or on SIGINT or SIGTERM."""
    arguments = sys.argv[1:] if args is None else args
    logging.basicConfig(format="[panel] %(levelname)s %(message)s")
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
            or os.environ.get("QT_QPA_PLATFORM")):
        print("The panel needs a screen: DISPLAY is not set. Everything else runs without it.",
              file=sys.stderr)
        return NO_SCREEN
    sys.excepthook = _note_uncaught
    app = QApplication(["vla_sae_ros panel"])
    ros = RosThread(arguments)
    widget = PanelWidget(ros.client)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Python runs the handler at the next tick of the widget's timer.
        signal.signal(number, lambda *_: app.quit())
    widget.resize(widget.sizeHint())
    widget.show()
    try:
        return int(app.exec_())
    finally:
        widget.stop()
        ros.close()


def _note_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Keep PyQt5 from aborting on an exception that no guard has caught."""
    if isinstance(error, Exception):
        MISHAPS.note("an unguarded callback", error)
    else:
        sys.__excepthook__(kind, error, trace)


if __name__ == "__main__":
    sys.exit(main())
