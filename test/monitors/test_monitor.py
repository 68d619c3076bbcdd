"""A monitor's folder comes back as it was saved, and a bad one is refused in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from monitored import WIDTH, planted_monitor
from safetensors.numpy import load_file, save_file

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.monitors.monitor import Monitor
from vla_sae_ros.monitors.sample import Sample
from vla_sae_ros.monitors.watch import Watch


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    planted_monitor().save(tmp_path / "monitor")
    return tmp_path / "monitor"


def rewrite(folder: Path, **changes: object) -> None:
    path = folder / "monitor.yaml"
    content = yaml.safe_load(path.read_text()) | changes
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v != "GONE"}))


def test_it_says_the_same_after_it_was_saved_and_read(folder: Path) -> None:
    made, read = planted_monitor(), Monitor.load(folder)
    assert read.card == made.card and read.monitor_id == made.monitor_id
    draw = np.random.default_rng(1)
    samples = [Sample(step, 0.1, draw.normal(size=WIDTH)) for step in range(0, 30, 2)]
    for name in made.scores:
        watches = [Watch(one.scores[name], 20.0) for one in (made, read)]
        said = [[watch.feed(sample) for sample in samples] for watch in watches]
        assert said[0] == said[1]


def test_its_id_is_that_of_its_content() -> None:
    made = planted_monitor()
    other = replace(made, card=replace(made.card, false_alarms=0.2))
    renamed = replace(made, card=replace(made.card, policy_name="another name"))
    assert made.monitor_id != other.monitor_id
    assert made.monitor_id == renamed.monitor_id


def test_an_existing_folder_is_not_overwritten(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="exists already"):
        planted_monitor().save(folder)


def test_a_score_that_it_does_not_have_is_refused() -> None:
    assert planted_monitor().chosen("") == "fvu"
    assert planted_monitor().chosen("probe") == "probe"
    with pytest.raises(ConfigurationError, match="fvu, mahalanobis, probe"):
        planted_monitor().chosen("time")


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="vla-sae monitor fit"):
        Monitor.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 2}, "format of the monitor: got 2"),
        ({"policy_id": ""}, "policy_id of the monitor"),
        ({"width": 7}, "shape of 'mean'"),
        ({"width": "seven"}, "a whole number"),
        ({"false_alarms": 1.5}, "above 0, below 1"),
        ({"score": "time"}, "score of the monitor"),
        ({"scores": []}, "at least one"),
        ({"site": "GONE"}, "`site` is missing"),
        ({"shout": True}, "`shout`"),
        ({"scores": [{"name": "anger", "window": 0.0, "quantile": 1.0}]}, "anger"),
    ],
)
def test_a_bad_card_is_refused_with_its_file(
    folder: Path, changes: dict[str, object], words: str
) -> None:
    rewrite(folder, **changes)
    with pytest.raises(ConfigurationError, match=words) as refused:
        Monitor.load(folder)
    assert str(folder) in str(refused.value)


def test_bad_arrays_are_refused_with_their_file(folder: Path) -> None:
    path = folder / "monitor.safetensors"
    arrays = load_file(path)
    for changed, words in (
        (arrays | {"fvu.score.more": np.zeros(1)}, "arrays of score 'fvu'"),
        (arrays | {"anger.score.mean": np.zeros(1)}, "anger.score.mean"),
        ({k: v for k, v in arrays.items() if k != "fvu.band.scale"}, "arrays of a band"),
        (arrays | {"probe.score.bias": np.array([0.0, np.nan])}, "finite"),
    ):
        save_file(changed, path)
        with pytest.raises(ConfigurationError, match=words) as refused:
            Monitor.load(folder)
        assert str(path) in str(refused.value)
    path.write_bytes(b"cut off")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Monitor.load(folder)
    path.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Monitor.load(folder)
