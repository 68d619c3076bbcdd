"""Study files: what is read, and what is refused by its key."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.settings import read_settings
from vla_sae_ros.core.yaml_document import parse_yaml
from vla_sae_ros.resources import resource
from vla_sae_ros.study.experiment.design.study_file import Study, load_study
from vla_sae_ros.study.experiment.design.study_parts import Window

PLAIN = {
    "name": "lift",
    "features": [{"site": "expert.1", "ids": [80, 3]}],
    "changes": [{"strengths": [0.5, -1]}],
    "places": [{"suite": "libero_object", "tasks": "0,0:butter_1", "move": 0.04}],
}


def build(cls, entry):
    return read_settings(cls, parse_yaml(yaml.safe_dump(entry)), "the study")


def test_a_study_is_read_with_its_defaults() -> None:
    study = build(Study, PLAIN | {"windows": [{"after": "grasp", "from": 5, "to": 25}]})
    assert study.features[0].ids == (80, 3) and study.changes[0].strengths == (0.5, -1.0)
    assert study.windows == (Window("grasp", 5, 25),)
    assert "none" in study.arms and study.controls.rows == 3 and study.places[0].move == 0.04


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"name": "a/b"}, "`name`.*letters"),
        ({"strength": 1}, "`strength`"),
        ({"featurs": []}, "Did you mean `features`"),
        ({"protocols": ["P9"]}, "P1, P2, P3, P4, P5"),
        ({"arms": ["none", "magic"]}, "`arms`.*random_row"),
        ({"arms": "none"}, "`arms`.*a list"),
        ({"changes": [{"strengths": ["much"]}]}, r"changes\[0\].strengths\[0\].*a number"),
        ({"changes": [{"strengths": [21]}]}, "-20 to 20"),
        ({"changes": [{"mode": "push", "strengths": [1]}]}, "add, clamp, scale, project_out"),
        ({"changes": [{"mode": "clamp"}]}, "at least one"),
        ({"changes": [{"mode": "project_out", "strengths": [1]}]}, "none with project_out"),
        ({"changes": []}, "features and changes"),
        ({"features": [{"site": "expert.1"}]}, "exactly one of ids"),
        ({"features": [{"ids": [1]}]}, r"features\[0\].site` is missing"),
        ({"features": [{"site": "expert.1", "ids": [True]}]}, "a whole number"),
        ({"places": []}, "places"),
        ({"places": [{"suite": "s", "rollouts": 0}]}, "1 or more"),
        ({"places": [{"suite": "s", "exchange": ["a"]}]}, "two objects"),
        ({"windows": [{"from": 9, "to": 3}]}, "from < to"),
        ({"windows": [{"after": "lunch"}]}, "start, grasp, close"),
        ({"prompt": "go"}, "`prompt`"),
        ({"protocols": ["P3"]}, "`necessity`"),
        ({"mean_difference": {"activations": "a"}}, "`mean_difference`"),
        (
            {
                "arms": ["none", "mean_difference"],
                "mean_difference": {"activations": "a", "by": "instruction", "a": "go", "b": "go"},
            },
            "two different a and b",
        ),
        ({"cap": 0}, "above 0"),
        ({"keep": {"videos": ["cats"]}}, "keep.videos"),
        ({"observations": {"noise_seeds": []}}, "noise_seeds"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(changed: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        build(Study, PLAIN | changed)


def test_a_file_that_cannot_be_read_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none.yaml"):
        load_study(tmp_path / "none.yaml")
    path = tmp_path / "study.yaml"
    for text, words in (("{a", "not YAML"), ("- 1", "a mapping"), ("name: 3", "`name`.*text")):
        path.write_text(text)
        with pytest.raises(ConfigurationError, match=words) as refusal:
            load_study(path)
        assert "study.yaml" in str(refusal.value)
    path.write_text(yaml.safe_dump(PLAIN))
    assert load_study(path) == build(Study, PLAIN)


@pytest.mark.parametrize(
    "path", sorted(resource("config", "studies").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_shipped_study_is_read_and_named_like_its_file(path: Path) -> None:
    assert load_study(path).name == path.stem
