"""A rehearsal without hardware: a simulated Franka and table, a policy, and the recorder."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch_ros.actions import Node

from vla_sae_ros.systems.launching import as_text, launch_nodes
from vla_sae_ros.systems.robots import REHEARSAL_ARGUMENTS, rehearsal_system


def start(context):
    nodes = launch_nodes(
        rehearsal_system, REHEARSAL_ARGUMENTS, context.launch_configurations, Shutdown, __file__
    )
    return [Node(**keywords) for keywords in nodes]


def generate_launch_description():
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(
                    argument.name,
                    default_value=as_text(argument.default),
                    description=f"{argument.description} ({argument.allowed})",
                )
                for argument in REHEARSAL_ARGUMENTS
            ),
            OpaqueFunction(function=start),
        ]
    )
