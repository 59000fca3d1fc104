# SPDX-License-Identifier: Apache-2.0
"""A thread state is shown with the thread whose stack it runs on, whoever made it; and so is who holds the GIL."""

import contextlib
import os
import pathlib
import select
import subprocess
import time

import pytest

from support import hanging, interpreters, report, scenarios

HERE = pathlib.Path(__file__).resolve().parent
EVERY = os.environ.get("EXUVIA_EVERY_INTERPRETER") == "1"
# Frame objects, CFrames on the C stack, shims there that belong to a thread state of the maker, and of its own.
CHOSEN = ("3.8", "3.9", "3.11", "3.12", "3.13")


def _chosen():
    found = {}
    for interpreter in interpreters.find():
        if interpreter.version >= (3, 8) and interpreter.kind in ("release", "debug", "jit") and not (
                interpreter.root and interpreter.version[:2] == (3, 9)):
            found.setdefault(interpreter.name if EVERY else interpreter.minor, interpreter)
    return [interpreter for minor, interpreter in found.items() if EVERY or minor in CHOSEN]


LINES = 3
# time.sleep() up to 3.10, and since.
SLEEPS = ("select", "pselect6", "clock_nanosleep")
SCENES = ("spins", "sleeps", "ended", "own", "swaps")


def await_places(pid, lines):
    """From the last line that is written to where each thread stays."""
    computing = {int(line[1]) for line in lines if line[0] == "GIL"}
    for tid in computing:
        hanging.await_computing(pid, tid)
    deadline = time.monotonic() + 20
    for tid in {int(line[0]) for line in lines if line[0] != "GIL"} - computing:
        while hanging.system_call(pid, tid) not in SLEEPS:
            assert time.monotonic() < deadline, f"thread {tid} does not come to rest"
            time.sleep(0.01)


@contextlib.contextmanager
def running(interpreter, what):
    with scenarios.workspace(interpreter) as (outside, inside):
        (outside / "foreign.py").write_text((HERE / "foreign.py").read_text())
        environment = dict(interpreter.environment, PATH="/usr/bin:/bin", LC_ALL="C.UTF-8")
        command = interpreter.command(inside + "/foreign.py", what)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment)
        try:
            said, deadline = b"", time.monotonic() + 20
            while said.count(b"\n") < LINES:
                assert select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))[0], said
                some = os.read(process.stdout.fileno(), 4096)
                assert some, f"it ended after {said}"
                said += some
            lines = [line.split() for line in said.decode().splitlines()]
            await_places(process.pid, lines)
            yield process.pid, lines
        finally:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("interpreter", _chosen(), ids=lambda interpreter: interpreter.name)
@pytest.mark.parametrize("what, merged", [(what, True) for what in SCENES] + [("spins", False)])
def test_a_thread_state_is_with_the_thread_that_runs_it(interpreter, what, merged):
    with running(interpreter, what) as (pid, lines):
        status, result, said = report.run_command("attach", pid, merged=merged)
    assert status == 0, (said, report.incomplete(result))
    truth = {int(tid): (name, rest) for tid, name, *rest in lines if tid != "GIL"}
    holders = [int(line[1]) for line in lines if line[0] == "GIL"]
    shown = {}
    for thread in result["threads"]:
        own = [frame for frame in reversed(thread["frames"])
               if frame["kind"] == "python" and frame["function"] in ("enter", "inside", "deeper", "rest", "work")]
        shown[thread["tid"]] = (thread["name"], [",".join(frame["function"] for frame in own)])
        assert all(frame["kind"] != "gap" for frame in thread["frames"])
    assert shown == truth
    assert [thread["tid"] for thread in result["threads"] if thread["gil"] == "holds"] == holders
    assert {entry["gil_holder"] for entry in result["interpreters"]} >= {
        index for index, thread in enumerate(result["threads"]) if thread["tid"] in holders}
