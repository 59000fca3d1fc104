#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Format, one-way includes, clang-tidy: lint.sh [--format]; --format rewrites the files instead of complaining.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=$(nproc 2>/dev/null || echo 2)

sources() { find src include examples tests tools bench \( -name '*.c' -o -name '*.h' \) -print | sort; }

if [ "${1:-}" = --format ]; then
  sources | xargs clang-format -i
  exit 0
fi

echo "== clang-format"
sources | xargs clang-format --dry-run -Werror
echo "== includes"
python3 tests/test_includes.py
echo "== clang-tidy"
# Only the compile commands are needed: nothing is generated that the sources include. The tables in offsets/ have no code.
mkdir -p build
cmake --preset clang >build/lint.log 2>&1 || { cat build/lint.log; exit 1; }
{ find src -name '*.c' -print && echo tools/gen_offsets.c bench/measure.c; } |
  xargs -P "$jobs" -n 4 clang-tidy --quiet -p build/clang --warnings-as-errors='*' 2>build/clang-tidy.log ||
  { grep -v 'warnings generated' build/clang-tidy.log; exit 1; }
echo "== no complaint"
