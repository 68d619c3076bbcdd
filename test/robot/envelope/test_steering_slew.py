"""A change of steering hands over slowly; a change of mind of the policy does not."""

from __future__ import annotations

import numpy as np
import pytest
from arm_rig import Rig, action

from vla_sae_ros.robot.envelope.steering_slew import SteeringSlew
from vla_sae_ros.robot.reasons import Limit

RATE, PERIOD = 0.6, 0.1
ONE = np.array([1.0, 0.0])


def test_within_a_revision_every_jump_passes() -> None:
    slew = SteeringSlew(RATE, PERIOD)
    for lead in (0.1 * ONE, -0.2 * ONE, 0.0 * ONE):
        out, changed = slew.apply(4, lead)
        np.testing.assert_array_equal(out, lead)
        assert not changed


def test_the_jump_of_a_new_revision_is_handed_over_at_the_rate() -> None:
    slew = SteeringSlew(RATE, PERIOD)
    slew.apply(4, 0.2 * ONE)
    leads = [slew.apply(5, -0.1 * ONE)[0][0] for _ in range(7)]
    np.testing.assert_allclose(leads, [0.14, 0.08, 0.02, -0.04, -0.1, -0.1, -0.1], atol=1e-12)
    assert not slew.apply(5, -0.1 * ONE)[1]


def test_a_new_revision_during_the_handover_goes_on_from_there() -> None:
    slew = SteeringSlew(RATE, PERIOD)
    slew.apply(4, 0.2 * ONE)
    slew.apply(5, -0.1 * ONE)
    np.testing.assert_allclose(slew.apply(6, 0.2 * ONE)[0], 0.2 * ONE)


def test_after_a_hold_a_new_revision_starts_from_standing() -> None:
    slew = SteeringSlew(RATE, PERIOD)
    slew.apply(4, 0.2 * ONE)
    slew.hold()
    np.testing.assert_allclose(slew.apply(5, 0.2 * ONE)[0], 0.06 * ONE)


def test_the_first_command_is_nobody_s_change() -> None:
    slew = SteeringSlew(RATE, PERIOD)
    assert not slew.apply(9, 0.2 * ONE)[1]
    slew.reset()
    assert not slew.apply(10, -0.2 * ONE)[1]


@pytest.mark.parametrize(("revision", "slewed"), [(1, False), (2, True)])
def test_in_the_envelope_a_steered_reversal_is_slower_than_a_policy_s(
    rig: Rig, revision: int, slewed: bool
) -> None:
    for _ in range(4):
        rig.tick(action(1, 1.0), steering_revision=1)
    before = rig.driver.sent[-1][0]
    outcomes = [rig.tick(action(1, -1.0), steering_revision=revision) for _ in range(6)]
    assert all((Limit.STEERING_SLEW in outcome.limits) is slewed for outcome in outcomes)
    assert bool(rig.driver.sent[-1][0] > before) is slewed, "still on its old way, or already back"
