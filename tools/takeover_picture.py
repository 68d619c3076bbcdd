"""Draw the path of the hand in a bag, with who commanded it: takeover_picture.py BAG OUT.png"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from vla_sae_ros.bags.episode_trace import EpisodeTrace
from vla_sae_ros.bags.reading import read_bag
from vla_sae_ros.core.commander import Commander

COLOURS = {Commander.POLICY: "#0072B2", Commander.PERSON: "#D55E00", Commander.HOLD: "#999999"}
WORDS = {Commander.POLICY: "policy", Commander.PERSON: "person", Commander.HOLD: "nobody: holds"}


def draw(episode: EpisodeTrace, output: Path) -> None:
    """Draw the hand's path (y, z) and its height over the ticks, coloured by who commanded."""
    who = dict(zip(episode.action_step.tolist(), episode.commander.tolist(), strict=True))
    step, place = episode.position.step, episode.position.values
    last = max(who)  # the end of an episode is seen after its last tick
    commander = np.array([who.get(min(each, last), Commander.HOLD) for each in step.tolist()])
    figure, (path, height, bar) = plt.subplots(
        1, 3, figsize=(12, 4), gridspec_kw={"width_ratios": [1, 1.4, 1.4]}, layout="constrained"
    )
    for each in Commander:
        mine = commander == each
        path.scatter(place[mine, 1], place[mine, 2], s=6, color=COLOURS[each])
        height.scatter(step[mine], place[mine, 2], s=6, color=COLOURS[each], label=WORDS[each])
    path.set(xlabel="y [m]", ylabel="z [m]", title="path of the hand", aspect="equal")
    height.set(xlabel="control tick", ylabel="z [m]", title="height of the hand")
    height.legend()
    gone = np.linalg.norm(np.diff(place, axis=0), axis=1) / np.maximum(1, np.diff(step))
    bar.plot(step[1:], 1000 * gone, color="black", linewidth=0.8)
    bar.set(xlabel="control tick", ylabel="mm per tick", title="step of the hand")
    for axes in (height, bar):
        ticks = np.array([tick for tick, source in who.items() if source == Commander.PERSON])
        for first, last in _runs(ticks):
            axes.axvspan(first, last, color=COLOURS[Commander.PERSON], alpha=0.15)
    figure.savefig(output, dpi=110)


def _runs(ticks: np.ndarray) -> list[tuple[int, int]]:
    if not len(ticks):
        return []
    parts = np.split(ticks, np.flatnonzero(np.diff(ticks) > 1) + 1)
    return [(int(part[0]), int(part[-1]) + 1) for part in parts]


if __name__ == "__main__":
    (episode,) = [each for each in read_bag(Path(sys.argv[1]), pictures=False).episodes][-1:]
    draw(episode, Path(sys.argv[2]))
