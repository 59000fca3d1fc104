# SPDX-License-Identifier: Apache-2.0
"""Code that LLVM made in the process (numba) is unwound and named like any other, as gdb does."""

import re
import subprocess

import pytest

import peers
from lib import interpreters, packages, report, scenarios

PROGRAM = """
import numba, numpy
@numba.njit
def inner(a, n):
    total = 0.0
    for i in range(n):
        total += a[i] * a[i + 1]
    return total
@numba.njit
def kernel(a, n):
    total = 0.0
    for i in range(10, n, n // 3):
        total += inner(a, i)
    return total
def run(a):
    return KERNEL(a, 4000000000)
run(numpy.ones(100))
"""


def interpreter():
    """numba's wheels are for some versions only."""
    return next((item for item in interpreters.find()
                 if item.kind == "release" and not item.root and item.minor in ("3.11", "3.12")), None)


# LLVM makes no unwinding information for a leaf function that cannot throw.
@pytest.mark.parametrize("kernel", ["kernel", "inner"])
def test_code_that_llvm_announced_is_unwound_and_named_as_gdb_does(kernel, kernel_leaves_cores, tmp_path):
    runner = interpreter()
    if not runner:
        pytest.skip("skipped: no interpreter for which numba has wheels was found")
    environment = packages.environment(runner, "numba==0.68.1", "numpy==2.4.6")
    (tmp_path / "program.py").write_text(PROGRAM.replace("KERNEL", kernel), encoding="utf-8")
    subprocess.run(runner.command("program.py"), cwd=tmp_path, env=environment, capture_output=True, timeout=120,
                   preexec_fn=scenarios._allow_cores)
    core, = tmp_path.glob("core*")
    status, answer, _ = report.run(core, "--native-all", merged=True)
    assert status == 0, answer["diagnostics"]
    thread = next(thread for thread in answer["threads"] if thread["crashed"])
    names = [frame["function"] for frame in thread["frames"]]
    # Its functions and the wrapper that Python calls, innermost first, then numba's own C++.
    made = [re.sub(r"\[.*", "", name) for name in names[:2]]
    assert made == [f"__main__::{kernel}", f"cpython::__main__::{kernel}"]
    assert "Dispatcher_call" in names and "run" in names
    pcs = []
    for frame in thread["frames"]:
        if frame["kind"] == "native" and not frame["inlined"]:
            pcs.append(int(frame["pc"], 16))
    gdb = peers.gdb(core, runner.executable)
    if gdb:
        assert pcs == gdb[thread["tid"]]
    core.unlink()
