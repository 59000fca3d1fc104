#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Fetch the interpreters that the tests want and this machine does not have: Debian's own stripped and debug builds,
# each release in a folder of its own that the tests enter with chroot, and a free-threaded 3.13 built from Debian's
# source.
#
#     tests/lib/setup-interpreters.sh [NAME...]        NAMEs: bullseye trixie sid 3.13t; none: all of them
#
# Idempotent: what is complete is left alone. Everything goes to
# "${EXUVIA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/exuvia}"
# The exit status is 0 also when something could not be had: the tests then run without it and name it as missing.

set -u -o pipefail
# Programs of other users run in the roots.
umask 022

cache=${EXUVIA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/exuvia}
roots=$cache/roots
builds=$cache/interpreters
logs=$cache/logs
arch=$(dpkg --print-architecture 2>/dev/null || echo unknown)

# Raised when the contents below change, so that older caches are made again.
generation=1

declare -A root_packages=(
  [bullseye]=python2.7,python3.9,python3.9-dbg,python3-distutils
  [trixie]=python3.13
  [sid]=python3.13,python3.14,python3.14-dbg,python3.15
)
names=(3.13t bullseye trixie sid)

say() { printf 'interpreters: %s\n' "$*" >&2; }
skip() { printf 'interpreters: SKIPPED %s: %s\n' "$1" "$2" >&2; }

# A command with the rights of root, or status 1 when they are not to be had without a question.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    sudo -n "$@"
  fi
}
can_be_root() { as_root true 2>/dev/null; }

have() { command -v "$1" >/dev/null 2>&1; }

not_installed() { # PACKAGE...
  local package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$package"
  done
}

