"""Bags mean the same to rosbags, to mcap and to rosidl: every type, every field, every hash."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import mcap.reader
import mcap_ros2.decoder
import numpy as np
import pytest
import yaml
from ament_index_python.packages import get_package_share_directory
from rclpy.serialization import serialize_message
from rosbags.highlevel import AnyReader
from rosbags.typesys import get_types_from_msg
from rosbags.typesys.store import Typestore

from vla_sae_ros.bags.message_definitions import definition_of, message_class
from vla_sae_ros.bags.writer import BagWriter
from vla_sae_ros.nodes.recorder.topics import CONTRACT_TOPICS

OURS = sorted(
    f"vla_sae_ros/msg/{path.stem}"
    for path in (Path(get_package_share_directory("vla_sae_ros")) / "msg").glob("*.json")
)
TYPES = sorted(
    {
        *OURS,
        *(topic.msgtype for topic in CONTRACT_TOPICS),
        "sensor_msgs/msg/Image",
        "sensor_msgs/msg/CompressedImage",
    }
)


def filled(msgtype: str, chance: random.Random) -> Any:
    """Return a message with something in every field."""
    kind = message_class(msgtype)
    fields = kind.get_fields_and_field_types()
    return kind(**{name: value(text, chance) for name, text in fields.items()})


def value(text: str, chance: random.Random) -> Any:
    if sequence := re.fullmatch(r"sequence<([^,>]+).*>", text):
        return [value(sequence[1], chance) for _ in range(chance.randrange(1, 4))]
    if array := re.fullmatch(r"(.+)\[(\d+)\]", text):
        return [value(array[1], chance) for _ in range(int(array[2]))]
    if "/" in text:
        return filled(text.replace("/", "/msg/"), chance)
    if text == "string":
        return "".join(chance.choices("aäß中/ \n", k=chance.randrange(9)))
    if text == "boolean":
        return chance.random() < 0.5
    if text == "octet":
        return bytes([chance.randrange(256)])
    if text in ("float", "double"):
        return float(np.float32(chance.gauss(0, 1e3)))
    bits, signed = int(re.sub(r"\D", "", text)), not text.startswith("u")
    return chance.randrange(-(2 ** (bits - 1)) if signed else 0, 2 ** (bits - signed))


def assert_same(sent: Any, read: Any, where: str) -> None:
    """Compare field by field what rosidl's class and another reader's object say."""
    if hasattr(sent, "get_fields_and_field_types"):
        for name in sent.get_fields_and_field_types():
            assert_same(getattr(sent, name), getattr(read, name), f"{where}.{name}")
    elif isinstance(sent, str | bool | int | float):
        assert sent == read, where
    elif isinstance(sent, bytes):
        assert sent[0] == read, where
    else:
        assert len(sent) == len(read), where
        for place, (one, other) in enumerate(zip(sent, read, strict=True)):
            one = one.item() if isinstance(one, np.generic) else one
            assert_same(one, other, f"{where}[{place}]")


@pytest.fixture(scope="module")
def sent() -> dict[str, Any]:
    chance = random.Random(8)
    return {f"/t{number}": filled(msgtype, chance) for number, msgtype in enumerate(TYPES)}


@pytest.fixture(scope="module")
def bag(sent: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bags") / "all"
    writer = BagWriter(folder, 2 * 2**20)
    for number, (topic, message) in enumerate(sent.items()):
        writer.add_topic(topic, TYPES[number])
        writer.write(topic, number, serialize_message(message))
        if number == 5:
            writer.flush()
    writer.close()
    return folder


def test_rosbags_reads_every_field_of_every_type(bag: Path, sent: dict[str, Any]) -> None:
    with AnyReader([bag]) as reader:
        read = {c.topic: reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages()}
    assert read.keys() == sent.keys()
    for topic, message in sent.items():
        assert_same(message, read[topic], type(message).__name__)


def test_mcap_reads_every_field_of_every_type(bag: Path, sent: dict[str, Any]) -> None:
    with (bag / "all.mcap").open("rb") as file:
        reader = mcap.reader.make_reader(
            file, validate_crcs=True, decoder_factories=[mcap_ros2.decoder.DecoderFactory()]
        )
        read = {channel.topic: message for _, channel, _, message in reader.iter_decoded_messages()}
        summary = reader.get_summary()
    assert summary is not None and summary.statistics is not None
    assert summary.statistics.message_count == len(sent)
    assert summary.statistics.chunk_count == len(summary.chunk_indexes) == 2
    for topic, message in sent.items():
        assert_same(message, read[topic], type(message).__name__)


def test_mcap_finds_messages_by_time_and_topic_through_the_index(bag: Path) -> None:
    with (bag / "all.mcap").open("rb") as file:
        reader = mcap.reader.make_reader(file)
        found = [
            (channel.topic, message.log_time)
            for _, channel, message in reader.iter_messages(topics=["/t3", "/t7"], starting_at=5)
        ]
    assert found == [("/t7", 7)]


@pytest.mark.parametrize("msgtype", TYPES)
def test_definition_and_hash_are_those_that_rosidl_generated(msgtype: str) -> None:
    package, _, name = msgtype.split("/")
    generated = json.loads(
        (Path(get_package_share_directory(package)) / "msg" / f"{name}.json").read_text()
    )
    expected = {each["type_name"]: each["hash_string"] for each in generated["type_hashes"]}
    definition = definition_of(msgtype)
    assert definition.rihs01 == expected[msgtype]
    # Another implementation, from the text that is embedded in the bag:
    store = Typestore()
    store.register(get_types_from_msg(definition.text, msgtype))
    assert {each: store.hash_rihs01(each) for each in expected} == expected
    described = generated["type_description_msg"]
    for each in (described["type_description"], *described["referenced_type_descriptions"]):
        names = [field["name"] for field in each["fields"]]
        ours = [field for field, _ in store.fielddefs[each["type_name"]][1]]
        assert ours == names or (names == ["structure_needs_at_least_one_member"] and not ours)


def test_the_metadata_names_the_same_hashes(bag: Path) -> None:
    information = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    told = {
        each["topic_metadata"]["type"]: each["topic_metadata"]["type_description_hash"]
        for each in information["topics_with_message_count"]
    }
    assert told == {msgtype: definition_of(msgtype).rihs01 for msgtype in TYPES}


def test_the_metadata_has_the_keys_and_words_that_rosbag2_of_jazzy_writes(bag: Path) -> None:
    # As in bags of `ros2 bag record` that people have published, from Jazzy with MCAP.
    forever = {"sec": 9223372036, "nsec": 854775807}
    information = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert set(information) == {
        "version",
        "storage_identifier",
        "duration",
        "starting_time",
        "message_count",
        "topics_with_message_count",
        "compression_format",
        "compression_mode",
        "relative_file_paths",
        "files",
        "custom_data",
        "ros_distro",
    }
    assert (information["version"], information["storage_identifier"]) == (9, "mcap")
    assert [set(file) for file in information["files"]] == [
        {"path", "starting_time", "duration", "message_count"}
    ]
    for entry in information["topics_with_message_count"]:
        topic = entry["topic_metadata"]
        assert set(topic) == {
            "name",
            "type",
            "serialization_format",
            "offered_qos_profiles",
            "type_description_hash",
        }
        for profile in topic["offered_qos_profiles"]:
            assert profile.pop("durability") in ("volatile", "transient_local")
            assert profile.pop("reliability") in ("reliable", "best_effort")
            assert profile.pop("history") in ("unknown", "keep_last")
            assert isinstance(profile.pop("depth"), int)
            assert profile == {
                "deadline": forever,
                "lifespan": forever,
                "liveliness": "automatic",
                "liveliness_lease_duration": forever,
                "avoid_ros_namespace_conventions": False,
            }
