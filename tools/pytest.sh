#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Run pytest with the first python3 that has what the tests import: pytest.sh [--find | ARGUMENT...]
# --find only prints which one. The first python3 of PATH may be one that a version manager put there, without modules.
set -euo pipefail
for python in python3 /usr/bin/python3 /usr/local/bin/python3; do
  "$python" -c 'import pytest, jsonschema, xdist' >/dev/null 2>&1 || continue
  if [ "${1:-}" = --find ]; then
    command -v "$python"
    exit 0
  fi
  jobs=$(nproc 2>/dev/null || echo 2)
  exec "$python" -m pytest -p no:cacheprovider -n "$((jobs > 8 ? 8 : jobs))" "$@"
done
echo "exuvia: no python3 here can import pytest, jsonschema and xdist (python3-pytest, python3-jsonschema, python3-pytest-xdist)" >&2
exit 1
