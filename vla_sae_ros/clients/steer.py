"""`vla-sae steer`: change the features of a running system from a terminal."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

from vla_sae_ros.clients import steer_preset
from vla_sae_ros.clients.steer_client import SteerClient
from vla_sae_ros.core.catalogue import said_test
from vla_sae_ros.core.errors import SteeringRefused
from vla_sae_ros.core.one_line import one_line
from vla_sae_ros.core.steering import Condition, Control, Edit, Mode, Unit
from vla_sae_ros.core.steering.edit import TOKEN_GROUPS
from vla_sae_ros.core.steering.preset import line_of, parse_condition, parse_control
from vla_sae_ros.core.steering.reading import to_condition, to_control
from vla_sae_ros.msg import SteeringEditState

UNITS = {"natural": Unit.NATURAL, "max": Unit.OBSERVED_MAX, "norm": Unit.RESIDUAL_NORM}
UNIT_WORDS = {Unit.NATURAL: "", Unit.OBSERVED_MAX: " x max", Unit.RESIDUAL_NORM: " x norm"}
PHASES = {0: "ramping in", 1: "holding", 2: "releasing", 3: "waiting"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `steer set`, `list`, `bypass`, `inject`, `reset` and `preset`."""
    actions = parser.add_subparsers(dest="action", metavar="action", required=True)
    _add_set_arguments(actions.add_parser("set", help="edit one feature"))
    actions.add_parser("list", help="list the edits in place")
    bypass = actions.add_parser(
        "bypass", help="suspend all edits without removing them; off: resume them"
    )
    bypass.add_argument("state", choices=("on", "off"), nargs="?", default="on")
    inject = actions.add_parser(
        "inject", help="on: inject the donor's residual stream (up sim --inject); off: no more"
    )
    inject.add_argument("state", choices=("on", "off"))
    actions.add_parser("reset", help="ramp every edit back to natural")
    steer_preset.add_arguments(
        actions.add_parser("preset", help="save the edits in a file, or apply such a file")
    )


def run(args: argparse.Namespace) -> int:
    """Do it, say whether it was accepted, and return 0 or 1."""
    actions: dict[str, Callable[[SteerClient, argparse.Namespace], None]] = {
        "set": _set,
        "list": _list,
        "bypass": _bypass,
        "inject": _inject,
        "reset": _reset,
        "preset": steer_preset.run,
    }
    with SteerClient() as client:
        try:
            actions[args.action](client, args)
        except SteeringRefused as refusal:
            print(f"refused: {refusal}")
            return 1
    return 0


