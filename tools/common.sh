# Sourced by setup.sh and ros.sh: finding a Python and uv, stamps of what is done, messages.
# shellcheck shell=bash

UV_VERSION=0.13.9

say() { printf '%s: %s\n' "$WHO" "$*" >&2; }
die() { printf "$WHO: %s\n" "$@" >&2; exit 1; }

is_python_312() {
  "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null
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

digest() { cat "$@" | sha256sum | cut -d' ' -f1; }
done_before() { [ "$(cat "$STAMPS/$1" 2>/dev/null)" = "$2" ]; }
mark_done() { mkdir -p "$STAMPS" && printf '%s\n' "$2" >"$STAMPS/$1"; }

# Sets LOCK for the installation set SET ("all" without one), whose locks are named PREFIX<set>.lock.
choose_lock() {
  local all=$1 prefix=$2
  if [ "${SET:-all}" = all ]; then LOCK=$all; return; fi
  LOCK=$prefix$SET.lock
  [ -f "$LOCK" ] || die "there is no set '$SET'. Sets: all $(cd requirements &&
    printf '%s\n' "${prefix#requirements/}"*.lock | sed "s,^${prefix#requirements/},,; s/\.lock$//" |
    tr '\n' ' ')"
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
