"""A change of steering hands over slowly; a change of mind of the policy does not."""

from __future__ import annotations

import numpy as np
from arm_rig import Rig, action

from vla_sae_ros.robot.reasons import Limit
from vla_sae_ros.robot.steering_slew import SteeringSlew

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


def test_in_the_envelope_a_steered_reversal_is_slower_than_a_policy_s(rig: Rig) -> None:
    def travelled(revision: int) -> tuple[float, bool]:
        for _ in range(6):
            rig.tick(action(1, 0.2), steering_revision=1)
        before = rig.driver.sent[-1][0]
        outcomes = [rig.tick(action(1, -0.2), steering_revision=revision) for _ in range(4)]
        named = any(Limit.STEERING_SLEW in outcome.limits for outcome in outcomes)
        return float(rig.driver.sent[-1][0] - before), named

    own, named = travelled(1)
    steered, slewed = travelled(2)
    assert slewed and not named
    assert steered > own + 0.01
