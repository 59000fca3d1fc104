# SPDX-License-Identifier: Apache-2.0
"""Code without unwinding information, on a stack that is full of the return addresses of earlier calls: chains of calls
that were possible a moment ago and end in the same caller. None of them is shown; where the code tells where it returns
to, everything is, and else it is a gap."""

import os
import subprocess

import pytest

from lib import interpreters, report, scenarios

SOURCE = os.path.join(os.path.dirname(__file__), "extensions", "kernels.c")
KERNELS = ["kernel_leaf", "kernel_plain", "kernel_aligned", "kernel_jumping"]
PROGRAM = """
import ctypes, sys
library = ctypes.CDLL("./libkernels.so")
def run():
    getattr(library, sys.argv[1])(int(sys.argv[2]))
run()
"""
ALL = bool(os.environ.get("EXUVIA_EVERY_INTERPRETER"))
FOUND = [item for item in interpreters.find() if not item.root and (ALL or item.minor in ("3.8", "3.11"))]
# One for each way of placing Python frames: by pointers, by markers.
FOUND = FOUND if ALL else list({item.minor: item for item in FOUND}.values())


def die(interpreter, tmp_path, function, which):
    flags = ["-O1", "-g", "-fomit-frame-pointer", "-fno-optimize-sibling-calls", "-fno-stack-protector", "-shared", "-fPIC"]
    made = subprocess.run([os.environ.get("CC", "gcc"), *flags, SOURCE, "-o", "libkernels.so", "-lpthread"], cwd=tmp_path,
                          capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    environment = {**os.environ, **dict(interpreter.environment)}
    subprocess.run(interpreter.command("program.py", function, str(which)), cwd=tmp_path, env=environment, timeout=60,
                   preexec_fn=scenarios._allow_cores)
    core, = tmp_path.glob("core*")
    return core


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="skipped: assembly of x86-64")
@pytest.mark.parametrize("function", ["exv_kernel", "exv_kernel_thread"])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("interpreter", FOUND, ids=lambda item: item.name)
def test_only_what_the_code_returns_to_is_shown(interpreter, kernel, function, kernel_leaves_cores, tmp_path):
    core = die(interpreter, tmp_path, function, KERNELS.index(kernel))
    status, answer, _ = report.run(core, "--native-all", merged=True)
    core.unlink()
    thread = next(thread for thread in answer["threads"] if thread["crashed"])
    names = [frame.get("function") for frame in thread["frames"]]
    kinds = [frame["kind"] for frame in thread["frames"]]
    assert names[0] == kernel and not [name for name in names if name and name.startswith("stale_")]
    if kernel == "kernel_jumping":
        # Only for a thread with Python frames is there a place to go on from.
        assert status == 1 and "dispatch" not in names
        return
    assert names[1:3] == ["dispatch", "exv_kernel"] and "gap" not in kinds and thread["native_complete"]
    assert ("run" in names) == (function == "exv_kernel")
    assert status == 0, answer["diagnostics"]
