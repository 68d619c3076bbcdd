"""Reading a contract file; everything that is not implemented is refused by its key."""

from __future__ import annotations

from pathlib import Path

from vla_sae_ros.core.alignment import Align
from vla_sae_ros.core.contract.fields import Fields
from vla_sae_ros.core.contract.messages import JOINT_FIELDS, message_type, split_joint
from vla_sae_ros.core.contract.operators import Operator, parse_operator
from vla_sae_ros.core.contract.schema import Channel, Contract, Entry, Qos, Safety, Source, Task
from vla_sae_ros.core.errors import ConfigurationError, ContractError, complaint
from vla_sae_ros.core.yaml_document import read_yaml

FASTEST_HZ = 1000.0
LONGEST_TOLERANCE_MS = 60_000.0
DEEPEST_QUEUE = 1000


def load_contract(path: str | Path) -> Contract:
    """Read a contract file; raises ContractError naming the file and the key at fault."""
    try:
        document = read_yaml(Path(path)).value()
    except ConfigurationError as error:
        raise ContractError(f"The contract cannot be read: {error}") from error
    try:
        return parse_contract(document)
    except ContractError as error:
        raise ContractError(f"{path}: {error}") from error


def parse_contract(document: object) -> Contract:
    """Return the contract a loaded YAML document describes; raises ContractError."""
    top = Fields(document, "")
    robot_type = top.text("robot_type")
    top.choice("robot_interface", ("ros2",), "ros2")
    fps = top.number("fps", 0.1, FASTEST_HZ)
    observations = _entries(top.section("observations"), is_action=False)
    actions = _entries(top.section("actions"), is_action=True)
    tasks = tuple(
        _task(key, value, top.path(f"tasks.{key}"))
        for key, value in top.section("tasks", {}).items()
    )
    names = _names(top.section("map", {}))
    top.done()
    if len(actions) != 1:
        raise ContractError(
            complaint(
                "actions",
                [entry.key for entry in actions],
                "exactly one entry; a list under it splits the vector",
            )
        )
    return Contract(robot_type, fps, observations, actions, tasks, names)


def _names(section: Fields) -> dict[str, str]:
    names = section.items()
    for key, name in names:
        if not isinstance(name, str) or not name:
            raise ContractError(complaint(section.path(key), name, "the policy's name for it"))
    return dict(names)


def _entries(section: Fields, is_action: bool) -> tuple[Entry, ...]:
    entries = tuple(
        _entry(key, value, section.path(key), is_action) for key, value in section.items()
    )
    if not entries:
        raise ContractError(f"{section.path('')[:-1]} is empty; name at least one entry.")
    return entries


def _entry(key: str, value: object, where: str, is_action: bool) -> Entry:
    if isinstance(value, list):
        sources = tuple(
            _source(item, f"{where}[{index}]", is_action) for index, item in enumerate(value)
        )
    else:
        sources = (_source(value, where, is_action),)
    if not sources:
        raise ContractError(f"{where} is an empty list; name at least one source.")
    if len(sources) > 1:
        if any(source.is_image for source in sources):
            raise ContractError(f"{where}: pictures cannot share a key; give each its own.")
        if len({source.channel.dtype for source in sources}) > 1:
            raise ContractError(f"{where}: the sources of one key need the same dtype.")
    return Entry(key, sources)


def _source(value: object, where: str, is_action: bool) -> Source:
    fields = Fields(value, where)
    channel = _channel(fields.section("channel"), is_action)
    align = _align(fields.section("align"), channel)
    select = _select(fields.take("select", ()), channel, fields.path("select"))
    apply = _operators(fields.take("apply", []), fields.path("apply"))
    fields.done()
    source = Source(channel, align, select, apply)
    _check_operators(source, where, is_action)
    return source


def _channel(fields: Fields, is_action: bool) -> Channel:
    topic = fields.text("topic")
    type_name = fields.text("type")
    message_type(type_name, fields.path("type"))
    qos = _qos(fields.section("qos", {}))
    dtype = fields.choice("dtype", ("float32", "float64"), "float32")
    safety: Safety = "none"
    if is_action:
        safety = fields.choice("safety", ("none", "hold", "zeros"), "none")
    fields.done()
    return Channel(topic, type_name, qos, safety, dtype)


