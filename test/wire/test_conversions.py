from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from std_msgs.msg import Float32MultiArray

from vla_sae_ros.core.contract.messages import read_image
from vla_sae_ros.msg import ActionChunk
from vla_sae_ros.nodes.episode.messages import from_chunk
from vla_sae_ros.wire.conversions import (
    to_floats,
    to_header,
    to_image,
    to_joint_state,
    to_ns,
    to_pose,
    to_time,
)


@given(st.integers(0, 2**31 * 10**9 - 1))
def test_a_stamp_survives_the_way_there_and_back(stamp_ns):
    assert to_ns(to_time(stamp_ns)) == stamp_ns


def test_a_picture_survives_the_way_there_and_back_also_as_a_view():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)[::-1, ::-1]
    message = to_image(pixels, to_header(5, "wrist"))
    assert (message.height, message.width, message.step) == (6, 8, 24)
    assert message.header.frame_id == "wrist"
    assert np.array_equal(read_image(message, "t"), pixels)


@pytest.mark.parametrize(
    "picture", [np.zeros((2, 2, 3)), np.zeros((2, 2), np.uint8), np.zeros((2, 2, 4), np.uint8)]
)
def test_what_is_no_rgb_picture_is_refused(picture):
    with pytest.raises(ValueError, match="height, width, 3"):
        to_image(picture, to_header(0))


def test_numbers_are_written_row_by_row():
    assert list(Float32MultiArray(data=to_floats([[1, 2], [3, 4]])).data) == [1, 2, 3, 4]


def test_joints_and_poses_keep_their_numbers():
    state = to_joint_state(("a", "b"), [0.1, 0.2], to_header(0))
    assert (state.name, list(state.position)) == (["a", "b"], [0.1, 0.2])
    pose = to_pose([1, 2, 3], [0.0, 0.0, 0.6, 0.8], to_header(0, "world")).pose
    assert (pose.position.z, pose.orientation.z, pose.orientation.w) == (3.0, 0.6, 0.8)


def test_a_chunk_message_becomes_rows_and_one_that_contradicts_itself_stays_flat():
    message = ActionChunk(chunk_id=3, horizon=2, action_dim=3, actions=to_floats(range(6)))
    assert from_chunk(message).actions.tolist() == [[0, 1, 2], [3, 4, 5]]
    message.horizon = 4
    assert from_chunk(message).actions.shape == (6,)
