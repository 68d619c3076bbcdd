"""A Franka with DROID's conventions, a policy with its features, and the recorder."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch_ros.actions import Node

from vla_sae_ros.systems.launching import as_text, launch_nodes
from vla_sae_ros.systems.robots import ROBOT_ARGUMENTS, robot_system


def start(context):
    configurations = context.launch_configurations
    nodes = launch_nodes(robot_system, ROBOT_ARGUMENTS, configurations, Shutdown, __file__)
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
                for argument in ROBOT_ARGUMENTS
            ),
            OpaqueFunction(function=start),
        ]
    )
