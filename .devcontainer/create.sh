#!/usr/bin/env bash
# What docker/Dockerfile does, in a container that is already there.
set -eo pipefail
cd /ws
apt-get update
apt-get install -y --no-install-recommends \
    git make g++ python3-venv python3-colcon-common-extensions
rosdep update --rosdistro jazzy
rosdep install --from-paths src --ignore-src -y
source /opt/ros/jazzy/setup.bash
make -C src/vla_sae_ros ros
colcon build --packages-select vla_sae_ros
echo "source /ws/install/setup.bash" >>~/.bashrc
