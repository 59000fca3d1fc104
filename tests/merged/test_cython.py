# SPDX-License-Identifier: Apache-2.0
"""Frames of a real Cython module show its .pyx file and line, which the compiler took into the debug information."""

import os
import shutil
import subprocess

import pytest

import running
from support import interpreters, packages, report
from test_merged import builds, explain  # noqa: F401

CYTHON = "cython==3.0.11"
SOURCE = running.HERE / "landmarks" / "exvcython.pyx"


def interpreter_with_pip():
    """A release build with pip and headers, or None. Cython's wheels are for some versions only, else it is slow."""
    for item in interpreters.find():
        if item.kind != "release" or item.root or item.minor not in ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13"):
            continue
        about = "import pip, sysconfig; print(sysconfig.get_path('include'))"
        answer = subprocess.run(item.command("-c", about), capture_output=True, text=True)
        if answer.returncode == 0 and os.path.exists(os.path.join(answer.stdout.strip(), "Python.h")):
            return item, answer.stdout.strip()
    return None


def compile_module(interpreter, include, folder, target):
    """The module, from a copy of its source in the folder `target`."""
    shutil.copy(SOURCE, target)
    # Only what Cython itself needs is added to the path: the folder comes last.
    translate = f"import sys; sys.path.append({str(folder)!r})\n" \
                "from Cython.Compiler.Main import main; main(command_line=1)"
    module = target / ("exvcython" + suffix_of(interpreter))
    for command in (interpreter.command("-c", translate, "-3", "--line-directives", SOURCE.name),
                    [os.environ.get("CC", "gcc"), "-g", "-O1", "-shared", "-fPIC", "-I", include, "-o", str(module),
                     "exvcython.c"]):
        result = subprocess.run(command, cwd=target, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stderr
    return module


def suffix_of(interpreter):
    code = "import sysconfig; print(sysconfig.get_config_var('EXT_SUFFIX'))"
    return subprocess.run(interpreter.command("-c", code), capture_output=True, text=True, check=True).stdout.strip()


def line_of(comment):
    lines = SOURCE.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.endswith("  # " + comment))


def test_frames_of_cython_show_the_lines_of_its_source(kernel_leaves_cores, tmp_path):
    found = interpreter_with_pip()
    if not found:
        pytest.skip("skipped: no interpreter with pip and headers was found")
    interpreter, include = found
    folder, reason = packages.find(interpreter, CYTHON)
    if not folder:
        pytest.skip(f"skipped: Cython could not be had: {reason}")
    module = compile_module(interpreter, include, folder, tmp_path)
    scenario = running.Scenario("cython_calls", None, "compiled", (module,))
    with running.death(interpreter, scenario, "-O1") as death:
        status, answer = explain(death, interpreter)
    assert status == 0, answer["diagnostics"]
    assert not report.compare_threads(death.truth, answer)
    thread = next(thread for thread in answer["threads"] if thread["crashed"])
    shown = []
    for frame in reversed(thread["frames"]):
        if frame["kind"] == "python" and frame["function"].startswith("py_"):
            shown.append(frame["function"])
        elif frame["kind"] == "native" and os.path.basename(frame["file"] or "") == SOURCE.name:
            shown.append(frame["line"])
    # Cython makes a wrapper for what Python can call, which is where its definition is.
    lines = [line_of(comment) for comment in ("generator", "wrapper", "in", "again", "again", "out")]
    assert shown == ["py_outer", *lines, "py_last"]
