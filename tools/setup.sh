#!/usr/bin/env bash
# Makes .venv: Python 3.12, everything in requirements.lock, the ROS messages, and the libraries of
# the operating system where that is allowed. `make setup` calls it; steps that are done are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

# A sourced ROS install has its own Python packages; .venv must not see them.
unset PYTHONPATH PYTHONHOME AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE

UV_VERSION=0.13.9
STAMPS=.venv/.setup

say() { printf 'setup: %s\n' "$*" >&2; }
die() { printf 'setup: %s\n' "$@" >&2; exit 1; }

is_python_312() {
  "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null
}

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

uv_works() { "$1" --version >/dev/null 2>&1; }

# Sets UV: the user's own, or a pinned one in build/uv.
find_uv() {
  local candidate
  for candidate in uv "$HOME/.local/bin/uv" build/uv/bin/uv; do
    candidate=$(command -v "$candidate" 2>/dev/null) || continue
    if uv_works "$candidate"; then UV=$candidate; return; fi
  done
  local base=${1:-}
  [ -n "$base" ] || base=$(command -v python3) ||
    die "there is no Python at all. Install Python 3.12: apt-get install python3.12 python3.12-venv"
  say "installing uv $UV_VERSION"
  "$base" -m venv build/uv ||
    die "Python's venv module is missing. Install it: apt-get install python3-venv" \
        "or install uv yourself, then run make again."
  build/uv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
  UV=build/uv/bin/uv
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

missing_packages() {
  local loaded library package
  loaded=$(/sbin/ldconfig -p 2>/dev/null || true)
  while read -r library package _; do
    case $library in ''|'#'*) continue ;; esac
    grep -qF "$library " <<<"$loaded" || printf '%s ' "$package"
  done <config/system_libraries.txt
  command -v c++ >/dev/null || printf 'g++ '
}

install_libraries() {
  local missing sudo=""
  missing=$(missing_packages)
  [ -n "$missing" ] || return 0
  local command="apt-get install -y --no-install-recommends libgl1-mesa-dri $missing"
  if [ "$(id -u)" != 0 ]; then
    if sudo -n true 2>/dev/null; then sudo="sudo -n"; fi
  fi
  if { [ "$(id -u)" = 0 ] || [ -n "$sudo" ]; } && command -v apt-get >/dev/null; then
    say "installing $missing"
    # shellcheck disable=SC2086
    if $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo $command >/dev/null; then
      return 0
    fi
  fi
  missing=$(missing_packages)
  [ -n "$missing" ] || return 0
  say "these packages of the operating system are missing: $missing" \
      "Install them: sudo $command"
  case $missing in *g++*) die "the messages cannot be built without a C++ compiler." ;; esac
}

digest() { cat "$@" | sha256sum | cut -d' ' -f1; }
done_before() { [ "$(cat "$STAMPS/$1" 2>/dev/null)" = "$2" ]; }
mark_done() { mkdir -p "$STAMPS" && printf '%s\n' "$2" >"$STAMPS/$1"; }

environment=$(digest requirements.lock)
messages=$(digest requirements.lock setup.py pyproject.toml CMakeLists.txt package.xml \
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
  say "installing Python packages (7.7 GB)"
  # The files of one environment are shared with uv's cache where the disk allows it.
  "$UV" pip sync --python .venv/bin/python --require-hashes requirements.lock
  rm -f "$STAMPS/messages"
  mark_done environment "$environment"
fi

if ! done_before messages "$messages"; then
  say "building the ROS messages (one to three minutes)"
  PATH="$PWD/.venv/bin:$PATH" "$UV" pip install --quiet --python .venv/bin/python \
    --no-deps --no-build-isolation --editable .
  mark_done messages "$messages"
fi
[ -n "$(missing_packages)" ] || mark_done libraries "$libraries"
say "ready: .venv/bin/vla-sae doctor tells what this machine can do"
