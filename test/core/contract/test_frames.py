from __future__ import annotations

from array import array
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_sae_ros.core.alignment import FrameIncomplete
from vla_sae_ros.core.contract import FrameBuilder, load_contract, parse_contract
from vla_sae_ros.core.contract.operators import parse_operator
from vla_sae_ros.core.errors import ContractError, ObservationError
from vla_sae_ros.sim.conventions import libero_state
from vla_sae_ros.sim.environment import Observation

MS = 1_000_000
ARM = {"topic": "/arm", "type": "sensor_msgs/msg/JointState"}
HAND = {"topic": "/hand", "type": "std_msgs/msg/Float32"}
CAMERA = {"topic": "/camera", "type": "sensor_msgs/msg/Image"}
POSE = {"topic": "/pose", "type": "geometry_msgs/msg/PoseStamped"}
HOLD = {"strategy": "hold", "timeline": "header"}
RECEIVED = {"strategy": "hold", "timeline": "receive"}


def builder(**observations: object) -> FrameBuilder:
    return FrameBuilder(
        parse_contract(
            {
                "robot_type": "r",
                "fps": 20,
                "observations": observations,
                "actions": {"action": {"channel": ARM, "align": HOLD, "select": ["a"]}},
            }
        )
    )


def header(stamp_ns: int) -> SimpleNamespace:
    return SimpleNamespace(stamp=SimpleNamespace(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9))


def joints(stamp_ns: int, **positions: float) -> SimpleNamespace:
    return SimpleNamespace(
        header=header(stamp_ns),
        name=list(positions),
        position=array("d", positions.values()),
        velocity=array("d", [-v for v in positions.values()]),
        effort=[],
    )


def picture(stamp_ns: int, pixels: np.ndarray, encoding: str, padding: int = 0) -> SimpleNamespace:
    rows = np.pad(pixels.reshape(len(pixels), -1), ((0, 0), (0, padding)))
    return SimpleNamespace(
        header=header(stamp_ns),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        step=rows.shape[1],
        data=array("B", rows.tobytes()),
    )


def test_selected_joints_come_by_name_in_the_contracts_order():
    frames = builder(
        state={"channel": ARM, "align": HOLD, "select": ["position.b", "velocity.a", "c"]}
    )
    frames.push("/arm", joints(5, a=1.0, b=2.0, c=3.0), receive_ns=99)
    value = frames.frame(7).values["state"]
    assert value.dtype == np.float32
    assert value.tolist() == [2.0, -1.0, 3.0]


def test_operators_are_applied_in_order():
    frames = builder(
        state={
            "channel": ARM,
            "align": HOLD,
            "select": ["a", "b"],
            "apply": ["rad2deg", {"clamp": {"min": -100, "max": 100}}],
        }
    )
    frames.push("/arm", joints(1, a=np.pi / 6, b=np.pi), receive_ns=1)
    assert frames.frame(1).values["state"] == pytest.approx([30.0, 100.0])


def test_the_sources_of_one_key_are_concatenated_and_the_age_is_that_of_the_oldest():
    frames = builder(
        state=[
            {"channel": ARM, "align": HOLD, "select": ["a"]},
            {"channel": HAND, "align": RECEIVED},
        ]
    )
    frames.push("/arm", joints(10 * MS, a=1.0), receive_ns=500 * MS)
    frames.push("/hand", SimpleNamespace(data=0.5), receive_ns=30 * MS)
    frame = frames.frame(35 * MS)
    assert frame.values["state"].tolist() == [1.0, 0.5]
    assert frame.ages_ms == {"state": 25.0}
    assert [channel.topic for channel in frames.channels] == ["/arm", "/hand"]


def test_each_source_is_timed_on_its_own_timeline():
    frames = builder(
        arm={"channel": ARM, "align": HOLD, "select": ["a"]},
        hand={"channel": HAND, "align": RECEIVED},
    )
    frames.push("/arm", joints(10 * MS, a=1.0), receive_ns=20 * MS)
    frames.push("/hand", SimpleNamespace(data=0.5), receive_ns=20 * MS)
    assert frames.frame(30 * MS).ages_ms == {"arm": 20.0, "hand": 10.0}


