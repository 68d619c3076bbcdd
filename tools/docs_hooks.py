"""Hooks of mkdocs: the generated reference, and links to files that are not part of the site."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))

from reference import pages

DOCS = Path(__file__).resolve().parents[1] / "docs"


def on_files(files: Files, config: Any) -> Files:
    """Add the reference pages."""
    for name, text in pages().items():
        files.append(File.generated(config, f"reference/{name}", content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Name files of the repository outside docs/, instead of linking to them."""
    folder = DOCS / Path(page.file.src_uri).parent

    def plain(link: re.Match[str]) -> str:
        target = (folder / link[2].split("#")[0]).resolve()
        if target.is_relative_to(DOCS):
            return link[0]
        return f"{link[1]} (`{target.relative_to(DOCS.parent)}`)"

    return re.sub(r"(?<!!)\[([^\]]+)\]\((?!https?:|#|mailto:)([^)]+)\)", plain, markdown)
