"""A folder says how its pictures were drawn, and pictures drawn otherwise are not mixed in."""

from __future__ import annotations

from pathlib import Path

import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.picture_record import (
    PictureRecord,
    check_pictures,
    common_record,
    read_picture_record,
    write_picture_record,
)

FULL, QUICK = PictureRecord("full", "3.3.0"), PictureRecord("quick", "3.3.0")


def test_a_record_is_read_as_it_was_written_and_may_be_written_again(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    assert read_picture_record(folder) is None
    write_picture_record(folder, FULL)
    write_picture_record(folder, FULL)
    assert read_picture_record(folder) == FULL


@pytest.mark.parametrize("other", [QUICK, PictureRecord("full", "3.17.0")])
def test_other_pictures_are_refused_in_the_same_folder(tmp_path: Path, other) -> None:
    write_picture_record(tmp_path, FULL)
    with pytest.raises(ConfigurationError, match=r"full quality, MuJoCo 3\.3\.0"):
        write_picture_record(tmp_path, other)


def test_folders_are_mixed_only_when_their_pictures_were_drawn_alike(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    write_picture_record(folders[0], FULL)
    write_picture_record(folders[1], FULL)
    assert common_record(folders[:2]) == FULL
    with pytest.raises(ConfigurationError, match="unknown"):
        common_record(folders)
    write_picture_record(folders[2], QUICK)
    with pytest.raises(ConfigurationError, match="quick quality"):
        common_record(folders)
    assert common_record([tmp_path]) is None


def test_a_policy_is_not_shown_pictures_of_another_quality_unless_told() -> None:
    assert check_pictures(FULL, FULL, False, "") == ""
    assert check_pictures(QUICK, QUICK, False, "") == ""
    with pytest.raises(ConfigurationError, match=r"'full'; allowed: quick.*Do so\."):
        check_pictures(QUICK, FULL, False, "Do so.")
    assert "trained on pictures of quick quality" in check_pictures(QUICK, FULL, True, "")


def test_another_version_of_mujoco_is_warned_of_and_so_is_who_does_not_say() -> None:
    newer = PictureRecord("full", "3.17.0")
    assert "MuJoCo 3.17.0" in check_pictures(FULL, newer, False, "")
    assert check_pictures(None, FULL, False, "") == ""
    assert "does not record" in check_pictures(None, QUICK, False, "")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"render_quality": "best", "mujoco": "3.3.0"}', '{"a": 1}', "\udcff{"],
)
def test_a_damaged_record_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "pictures.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ConfigurationError, match=r"rendering in .*pictures\.json"):
        read_picture_record(tmp_path)