def test_a_source_that_has_not_arrived_is_named_with_its_topic():
    frames = builder(
        state=[
            {"channel": ARM, "align": HOLD, "select": ["a"]},
            {"channel": HAND, "align": RECEIVED},
        ]
    )
    frames.push("/arm", joints(1, a=1.0), receive_ns=1)
    with pytest.raises(FrameIncomplete, match=r"state\[1\] \(/hand\) has not arrived"):
        frames.frame(2)


def test_one_topic_can_feed_two_features():
    frames = builder(
        position={"channel": POSE, "align": HOLD, "select": ["pose.position.x"]},
        rotation={
            "channel": POSE,
            "align": HOLD,
            "apply": ["quat2axisangle"],
            "select": [f"pose.orientation.{axis}" for axis in "xyzw"],
        },
    )
    half = np.sqrt(0.5)
    frames.push(
        "/pose",
        SimpleNamespace(
            header=header(1),
            pose=SimpleNamespace(
                position=SimpleNamespace(x=0.25),
                orientation=SimpleNamespace(x=0.0, y=0.0, z=half, w=half),
            ),
        ),
        receive_ns=1,
    )
    values = frames.frame(1).values
    assert values["position"].tolist() == [0.25]
    assert values["rotation"] == pytest.approx([0.0, 0.0, np.pi / 2])
    assert len(frames.channels) == 1


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 0), (0, 0, 0, 2), (0.3, 0.1, 0.1, 0.1)])
def test_what_is_no_unit_quaternion_is_no_rotation(quaternion):
    with pytest.raises(ObservationError, match="a unit quaternion"):
        parse_operator("quat2axisangle", "apply").forward(np.array(quaternion, float))


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 1), (0, 0, 0, -1)])
def test_no_rotation_is_a_zero_axis_angle(quaternion):
    frames = builder(
        rotation={
            "channel": POSE,
            "align": HOLD,
            "apply": ["quat2axisangle"],
            "select": [f"pose.orientation.{axis}" for axis in "xyzw"],
        }
    )
    orientation = SimpleNamespace(**dict(zip("xyzw", quaternion, strict=True)))
    frames.push(
        "/pose",
        SimpleNamespace(header=header(1), pose=SimpleNamespace(orientation=orientation)),
        receive_ns=1,
    )
    assert frames.frame(1).values["rotation"].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("encoding", "message_pixel"),
    [("rgb8", [1, 2, 3]), ("bgr8", [3, 2, 1]), ("rgba8", [1, 2, 3, 9]), ("bgra8", [3, 2, 1, 9])],
)
def test_every_encoding_becomes_rgb_also_with_padded_rows(encoding, message_pixel):
    frames = builder(image={"channel": CAMERA, "align": HOLD})
    pixels = np.tile(np.array(message_pixel, np.uint8), (4, 5, 1))
    frames.push("/camera", picture(1, pixels, encoding, padding=3), receive_ns=1)
    image = frames.frame(1).values["image"]
    assert image.shape == (4, 5, 3)
    assert image.dtype == np.uint8
    assert (image == [1, 2, 3]).all()


def test_a_grey_picture_becomes_rgb():
    frames = builder(image={"channel": CAMERA, "align": HOLD})
    frames.push("/camera", picture(1, np.full((2, 2, 1), 7, np.uint8), "mono8"), receive_ns=1)
    assert (frames.frame(1).values["image"] == 7).all()


def test_resizing_takes_the_nearest_pixel_centre():
    frames = builder(image={"channel": CAMERA, "align": HOLD, "apply": [{"resize": [2, 3]}]})
    pixels = np.arange(6 * 6, dtype=np.uint8).reshape(6, 6, 1).repeat(3, axis=2)
    frames.push("/camera", picture(1, pixels, "rgb8"), receive_ns=1)
    image = frames.frame(1).values["image"]
    assert image[:, :, 0].tolist() == [[7, 9, 11], [25, 27, 29]]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (joints(1, b=1.0), "unknown joint of /arm: got 'a'"),
        (joints(1, a=float("nan")), "finite"),
        (joints(0, a=1.0), "no time stamp"),
        (SimpleNamespace(header=header(1), name=["a"], position=[]), "'a' but no position"),
    ],
)
def test_a_message_that_cannot_be_used_is_refused_and_the_earlier_one_stays(message, words):
    frames = builder(state={"channel": ARM, "align": HOLD, "select": ["a"]})
    frames.push("/arm", joints(1, a=5.0), receive_ns=1)
    with pytest.raises(ObservationError, match=words):
        frames.push("/arm", message, receive_ns=2)
    assert frames.frame(2).values["state"].tolist() == [5.0]


