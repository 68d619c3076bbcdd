"""`vla-sae monitor score` on bags whose scores, threshold and failures are known."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from bag_fixtures import START, WALL_PERIOD, SyntheticBag
from monitored import BUNDLE_ID, INTERVAL, POLICY_ID, RATE, SITE, WIDTH, planted_monitor

from vla_sae_ros.cli import main
from vla_sae_ros.monitors.band import Band, conformal_quantile
from vla_sae_ros.monitors.card import ScoreCard
from vla_sae_ros.monitors.monitor import Calibrated, Monitor
from vla_sae_ros.monitors.scores import FvuScore, StillnessScore, TimeScore

LENGTH = 10
"""Inferences of an episode, INTERVAL control steps apart."""
PEAK = 6
"""Inference at which an episode's FVU is largest; it is 0.01 at the others."""
CALIBRATED = np.arange(1, 20) / 20
"""Peaks of the episodes that set the threshold: of 19, the 18th is that of 0.1 false alarms."""
SUCCESSES = np.arange(1, 41) / 40 - 0.005
"""Peaks of 40 fresh ones: 4 lie above 0.9."""
FAILURES = (0.5, 0.95, 0.96, 0.965)
STATUS = {True: 4, False: 5}


@pytest.fixture(scope="module")
def monitor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A monitor of the FVU, of a clock and of a hand that stands."""
    quantile = conformal_quantile(CALIBRATED, 0.1)
    assert quantile == 0.9
    knots = np.array([0.0, 20.0])
    bands = {
        "fvu": (FvuScore(), quantile),
        "time": (TimeScore(RATE), 0.5),
        "stillness": (StillnessScore(), -0.1),
    }
    scores = {
        name: Calibrated(score, 0.0, Band(knots, np.zeros(2), np.ones(2), at))
        for name, (score, at) in bands.items()
    }
    told = tuple(ScoreCard(name, 0.0, at) for name, (_, at) in bands.items())
    card = planted_monitor().card.__class__(**{**planted_monitor().card.__dict__, "scores": told})
    folder = tmp_path_factory.mktemp("monitor") / "monitor"
    Monitor(card, scores).save(folder)
    return folder


def write_bag(
    folder: Path,
    episodes: Iterable[tuple[float, bool]],
    policy_id: str = POLICY_ID,
    bundle_id: str = BUNDLE_ID,
    site: str = SITE,
    rate: float = RATE,
    more: Callable[[SyntheticBag], None] = lambda bag: None,
) -> Path:
    """Write episodes of (largest FVU, success), as a recorder does; the hand goes 0.2 m/s."""
    bag = SyntheticBag(folder)
    bag.write(
        START - 5,
        "/description",
        "vla_sae_ros/msg/NodeDescription",
        node="/policy",
        names=["policy_id", f"bundle_id.{site}"],
        values=[policy_id, bundle_id],
    )
    begin = START
    for number, (peak, success) in enumerate(episodes):
        begin = _episode(bag, f"e{number}", begin, peak, success, site, rate)
    more(bag)
    bag.writer.close()
    return folder


def _episode(
    bag: SyntheticBag, name: str, begin: int, peak: float, success: bool, site: str, rate: float
) -> int:
    period, end = round(1e9 / rate), LENGTH * INTERVAL

    def state(received: int, step: int, status: int) -> None:
        bag.write(
            received,
            "/episode",
            "vla_sae_ros/msg/EpisodeState",
            header=bag.header(begin + step * period),
            start=bag.time(begin),
            episode_id=name,
            suite="libero_object",
            instruction="pick up the soup",
            step=step,
            max_steps=end,
            status=status,
            control_rate=rate,
        )

    state(begin - 1000, 0, 1)
    for place in range(LENGTH):
        step = place * INTERVAL
        received, stamp = begin + step * WALL_PERIOD, begin + step * period
        point = bag.make("geometry_msgs/msg/Point", x=0.2 * step / rate)
        bag.write(
            received,
            "/ee_pose",
            "geometry_msgs/msg/PoseStamped",
            header=bag.header(stamp),
            pose=bag.make("geometry_msgs/msg/Pose", position=point),
        )
        bag.write(
            received + 10,
            "/policy/features",
            "vla_sae_ros/msg/FeatureActivations",
            header=bag.header(stamp),
            episode_id=name,
            site=site,
            inference=place + 1,
            observation_step=step,
            index=np.array([1], np.uint32),
            natural=np.array([1.0], np.float32),
            applied=np.array([1.0], np.float32),
            fvu=peak if place == PEAK else 0.01,
            pooled=np.full(WIDTH, peak, np.float32),
        )
        state(received + 30, step, 2)
    last = begin + end * WALL_PERIOD
    state(last, end, STATUS[success])
    return last + 100_000_000


EPISODES = [(peak, True) for peak in SUCCESSES] + [(peak, False) for peak in FAILURES]


def rows_of(folder: Path, name: str = "monitor.csv") -> list[dict[str, str]]:
    with (folder / name).open() as file:
        return list(csv.DictReader(file))


def refused(capsys: pytest.CaptureFixture[str], *words: str, status: int = 2) -> str:
    assert main(["monitor", "score", *words]) == status
    said = capsys.readouterr()
    assert said.out == "" and "Traceback" not in said.err
    return said.err


def test_a_bag_gives_the_rates_that_were_planted(monitor: Path, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", EPISODES)
    out = tmp_path / "out"
    assert main(["monitor", "score", str(monitor), str(bag), "--out", str(out)]) == 0
    rows = {row["score"]: row for row in rows_of(out)}
    fvu = rows["fvu"]
    assert (fvu["successes"], fvu["failures"], fvu["data"]) == ("40", "4", "bag")
    assert (fvu["false_alarms"], fvu["false_alarm_rate"]) == ("4", "0.100")
    assert (fvu["caught"], fvu["caught_share"]) == ("3", "0.750")
    # Wilson's interval of 4 in 40, by its formula.
    n, p, z = 40, 0.1, 1.959963984540054
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    assert float(fvu["rate_low"]) == pytest.approx(middle - half, abs=6e-4)
    assert float(fvu["rate_high"]) == pytest.approx(middle + half, abs=6e-4)
    # Alarm at step 12 of 20, at 20 Hz.
    assert float(fvu["median_seconds_before_the_end"]) == pytest.approx(0.4)
    # Until the peak all are alike; from then on it tells those pairs apart that differ in it.
    wins = np.mean([(failing > SUCCESSES).mean() for failing in FAILURES])
    over_time = [row for row in rows_of(out, "auroc.csv") if row["score"] == "fvu"]
    found = [float(row["auroc"]) for row in over_time]
    assert found[:PEAK] == [0.5] * PEAK
    assert found[PEAK:] == [pytest.approx(wins, abs=6e-4)] * (LENGTH - PEAK)
    # The clock passes its half second in every episode; the hand never stands.
    assert (rows["time"]["false_alarms"], rows["time"]["caught"]) == ("40", "4")
    assert (rows["stillness"]["false_alarms"], rows["stillness"]["caught"]) == ("0", "0")
    assert (out / "monitor.png").stat().st_size > 10_000


def test_several_bags_are_measured_each_for_itself(monitor: Path, tmp_path: Path) -> None:
    bags = [
        write_bag(tmp_path / "calm", [(0.2, True)] * 3),
        write_bag(tmp_path / "wild", [(0.95, True)] * 2 + [(0.95, False)]),
    ]
    out = tmp_path / "out"
    assert main(["monitor", "score", str(monitor), *map(str, bags), "--out", str(out)]) == 0
    rows = [row for row in rows_of(out) if row["score"] == "fvu"]
    assert [(r["data"], r["successes"], r["false_alarms"], r["caught"]) for r in rows] == [
        ("calm", "3", "0", "0"),
        ("wild", "2", "2", "1"),
    ]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"site": "expert.3"}, f"SAE at {SITE}"),
        ({"policy_id": "aaaa"}, "policy of"),
        ({"bundle_id": "bbbb"}, f"SAE at {SITE}"),
        ({"rate": 50.0}, "control rate"),
    ],
)
def test_a_bag_of_something_else_is_refused_in_a_sentence(
    monitor: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    other: dict[str, object],
    words: str,
) -> None:
    bag = write_bag(tmp_path / "bag", [(0.5, True)], **other)
    assert words in refused(capsys, str(monitor), str(bag))


def test_a_bag_that_serves_the_site_and_has_no_features_of_it_is_refused(
    monitor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def site_is_served(bag: SyntheticBag) -> None:
        bag.write(
            START,
            "/description",
            "vla_sae_ros/msg/NodeDescription",
            node="/policy",
            names=["policy_id", f"bundle_id.{SITE}"],
            values=[POLICY_ID, BUNDLE_ID],
        )

    folder = tmp_path / "bag"
    bag = SyntheticBag(folder)
    site_is_served(bag)
    _episode(bag, "e0", START, 0.5, True, "expert.3", RATE)
    bag.writer.close()
    said = refused(capsys, str(monitor), str(folder))
    assert f"with features at {SITE}" in said and "got 0" in said


def test_a_bag_that_does_not_say_whose_it_is_is_refused(
    monitor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = SyntheticBag(tmp_path / "bag")
    _episode(bag, "e0", START, 0.5, True, SITE, RATE)
    bag.writer.close()
    said = refused(capsys, str(monitor), str(tmp_path / "bag"))
    assert "does not record its policy" in said


def test_a_bag_without_any_features_at_all_is_refused(
    monitor: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make_bag: Callable[[Path], Path],
) -> None:
    said = refused(capsys, str(monitor), str(make_bag(tmp_path / "pose")))
    assert "does not record its policy" in said
    said = refused(capsys, str(monitor), str(tmp_path / "nothing"), status=1)
    assert "no such folder" in said and "nothing" in said


def test_an_inference_whose_message_is_damaged_is_left_out_and_told(
    monitor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def damaged(bag: SyntheticBag) -> None:
        bag.writer.write("/policy/features", START + 10**12, b"\0\1\0\0cut")

    bag = write_bag(tmp_path / "bag", EPISODES, more=damaged)
    out = tmp_path / "out"
    assert main(["monitor", "score", str(monitor), str(bag), "--out", str(out)]) == 3
    assert "left out: 1 message of /policy/features" in capsys.readouterr().err
    (fvu,) = [row for row in rows_of(out) if row["score"] == "fvu"]
    assert (fvu["successes"], fvu["false_alarms"], fvu["caught"]) == ("40", "4", "3")


def test_of_a_bag_that_was_cut_off_the_episodes_that_are_left_count(
    monitor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recorder that was killed: what ended before counts, what had no end is no success."""
    bag = write_bag(tmp_path / "bag", EPISODES)
    (file,) = bag.glob("*.mcap")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "out"
    status = main(["monitor", "score", str(monitor), str(bag), "--out", str(out)])
    assert status == 3 and "bag.mcap" in capsys.readouterr().err
    (fvu,) = [row for row in rows_of(out) if row["score"] == "fvu"]
    assert 0 < int(fvu["successes"]) < 40 and fvu["failures"] == "0"
    peaks = SUCCESSES[: int(fvu["successes"])]
    assert int(fvu["false_alarms"]) == (peaks > 0.9).sum()


def test_a_file_that_is_damaged_throughout_is_refused(
    monitor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write_bag(tmp_path / "bag", [(0.5, True)])
    (file,) = bag.glob("*.mcap")
    file.write_bytes(b"\0" * file.stat().st_size)
    assert "is not an MCAP file" in refused(capsys, str(monitor), str(bag), status=1)
