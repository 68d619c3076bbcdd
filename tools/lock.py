"""Resolve requirements.lock and the locks in requirements/ from pyproject.toml: `make lock`.

requirements.lock holds everything. The others are parts of it, with the same versions; which extras
make which is the table [tool.vla_sae_ros.sets] in pyproject.toml.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ALL = "requirements.lock"
OPTIONS = (
    "--generate-hashes",
    "--no-annotate",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--python-version=3.12",
    "--python-platform=x86_64-manylinux_2_28",
    "--custom-compile-command=make lock",
    "--quiet",
)


def main(uv: str) -> None:
    """Write all locks; `uv` is the program."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    everything = [*wanted(project, project["project"]["optional-dependencies"]), *build_of(project)]
    resolve(uv, [*everything, *project["dependency-groups"]["dev"]], ROOT / ALL, refresh=True)
    for name, made in project["tool"]["vla_sae_ros"]["sets"].items():
        requirements = wanted(project, made["extras"])
        if made["ros"]:
            requirements += build_of(project)
        else:
            requirements = [each for each in requirements if not each.startswith("ros-")]
        target = ROOT / "requirements" / f"{name}.lock"
        resolve(uv, requirements, target, given=made.get("given", ()))


def wanted(project: dict[str, Any], extras: Iterable[str]) -> list[str]:
    """Return the requirements of the package and of these extras."""
    optional = project["project"]["optional-dependencies"]
    return [*project["project"]["dependencies"], *(r for extra in extras for r in optional[extra])]


def build_of(project: dict[str, Any]) -> list[str]:
    """Return what builds the messages."""
    return list(project["build-system"]["requires"])


def resolve(
    uv: str,
    requirements: Sequence[str],
    target: Path,
    refresh: bool = False,
    given: Sequence[str] = (),
) -> None:
    """Write the closure of `requirements`, less the packages that are `given`, into `target`.

    Args:
        refresh: Keep the versions of the lock that is there where they still fit, and resolve the
            rest anew. Otherwise every version is requirements.lock's.
    """
    command = [uv, "pip", "compile", "-", *OPTIONS]
    if refresh:
        command.append(f"--output-file={target}")
    else:
        command.append(f"--constraint={ROOT / ALL}")
        command += [f"--no-emit-package={name}" for name in given]
    done = subprocess.run(
        command, input="\n".join(requirements), text=True, capture_output=True, cwd=ROOT
    )
    if done.returncode:
        sys.exit(f"lock: {target.name}: {done.stderr}")
    if not refresh:
        target.write_text(without_comments(done.stdout), encoding="utf-8")


def without_comments(lock: str) -> str:
    """Return a lock without uv's remarks on packages that it left out."""
    head = [line for line in lock.splitlines() if line.startswith("#")][:2]
    body = re.sub(r"(?m)^\s*#.*\n?", "", lock)
    return "\n".join([*head, body.strip(), ""])


if __name__ == "__main__":
    main(sys.argv[1])