def seconds(text: str) -> float:
    """Read a duration such as 3s, 500ms, 2min or 3; return it in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|min)?", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a duration; write for example 3s or 500ms"
        )
    return float(match[1]) * {"ms": 0.001, "min": 60.0}.get(match[2], 1.0)


def token_groups(text: str) -> tuple[str, ...]:
    """Read token groups separated by commas."""
    groups = tuple(text.split(","))
    if unknown := set(groups) - set(TOKEN_GROUPS):
        raise argparse.ArgumentTypeError(
            f"{sorted(unknown)} unknown; allowed: {','.join(TOKEN_GROUPS)}"
        )
    return groups


def edit_from(args: argparse.Namespace) -> Edit:
    """Return the edit that the options of `steer set` describe."""
    modes = {Mode.CLAMP: args.clamp, Mode.ADD: args.add, Mode.SCALE: args.scale}
    mode, value = next(
        ((mode, value) for mode, value in modes.items() if value is not None),
        (Mode.PROJECT_OUT, 0.0),
    )
    measured = mode in (Mode.CLAMP, Mode.ADD)
    return Edit(
        feature=args.feature,
        mode=mode,
        value=value,
        site=args.site,
        unit=UNITS[args.unit] if measured else Unit.NATURAL,
        token_groups=args.tokens,
        ramp=args.ramp,
        duration=args.duration,
        hold=args.hold,
        when=None if args.when is None else parse_condition(args.when),
        control=None if args.control is None else parse_control(args.control),
    )


def _add_set_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("feature", type=int, help="feature id")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--clamp", type=float, metavar="V", help="set the activation to V")
    mode.add_argument("--add", type=float, metavar="V", help="add V to the activation")
    mode.add_argument("--scale", type=float, metavar="V", help="multiply the activation by V")
    mode.add_argument("--project-out", action="store_true", help="remove the feature's direction")
    parser.add_argument(
        "--unit",
        choices=UNITS,
        default="max",
        help="unit of V for --clamp and --add: the SAE's own units, the feature's "
        "observed maximum (default), or the mean residual norm",
    )
    parser.add_argument(
        "--site",
        default="",
        help="site of the feature; default: the only site that can be steered",
    )
    parser.add_argument(
        "--tokens",
        type=token_groups,
        default=(),
        metavar="GROUP,...",
        help=f"of {','.join(TOKEN_GROUPS)}; default: all",
    )
    parser.add_argument(
        "--ramp",
        type=seconds,
        default=0.5,
        metavar="TIME",
        help="time to reach the new value, default 0.5s",
    )
    parser.add_argument(
        "--for",
        type=seconds,
        default=0.0,
        dest="duration",
        metavar="TIME",
        help="release the edit after this time of the robot's clock, e.g. 3s",
    )
    parser.add_argument(
        "--when",
        metavar="CONDITION",
        help="apply the edit only while this condition is true, in the format of a "
        'preset, e.g. "{site: backbone.1, feature: 93, above: 0.5, for: 0.2}" '
        'or "{reading: step, above: 40}"',
    )
    parser.add_argument(
        "--control",
        metavar="CONTROLLER",
        help="let a PI controller set the value, from V on, so that a reading stays where it is "
        'wanted, in the format of a preset, e.g. "{reading: height, at: 0.25, kp: 4, ki: 8, '
        'bounds: [0, 1]}"',
    )
    parser.add_argument("--hold", action="store_true", help="return and leave the edit in place")


def _set(client: SteerClient, args: argparse.Namespace) -> None:
    edit = edit_from(args)
    revision = client.set_steering([edit])
    print(f"accepted: feature {edit.feature}, revision {revision}")
    print(_known(client, edit))
    if edit.hold:
        return
    if edit.duration:
        print(
            f"holding it for {edit.duration:g} s of the observations' time, which stands still "
            "while no episode runs; Ctrl-C releases it",
            flush=True,
        )
    else:
        print("holding it until Ctrl-C", flush=True)
    try:
        client.wait_until_gone(revision)
        print(f"feature {edit.feature} is natural again")
    except KeyboardInterrupt:
        client.release(edit)
        print(f"released feature {edit.feature}")


def _known(client: SteerClient, edit: Edit) -> str:
    """Return the feature's name, and whether a study has tested it or it only correlates."""
    info = client.known(edit.site, edit.feature)
    if info is None:
        return "The policy's catalogue does not list it."
    name = f"“{one_line(info.label)}”" if info.label else "without a label"
    if not info.tests:
        return f"{name}, not tested by steering yet"
    return "\n".join([name, *(f"  {one_line(said_test(test))}" for test in info.tests)])


def _list(client: SteerClient, _args: argparse.Namespace) -> None:
    state = client.state()
    words = "bypassed: no edit acts" if state.bypass else "edits act"
    if state.injection:
        words += f", another episode's stream is injected at {state.injection}"
    print(f"revision {state.revision}, cap {state.cap:g}, {words}")
    for standing in state.edits:
        print(_one_line(standing))
    if not state.edits:
        print("no edits")


def _one_line(standing: SteeringEditState) -> str:
    edit, mode = standing.edit, Mode(standing.edit.mode)
    value = "" if mode is Mode.PROJECT_OUT else f" {edit.value:g}"
    unit = UNIT_WORDS[Unit(edit.unit)] if mode in (Mode.CLAMP, Mode.ADD) else ""
    return (
        f"{edit.site} {edit.feature}: {mode.name.lower()}{value}{unit}, "
        f"{PHASES[standing.phase]} at {standing.weight:.0%} of {standing.commanded:g}, "
        f"by {one_line(standing.owner)}{' (hold)' if edit.hold else ''}"
        f"{_said('when', to_condition(edit.when), standing.condition_reading)}"
        f"{_said('controlled by', to_control(edit.control), standing.control_reading)}"
    )


def _said(word: str, one: Condition | Control | None, reading: float) -> str:
    if one is None:
        return ""
    return f", {word} {line_of(one)} (reads {reading:.3g})"


def _bypass(client: SteerClient, args: argparse.Namespace) -> None:
    client.bypass(args.state == "on")
    print(f"accepted: bypass {args.state}")


def _inject(client: SteerClient, args: argparse.Namespace) -> None:
    client.inject(args.state == "on")
    print(f"accepted: injection {args.state}")


def _reset(client: SteerClient, _args: argparse.Namespace) -> None:
    client.reset_steering()
    print("accepted: every edit ramps back to natural")
