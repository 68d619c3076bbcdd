"""One self-contained HTML page from a template of this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from vla_sae_ros.core.whole_file import write_whole


def write_template_page(path: Path, template: str, **content: Any) -> None:
    """Fill `study/pages/<template>` and write it whole; all text in `content` is escaped."""
    environment = Environment(
        loader=PackageLoader("vla_sae_ros.study", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["counted"] = _counted
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, environment.get_template(template).render(**content).encode())


def _counted(count: int, noun: str) -> str:
    """Return "1 episode" or "3 episodes"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
