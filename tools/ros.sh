#!/usr/bin/env bash
# Makes .venv-ros for a ROS 2 installation that is sourced: a virtual environment that sees the
# packages of apt and has what apt has not, and no ROS packages of its own. `make ros` calls it.
# Launch files and `ros2 run` find it here; see vla_sae_ros/systems/pythons.py.
# SET=robot installs only what a robot computer needs: docs/dependencies.md.
set -euo pipefail
cd "$(dirname "$0")/.."
WHO=ros
STAMPS=.venv-ros/.setup
# shellcheck source=tools/common.sh
. tools/common.sh

unset PYTHONHOME

# Sets ROS_PYTHON: the interpreter that runs the ROS installation, also while .venv-ros is active.
choose_python() {
  local candidate=${PYTHON:-python3}
  command -v "$candidate" >/dev/null || die "there is no $candidate: apt-get install python3"
  if [ -n "${VIRTUAL_ENV:-}" ] && [ -z "${PYTHON:-}" ]; then
    candidate=$(python3 -c 'import sys; print(sys._base_executable)')
  fi
  ROS_PYTHON=$(command -v "$candidate")
  "$ROS_PYTHON" -c 'import rclpy' 2>/dev/null || die \
    "$ROS_PYTHON finds no rclpy. Source the ROS installation first, in this terminal:" \
    "  source /opt/ros/jazzy/setup.bash" \
    "Without a ROS installation: make setup"
  is_python_312 "$ROS_PYTHON" || die \
    "$ROS_PYTHON is no Python 3.12, for which the packages are locked (Jazzy and Kilted on" \
    "Ubuntu 24.04). Elsewhere: requirements/README.md"
}

choose_lock requirements/ros.lock requirements/ros-
packages=$(digest "$LOCK" requirements/ros-python.lock; pwd)
if done_before packages "$packages"; then exit 0; fi
install_libraries
choose_python
find_uv "$ROS_PYTHON"
"$UV" venv --quiet --clear --system-site-packages --python "$ROS_PYTHON" .venv-ros
say "installing Python packages from $LOCK (docs/dependencies.md has the sizes)"
UV_COMPILE_BYTECODE=${UV_COMPILE_BYTECODE:-1} \
  "$UV" pip sync --python .venv-ros/bin/python --require-hashes "$LOCK"
# What ROS's own Python needs beside apt's packages; its numpy stays apt's.
"$UV" pip install --quiet --python .venv-ros/bin/python --target .venv-ros/ros-python \
  --no-deps --require-hashes --requirement requirements/ros-python.lock
mark_done packages "$packages"
say "ready. Build the workspace (colcon build), source it, then: ros2 run vla_sae_ros vla-sae doctor"