# Install what the work below needs: once and before it, because two apt-get at a time lock each other out.
install_needed() {
  local needed=() packages=() name
  for name in "${names[@]}"; do
    if [ "$name" = 3.13t ]; then
      [ -e "$builds/3.13t/.exuvia-complete-$generation" ] || needed+=(build-essential zlib1g-dev libffi-dev)
    else
      [ -e "$(root_marker "$name")" ] || needed+=(mmdebstrap)
    fi
  done
  [ ${#needed[@]} -gt 0 ] || return 0
  read -ra packages <<<"$(not_installed "${needed[@]}")"
  [ ${#packages[@]} -gt 0 ] || return 0
  say "installing ${packages[*]}"
  as_root apt-get update -qq >>"$logs/install.log" 2>&1
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" \
    >>"$logs/install.log" 2>&1 || say "could not install ${packages[*]}; see $logs/install.log"
}

# Where this machine gets Debian itself from. apt answers for every format of its sources; nothing is downloaded.
debian_mirror() {
  local codename
  codename=$(. /etc/os-release 2>/dev/null && [ "${ID:-}" = debian ] && echo "${VERSION_CODENAME:-}")
  [ -n "$codename" ] || return 1
  apt-get update --print-uris 2>/dev/null |
    sed -n "s|^'\(.*[^/]\)/*/dists/$codename/InRelease'.*|\1|p" | grep -v security | head -n 1 | grep .
}

# The part of the machine's apt configuration that says how to reach a mirror. Signature checking is not part of it.
transport_options() {
  apt-config dump 2>/dev/null | grep -iE '^Acquire::(https?::|Check-Valid-Until|Check-Date|Retries|ForceIPv)' |
    grep -viE 'verify|insecure' || true
}

# Run a private apt, which shares nothing with the machine's but its way to the mirror: apt_in DIR COMMAND [ARGUMENT...]
apt_in() {
  local dir=$1
  shift
  (cd "$dir" && APT_CONFIG=$dir/apt.conf "$@")
}
make_private_apt() { # DIR KEYRING SUITE
  local dir=$1 keyring=$2 suite=$3
  mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/parts" || return 1
  : >"$dir/status"
  printf 'deb [signed-by=%s] %s %s main\ndeb-src [signed-by=%s] %s %s main\n' \
    "$keyring" "$mirror" "$suite" "$keyring" "$mirror" "$suite" >"$dir/sources.list"
  {
    transport_options
    cat <<CONF
Dir::State "$dir";
Dir::State::lists "$dir/lists";
Dir::State::status "$dir/status";
Dir::Cache "$dir/cache";
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "$dir/parts";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "$dir/parts";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::Languages "none";
APT::Sandbox::User "root";
Debug::NoLocking "true";
CONF
  } >"$dir/apt.conf"
}

# The keyring of a newer debian-archive-keyring, for a suite whose key is younger than this machine's package. It
# comes from the current stable suite, whose signature this machine's keyring verifies.
newer_keyring() {
  local dir=$cache/keyring
  if [ ! -s "$dir/debian-archive-keyring.gpg" ]; then
    rm -rf "$dir" && make_private_apt "$dir" "$keyring" trixie &&
      apt_in "$dir" apt-get update -qq &&
      apt_in "$dir" apt-get download -qq debian-archive-keyring &&
      dpkg-deb -x "$dir"/debian-archive-keyring_*.deb "$dir/x" || return 1
    local found
    found=$(find "$dir/x/usr/share/keyrings" -name 'debian-archive-keyring.*' | sort | head -n 1)
    [ -n "$found" ] && cp -L "$found" "$dir/debian-archive-keyring.gpg" || return 1
  fi >>"$logs/keyring.log" 2>&1
  echo "$dir/debian-archive-keyring.gpg"
}

bootstrap() { # SUITE TARGET KEYRING
  local options hooks=()
  # Debian 13 and later expect /lib, /lib64, /bin and /sbin to be links into /usr before anything is unpacked.
  local links='for d in bin sbin lib lib64; do mkdir -p "$1/usr/$d"; ln -sfn "usr/$d" "$1/$d"; done'
  [ "$1" = bullseye ] || hooks=(--setup-hook="$links")
  options=$(mktemp) || return 1
  transport_options >"$options"
  # "extract" unpacks and configures nothing: an interpreter needs its files only, and no maintainer script runs.
  as_root nice mmdebstrap --quiet --mode=root --variant=extract --architectures="$arch" --keyring="$3" \
    --include="${root_packages[$1]}" "${hooks[@]}" --aptopt="$options" \
    --aptopt='Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false"' --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$1" "$2" "deb [signed-by=$3] $mirror $1 main"
  local status=$?
  rm -f "$options"
  return $status
}

root_marker() { echo "$roots/$1/.exuvia-complete-$generation"; }

# True when the folder's interpreters start.
root_works() {
  local python
  for python in "$1"/usr/bin/python[23].*[0-9]; do
    as_root chroot "$1" "${python#"$1"}" -c 'import threading, ctypes, json' || return 1
  done
}

make_root() { # SUITE
  local suite=$1 target=$roots/$1 try ring=$keyring
  if [ -e "$(root_marker "$suite")" ]; then
    return 0
  fi
  if ! can_be_root; then
    skip "$suite" "chroot needs root or sudo without a password"
    return 0
  fi
  if [ -z "$mirror" ]; then
    skip "$suite" "no Debian mirror in this machine's apt sources"
    return 0
  fi
  have mmdebstrap || {
    skip "$suite" "mmdebstrap is not installed and could not be (apt-get install mmdebstrap)"
    return 0
  }
  for try in 1 2; do
    as_root rm -rf --one-file-system "$target"
    say "$suite: fetching ${root_packages[$suite]} (try $try)"
    if {
      bootstrap "$suite" "$target" "$ring" && root_works "$target" &&
        as_root mkdir -p "$target/tmp" && as_root chmod 1777 "$target/tmp" &&
        as_root rm -rf "$target/var/cache/apt" "$target/var/lib/apt/lists" && as_root touch "$(root_marker "$suite")"
    } >>"$logs/$suite.log" 2>&1; then
      say "$suite: complete"
      return 0
    fi
    if grep -q NO_PUBKEY "$logs/$suite.log"; then
      ring=$(newer_keyring) || ring=$keyring
    fi
  done
  as_root rm -rf --one-file-system "$target"
  skip "$suite" "not to be had; see $logs/$suite.log: $(tail -n 1 "$logs/$suite.log")"
}

build_free_threaded() { # WORKDIR TARGET
  make_private_apt "$1" "$keyring" trixie && apt_in "$1" apt-get update -qq &&
    apt_in "$1" apt-get source -qq --download-only python3.13 || return 1
  local description
  description=$(find "$1" -maxdepth 1 -name 'python3.13_*.dsc')
  # apt has verified these files against the signed index; the maintainer's own signature adds nothing.
  (cd "$1" && dpkg-source --no-check -x "$description" source) && mkdir "$1/build" && cd "$1/build" || return 1
  # The tests need threads, ctypes and a truthful stack, not speed: no profile-guided optimisation, no test modules.
  "$1/source/configure" --quiet --prefix="$2" --disable-gil --disable-test-modules --without-ensurepip \
    CFLAGS='-O1 -g' || return 1
  # "-x ." compiles no module ahead of time.
  nice make -s -j2 && nice make -s altinstall COMPILEALL_OPTS='-x .' || return 1
  "$2/bin/python3.13t" -c 'import sys, ctypes, threading; assert not sys._is_gil_enabled()'
}

make_free_threaded() {
  local missing target=$builds/3.13t marker=$builds/3.13t/.exuvia-complete-$generation work try
  [ ! -e "$marker" ] || return 0
  if [ -z "$mirror" ]; then
    skip 3.13t "no Debian mirror in this machine's apt sources"
    return 0
  fi
  missing=$(not_installed build-essential zlib1g-dev libffi-dev)
  if [ -n "$missing" ]; then
    skip 3.13t "not installed, and could not be: $missing"
    return 0
  fi
  work=$cache/work-3.13t
  for try in 1 2; do
    rm -rf "$work" "$target"
    mkdir -p "$work"
    say "3.13t: building from Debian's source (try $try, some minutes)"
    if (build_free_threaded "$work" "$target") >>"$logs/3.13t.log" 2>&1; then
      rm -rf "$work"
      touch "$marker" && say "3.13t: complete" && return 0
    fi
  done
  rm -rf "$work" "$target"
  skip 3.13t "not to be had; see $logs/3.13t.log: $(tail -n 1 "$logs/3.13t.log")"
}

make_one() {
  case $1 in
    3.13t) make_free_threaded ;;
    *) make_root "$1" ;;
  esac
}

main() {
  local name running=0
  [ $# -eq 0 ] || names=("$@")
  for name in "${names[@]}"; do
    if [ "$name" != 3.13t ] && [ -z "${root_packages[$name]:-}" ]; then
      say "unknown name: $name"
      return 64
    fi
  done
  if ! have apt-get || ! have dpkg; then
    skip "${names[*]}" "apt is needed (Debian)"
    return 0
  fi
  mkdir -p "$roots" "$builds" "$logs" || return 1
  # One set-up at a time: a second one waits and then finds everything complete.
  exec 9>"$cache/lock" && flock 9 || return 1
  for name in "${names[@]}"; do
    : >"$logs/$name.log"
  done
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  mirror=
  if [ -s "$keyring" ]; then
    mirror=$(debian_mirror) || mirror=
  fi
  install_needed
  # Two at a time: the longest first, the others one after the other beside it.
  for name in "${names[@]}"; do
    [ "$running" -lt 2 ] || { wait -n; running=$((running - 1)); }
    make_one "$name" 9>&- &
    running=$((running + 1))
  done
  wait
  return 0
}

# fixtures/build.sh reads this file for its functions.
if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  main "$@"
fi
