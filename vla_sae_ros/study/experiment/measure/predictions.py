"""What a feature's label says that steering the feature should do."""

from __future__ import annotations

from dataclasses import dataclass

from vla_sae_ros.study.experiment.measure import effects as closed
from vla_sae_ros.study.experiment.measure import open_loop_effects as opened
from vla_sae_ros.study.experiment.records.table import Row


@dataclass(frozen=True)
class Prediction:
    """A label's effect when the feature is pushed up; pushed down, the sign turns.

    effect: name of the effect on a rollout. answer: of the one on an answer in open loop; empty
    where a single answer cannot show it. sign: +1 or -1.
    """

    effect: str
    answer: str
    sign: int

    def expected(self, row: Row) -> int:
        """Return the sign that this arm's effect should have; 0 where the arm does not push."""
        return self.sign * push(row)


def push(row: Row) -> int:
    """Return +1 where an arm makes its feature stronger, -1 where weaker, 0 where neither.

    A clamp to a positive value counts as stronger: features are at 0 most of the time.
    """
    if row.mode == "project_out":
        return -1
    strength = row.strength - 1.0 if row.mode == "scale" else row.strength
    if row.mode == "clamp" and strength == 0:
        return -1
    return (strength > 0) - (strength < 0)


_LABELS = {
    "end effector high": Prediction(closed.HEIGHT.name, opened.UPWARD.name, +1),
    "end effector low": Prediction(closed.HEIGHT.name, opened.UPWARD.name, -1),
    "hand goes up": Prediction(closed.HEIGHT.name, opened.UPWARD.name, +1),
    "hand goes down": Prediction(closed.HEIGHT.name, opened.UPWARD.name, -1),
    "hand goes forward": Prediction(closed.FORWARD.name, opened.FORWARD.name, +1),
    "hand goes back": Prediction(closed.FORWARD.name, opened.FORWARD.name, -1),
    "hand goes left": Prediction(closed.LEFT.name, opened.LEFT.name, +1),
    "hand goes right": Prediction(closed.LEFT.name, opened.LEFT.name, -1),
    "moving forward": Prediction(closed.FORWARD.name, opened.FORWARD.name, +1),
    "moving backward": Prediction(closed.FORWARD.name, opened.FORWARD.name, -1),
    "moving left": Prediction(closed.LEFT.name, opened.LEFT.name, +1),
    "moving right": Prediction(closed.LEFT.name, opened.LEFT.name, -1),
    "rising": Prediction(closed.RISE.name, opened.UPWARD.name, +1),
    "lowering": Prediction(closed.RISE.name, opened.UPWARD.name, -1),
    "moving fast": Prediction(closed.SPEED.name, opened.COMMANDED_SPEED.name, +1),
    "moving slowly": Prediction(closed.SPEED.name, opened.COMMANDED_SPEED.name, -1),
    "gripper closed": Prediction(closed.CLOSED.name, opened.GRIPPER.name, +1),
    "gripper closing": Prediction(closed.CLOSED.name, opened.GRIPPER.name, +1),
    "gripper open": Prediction(closed.CLOSED.name, opened.GRIPPER.name, -1),
    "gripper reopening": Prediction(closed.CLOSED.name, opened.GRIPPER.name, -1),
    "near target": Prediction(closed.TO_TARGET.name, "", -1),
    "far from target": Prediction(closed.TO_TARGET.name, "", +1),
    "near goal": Prediction(closed.TO_GOAL.name, "", -1),
    "far from goal": Prediction(closed.TO_GOAL.name, "", +1),
    "target lifted": Prediction(closed.TARGET_HEIGHT.name, "", +1),
    "target down": Prediction(closed.TARGET_HEIGHT.name, "", -1),
    "phase: carry": Prediction(closed.TARGET_HEIGHT.name, "", +1),
}
"""The labels that `vla-sae label` gives, but for those about one object; and what people say of
where the hand goes."""

_OF_AN_OBJECT = {"near ": -1, "object: ": -1, "far from ": +1}


def prediction(label: str) -> Prediction | None:
    """Return what a label predicts, None where nothing that is measured here.

    The words are those of `vla-sae label`; a person's label counts where it is one of them.
    """
    text = label.strip().lower()
    if text in _LABELS:
        return _LABELS[text]
    for words, sign in _OF_AN_OBJECT.items():
        thing = text.removeprefix(words)
        if thing != text and thing != "contact":
            return Prediction(closed.distance_to(thing).name, "", sign)
    return None
