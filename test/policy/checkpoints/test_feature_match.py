"""Which observation on offer is which input of a policy."""

from __future__ import annotations

import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.checkpoints.feature_match import (
    Feed,
    InputFeature,
    Inputs,
    match_features,
    read_map,
)

IMAGES = "observation.images."
STATE = "observation.state"
LIBERO = {f"{IMAGES}agentview": None, f"{IMAGES}wrist": None, STATE: (8,)}
"""What the simulation offers."""


def inputs(
    *cameras: str, renamed: dict[str, str] | None = None, masks: bool = False, state: int = 8
) -> Inputs:
    picture = InputFeature(True, (3, 256, 256))
    features = {IMAGES + camera: picture for camera in cameras}
    return Inputs(features | {STATE: InputFeature(False, (state,))}, renamed or {}, masks)


def pairs(feeds: tuple[Feed, ...]) -> dict[str, str]:
    return {feed.feature.removeprefix(IMAGES): feed.offered.removeprefix(IMAGES) for feed in feeds}


def test_the_same_names_meet() -> None:
    assert pairs(match_features(inputs("agentview", "wrist"), LIBERO)) == {
        "agentview": "agentview",
        "wrist": "wrist",
        STATE: STATE,
    }


@pytest.mark.parametrize(
    ("scene", "wrist"),
    [
        ("image", "image2"),  # lerobot's own LIBERO keys, and its published checkpoints'
        ("agentview_image", "robot0_eye_in_hand_image"),  # robosuite's
        ("base_0_rgb", "left_wrist_0_rgb"),  # openpi's
    ],
)
def test_other_names_of_the_same_cameras_meet_by_themselves(scene: str, wrist: str) -> None:
    for cameras in ((scene, wrist), (wrist, scene)):
        met = pairs(match_features(inputs(*cameras), LIBERO))
        assert met == {scene: "agentview", wrist: "wrist", STATE: STATE}


def test_droids_names_meet() -> None:
    offered = {
        f"{IMAGES}exterior_image_1_left": None,
        f"{IMAGES}wrist_image_left": None,
        STATE: (8,),
    }
    for cameras in (("exterior_1_left", "wrist_left"), ("base_0_rgb", "left_wrist_0_rgb")):
        met = pairs(match_features(inputs(*cameras), offered))
        assert met[cameras[0]] == "exterior_image_1_left"
        assert met[cameras[1]] == "wrist_image_left"


def test_a_preprocessor_that_renames_is_given_the_data_sets_names() -> None:
    """As `lerobot-train --rename_map` saves it."""
    renamed = {
        f"{IMAGES}front": f"{IMAGES}base_0_rgb",
        f"{IMAGES}hand": f"{IMAGES}left_wrist_0_rgb",
    }
    offered = {f"{IMAGES}front": None, f"{IMAGES}hand": None, STATE: (8,)}
    feeds = match_features(inputs("base_0_rgb", "left_wrist_0_rgb", renamed=renamed), offered)
    assert feeds[0] == Feed(f"{IMAGES}front", f"{IMAGES}front", f"{IMAGES}base_0_rgb")
    assert pairs(feeds)["left_wrist_0_rgb"] == "hand"


def test_names_that_could_mean_either_are_refused_with_the_pairs_to_give() -> None:
    with pytest.raises(ConfigurationError) as refused:
        match_features(inputs("camera1", "camera2"), LIBERO)
    advice = str(refused.value).partition("--map ")[2].split()[0]
    assert advice == f"agentview={IMAGES}camera1,wrist={IMAGES}camera2"
    met = match_features(inputs("camera1", "camera2"), LIBERO, read_map(advice))
    assert pairs(met) == {"camera1": "agentview", "camera2": "wrist", STATE: STATE}


def test_what_the_user_says_counts_over_equal_names() -> None:
    swapped = read_map("agentview=wrist, wrist=agentview")
    met = pairs(match_features(inputs("agentview", "wrist"), LIBERO, swapped))
    assert met["agentview"] == "wrist" and met["wrist"] == "agentview"


def test_a_camera_may_be_missing_only_where_it_is_masked() -> None:
    three = ("base_0_rgb", "left_wrist_0_rgb", "right_wrist_0_rgb")
    met = pairs(match_features(inputs(*three, masks=True), LIBERO))
    assert met == {"base_0_rgb": "agentview", "left_wrist_0_rgb": "wrist", STATE: STATE}
    with pytest.raises(ConfigurationError, match="right_wrist_0_rgb"):
        match_features(inputs(*three), LIBERO)


