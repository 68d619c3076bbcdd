"""YAML text into a tree that knows its lines: bounded before anything is built, and never bent.

Only what YAML 1.1 and YAML 1.2 read alike is taken. `yes`, `010`, `1:30`, `1_000`, dates, tags, a
key twice and merge keys mean different things to different readers and are refused by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from vla_sae_ros.core.errors import ConfigurationError, complaint

MOST_BYTES = 512 * 1024
MOST_NODES = 50_000
"""Values of a document, those that aliases repeat counted each time."""
DEEPEST = 30
LONGEST_NUMBER = 40
"""Characters."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER = yaml.SafeLoader("")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_REAL = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan")
_STRING_TAG = "tag:yaml.org,2002:str"


@dataclass(frozen=True)
class YamlScalar:
    """One value. quoted: it stands in quotes (or as a block), so it is text whatever it says."""

    text: str
    quoted: bool
    line: int

    @property
    def is_null(self) -> bool:
        """Whether it says that there is no value."""
        return not self.quoted and self.text in ("", "~", "null", "Null", "NULL")

    def bool(self) -> bool | None:
        """Return true or false, None for anything else."""
        words = {"true": True, "false": False}
        return None if self.quoted else words.get(self.text.lower())

    def integer(self) -> int | None:
        """Return a whole decimal number of at most 64 bits, None for anything else."""
        if self.quoted or len(self.text) > LONGEST_NUMBER or not _INTEGER.fullmatch(self.text):
            return None
        value = int(self.text)
        return value if -(2**63) <= value < 2**64 else None

    def real(self) -> float | None:
        """Return a decimal number, .inf or .nan; None for anything else."""
        if self.quoted or len(self.text) > LONGEST_NUMBER or not _REAL.fullmatch(self.text):
            return None
        if self.text.lstrip("+-")[0] == "0" and self.text.lstrip("+-")[1:2].isdigit():
            return None  # 010 is eight to some readers
        return float(self.text.replace(".inf", "inf").replace(".nan", "nan"))

    def string(self) -> str | None:
        """Return text, None for what a reader of YAML would take for anything else than text."""
        if self.quoted:
            return self.text
        resolved = _RESOLVER.resolve(yaml.ScalarNode, self.text, (True, False))
        return self.text if resolved == _STRING_TAG else None

    def value(self) -> object:
        """Return null, bool, int, float or str, as YAML 1.1 has it: 1e3 is text, 1.0e3 a number.

        Raises:
            ConfigurationError: readers of YAML differ in what it is.
        """
        if self.is_null:
            return None
        for found in (self.bool(), self.integer(), self.string(), self.real()):
            if found is not None:
                return found
        return refuse_at(
            self.line,
            "A value that readers of YAML take for different things",
            self.text[:80],
            "true or false, a decimal number, or text in quotes",
        )


@dataclass(frozen=True)
class YamlList:
    """A list. size: values in it, those of aliases counted each time."""

    items: tuple[YamlNode, ...]
    line: int
    size: int

    def value(self) -> list[object]:
        """Return plain Python."""
        return [item.value() for item in self.items]


@dataclass(frozen=True)
class YamlMapping:
    """A mapping; a key is text as it stands in the file."""

    entries: dict[str, YamlNode]
    keys: dict[str, YamlScalar]
    line: int
    size: int

    def value(self) -> dict[str, object]:
        """Return plain Python."""
        return {key: item.value() for key, item in self.entries.items()}


YamlNode = YamlScalar | YamlList | YamlMapping


