"""Where the package's files are: the checkout, or the share folder of an installed package."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from vla_sae_ros.core.errors import ConfigurationError, complaint

PACKAGE = Path(__file__).parent
ROS_ENVIRONMENT = ".venv-ros"
"""Made by tools/ros.sh."""
SOURCE_NOTE = "source_folder"
"""File in the share folder with the path of the sources; written by CMakeLists.txt."""


def share_folder(package: Path = PACKAGE) -> Path:
    """Return the folder that holds config/, launch/, models/ and package.xml.

    In a checkout that is the repository root. Installed, the package is at
    <prefix>/lib/.../vla_sae_ros and the files are at <prefix>/share/vla_sae_ros. Paths are not
    resolved: with `colcon build --symlink-install` the links are what is installed.

    Raises:
        ConfigurationError: neither is there.
    """
    if (package.parent / "package.xml").is_file():
        return package.parent
    for prefix in package.parents:
        share = prefix / "share" / "vla_sae_ros"
        if (share / "package.xml").is_file():
            return share
    raise ConfigurationError(
        complaint(
            "the package's own files are missing",
            str(package),
            "a checkout, or a prefix with share/vla_sae_ros",
            "Install the package again.",
        )
    )


def resource(*parts: str) -> Path:
    """Return the path of an existing file or folder of the package, e.g. resource("models").

    Raises:
        ConfigurationError: it is not there.
    """
    path = share_folder().joinpath(*parts)
    if not path.exists():
        raise ConfigurationError(f"a file of the package is missing: {path}. Install it again.")
    return path


def source_folder(share: Path | None = None) -> Path:
    """Return the folder of the sources, which an installed package knows by a file of CMake's.

    Without that file the share folder itself, which is the sources' in a checkout.
    """
    share = share or share_folder()
    note = share / SOURCE_NOTE
    return Path(note.read_text(encoding="utf-8").strip()) if note.is_file() else share


def made_environment(share: Path | None = None) -> Path | None:
    """Return the virtual environment that `make ros` made beside the sources; None without one.

    `make ros` may come before or after `colcon build`.
    """
    made = source_folder(share) / ROS_ENVIRONMENT
    return made if (made / "bin" / "python").exists() else None


def software_version() -> str:
    """Return the version of this package, e.g. "0.1.0", as its package.xml says."""
    return str(ElementTree.parse(resource("package.xml")).findtext("version"))
