# SPDX-License-Identifier: Apache-2.0
"""A program that uses the library as others do: tests/live/host.c."""

import json
import os
import pathlib
import subprocess

from lib import report

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
EXUVIA = pathlib.Path(report.exuvia()).resolve()
SANITIZED = EXUVIA.exists() and b"__asan_init" in EXUVIA.read_bytes()


def build(target):
    """The path of the program, linked with the shared library."""
    sanitizers = ["-fsanitize=address,undefined"] if SANITIZED else []
    made = subprocess.run([os.environ.get("CC", "gcc"), "-std=gnu11", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", *sanitizers,
                           "-I", ROOT / "include", ROOT / "tests/live/host.c", "-o", target, "-L", EXUVIA.parent, "-lexuvia",
                           f"-Wl,-rpath,{EXUVIA.parent}"], capture_output=True, text=True)
    assert made.returncode == 0 and not made.stderr, made.stderr
    return target


def explain(host, mode, target, number, *awaited):
    """(report, what the program saw beside: {name: number})"""
    answer = subprocess.run([host, mode, str(target), str(number), *awaited], capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    result = json.loads(answer.stdout)
    report.validate(result)
    return result, {name: int(value) for name, value in (line.split() for line in answer.stderr.splitlines())}
