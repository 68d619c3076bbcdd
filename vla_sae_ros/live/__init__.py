"""Scripts that bring up a whole system and drive it, as any user's script would."""

from vla_sae_ros.environment import prepare_ros

prepare_ros()