def test_no_camera_is_left_out_while_one_that_may_be_meant_is_on_offer() -> None:
    offered = LIBERO | {f"{IMAGES}side": None}
    three = inputs("base_0_rgb", "left_wrist_0_rgb", "right_wrist_0_rgb", masks=True)
    with pytest.raises(ConfigurationError, match=f"side={IMAGES}right_wrist_0_rgb"):
        match_features(three, offered)


def test_a_policy_that_would_see_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="camera1"):
        match_features(inputs("camera1", masks=True), {STATE: (8,)})


def test_a_state_of_another_length_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"got 8; allowed: 14"):
        match_features(inputs("agentview", state=14), LIBERO)


def test_two_cameras_are_not_led_into_one_input_by_its_two_names() -> None:
    one = inputs("base_0_rgb", renamed={f"{IMAGES}front": f"{IMAGES}base_0_rgb"})
    with pytest.raises(ConfigurationError, match="twice"):
        match_features(one, LIBERO, read_map("agentview=front,wrist=base_0_rgb"))


def test_a_missing_state_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=STATE):
        match_features(inputs("agentview"), {f"{IMAGES}agentview": None})


def test_a_picture_that_is_not_under_images_counts_as_one_that_may_be_meant() -> None:
    """PushT's data set has observation.image; a camera must not be masked beside it."""
    offered = {"observation.image": None, f"{IMAGES}wrist": None, STATE: (8,)}
    two = inputs("base_0_rgb", "left_wrist_0_rgb", masks=True)
    with pytest.raises(ConfigurationError) as refused:
        match_features(two, offered)
    advice = str(refused.value).partition("--map ")[2].split()[0]
    assert advice == f"observation.image={IMAGES}base_0_rgb"
    assert pairs(match_features(two, offered, read_map(advice)))["base_0_rgb"] == (
        "observation.image"
    )


def test_a_data_set_may_have_either_of_the_names_that_a_preprocessor_renames() -> None:
    renamed = {f"{IMAGES}{name}": f"{IMAGES}base_0_rgb" for name in ("front", "cam")}
    for name in ("front", "cam"):
        offered = {f"{IMAGES}{name}": None, STATE: (8,)}
        met = pairs(match_features(inputs("base_0_rgb", renamed=renamed), offered))
        assert met["base_0_rgb"] == name


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        ({f"{IMAGES}image": None, STATE: None}, f"{STATE}.*got 'a picture'; allowed: numbers"),
        ({f"{IMAGES}image": (8,), STATE: (8,)}, "got 'numbers'; allowed: a picture"),
        ({f"{IMAGES}image": None, STATE: ()}, r"got \(\); allowed: 8"),
        ({f"{IMAGES}image": None, STATE: (2, 8)}, r"got \(2, 8\); allowed: 8"),
    ],
)
def test_what_bears_a_name_must_be_of_its_kind(offered: dict, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        match_features(inputs("image"), offered)


def test_what_the_user_says_replaces_what_a_contract_says_of_the_same_names() -> None:
    contract = {f"{IMAGES}agentview": "image", "wrist": f"{IMAGES}image2"}
    assert read_map("", contract) == contract
    assert read_map("agentview=other", contract) == {
        "agentview": "other",
        "wrist": f"{IMAGES}image2",
    }
    assert read_map("side=image2", contract) == {
        f"{IMAGES}agentview": "image",
        "side": "image2",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("front=image", "not offered"),
        ("image=agentview", "What is offered comes first"),
        ("agentview=image,observation.images.agentview=image2", "every name once"),
        ("agentview=image,wrist=observation.images.image", "every name once"),
        ("agentview=image;wrist=image2", "pairs"),
        ("agentview==image", "pairs"),
        (f"agentview={STATE}", "got 'a picture'; allowed: numbers"),
        (f"{STATE}=image", "got 'numbers'; allowed: a picture"),
        ("agentview=camera9", "no input of the policy"),
        ("agentview", "pairs"),
        ("agentview=", "pairs"),
        ("agentview=image,wrist=image", "every name once"),
        ("agentview=image,agentview=image2", "every name once"),
    ],
)
def test_pairs_that_mean_nothing_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        match_features(inputs("image", "image2"), LIBERO, read_map(text))
