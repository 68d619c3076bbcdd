"""500 damaged bags: every message that the official reader can decode is there, and no traceback.

Damage is drawn with a fixed seed. The official reader is the `mcap` package (its stream reader and
its seeking reader) with `mcap_ros2` as decoder.
"""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from bag_fixtures import START, SyntheticBag, describe, remark, write_episode
from mcap.reader import make_reader
from mcap.records import Channel, Message, Schema
from mcap.stream_reader import StreamReader
from mcap.writer import CompressionType, Writer
from mcap_ros2.decoder import DecoderFactory

from vla_sae_ros import cli
from vla_sae_ros.bags.opened_bag import OpenedBag
from vla_sae_ros.bags.storage.mcap_bag import LOST_TOPIC
from vla_sae_ros.bags.storage.record_search import MESSAGE_HEAD
from vla_sae_ros.bags.storage.salvage import MessagePlace, walk
from vla_sae_ros.core.errors import RecordingError

CONTAINERS = ("ours", "zstd", "lz4", "no chunks")
PER_CONTAINER = 125
STATUSES = {0, 1, 3}

Raw = tuple[int, int, bytes]
"""(channel id, time of reception, data)."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes, bytes]]:
    """Return container -> (metadata.yaml, MCAP file) of one small bag."""
    folder = tmp_path_factory.mktemp("whole") / "bag"
    bag = SyntheticBag(folder)
    describe(bag, START - 5)
    end = write_episode(bag, "plain", 0, START, 10)
    remark(bag, end, "", -1, "now with the edit")
    write_episode(bag, "steered", 1, end + 10**8, 11)
    bag.writer.close()
    metadata, ours = (folder / "metadata.yaml").read_bytes(), (folder / "bag.mcap").read_bytes()
    return {name: (metadata, _contained(ours, name)) for name in CONTAINERS}


def _contained(ours: bytes, container: str) -> bytes:
    """Write a file again with the official writer, in small chunks with checksums, or in none."""
    if container == "ours":
        return ours
    stream = io.BytesIO()
    packing = CompressionType.LZ4 if container == "lz4" else CompressionType.ZSTD
    writer = Writer(
        stream, chunk_size=20_000, compression=packing, use_chunking=container != "no chunks"
    )
    writer.start("ros2", "test")
    schemas: dict[int, int] = {}
    channels: dict[int, int] = {}
    for schema, channel, message in make_reader(io.BytesIO(ours)).iter_messages():
        assert schema is not None
        if schema.id not in schemas:
            schemas[schema.id] = writer.register_schema(schema.name, schema.encoding, schema.data)
        if channel.id not in channels:
            channels[channel.id] = writer.register_channel(
                channel.topic, channel.message_encoding, schemas[schema.id], channel.metadata
            )
        writer.add_message(
            channels[channel.id], message.log_time, message.data, message.publish_time
        )
    writer.finish()
    return stream.getvalue()


def damaged(whole: bytes, chance: random.Random) -> bytes:
    """Return a file with one to four damages: bits, runs, holes, insertions, a cut."""
    data = bytearray(whole)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        place = chance.randrange(8, max(9, len(data)))
        run = chance.choice((1, 4, 60, 900, 5000))
        kind = chance.randrange(6)
        if kind == 0:
            data[place % len(data)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[place : place + run] = chance.randbytes(len(data[place : place + run]))
        elif kind == 2:
            data[place : place + run] = bytes(len(data[place : place + run]))
        elif kind == 3:
            del data[place : place + run]
        elif kind == 4:
            data[place:place] = chance.randbytes(run)
        else:
            del data[max(8, len(data) - chance.randrange(len(data) // 2)) :]
    return bytes(data)


def official(data: bytes) -> tuple[Counter[Raw], Counter[Raw]]:
    """Return (every message that a way of reading gives, those of them that can be decoded)."""
    found: Counter[Raw] = Counter()
    decodable: Counter[Raw] = Counter()
    for way in (_streamed, _sought):
        seen: Counter[Raw] = Counter()
        decoded: Counter[Raw] = Counter()
        factory = DecoderFactory()
        try:
            for schema, channel, message in way(data):
                raw = channel.id, message.log_time, message.data
                seen[raw] += 1
                decoder = factory.decoder_for(channel.message_encoding, schema)
                if decoder is not None and _decodes(decoder, message.data):
                    decoded[raw] += 1
        except Exception:
            pass
        found |= seen
        decodable |= decoded
    return found, decodable


def _decodes(decoder: Callable[[bytes], object], data: bytes) -> bool:
    try:
        decoder(data)
    except Exception:
        return False
    return True


def _streamed(data: bytes) -> Iterator[tuple[Schema | None, Channel, Message]]:
    schemas: dict[int, Schema] = {}
    channels: dict[int, Channel] = {}
    for record in StreamReader(io.BytesIO(data), record_size_limit=2**28).records:
        if isinstance(record, Schema):
            schemas[record.id] = record
        elif isinstance(record, Channel):
            channels[record.id] = record
        elif isinstance(record, Message) and record.channel_id in channels:
            channel = channels[record.channel_id]
            yield schemas.get(channel.schema_id), channel, record


def _sought(data: bytes) -> Iterator[tuple[Schema | None, Channel, Message]]:
    yield from make_reader(io.BytesIO(data)).iter_messages()


def bag_of(folder: Path, metadata: bytes, data: bytes) -> Path:
    folder.mkdir()
    (folder / "metadata.yaml").write_bytes(metadata)
    (folder / "bag.mcap").write_bytes(data)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("container", CONTAINERS)
def test_what_the_official_reader_decodes_is_there_and_no_tool_ends_in_a_traceback(
    whole: dict[str, tuple[bytes, bytes]], container: str, tmp_path: Path
) -> None:
    metadata, data = whole[container]
    complete, _ = official(data)
    hurt = 0
    for number in range(PER_CONTAINER):
        chance = random.Random(f"{container} {number}")
        broken = damaged(data, chance)
        text = chance.randbytes(300) if number % 5 == 0 else metadata
        folder = bag_of(tmp_path / str(number), text, broken)
        seen, decodable = official(broken)
        hurt += seen != complete
        try:
            bag = OpenedBag(folder)
        except RecordingError:
            assert not seen, f"{container} {number}: refused as a whole"
            continue
        _check(bag, seen, decodable, f"{container} {number}")
        bag.close()
        if number % 3 == 0:  # the tools take five times as long as the reading above, plots a
            _use(folder, all_tools=number % 60 == 0)  # hundred times as long
    assert hurt > PER_CONTAINER / 2, "the damage is worth the name"


def _check(bag: OpenedBag, seen: Counter[Raw], decodable: Counter[Raw], which: str) -> None:
    given = Counter((received, raw) for _, received, raw in bag.messages())
    lost = sum(words.count(LOST_TOPIC) for words in bag.findings.lost())
    wanted = Counter({(time, raw): count for (_, time, raw), count in seen.items()})
    missing = _not_given(wanted - given, given)
    assert not missing or lost, f"{which}: {len(missing)} messages are not there"
    recorded = Counter((received, clean) for _, received, _, clean in bag.read())
    can_be = Counter({(time, raw): count for (_, time, raw), count in decodable.items()})
    gone = _not_given(can_be - recorded, given).total()
    assert gone <= bag.findings.messages, f"{which}: {gone} messages are left out, not all are said"


def _not_given(
    missing: Counter[tuple[int, bytes]], given: Counter[tuple[int, bytes]]
) -> Counter[tuple[int, bytes]]:
    """Leave out messages whose damaged length made the official reader swallow later records.

    Ours gives such a message at its own length, and those records as what they are.
    """

    def swallowed(time: int, raw: bytes) -> bool:
        return any(at == time and len(own) < len(raw) and raw.startswith(own) for at, own in given)

    return Counter({one: count for one, count in missing.items() if not swallowed(*one)})


def _use(folder: Path, all_tools: bool) -> None:
    """Run the tools; whatever they raise fails the test."""
    out = folder.parent / f"{folder.name}_out"
    commands = [["info", str(folder)], ["export", str(folder), "--to", "csv"]]
    commands[1] += ["--output", str(out / "csv")]
    if all_tools:
        commands += [
            ["repair", str(folder), "--output", str(out / "repaired")],
            ["plot", str(folder), "--output", str(out / "plots")],
            ["compare", str(folder), "--output", str(out / "compare")],
            ["video", str(folder), "--output", str(out / "film.mp4")],
        ]
    out.mkdir()
    for command in commands:
        assert cli.main(["bag", *command]) in STATUSES, command


def test_a_message_whose_length_is_damaged_is_read_to_the_next_record(
    whole: dict[str, tuple[bytes, bytes]], tmp_path: Path
) -> None:
    metadata, data = whole["ours"]
    places = [piece for piece in walk(data) if isinstance(piece, MessagePlace)]
    place = places[len(places) // 2]
    assert place.chunk < 0, "the records stand in the file as they are"
    broken = bytearray(data)
    broken[place.offset - MESSAGE_HEAD - 5] = 0xFF  # of the length's eight bytes the fourth
    with closing(OpenedBag(bag_of(tmp_path / "whole", metadata, data))) as bag:
        complete = Counter((received, raw) for _, received, raw in bag.messages())
    with closing(OpenedBag(bag_of(tmp_path / "broken", metadata, bytes(broken)))) as bag:
        assert Counter((received, raw) for _, received, raw in bag.messages()) == complete
        assert any("length is damaged" in words for words in bag.findings.in_words())
