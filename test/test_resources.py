from __future__ import annotations

from pathlib import Path

import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.resources import resource, share_folder


def test_in_a_checkout_the_files_are_at_its_root() -> None:
    assert share_folder() == Path(__file__).parents[1]


@pytest.mark.parametrize("library", ["lib/python3.12/site-packages", "local/lib/x/dist-packages"])
def test_an_installed_package_finds_its_share_folder(tmp_path: Path, library: str) -> None:
    package = tmp_path / library / "vla_sae_ros"
    package.mkdir(parents=True)
    share = tmp_path / "share" / "vla_sae_ros"
    share.mkdir(parents=True)
    (share / "package.xml").touch()
    assert share_folder(package) == share


def test_a_package_without_its_files_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="share/vla_sae_ros"):
        share_folder(tmp_path / "lib" / "vla_sae_ros")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigurationError, match="config/no_such_file"):
        resource("config", "no_such_file")
