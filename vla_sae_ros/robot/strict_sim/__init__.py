"""A simulated Franka that speaks libfranka's network protocol and forgives as little as a real one.

The protocol is franky-sim's. What it leaves out is here: a clock of its own that is never stretched
in silence, the rule of 20 missed commands, reflexes on position, velocity, acceleration and torque
limits, the user stop, error recovery that has to be asked for, and faults to order.

    python -m vla_sae_ros.robot.strict_sim --host 127.0.0.2
"""
