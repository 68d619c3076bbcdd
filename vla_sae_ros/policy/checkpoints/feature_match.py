"""Which of the pictures and vectors on offer is which input of a policy: the one rule for all.

The node, rollouts, collecting, studies and replays offer what their contract, environment or data
set calls its features. A checkpoint calls them as its own data set did, possibly renamed by its
preprocessor (`lerobot-train --rename_map`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.core.errors import ConfigurationError, complaint

IMAGES = "observation.images."

ONE_CAMERA = (
    # LIBERO: this package, lerobot's environment and its published checkpoints, robosuite, openpi.
    frozenset({"agentview", "agentview_image", "image", "base_0_rgb"}),
    frozenset(
        {
            "wrist",
            "image2",
            "wrist_image",
            "robot0_eye_in_hand",
            "robot0_eye_in_hand_image",
            "left_wrist_0_rgb",
        }
    ),
    # DROID: its own names, LeRobotDatasets made of it, openpi.
    frozenset({"exterior_image_1_left", "exterior_1_left", "base_0_rgb"}),
    frozenset({"wrist_image_left", "wrist_left", "left_wrist_0_rgb"}),
)
"""Names that mean the same camera wherever they meet, without "observation.images."."""


@dataclass(frozen=True)
class InputFeature:
    """What a policy reads under one name."""

    is_picture: bool
    shape: tuple[int, ...]
    """(channels, height, width) of a picture, (numbers,) of a vector."""


@dataclass(frozen=True)
class Feed:
    """One of a policy's inputs."""

    offered: str
    """What the source of the frames calls it."""
    key: str
    """What the policy's preprocessor calls it; another than `feature` where that renames it."""
    feature: str
    """What the policy itself calls it, e.g. observation.images.base_0_rgb."""


@dataclass(frozen=True)
class Inputs:
    """What a policy reads."""

    features: Mapping[str, InputFeature]
    renamed: Mapping[str, str]
    """Name in the data set -> policy feature, from the preprocessor."""
    masks_cameras: bool
    """A camera that is missing is masked: the policy runs without it, as in its training."""

    def as_they_are(self) -> tuple[Feed, ...]:
        """Return the feeds of frames that bear the policy's own names."""
        return tuple(Feed(name, name, name) for name in self.features)

    def blank_frame(self, feeds: Sequence[Feed]) -> dict[str, np.ndarray]:
        """Return black pictures (256, 256, 3) uint8 and float32 zeros, to warm up with."""
        frame: dict[str, np.ndarray] = {}
        for feed in feeds:
            feature = self.features[feed.feature]
            if feature.is_picture:
                frame[feed.offered] = np.zeros((256, 256, 3), np.uint8)
            else:
                frame[feed.offered] = np.zeros(feature.shape, np.float32)
        return frame


def read_map(text: str, under: Mapping[str, str] = {}) -> dict[str, str]:
    """Return the pairs of `--map offered=policy,offered=policy`.

    Args:
        text: what the user says.
        under: pairs that count where the user says nothing of either name, as a contract's.

    Raises:
        ConfigurationError: not of this form, or a name twice.
    """
    return over(_read_pairs(text), under)


def over(pairs: Mapping[str, str], under: Mapping[str, str]) -> dict[str, str]:
    """Return the pairs, and of those under them the ones that name nothing of theirs."""
    offered, wanted = ({_short(name) for name in names} for names in (pairs, pairs.values()))
    left = {
        one: other
        for one, other in under.items()
        if _short(one) not in offered and _short(other) not in wanted
    }
    return left | dict(pairs)


def _short(name: str) -> str:
    return name.removeprefix(IMAGES)