def test_a_picture_with_too_few_bytes_or_an_unknown_encoding_is_refused():
    frames = builder(image={"channel": CAMERA, "align": HOLD})
    short = picture(1, np.zeros((2, 2, 3), np.uint8), "rgb8")
    short.height = 3
    with pytest.raises(ObservationError, match="has 12 bytes"):
        frames.push("/camera", short, receive_ns=1)
    with pytest.raises(ObservationError, match="16UC1"):
        frames.push("/camera", picture(1, np.zeros((2, 2, 3), np.uint8), "16UC1"), receive_ns=1)


def test_a_field_the_message_lacks_is_named():
    frames = builder(x={"channel": POSE, "align": HOLD, "select": ["pose.position.w"]})
    message = SimpleNamespace(header=header(1), pose=SimpleNamespace(position=SimpleNamespace()))
    with pytest.raises(ObservationError, match=r"pose\.position\.w"):
        frames.push("/pose", message, receive_ns=1)


def test_one_topic_with_two_qos_is_refused():
    with pytest.raises(ContractError, match="topic /arm twice with different types"):
        builder(
            a={"channel": ARM, "align": HOLD, "select": ["a"]},
            b={"channel": ARM | {"qos": {"depth": 3}}, "align": HOLD, "select": ["b"]},
        )


def test_a_frame_of_a_tenth_of_a_second_ago_is_there_at_a_controllers_1_khz():
    recent = {"strategy": "asof", "timeline": "header", "tolerance_ms": 2}
    frames = builder(state={"channel": ARM, "align": recent, "select": ["a"]})
    for k in range(1, 501):
        frames.push("/arm", joints(k * MS, a=float(k)), receive_ns=k * MS)
    assert frames.frame(400 * MS).values["state"].tolist() == [400.0]


def test_the_newest_complete_frame_is_found_and_clearing_forgets_it():
    exact = {"strategy": "asof", "timeline": "header", "tolerance_ms": 0}
    frames = builder(
        state={"channel": ARM, "align": exact, "select": ["a"]},
        image={"channel": CAMERA, "align": exact},
    )
    frames.push("/arm", joints(10, a=1.0), receive_ns=1)
    frames.push("/camera", picture(10, np.zeros((1, 1, 3), np.uint8), "rgb8"), receive_ns=1)
    frames.push("/arm", joints(20, a=2.0), receive_ns=1)
    assert frames.newest_complete() == 10
    frames.clear()
    assert frames.newest_complete() is None


numbers = st.floats(-1.0, 1.0)


@settings(deadline=None)
@given(
    st.tuples(numbers, numbers, numbers, numbers).filter(lambda q: np.linalg.norm(q) > 0.01),
    st.tuples(numbers, numbers, numbers),
    st.tuples(numbers, numbers),
)
def test_the_libero_contract_gives_the_state_that_policies_were_trained_on(turn, place, fingers):
    quaternion = np.array(turn) / np.linalg.norm(turn)
    expected = libero_state(
        Observation(np.zeros(7), np.array(place), quaternion, np.array(fingers))
    )
    frames = FrameBuilder(
        load_contract(Path(__file__).parents[3] / "config" / "contracts" / "libero.yaml")
    )
    frames.push(
        "ee_pose",
        SimpleNamespace(
            header=header(1),
            pose=SimpleNamespace(
                position=SimpleNamespace(**dict(zip("xyz", place, strict=True))),
                orientation=SimpleNamespace(**dict(zip("xyzw", quaternion.tolist(), strict=True))),
            ),
        ),
        1,
    )
    frames.push("gripper", joints(1, finger_joint2=fingers[1], finger_joint1=fingers[0]), 1)
    for camera in ("agentview", "wrist"):
        frames.push(
            f"observation/image/{camera}", picture(1, np.zeros((2, 2, 3), np.uint8), "rgb8"), 1
        )
    state = frames.frame(1).values["observation.state"]
    assert np.array_equal(state, expected.astype(np.float32))