def read_yaml(path: Path) -> YamlNode:
    """Read a file of one YAML document in UTF-8.

    Raises:
        ConfigurationError: it cannot be read, is too large, or is not the YAML that is taken.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        return parse_yaml(content.decode("utf-8") if len(content) <= MOST_BYTES else content)
    except OSError as error:
        raise ConfigurationError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not text in UTF-8: {error.reason}.") from error
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def parse_yaml(text: str | bytes, most_nodes: int = MOST_NODES) -> YamlNode:
    """Return the tree of one YAML document; empty text is null. most_nodes: values it may have.

    Raises:
        ConfigurationError: naming the line and what is wrong there.
    """
    if len(text) > MOST_BYTES:
        raise ConfigurationError(
            complaint("Size of the YAML text", f"over {MOST_BYTES} bytes", f"{MOST_BYTES} bytes")
        )
    try:
        return _Composer(most_nodes).compose(yaml.parse(text, _LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise ConfigurationError(f"not YAML: {line}{error.problem or error.context}.") from error
    except (yaml.YAMLError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigurationError(f"not YAML: {str(error)[:200]}") from error


def refuse_at(line: int, what: str, got: object, allowed: object, next_step: str = "") -> NoReturn:
    """Raise the ConfigurationError of a line."""
    raise ConfigurationError(f"line {line}: {complaint(what, got, allowed, next_step)}")


@dataclass
class _Open:
    """A list or mapping whose end has not come."""

    is_mapping: bool
    anchor: str | None
    line: int
    size: int = 1
    items: list[YamlNode] = field(default_factory=list)
    key: YamlScalar | None = None
    keys: dict[str, YamlScalar] = field(default_factory=dict)


class _Composer:
    """Builds the tree from the parser's events; no recursion, so no text is too deep for it."""

    def __init__(self, most_nodes: int) -> None:
        self._most_nodes = most_nodes
        self._open: list[_Open] = []
        self._anchors: dict[str, YamlNode] = {}
        self._root: YamlNode | None = None

    def compose(self, events: Iterator[Any]) -> YamlNode:
        documents = 0
        for event in events:
            line = event.start_mark.line + 1 if event.start_mark else 1
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    refuse_at(line, "Documents in the text", "a second one", "one")
            elif isinstance(event, yaml.AliasEvent):
                self._add(self._aliased(event.anchor, line), line)
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event, line)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._begin(event, line)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._end(line)
        return self._root or YamlScalar("", False, 1)

    def _scalar(self, event: Any, line: int) -> None:
        self._refuse_tag(event, line)
        node = YamlScalar(event.value, bool(event.style), line)
        try:
            event.value.encode("utf-8")
        except UnicodeEncodeError:
            refuse_at(line, "Text", ascii(event.value[:40]), "whole Unicode characters")
        self._keep(event.anchor, node)
        self._add(node, line)

    def _begin(self, event: Any, line: int) -> None:
        self._refuse_tag(event, line)
        if len(self._open) >= DEEPEST:
            refuse_at(line, "Depth of lists and mappings", f"over {DEEPEST}", f"{DEEPEST}")
        if self._open and self._open[-1].is_mapping and self._open[-1].key is None:
            refuse_at(line, "Key", "a list or mapping", "text")
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self._open.append(_Open(is_mapping, event.anchor, line))

    def _end(self, line: int) -> None:
        ended = self._open.pop()
        node: YamlNode
        if ended.is_mapping:
            entries = dict(zip(ended.keys, ended.items, strict=True))
            node = YamlMapping(entries, ended.keys, ended.line, ended.size)
        else:
            node = YamlList(tuple(ended.items), ended.line, ended.size)
        self._keep(ended.anchor, node)
        self._add(node, line)

    def _add(self, node: YamlNode, line: int) -> None:
        if not self._open:
            self._root = node
            return
        into = self._open[-1]
        if into.is_mapping and into.key is None:
            into.key = self._key(node, into, line)
            return
        into.size += getattr(node, "size", 1)
        if into.size > self._most_nodes:
            most = self._most_nodes
            refuse_at(line, "Values in the text", f"over {most}", f"{most}")
        into.items.append(node)
        if into.key is not None:
            into.keys[into.key.text] = into.key
            into.key = None

    def _key(self, node: YamlNode, into: _Open, line: int) -> YamlScalar:
        if not isinstance(node, YamlScalar):
            refuse_at(line, "Key", "a list or mapping", "text")
        if node.text == "<<" and not node.quoted:
            refuse_at(line, "Merge key", "<<", "aliases of whole values: key: *name")
        if node.text in into.keys:
            before = into.keys[node.text].line
            refuse_at(
                line, "A key twice", node.text, f"each key once; the first is in line {before}"
            )
        return node

    def _keep(self, anchor: str | None, node: YamlNode) -> None:
        if anchor is not None:
            self._anchors[anchor] = node

    def _aliased(self, anchor: str | None, line: int) -> YamlNode:
        if anchor is None or anchor not in self._anchors:
            refuse_at(
                line, "Alias", f"*{anchor}", "the name of an anchor that is defined before it"
            )
        return self._anchors[anchor]

    @staticmethod
    def _refuse_tag(event: Any, line: int) -> None:
        if event.tag is not None and event.tag != "!":
            refuse_at(line, "Tag", event.tag, "no tags; put text in quotes")
