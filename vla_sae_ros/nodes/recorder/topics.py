"""Which topics a recording holds, and how to subscribe so that every publisher is heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

from vla_sae_ros.bags.pictures import COMPRESSED_TYPE, RAW_TYPE
from vla_sae_ros.wire import qos

# The recorder's own depth: at 1,000 messages a second on one topic, a second of delay in reading.
_DEPTH = 1000
_PICTURE_DEPTH = 60

PICTURE_TYPES = frozenset({RAW_TYPE, COMPRESSED_TYPE})


@dataclass(frozen=True)
class ContractTopic:
    """One topic of the wire contract; its name is relative."""

    name: str
    msgtype: str
    qos: QoSProfile


# Not `policy/feature_heatmap`: the policy computes it only while somebody listens. Not
# `record/state`: how a recording went stands in the bag's own metadata.
CONTRACT_TOPICS = (
    ContractTopic("episode", "vla_sae_ros/msg/EpisodeState", qos.LATCHED),
    ContractTopic("instruction", "vla_sae_ros/msg/InstructionChange", qos.EVENTS),
    ContractTopic("executed_action", "vla_sae_ros/msg/ExecutedAction", qos.EXECUTED),
    ContractTopic("joint_states", "sensor_msgs/msg/JointState", qos.SENSOR),
    ContractTopic("gripper", "sensor_msgs/msg/JointState", qos.SENSOR),
    ContractTopic("ee_pose", "geometry_msgs/msg/PoseStamped", qos.SENSOR),
    ContractTopic("robot_state", "vla_sae_ros/msg/RobotState", qos.LATCHED),
    ContractTopic("robot_command", "vla_sae_ros/msg/RobotCommand", qos.EXECUTED),
    ContractTopic("bridge/heartbeat", "vla_sae_ros/msg/SteeringLease", qos.HEARTBEAT),
    ContractTopic("bridge/takeover_state", "vla_sae_ros/msg/TakeoverState", qos.LATCHED),
    ContractTopic("teleop/twist", "geometry_msgs/msg/TwistStamped", qos.TELEOP),
    ContractTopic("teleop/joints", "sensor_msgs/msg/JointState", qos.TELEOP),
    ContractTopic("teleop/gripper", "std_msgs/msg/Float64", qos.COMMAND),
    ContractTopic("policy/request", "vla_sae_ros/msg/ChunkRequest", qos.CHUNK),
    ContractTopic("policy/action_chunk", "vla_sae_ros/msg/ActionChunk", qos.CHUNK),
    ContractTopic("policy/features", "vla_sae_ros/msg/FeatureActivations", qos.FEATURES),
    ContractTopic("policy/catalogue", "vla_sae_ros/msg/FeatureCatalogue", qos.LATCHED),
    ContractTopic("monitor/state", "vla_sae_ros/msg/MonitorState", qos.FEATURES),
    ContractTopic("steering/state", "vla_sae_ros/msg/SteeringState", qos.LATCHED),
    ContractTopic("steering/events", "vla_sae_ros/msg/SteeringEvent", qos.EVENTS),
    ContractTopic("steering/heartbeat", "vla_sae_ros/msg/SteeringLease", qos.HEARTBEAT),
    ContractTopic("annotation", "vla_sae_ros/msg/Annotation", qos.EVENTS),
    ContractTopic("description", "vla_sae_ros/msg/NodeDescription", qos.DESCRIPTION),
    ContractTopic("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", qos.DIAGNOSTICS),
)


def wait_for_publisher(profile: QoSProfile) -> bool:
    """Say whether to subscribe only once a publisher is known.

    A best-effort subscription made too early could not be repaired later; a reliable one, as the
    contract asks for, also hears short-lived publishers.
    """
    return profile.reliability is not ReliabilityPolicy.RELIABLE


def subscription_profile(offers: Sequence[QoSProfile], msgtype: str) -> QoSProfile:
    """Return the strictest profile that is compatible with every offer.

    One volatile or best-effort publisher makes the whole subscription so, otherwise DDS would not
    connect the two.
    """
    reliable = all(offer.reliability is ReliabilityPolicy.RELIABLE for offer in offers)
    latched = all(offer.durability is DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=_PICTURE_DEPTH if msgtype in PICTURE_TYPES else _DEPTH,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def bag_profile(offer: QoSProfile) -> Qos:
    """Return an offer as a bag stores it, so that a player can publish in the same way."""
    return Qos(
        QosHistory[offer.history.name]
        if offer.history.name in QosHistory.__members__
        else QosHistory.UNKNOWN,
        offer.depth,
        QosReliability[offer.reliability.name],
        QosDurability[offer.durability.name],
        _time(offer.deadline.nanoseconds),
        _time(offer.lifespan.nanoseconds),
        QosLiveliness[offer.liveliness.name],
        _time(offer.liveliness_lease_duration.nanoseconds),
        offer.avoid_ros_namespace_conventions,
    )


def _time(nanoseconds: int) -> QosTime:
    return QosTime(*divmod(nanoseconds, 10**9))
