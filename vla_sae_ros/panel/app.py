"""The stand-alone window: `vla-sae panel`, or `python -m vla_sae_ros.panel` in a system."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from types import TracebackType

from PyQt5.QtCore import QSettings
from PyQt5.QtWidgets import QApplication

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.namespace import checked_namespace
from vla_sae_ros.environment import check_domain
from vla_sae_ros.own_process import own_process
from vla_sae_ros.panel.frame.window import PanelWidget
from vla_sae_ros.panel.ros.ros_thread import RosThread
from vla_sae_ros.panel.screen import why_no_screen
from vla_sae_ros.panel.widgets.guard import MISHAPS
from vla_sae_ros.panel.widgets.inks import SYSTEM, THEMES, use_theme

NO_SCREEN = 3
"""Exit status where there is no screen."""
REFUSED = 2
"""Exit status where the environment is refused."""

_SMALLEST, _LARGEST = 100, 200  # [%]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vla-sae panel`."""
    parser.add_argument(
        "--theme",
        choices=THEMES,
        default=SYSTEM,
        help="colour theme (default: that of the desktop)",
    )
    parser.add_argument(
        "--namespace",
        type=_namespace,
        metavar="NAME",
        help="namespace of the system to show, e.g. /left (default: none)",
    )
    parser.add_argument(
        "--scale",
        type=_percent,
        default=_SMALLEST,
        metavar="PERCENT",
        help="scale of the user interface in percent, 100 to 200 (default 100)",
    )


def run(args: argparse.Namespace) -> int:
    """Open the window for `vla-sae panel`; return the exit status."""
    return open_window(args.theme, args.scale, _in_namespace(args.namespace))


def main(args: list[str] | None = None) -> int:
    """Open the window; what is no option of the panel goes to ROS. Return the exit status.

    Without `args` those of the process, which is then taken to be the panel's own.
    """
    if args is None:
        with own_process():
            return main(sys.argv[1:])
    parser = argparse.ArgumentParser(prog="panel", description=__doc__)
    add_arguments(parser)
    options, ros_arguments = parser.parse_known_args(args)
    named = _in_namespace(options.namespace)
    return open_window(options.theme, options.scale, [*ros_arguments, *named])


def open_window(theme: str, scale: int, ros_arguments: list[str]) -> int:
    """Show the panel; return when it is closed or on SIGINT or SIGTERM."""
    logging.basicConfig(format="[panel] %(levelname)s %(message)s")
    if why := why_no_screen(os.environ):
        print(f"The panel needs a screen: {why} Everything else runs without it.", file=sys.stderr)
        return NO_SCREEN
    try:
        check_domain()
    except ConfigurationError as refusal:
        print(refusal, file=sys.stderr)
        return REFUSED
    sys.excepthook = _note_uncaught
    if scale != _SMALLEST:
        os.environ["QT_SCALE_FACTOR"] = str(scale / 100)
    app = QApplication(["vla_sae_ros panel"])
    use_theme(app, theme)
    ros = RosThread(ros_arguments)
    widget = PanelWidget(ros.client)
    settings = QSettings("vla_sae_ros", "panel")
    screen = app.primaryScreen()
    size = widget.sizeHint()
    widget.resize(size if screen is None else size.boundedTo(screen.availableSize()))
    _restore(widget, settings)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Python runs the handler at the next tick of the widget's timer.
        signal.signal(number, lambda *_: app.quit())
    widget.show()
    try:
        return int(app.exec_())
    finally:
        settings.setValue("geometry", widget.saveGeometry())
        settings.setValue("layout", json.dumps(widget.save_layout()))
        settings.sync()
        widget.hide()  # its views tell the client what they no longer need while it is there
        widget.stop()
        ros.close()


def _restore(widget: PanelWidget, settings: QSettings) -> None:
    """Bring back the last layout; one that cannot be read is noted and left aside."""
    geometry = settings.value("geometry")
    if geometry is not None:
        widget.restoreGeometry(geometry)
    try:
        widget.restore_layout(json.loads(settings.value("layout", "{}")))
    except (TypeError, ValueError) as error:
        MISHAPS.note("the remembered layout", error)


def _namespace(text: str) -> str:
    try:
        return f"/{checked_namespace(text)}"
    except ConfigurationError as refusal:
        raise argparse.ArgumentTypeError(str(refusal)) from refusal


def _in_namespace(name: str | None) -> list[str]:
    """Return the arguments that put the panel's node into a namespace."""
    return ["--ros-args", "-r", f"__ns:={name}"] if name else []


def _percent(text: str) -> int:
    if text.isdigit() and _SMALLEST <= int(text) <= _LARGEST:
        return int(text)
    raise argparse.ArgumentTypeError(
        f"{text!r} is not a scale; write a percentage from {_SMALLEST} to {_LARGEST}"
    )


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
