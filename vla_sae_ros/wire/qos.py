"""The named QoS profiles of the wire contract; every publisher and subscriber uses one of these."""

from __future__ import annotations

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _profile(
    depth: int, reliable: bool = True, latched: bool = False, lifespan_s: float | None = None
) -> QoSProfile:
    profile = QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
    if lifespan_s is not None:
        profile.lifespan = Duration(seconds=lifespan_s)
    return profile


LATCHED = _profile(1, latched=True)
"""The newest state, also for those who come late: episode, policy/catalogue, steering/state."""

DESCRIPTION = LATCHED
"""description: one message per node."""

SENSOR = _profile(5, reliable=False)
"""Cameras and joint states of a robot, and every subscriber of observations."""

OBSERVATION = _profile(5)
"""Observations of a simulation: lockstep must lose none."""

CHUNK = _profile(1)
"""policy/action_chunk and policy/request: only the newest counts."""

EXECUTED = _profile(100)
"""executed_action: one message per control tick, none lost to a bag."""

FEATURES = _profile(400)
"""policy/features: none lost to a bag. What a reader missed is sent again when Fast DDS' heartbeat,
every 3 s, finds it out: the publisher has to remember as long, at 100 messages/s."""

TELEOP = _profile(1, reliable=False)
"""To whom listens to a person: only the newest counts, and any joystick's node is heard."""

COMMAND = _profile(1)
"""To a robot's controller: only the newest target counts."""

EVENTS = _profile(100)
"""steering/events: the audit trail."""

HEARTBEAT = _profile(10, lifespan_s=1.0)
"""steering/heartbeat: one that is older than a second must not renew a lease."""

DIAGNOSTICS = _profile(10)
"""/diagnostics."""

PICTURE = _profile(1, reliable=False)
"""policy/feature_heatmap: for eyes only."""

SERVICE = _profile(2000)
"""Every service and its clients: requests that wait are kept in order, not overwritten by newer
ones, which the default of ten does without a word. 2,000 are more than any client here sends; of a
flood beyond, DDS drops the oldest, and its client's own time limit is what tells."""
