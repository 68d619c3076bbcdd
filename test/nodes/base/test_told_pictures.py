"""Who trained on other pictures than the simulation draws hears of it from the descriptions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from patience import eventually
from rclpy.context import Context
from rclpy.node import Node
from spinning import Spinning

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.picture_record import PictureRecord
from vla_sae_ros.nodes.base.node_description import DescriptionPublisher
from vla_sae_ros.nodes.base.told_pictures import Party, ToldPictures, picture_facts

FULL, QUICK = PictureRecord("full", "3.3.0"), PictureRecord("quick", "3.3.0")
OTHER: dict[Party, Party] = {"trained on": "drawn", "drawn": "trained on"}


@pytest.fixture
def pair(ros_context: Context) -> Iterator[tuple[Node, Node]]:
    nodes = Node("ours", context=ros_context), Node("theirs", context=ros_context)
    spinning = Spinning(nodes[0])
    yield nodes
    spinning.close()
    for node in nodes:
        node.destroy_node()


def refusal(told: ToldPictures) -> str:
    try:
        told.check()
    except ConfigurationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("party", ["trained on", "drawn"])
def test_another_quality_is_refused_once_the_other_has_described_itself(pair, party) -> None:
    ours, theirs = pair
    told = ToldPictures(ours, party, FULL, allowed=False)
    assert not refusal(told)
    DescriptionPublisher(theirs, picture_facts(OTHER[party], QUICK))
    words = eventually(lambda: refusal(told))
    trained, drawn = ("full", "quick") if party == "trained on" else ("quick", "full")
    assert f"'{drawn}'; allowed: {trained}" in words
    assert "allow_other_pictures" in words and f"`render_quality` to {trained}" in words


def test_who_allows_it_is_warned_and_who_does_not_know_is_left_alone(pair) -> None:
    ours, theirs = pair
    allowing = ToldPictures(ours, "trained on", FULL, allowed=True)
    unknowing = ToldPictures(ours, "trained on", None, allowed=False)
    DescriptionPublisher(theirs, {"robot_type": "x"})  # says nothing of pictures
    DescriptionPublisher(theirs, picture_facts("drawn", QUICK))
    eventually(lambda: allowing._other)
    allowing.check()
    unknowing.check()
    assert allowing._warned == (
        "the policy was trained on pictures of full quality, MuJoCo 3.3.0; its input is quick "
        "quality, MuJoCo 3.3.0."
    )
