"""Changelog, package.xml, pyproject and the command line have one version."""

from __future__ import annotations

import re
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from vla_sae_ros.resources import software_version

ROOT = Path(__file__).parents[1]
CHANGELOG = (ROOT / "CHANGELOG.rst").read_text()


def sections() -> list[str]:
    """Return the titles of the changelog, each underlined by as many characters at least."""
    found = re.findall(r"^(\S.*)\n(-+)$", CHANGELOG, re.MULTILINE)
    assert all(len(line) >= len(title) for title, line in found)
    return [title for title, _ in found]


def test_all_have_one_version() -> None:
    version = ElementTree.parse(ROOT / "package.xml").findtext("version")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    released = [title for title in sections() if title != "Forthcoming"]
    assert project["version"] == version == software_version() == released[0].split()[0]


def test_the_changelog_has_the_form_that_catkin_tools_read() -> None:
    lines = CHANGELOG.splitlines()
    assert lines[1] == "Changelog for package vla_sae_ros"
    assert lines[0] == lines[2] and set(lines[0]) == {"^"} and len(lines[0]) >= len(lines[1])
    titles = sections()
    assert "Forthcoming" not in titles[1:]
    for title in titles:
        assert title == "Forthcoming" or re.fullmatch(r"\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)", title)
    entries = [line for line in lines[3:] if line and not set(line) <= {"-"} and line not in titles]
    assert all(line.startswith(("* ", "  ")) for line in entries)
