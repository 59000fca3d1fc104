#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Install what a task needs and this machine does not have: setup.sh [--look] build|check|lint|bench
#
# --look installs nothing: where something is missing it says what in one line, and that `make setup` installs it.
# Looks for the things themselves, not for packages: whoever has cmake from elsewhere needs no package. With nothing
# missing it changes nothing and asks no network. On Debian and Ubuntu it installs, elsewhere it says what to install.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build

at_least() { # at_least WANTED FOUND
  [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}
have() { command -v "$1" >/dev/null 2>&1; }
have_cmake() { have cmake && at_least 3.25 "$(cmake --version | sed -n '1s/[^0-9]*//p')"; }
have_library() { have pkg-config && pkg-config --exists "$1"; }
have_elfutils() { have pkg-config && pkg-config --exists "$1 >= 0.188"; }
have_libiberty() {
  printf '#include <libiberty/demangle.h>\nint main(void) { return !cplus_demangle_v3("_Z1fv", 0); }\n' |
    cc -x c -o /dev/null - -liberty >/dev/null 2>&1
}
have_debuginfod_client() { python3 -c 'import ctypes; ctypes.CDLL("libdebuginfod.so.1")' >/dev/null 2>&1; }
have_headers() { printf '#include <stdio.h>\n' | cc -E - >/dev/null 2>&1; }
# The system's interpreter comes into question too: python3 may be another one, without these modules.
have_modules() { tools/pytest.sh --find >/dev/null 2>&1; }
have_venv() { python3 -c 'import ensurepip, venv' >/dev/null 2>&1; }

# What it is | how to see that it is there | its package on Debian and Ubuntu | Fedora | Arch
build_needs='
a C compiler|have cc|gcc|gcc|gcc
the C library headers|have_headers|libc6-dev|glibc-devel|glibc
make|have make|make|make|make
cmake >= 3.25|have_cmake|cmake|cmake|cmake
pkg-config|have pkg-config|pkg-config|pkgconf-pkg-config|pkgconf
libdw (elfutils >= 0.188)|have_elfutils libdw|libdw-dev|elfutils-devel|libelf
libelf (elfutils >= 0.188)|have_elfutils libelf|libelf-dev|elfutils-libelf-devel|libelf
liblzma|have_library liblzma|liblzma-dev|xz-devel|xz
libiberty|have_libiberty|libiberty-dev|binutils-devel|binutils
cmocka|have_library cmocka|libcmocka-dev|libcmocka-devel|cmocka
python3|have python3|python3|python3|python'
check_needs='
a C++ compiler|have g++|g++|gcc-c++|gcc
valgrind|have valgrind|valgrind|valgrind|valgrind
pytest, jsonschema, xdist|have_modules|python3-pytest python3-jsonschema python3-pytest-xdist|python3-pytest python3-jsonschema python3-pytest-xdist|python-pytest python-jsonschema python-pytest-xdist
debuginfod|have debuginfod|debuginfod|elfutils-debuginfod|debuginfod
libdebuginfod|have_debuginfod_client|libdebuginfod1|elfutils-debuginfod-client|libelf
strace|have strace|strace|strace|strace
gdb (for gcore)|have gcore|gdb|gdb|gdb
objcopy|have objcopy|binutils|binutils|binutils'
lint_needs='
clang|have clang|clang|clang|clang
clang-format|have clang-format|clang-format|clang-tools-extra|clang
clang-tidy|have clang-tidy|clang-tidy|clang-tools-extra|clang'
bench_needs='
gdb|have gdb|gdb|gdb|gdb
eu-stack|have eu-stack|elfutils|elfutils|elfutils
venv|have_venv|python3-venv|python3|python'

look_only=
if [ "${1:-}" = --look ]; then
  look_only=yes
  shift
fi
case "${1:-}" in
  build) needs=$build_needs ;;
  check) needs=$build_needs$check_needs ;;
  lint) needs=$build_needs$lint_needs ;;
  bench) needs=$build_needs$bench_needs ;;
  *)
    echo "usage: tools/setup.sh [--look] build|check|lint|bench" >&2
    exit 64
    ;;
esac

# Sets missing (descriptions) and packages (one word each) for the column of packages given: 0 Debian, 1 Fedora, 2 Arch.
look() {
  missing='' packages=''
  local what test debian fedora arch names
  while IFS='|' read -r what test debian fedora arch; do
    [ -n "$what" ] || continue
    $test && continue
    names=("$debian" "$fedora" "$arch")
    missing="$missing${missing:+, }$what"
    packages="$packages ${names[$1]}"
  done <<<"$needs"
}

give_up() {
  echo "exuvia: missing: $missing" >&2
  printf '%s\n' "$@" >&2
  exit 1
}

look 0
[ -n "$missing" ] || exit 0
if [ -n "$look_only" ]; then
  echo "exuvia: missing: $missing; \`make setup\` installs it" >&2
  exit 1
fi
if ! have apt-get; then
  debian=$packages
  if have dnf; then look 1 && give_up "Install it with: dnf install$packages"; fi
  if have pacman; then look 2 && give_up "Install it with: pacman -S$packages"; fi
  give_up "On Debian and Ubuntu these are the packages:$debian"
fi

root=()
if [ "$(id -u)" -ne 0 ]; then
  have sudo || give_up "Install it as root with: apt-get install$packages"
  root=(sudo)
fi
echo "exuvia: installing$packages"
log=build/setup.log
if ! { "${root[@]}" apt-get update &&
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  give_up "apt-get failed ($log). By hand: apt-get install$packages"
fi
look 0
[ -z "$missing" ] || give_up "The packages$packages are installed, but too old or incomplete on this system."
