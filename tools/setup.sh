#!/usr/bin/env bash
# Makes .venv: Python 3.12, everything in requirements.lock, the ROS messages, and the libraries of
# the operating system where that is allowed. `make setup` calls it; steps that are done are skipped.
# SET=robot or SET=panel installs only what such a computer needs: docs/dependencies.md.
set -euo pipefail
cd "$(dirname "$0")/.."
WHO=setup
STAMPS=.venv/.setup
# shellcheck source=tools/common.sh
. tools/common.sh

# A sourced ROS install has its own Python packages; .venv must not see them.
unset PYTHONPATH PYTHONHOME AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.12 python3 "$HOME"/.pyenv/versions/3.12*/bin/python3 \
      "$HOME"/.local/share/uv/python/cpython-3.12*/bin/python3; do
    candidate=$(command -v "$candidate" 2>/dev/null) || continue
    if is_python_312 "$candidate"; then
      # The interpreter itself: not a shim that picks a version by folder, nor .venv's own.
      "$candidate" -c 'import sys; print(sys._base_executable)'
      return
    fi
  done
  return 1
}

# Sets PYTHON_312: one that is there, or one that uv downloads.
choose_python() {
  if PYTHON_312=$(find_python); then return; fi
  say "no Python 3.12 here; asking uv for one"
  find_uv
  "$UV" python install --quiet 3.12 && PYTHON_312=$("$UV" python find 3.12) || die \
    "Python 3.12 is missing: looked for python3.12, python3, ~/.pyenv/versions/3.12*, uv's own." \
    "Get it by one of: apt-get install python3.12 python3.12-venv (Ubuntu 24.04)," \
    "  pyenv install 3.12 (any Linux), or uv python install 3.12. Then run make again," \
    "  or name one: make setup PYTHON=/path/to/python3.12"
}

# Says every 20 s, while this script runs, how far the messages are: pip shows nothing of it, and on
# a slow machine it takes minutes.
say_progress() {
  local folder=build/wheel/cmake files
  while sleep 20 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
    files=$(grep -c '^build [^ ]*\.o: ' $folder/build.ninja 2>/dev/null) || continue
    say "compiled $(find $folder -name '*.o' | wc -l) of $files files"
  done
}

choose_lock requirements.lock requirements/
environment=$(digest "$LOCK")
messages=$(digest "$LOCK" setup.py pyproject.toml CMakeLists.txt package.xml \
  msg/* srv/* action/*; pwd)
libraries=$(digest config/system_libraries.txt)

if done_before libraries "$libraries" && done_before environment "$environment" &&
    done_before messages "$messages"; then
  exit 0
fi

done_before libraries "$libraries" || install_libraries
choose_python
find_uv "$PYTHON_312"

if ! done_before environment "$environment"; then
  # Always from nothing: the ROS wheels carry metadata of the packages inside them, which a sync of
  # an existing environment would take for packages that are not wanted, and remove with their files.
  "$UV" venv --quiet --clear --python "$PYTHON_312" .venv
  say "installing Python packages (docs/dependencies.md has the sizes)"
  # The files of one environment are shared with uv's cache where the disk allows it. Bytecode is
  # made now: where PYTHONDONTWRITEBYTECODE is set, as in many containers, or .venv is read-only,
  # every program would compile lerobot and torch again and start half as fast.
  UV_COMPILE_BYTECODE=${UV_COMPILE_BYTECODE:-1} \
    "$UV" pip sync --python .venv/bin/python --require-hashes "$LOCK"
  rm -f "$STAMPS/messages"
  mark_done environment "$environment"
fi

if ! done_before messages "$messages"; then
  say "building the ROS messages (one to three minutes)"
  say_progress &
  progress=$!
  trap 'kill $progress 2>/dev/null || true' EXIT
  # In the foreground: what a script starts in the background does not hear Ctrl-C.
  PATH="$PWD/.venv/bin:$PATH" "$UV" pip install --quiet --python .venv/bin/python \
    --no-deps --no-build-isolation --editable .
  mark_done messages "$messages"
fi
[ -n "$(missing_packages)" ] || mark_done libraries "$libraries"
say "ready: .venv/bin/vla-sae doctor tells what this machine can do"
