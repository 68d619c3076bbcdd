"""The steering core: pure Python, no ROS and no torch."""

from vla_sae_ros.core.steering.condition import Condition
from vla_sae_ros.core.steering.control import Control
from vla_sae_ros.core.steering.edit import TOKEN_GROUPS, AppliedEdit, Edit, Mode, Unit
from vla_sae_ros.core.steering.event import Event, EventKind
from vla_sae_ros.core.steering.limits import SteeringLimits
from vla_sae_ros.core.steering.preset import (
    Preset,
    PresetFile,
    format_preset,
    parse_preset,
    preset_of,
    read_preset,
)
from vla_sae_ros.core.steering.reading import policy_start_of, to_edit, to_view
from vla_sae_ros.core.steering.site import SteeringSite
from vla_sae_ros.core.steering.slot import Phase
from vla_sae_ros.core.steering.snapshot import Snapshot, StandingEdit, StateView, snapshot_of
from vla_sae_ros.core.steering.steering import Steering
from vla_sae_ros.core.steering.validation import check_size

__all__ = [
    "TOKEN_GROUPS",
    "AppliedEdit",
    "Condition",
    "Control",
    "Edit",
    "Event",
    "EventKind",
    "Mode",
    "Phase",
    "Preset",
    "PresetFile",
    "Snapshot",
    "StandingEdit",
    "StateView",
    "Steering",
    "SteeringLimits",
    "SteeringSite",
    "Unit",
    "check_size",
    "format_preset",
    "parse_preset",
    "policy_start_of",
    "preset_of",
    "read_preset",
    "snapshot_of",
    "to_edit",
    "to_view",
]