def _qos(fields: Fields) -> Qos:
    default = Qos()
    fields.choice("history", ("keep_last",), "keep_last")
    qos = Qos(
        fields.choice("reliability", ("reliable", "best_effort"), default.reliability),
        fields.choice("durability", ("volatile", "transient_local"), default.durability),
        fields.whole_number("depth", 1, DEEPEST_QUEUE, default.depth),
    )
    fields.done()
    return qos


def _align(fields: Fields, channel: Channel) -> Align:
    strategy = fields.choice("strategy", ("hold", "asof", "drop"))
    timeline = fields.choice("timeline", ("header", "receive"))
    if timeline == "header" and not message_type(channel.type, "").has_header:
        raise ContractError(
            complaint(
                fields.path("timeline"), timeline, f"receive, because {channel.type} has no header"
            )
        )
    tolerance = None
    if strategy == "asof":
        tolerance = fields.number("tolerance_ms", 0.0, LONGEST_TOLERANCE_MS)
    fields.done()
    return Align(strategy, timeline, tolerance)


def _select(value: object, channel: Channel, where: str) -> tuple[str, ...]:
    kind = message_type(channel.type, where).kind
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ContractError(complaint(where, value, "a list of field names"))
    if kind in ("image", "compressed", "scalar") and value:
        raise ContractError(
            complaint(where, value, f"nothing, because all of {channel.type} is used")
        )
    if kind in ("joints", "trajectory", "fields") and not value:
        raise ContractError(f"{where} is missing; {channel.type} needs the names of its fields.")
    if kind == "text":
        raise ContractError(
            complaint(
                where.replace("select", "channel.type"),
                channel.type,
                "a type with numbers or a picture; declare texts under `tasks`",
            )
        )
    if kind in ("joints", "trajectory"):
        for path in value:
            _check_joint(path, where)
    if len(set(value)) != len(value):
        raise ContractError(complaint(where, list(value), "every field once"))
    return tuple(value)


def _check_joint(path: str, where: str) -> None:
    _, joint = split_joint(path)
    if not joint:
        raise ContractError(complaint(where, path, f"<field>.<joint>, field one of {JOINT_FIELDS}"))


def _operators(value: object, where: str) -> tuple[Operator, ...]:
    if not isinstance(value, list):
        raise ContractError(complaint(where, value, "a list of operators"))
    return tuple(parse_operator(item, where) for item in value)


def _check_operators(source: Source, where: str, is_action: bool) -> None:
    for operator in source.apply:
        if operator.for_images != source.is_image:
            what = "pictures" if operator.for_images else "numbers"
            raise ContractError(f"{where}.apply: '{operator.name}' works on {what} only.")
        if is_action and not operator.invertible:
            raise ContractError(
                f"{where}.apply: '{operator.name}' has no inverse, so it cannot be used for an "
                "action; allowed: rad2deg, deg2rad, scale, clamp."
            )
    if is_action and source.is_image:
        raise ContractError(f"{where}: an action cannot be a picture.")
    try:
        _ = source.width  # every operator checks the number of values it gets
    except ContractError as error:
        raise ContractError(f"{where}.apply: {error}") from error


def _task(key: str, value: object, where: str) -> Task:
    fields = Fields(value, where)
    channel = _channel(fields.section("channel"), is_action=False)
    select = fields.take("select", [])
    fields.done()
    if message_type(channel.type, where).kind != "text":
        raise ContractError(
            complaint(
                f"{where}.channel.type",
                channel.type,
                "std_msgs/msg/String, vla_sae_ros/msg/EpisodeState",
            )
        )
    needs_field = channel.type != "std_msgs/msg/String"
    if not isinstance(select, list) or len(select) > 1 or bool(select) != needs_field:
        raise ContractError(
            complaint(
                f"{where}.select",
                select,
                "the one text field of the message"
                if needs_field
                else "nothing, because the whole message is used",
            )
        )
    return Task(key, channel, tuple(select))
