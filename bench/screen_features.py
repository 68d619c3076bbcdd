"""Which features move the actions most, on recorded observations: a first, open-loop look.

    python bench/screen_features.py out/demo/bag --site expert.1 [--strength 0.5]
    python bench/screen_features.py out/activations --site expert.1

The second takes what `vla-sae collect --keep-observations` kept, evenly over all its episodes.

Every alive feature's decoder row is added with the same relative strength ||dx|| / ||x||, so the
features are each other's control: only those beyond the 95th percentile are worth a closed-loop
look. Changes are means over the observations and the first half of the chunk, in action units.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vla_sae_ros.environment import prepare

prepare()

from rosbags.highlevel import AnyReader  # noqa: E402  (after the environment)

from vla_sae_ros.activations.dataset import ActivationDataset  # noqa: E402
from vla_sae_ros.activations.observations import (  # noqa: E402
    OBSERVATIONS_FOLDER,
    observed_steps,
    read_observation,
)
from vla_sae_ros.core.contract import FrameBuilder, load_contract  # noqa: E402
from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot  # noqa: E402
from vla_sae_ros.policy.engine import PolicyEngine  # noqa: E402
from vla_sae_ros.policy.loading import load_policy  # noqa: E402
from vla_sae_ros.resources import resource  # noqa: E402
from vla_sae_ros.sae import SaeBundle  # noqa: E402

NAMES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")


@dataclass(frozen=True)
class Moment:
    """One recorded request and its frame."""

    frame: dict[str, np.ndarray]
    instruction: str
    seed: tuple[int, int]


def main() -> None:
    """Print the table."""
    arguments = _parser().parse_args()
    kept = (arguments.source / OBSERVATIONS_FOLDER).is_dir()
    moments = (_collected if kept else _moments)(arguments.source, arguments.observations)
    bundle = SaeBundle.load(arguments.models / "sae" / arguments.site)
    engine = PolicyEngine(load_policy(arguments.models / "policy"), [bundle])
    plain = [engine.infer(m.frame, m.instruction, m.seed).actions for m in moments]
    alive = np.flatnonzero(bundle.observed_max > 0)
    value = arguments.strength * bundle.residual_norm_activation
    changes = {}
    for feature in tqdm(alive, desc=f"features of {arguments.site}"):
        edit = AppliedEdit(int(feature), Mode.ADD, value, 1.0)
        snapshot = Snapshot(1, {arguments.site: (edit,)}, cap=np.inf)
        changes[feature] = np.mean(
            [_change(engine, m, p, snapshot) for m, p in zip(moments, plain, strict=True)], axis=0
        )
    _print(changes, bundle, arguments.show)


def _change(
    engine: PolicyEngine, moment: Moment, plain: np.ndarray, snapshot: Snapshot
) -> np.ndarray:
    """Return the mean change (A,) over the half of the chunk that is executed."""
    actions = engine.infer(moment.frame, moment.instruction, moment.seed, snapshot).actions
    half = len(actions) // 2
    return (np.clip(actions[:half], -1, 1) - np.clip(plain[:half], -1, 1)).mean(0)


def _print(changes: dict[int, np.ndarray], bundle: SaeBundle, show: int) -> None:
    strength = {f: float(np.linalg.norm(c)) for f, c in changes.items()}
    bar = np.percentile(list(strength.values()), 95)
    print(f"95th percentile of ||da||: {bar:.3f}   median {np.median(list(strength.values())):.3f}")
    print("feature    max   cov  ||da||  " + "".join(f"{name:>8}" for name in NAMES) + "  label")
    for feature in sorted(strength, key=strength.__getitem__, reverse=True)[:show]:
        entry = bundle.catalogue.get(int(feature))
        assert entry is not None
        numbers = "".join(f"{value:8.3f}" for value in changes[feature])
        mark = "*" if strength[feature] > bar else " "
        print(
            f"{feature:6d}{mark} {entry.observed_max:6.2f} {entry.coverage:5.2f} "
            f"{strength[feature]:7.3f}  {numbers}  {entry.label}"
        )


def _collected(folder: Path, wanted: int) -> list[Moment]:
    """Return evenly spaced observations of a collection's episodes."""
    steps = [
        (episode.episode_id, step)
        for episode in ActivationDataset.open(folder).episodes
        for step in observed_steps(folder, episode.episode_id)
    ]
    picks = np.linspace(0, len(steps) - 1, min(wanted, len(steps))).astype(int)
    found = [read_observation(folder, *steps[pick]) for pick in picks]
    return [
        Moment(one.frame, one.instruction, (one.seed, one.step)) for one in found if one is not None
    ]


def _moments(bag: Path, wanted: int) -> list[Moment]:
    """Return evenly spaced requests of the bag's first episode, with their frames."""
    contract = load_contract(resource("config", "contracts", "libero.yaml"))
    builder = FrameBuilder(contract)
    topics = {channel.topic for channel in builder.channels}
    requests, moments = [], []
    with AnyReader([bag]) as reader:
        for connection, received, raw in reader.messages():
            name = connection.topic.lstrip("/")
            if name == "policy/request":
                requests.append(reader.deserialize(raw, connection.msgtype))
            elif name in topics:
                builder.push(name, reader.deserialize(raw, connection.msgtype), received)
            while requests and (frame := _frame(builder, requests[0])) is not None:
                request = requests.pop(0)
                moments.append(Moment(frame, request.instruction, (request.seed, request.step)))
    picks = np.linspace(0, len(moments) - 1, min(wanted, len(moments))).astype(int)
    return [moments[pick] for pick in picks]


def _frame(builder: FrameBuilder, request: object) -> dict[str, np.ndarray] | None:
    stamp = request.header.stamp  # type: ignore[attr-defined]
    wanted = stamp.sec * 1_000_000_000 + stamp.nanosec
    newest = builder.newest_complete()
    return builder.frame(wanted).values if newest is not None and newest >= wanted else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("source", type=Path, help="bag, or folder of collected activations")
    parser.add_argument("--site", required=True)
    parser.add_argument("--models", type=Path, default=resource("models") / "demo")
    parser.add_argument("--strength", type=float, default=0.5, help="||dx|| / ||x||")
    parser.add_argument("--observations", type=int, default=8)
    parser.add_argument("--show", type=int, default=15)
    return parser


if __name__ == "__main__":
    main()
