# SPDX-License-Identifier: Apache-2.0
"""Cores that the kernel did not write when a process died, and cores of processes with much more memory than they use."""

import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from lib import interpreters, report, scenarios

DRIVER = pathlib.Path(report.exuvia()).parent / "tests" / "hostile"
SPARSE = scenarios.Scenario("sparse", None, (0, 0), "")
GIB = 1 << 30


def interpreter_of(minor):
    found = [i for i in interpreters.find() if i.minor == minor and i.kind == "release" and not i.root]
    skipped = pytest.mark.skipif(not found, reason=f"no {minor} release build outside a root was found")
    return pytest.param(found[0] if found else None, id=minor, marks=skipped)


def compare(truth, result, interpreter):
    return report.compare_threads(truth, result) + report.compare_process(truth, result, interpreter)


@pytest.mark.skipif(not shutil.which("gcore"), reason="gcore (package gdb) is not installed")
@pytest.mark.parametrize("interpreter", [interpreter_of(minor) for minor in ("2.7", "3.8", "3.11", "3.13")])
def test_a_core_that_gcore_made_of_a_stopped_process_equals_the_truth(interpreter, tmp_path):
    """The program stops itself instead of dying: the truth stays true while gcore looks at it."""
    program = scenarios.PROGRAMS / "stop.py"
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen([interpreter.path, str(program)], cwd=tmp_path, env=environment)
    try:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), f"the program ended with status {status}"
        made = subprocess.run(["gcore", "-o", str(tmp_path / "core"), str(process.pid)], capture_output=True, timeout=120)
        core = tmp_path / f"core.{process.pid}"
        assert core.exists(), made.stderr.decode(errors="replace")
        status, result, said = report.run(core)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        os.waitpid(process.pid, 0)
        process.returncode = -signal.SIGKILL
    assert status == 0, said
    truth = json.loads((tmp_path / "truth.json").read_bytes())
    for thread in truth["threads"]:
        thread["me"] = False  # nobody crashed
    assert result["crash"] is None
    assert not report.compare_threads(truth, result)


@pytest.mark.parametrize("interpreter", [interpreter_of("3.11")])
def test_a_process_with_50_gigabytes_of_untouched_memory_costs_no_more_than_another(interpreter, kernel_leaves_cores):
    """Its core is as large, but has holes; memory is limited by the driver, which is held to 256 MiB and 10 seconds."""
    with scenarios.death(interpreter, SPARSE) as death:
        size, blocks = death.core.stat().st_size, death.core.stat().st_blocks
        assert size > 50 * GIB, "the kernel left the memory out"
        assert blocks * 512 < GIB // 4, "the file system keeps no holes"
        status, result, said = report.run(death.core)
        # From the core alone the memory is searched, holes are not.
        limited = subprocess.run([DRIVER, "limits", report.exuvia(), "core", "--python-only", "--sysroot", death.directory,
                                  death.core], capture_output=True, timeout=60)
    assert status == 0, said
    assert not compare(death.truth, result, interpreter)
    assert limited.returncode == 0, limited.stderr.decode(errors="replace")
