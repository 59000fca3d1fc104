#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Make offsets/ again from every build of CPython that can be had on x86-64.
#
#   tools/update-offsets.sh CACHE-DIRECTORY [[VERSION=]FILE...]
#
# Sources, each of them left out with a warning when it cannot be had:
#   - FILEs: interpreters or libraries with DWARF. VERSION may be left out from 3.11 on.
#   - every version installed by pyenv, when its library has DWARF
#   - Debian's python*-dbg packages: DWARF of release builds, and --with-pydebug builds
#   - installed headers: pyenv's, Debian's and those in the Maven packages org.bytedeco:cpython (other patch
#     releases). They are compiled by tools/layout_probe.c for the kinds of builds that no binary is at hand of; the
#     probe of a release build is compared with the real one's DWARF by gen_offsets, which would put a difference into
#     another table.
# Needs gcc, libdw, apt (for Debian's), unzip and mvn (for Maven's). Downloads are kept in CACHE-DIRECTORY, about 1 GB.
set -eu

[ $# -ge 1 ] || { echo "usage: $0 CACHE-DIRECTORY [[VERSION=]FILE...]" >&2; exit 64; }
repository=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
cache=$(cd "$1" && pwd)
shift
manifest=$cache/manifest
: > "$manifest"

warn() { echo "update-offsets: $*" >&2; }

has_dwarf() { readelf -SW "$1" 2> /dev/null | grep -q '\.debug_info'; }

# Releases that changed a layout, where the release before or the release itself is none of the sources:
#   3.7.4   _PyRuntimeState: the ids of interpreters moved to it
#   3.13.1  lockobject: a PyMutex instead of a pointer to a semaphore (gh-117721)
#   3.14.5  _gc_runtime_state, and what follows it in PyInterpreterState: the incremental collector was taken back
for version in 3.7.4 3.13.1 3.14.5; do echo "boundary $version" >> "$manifest"; done

generator() {
  # shellcheck disable=SC2046
  ${CC:-cc} -std=gnu11 -O2 -I"$repository" -I"$repository/src" -I"$repository/include" -o "$cache/gen_offsets" \
    "$repository/tools/gen_offsets.c" "$repository/src/python/layout/dwarf.c" \
    "$repository/src/python/layout/version_layout.c" $(pkg-config --cflags --libs libdw libelf)
}

given() {
  for file; do
    version=auto
    case $file in *=*) version=${file%%=*} file=${file#*=} ;; esac
    echo "$version auto $file CPython, $(basename "$file")" >> "$manifest"
  done
}

# probe INCLUDE-DIRECTORY WHERE [GCC-OPTION...]: one table per kind of build that these headers can tell.
probe() {
  include=$1 where=$2
  shift 2
  version=$(sed -n 's/^#define[[:space:]]*PY_VERSION[[:space:]]*"\([^"+]*\)+*".*/\1/p' "$include/patchlevel.h")
  minor=$(echo "$version" | cut -d. -f2)
  set -- -I"$include" -I"$include/internal" "$@"
  [ ! -d "$include/internal/mimalloc" ] || set -- "$@" -I"$include/internal/mimalloc"
  probe_kind release "" "$@"
  probe_kind debug "-DPy_DEBUG=1" "$@"
  [ "$minor" -ge 13 ] || return 0
  probe_kind free_threaded "-DPy_GIL_DISABLED=1" "$@"
  probe_kind free_threaded_debug "-DPy_GIL_DISABLED=1 -DPy_DEBUG=1" "$@"
}

probe_kind() {
  kind=$1 definitions=$2
  shift 2
  object=$cache/probes/$version-$where-$kind.so
  mkdir -p "$cache/probes"
  # shellcheck disable=SC2086
  if gcc -std=gnu11 -w -g -shared -fPIC -fno-eliminate-unused-debug-types $definitions "$@" \
    "$repository/tools/layout_probe.c" -o "$object" 2> "$object.log"; then
    echo "$version $kind $object headers of CPython $version ($where)${definitions:+ with $definitions}" >> "$manifest"
  else
    warn "the headers of $version ($where) do not compile as $kind, see $object.log"
  fi
}

pyenv_versions() {
  root=$(pyenv root 2> /dev/null) || { warn "no pyenv"; return 0; }
  for directory in "$root"/versions/*.*; do
    version=$(basename "$directory")
    for library in "$directory"/lib/libpython[23].[0-9]*.so.1.0; do
      has_dwarf "$library" || continue
      echo "$version auto $library CPython $version built by pyenv, $(basename "$library")" >> "$manifest"
    done
    for include in "$directory"/include/python3.*; do
      [ ! -f "$include/Python.h" ] || probe "$include" pyenv
    done
  done
}

# A private apt, so that suites can be read that the machine does not use. The mirror is the machine's own.
private_apt() {
  command=$1
  shift
  "$command" -q -o "Dir::Etc=$cache/apt/etc" -o "Dir::State=$cache/apt/state" -o "Dir::Cache=$cache/apt/cache" \
    -o "Dir::State::status=$cache/apt/state/status" -o APT::Architecture=amd64 -o APT::Sandbox::User= "$@"
}

private_apt_update() {
  mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' 2> /dev/null |
    sed -n 's/^Debian Debian //p' | head -n 1)
  [ -n "$mirror" ] || { warn "no Debian mirror in the configuration of apt"; return 1; }
  mkdir -p "$cache/apt/etc/apt.conf.d" "$cache/apt/etc/preferences.d" "$cache/apt/state/lists/partial" \
    "$cache/apt/cache/archives/partial" "$cache/packages"
  : > "$cache/apt/state/status"
  for suite in bullseye bookworm trixie forky sid; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
  done > "$cache/apt/etc/sources.list"
  private_apt apt-get update > "$cache/apt/update.log" 2>&1
}

# package NAME SUITE: unpack a package below the cache, and print where.
package() {
  version=$(private_apt apt-cache madison "$1" | awk -v suite="$2/" '$6 ~ "^" suite { print $3; exit }')
  [ -n "$version" ] || { warn "$2 has no $1"; return 1; }
  unpacked=$cache/packages/$1_$version
  if [ ! -d "$unpacked" ]; then
    (cd "$cache/packages" && private_apt apt-get download "$1=$version") > "$cache/apt/download.log" 2>&1
    dpkg-deb -x "$cache/packages/$1_$(echo "$version" | sed 's/:/%3a/')"_*.deb "$unpacked.new"
    mv "$unpacked.new" "$unpacked"
    rm -f "$cache/packages/$1_"*.deb
  fi
  echo "$unpacked"
}

debian_dwarf() {
  unpacked=$(package "$1" "$2") || return 0
  name=$(basename "$unpacked")
  version=$(echo "$name" | sed 's/^[^_]*_//; s/[-+~].*//')
  find "$unpacked/usr/bin" "$unpacked/usr/lib/debug" -type f -size +1000k | sort | while read -r file; do
    has_dwarf "$file" || continue
    echo "$version auto $file CPython $version, Debian $(echo "$name" | tr _ ' '), $(basename "$file")" >> "$manifest"
  done
}

debian_headers() {
  unpacked=$(package "$1" "$2") || return 0
  for include in "$unpacked"/usr/include/python3.*; do probe "$include" Debian -I"$unpacked/usr/include"; done
}

debian() {
  private_apt_update || { warn "Debian's packages are left out"; return 0; }
  debian_dwarf python2.7-dbg bullseye
  debian_dwarf python3.9-dbg bullseye
  debian_dwarf python3.11-dbg bookworm
  debian_dwarf python3.13-dbg trixie
  for suite in forky sid; do
    for minor in 13 14 15; do
      debian_dwarf "python3.$minor-dbg" "$suite"
      debian_headers "libpython3.$minor-dev" "$suite"
    done
  done
}

# Headers of patch releases that nothing else has.
maven_headers() {
  command -v mvn > /dev/null && command -v unzip > /dev/null || { warn "no mvn or no unzip"; return 0; }
  for version in 3.7.3-1.5.1 3.7.5-1.5.2 3.7.7-1.5.3 3.7.9-1.5.4 3.9.6-1.5.6 3.10.2-1.5.7 3.10.8-1.5.8 3.11.3-1.5.9 \
    3.13.5-1.5.12 3.14.3-1.5.13; do
    unpacked=$cache/maven/$version
    if [ ! -d "$unpacked" ]; then
      mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.0:copy -Dmdep.stripVersion=false \
        -Dartifact=org.bytedeco:cpython:$version:jar:linux-x86_64 -DoutputDirectory="$cache/maven/jars" \
        > "$cache/maven.log" 2>&1 || { warn "no org.bytedeco:cpython:$version"; continue; }
      unzip -q -o "$cache/maven/jars/cpython-$version-linux-x86_64.jar" '*/include/*' -d "$unpacked"
      rm -f "$cache/maven/jars/cpython-$version-linux-x86_64.jar"
    fi
    for include in "$unpacked"/org/bytedeco/cpython/linux-x86_64/include/python3.*; do probe "$include" Maven; done
  done
}

generator
given "$@"
pyenv_versions
debian
maven_headers
new=$cache/offsets
rm -rf "$new"
mkdir -p "$new"
"$cache/gen_offsets" "$new" < "$manifest"
rm -f "$repository"/offsets/*.c
cp "$new"/*.c "$repository/offsets/"
