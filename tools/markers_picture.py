"""Make docs/bag_markers.png: what the markers node publishes while a bag is played to it.

    make demo
    .venv/bin/python tools/markers_picture.py [--bag out/demo/bag]

The node is called as its subscriptions are, message by message, in the order of the recording; the
last episode is drawn, once in the middle of its steering and once at its end.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rclpy
from matplotlib.figure import Figure
from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import Reader

from vla_sae_ros.bags.message_definitions import message_class
from vla_sae_ros.nodes.markers.markers_node import MarkersNode
from vla_sae_ros.nodes.markers.messages import PATH, PREVIEW, TEXT

ROOT = Path(__file__).resolve().parents[1]


def published(bag: Path) -> Iterator[dict[str, Any]]:
    """Yield namespace -> marker of everything that the node publishes."""
    node = MarkersNode()
    callbacks = {each.topic_name: each.callback for each in node.subscriptions}
    arrays: list[Any] = []
    node._publisher.publish = arrays.append  # type: ignore[method-assign]
    with Reader(bag) as reader:
        for connection, _, data in reader.messages():
            if connection.topic in callbacks:
                kind = message_class(connection.msgtype)
                callbacks[connection.topic](deserialize_message(data, kind))
                yield from ({each.ns: each for each in array.markers} for array in arrays)
                arrays.clear()
    node.destroy_node()


def draw(axes: Any, title: str, markers: dict[str, Any]) -> None:
    path, text = markers[PATH], markers[TEXT].text
    points = [(each.x, each.y, each.z) for each in path.points]
    for begin, end, colour in zip(points, points[1:], path.colors[1:], strict=False):
        axes.plot(*zip(begin, end, strict=True), color=(colour.r, colour.g, colour.b), linewidth=4)
    if PREVIEW in markers:
        ball = markers[PREVIEW].color
        there = zip(*((each.x, each.y, each.z) for each in markers[PREVIEW].points), strict=True)
        axes.scatter(*there, color=(ball.r, ball.g, ball.b), s=40, depthshade=False)
    axes.set(xlabel="x [m]", ylabel="y [m]", zlabel="z [m]")
    axes.locator_params(nbins=4)
    words = f"{title}\n{TEXT} (text over the hand):\n{text}"
    axes.text2D(0.0, 1.02, words, transform=axes.transAxes, family="monospace", fontsize=10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bag", type=Path, default=ROOT / "out" / "demo" / "bag")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "bag_markers.png")
    args = parser.parse_args()
    rclpy.init()
    seen = [each for each in published(args.bag) if PATH in each and each[PATH].points]
    steered = [each for each in seen if "(100%)" in each[TEXT].text and PREVIEW in each]
    figure = Figure(figsize=(11.9, 6.2), dpi=100)
    for place, title, markers in (
        (1, "while steering acts", steered[len(steered) // 2]),
        (2, "at the end", seen[-1]),
    ):
        draw(figure.add_subplot(1, 2, place, projection="3d"), title, markers)
    figure.subplots_adjust(left=0.02, right=0.95, bottom=0.12, top=0.85)
    figure.text(0.02, 0.01, f"{PATH}: dark blue, the feature at 0; yellow, at its maximum or over")
    figure.text(0.62, 0.01, f"{PREVIEW}: where the next actions would take the hand")
    figure.savefig(args.output)
    print(args.output)
    rclpy.shutdown()


if __name__ == "__main__":
    main()