def _read_pairs(text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        offered, _, wanted = (word.strip() for word in part.partition("="))
        before = [{_short(one) for one in names} for names in (pairs, pairs.values())]
        twice = _short(offered) in before[0] or _short(wanted) in before[1]
        if not (offered and wanted) or twice or set("=;\n") & set(offered + wanted):
            raise ConfigurationError(
                complaint(
                    "map",
                    text,
                    "pairs with commas between them, every name once",
                    "For example agentview=observation.images.image,wrist=observation.images."
                    "image2: first what is offered, then what the policy calls it.",
                )
            )
        pairs[offered] = wanted
    return pairs


def match_features(
    inputs: Inputs,
    offered: Mapping[str, tuple[int, ...] | None],
    given: Mapping[str, str] = {},
) -> tuple[Feed, ...]:
    """Return where each of a policy's inputs comes from.

    By the user's pairs first, then by the same name, then by a name that means the same camera
    (ONE_CAMERA). A camera may be missing where the policy masks it and none on offer is left over.

    Args:
        inputs: what the policy reads.
        offered: name -> shape; None, or one of three numbers, for a picture.
        given: offered name -> policy's name (or its data set's), as `read_map` returns them; both
            with or without "observation.images.".

    Raises:
        ConfigurationError: they do not meet; it says which pairs would have to be given.
    """
    feeds = _given(inputs, offered, given)
    names = {
        feature: [key for key, renamed in inputs.renamed.items() if renamed == feature] + [feature]
        for feature in inputs.features
    }
    for feature, keys in names.items():
        for key in keys:
            if feature not in feeds and key in _left(offered, feeds):
                feeds[feature] = Feed(key, key, feature)
    for feature, keys in names.items():
        if feature in feeds or not inputs.features[feature].is_picture:
            continue
        same = [one for one in _left(offered, feeds) if any(_one_camera(one, k) for k in keys)]
        if len(same) == 1:
            feeds[feature] = Feed(same[0], feature, feature)
    _require_all(inputs, offered, feeds)
    for feed in feeds.values():
        _require_shape(feed, offered[feed.offered], inputs.features[feed.feature])
    return tuple(feeds[feature] for feature in inputs.features if feature in feeds)


def _given(
    inputs: Inputs, offered: Mapping[str, tuple[int, ...] | None], given: Mapping[str, str]
) -> dict[str, Feed]:
    feeds: dict[str, Feed] = {}
    names = sorted({*inputs.features, *inputs.renamed})
    for short, wanted in given.items():
        source, key = _whole(short, offered), _whole(wanted, names)
        if source is None:
            turned = _whole(short, names) is not None
            advice = "What is offered comes first: offered=policy." if turned else ""
            raise ConfigurationError(
                complaint("map names what is not offered", short, sorted(offered), advice)
            )
        if key is None:
            raise ConfigurationError(complaint("map names no input of the policy", wanted, names))
        feature = inputs.renamed.get(key, key)
        if feature in feeds or source in {feed.offered for feed in feeds.values()}:
            raise ConfigurationError(
                complaint(
                    "map gives one of its names twice",
                    f"{short}={wanted}",
                    "everything on offer and every input of the policy once",
                )
            )
        feeds[feature] = Feed(source, key, feature)
        _require_shape(feeds[feature], offered[source], inputs.features[feature])
    return feeds


def _whole(name: str, known: Collection[str]) -> str | None:
    return next((one for one in (name, IMAGES + name) if one in known), None)


def _is_picture(shape: tuple[int, ...] | None) -> bool:
    return shape is None or len(shape) == 3


def _left(offered: Collection[str], feeds: Mapping[str, Feed]) -> list[str]:
    used = {feed.offered for feed in feeds.values()}
    return [name for name in offered if name not in used]


def _one_camera(one: str, other: str) -> bool:
    names = {one.removeprefix(IMAGES), other.removeprefix(IMAGES)}
    return any(names <= camera for camera in ONE_CAMERA)


def _require_all(
    inputs: Inputs, offered: Mapping[str, tuple[int, ...] | None], feeds: Mapping[str, Feed]
) -> None:
    missing = [name for name in inputs.features if name not in feeds]
    if not missing:
        return
    left = [name for name in _left(offered, feeds) if _is_picture(offered[name])]
    cameras = [name for name in missing if inputs.features[name].is_picture]
    seen = any(inputs.features[name].is_picture for name in feeds)
    if cameras == missing and inputs.masks_cameras and seen and not left:
        return
    advice = "Offer them under these names, or use a policy that was trained without them."
    if cameras and left:
        pairs = ",".join(
            f"{name.removeprefix(IMAGES)}={camera}"
            for name, camera in zip(left, cameras, strict=False)
        )
        advice = f"Say which is which, for example --map {pairs} (parameter map of the node)."
    raise ConfigurationError(
        complaint(
            f"the policy reads {', '.join(missing)}, which nothing offers",
            sorted(offered),
            sorted(inputs.features),
            advice,
        )
    )


def _require_shape(feed: Feed, shape: tuple[int, ...] | None, feature: InputFeature) -> None:
    if _is_picture(shape) != feature.is_picture:
        raise ConfigurationError(
            complaint(
                f"{feed.offered} as the policy's {feed.feature}",
                "a picture" if _is_picture(shape) else "numbers",
                "a picture" if feature.is_picture else "numbers",
                "Pair them with --map (parameter map of the node).",
            )
        )
    if shape is None or feature.is_picture or shape == feature.shape:
        return
    got, wanted = (one[0] if len(one) == 1 else one for one in (shape, feature.shape))
    raise ConfigurationError(
        complaint(
            f"numbers in {feed.offered}",
            got,
            wanted,
            f"The policy's {feed.feature} was trained with {wanted}: use the contract, "
            "environment or data set that it was trained for.",
        )
    )
