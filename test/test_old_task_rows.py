"""The causal test of an old task's features: what counts as right, and the comparisons."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from planted_features import POLICY, SITE, WIDTH, planted_bundle
from tool_module import tool_module

from vla_sae_ros.activations.format import CollectedSite, Collection
from vla_sae_ros.activations.writer import ActivationWriter
from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.study.experiment.design.study_file import load_study


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return tool_module("old_task_rows")


def test_a_study_of_the_tasks_own_features_is_written_into_a_new_folder(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "SITE", SITE)
    run, out = tmp_path / "run", tmp_path / "new" / "old_1.yaml"
    planted_bundle(run / "sae" / SITE)
    sites = {SITE: CollectedSite(WIDTH, "mean", ("action",))}
    with ActivationWriter(run / "activations", Collection(POLICY, "tiny", sites, 20.0)) as writer:
        for number, (task, feature) in enumerate(((0, 4), (1, 2), (1, 2))):
            for step in (0, 10, 30):
                x = np.full(WIDTH, -1.0)
                x[3 if step == 30 else feature] = 2.0  # 3 fires after the beginning only
                context = {"episode_id": f"e{number}", "step": step}
                writer(SITE, x, context | {"task": f"libero_object {task}"})
            writer.end_episode(True)
    tool.choose(run, 1, out)
    study = load_study(out)
    assert study.necessity is not None and study.necessity.ids == (2,)
    assert {place.suite for place in study.places} == {"libero_object_swap"}


class Motion:
    """A trajectory of which only what a test gives is known."""

    object_names = np.array(["butter_1", "basket_1"])
    object_positions: np.ndarray
    ee_position: np.ndarray

    def __init__(self, grasped: list[list[bool]]) -> None:
        self.grasped = np.array(grasped)


def test_the_first_object_between_the_fingers_counts(tool: ModuleType) -> None:
    nothing, first, second = [False, False], [True, False], [False, True]
    assert tool.first_grasped(Motion([nothing, second, first])) == "basket_1"
    assert tool.first_grasped(Motion([nothing, first, second])) == "butter_1"
    assert tool.first_grasped(Motion([nothing, nothing])) == ""


def test_the_hand_comes_down_at_the_object_that_is_nearest_to_its_lowest_point(
    tool: ModuleType,
) -> None:
    motion = Motion([])
    motion.object_positions = np.array([[[0.0, 0.0, 0.1], [0.5, 0.0, 0.1]]])
    motion.ee_position = np.array([[0.0, 0.0, 0.4], [0.4, 0.0, 0.1], [0.1, 0.0, 0.2]])
    assert tool.came_down_at(motion) == "basket_1"
    assert tool.nearest_object(motion, np.array([0.2, 0.0])) == "butter_1"


def test_the_features_of_one_task_are_found_and_shared_or_rare_ones_are_not(
    tool: ModuleType,
) -> None:
    own, others = np.zeros((4, 5)), np.zeros((2, 5))
    own[:, 0], others[:, 0] = 1.0, 0.9  # in every task
    own[:, 1], others[0, 1] = 0.8, 0.1  # of this task
    own[:1, 2] = 9.0  # in one of its episodes only
    others[1, 3] = 1.0  # of another task
    own[:, 4] = 0.5  # of this task alone
    assert tool.most_specific(own, others) == [4, 1, 0]


def planted(chosen: float, pairs: int = 40) -> dict[str, dict[str, np.ndarray]]:
    """Return outcomes of three sets in each pair, right with this probability when chosen."""
    draw = np.random.default_rng(0)
    rates = {"chosen": chosen, "random_any": 0.3, "random_general": 0.3}
    found = {
        kind: {str(pair): (draw.random(3) < rate).astype(float) for pair in range(pairs)}
        for kind, rate in rates.items()
    }
    return found | {"none": {str(pair): np.array([0.0]) for pair in range(pairs)}}


def test_a_planted_difference_is_found_and_none_where_there_is_none(tool: ModuleType) -> None:
    helpful = planted(0.8)
    for one in tool.compare(helpful, tool.whole_pairs(helpful)):
        assert one.low > 0.2 and one.p < 0.001 and one.pairs == 40
    same = planted(0.3)
    for one in tool.compare(same, tool.whole_pairs(same)):
        assert one.low < 0 < one.high and one.p > 0.05


def test_pairs_that_lack_rollouts_are_left_out_and_a_missing_kind_is_named(
    tool: ModuleType,
) -> None:
    found = planted(0.5)
    found["random_any"]["3"] = found["random_any"]["3"][:2]
    assert "3" not in tool.whole_pairs(found) and len(tool.whole_pairs(found)) == 39
    del found["random_general"]
    with pytest.raises(RecordingError, match=r"random_general.*vla-sae evaluate"):
        tool.whole_pairs(found)
