# SPDX-License-Identifier: Apache-2.0
"""A thread state is shown with the thread whose stack it runs on, whoever made it; and so is who holds the GIL."""

import contextlib
import os
import pathlib
import select
import subprocess
import time

import pytest

from lib import hanging, interpreters, report, scenarios

HERE = pathlib.Path(__file__).resolve().parent / "runtimes"
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
SCENES = ("spins", "sleeps", "ended", "own", "swaps")


def await_places(pid, lines):
    """From the last line that is written to where each thread stays."""
    computing = {int(line[1]) for line in lines if line[0] == "GIL"}
    for tid in computing:
        hanging.await_computing(pid, tid)
    others = {int(line[0]) for line in lines if line[0] != "GIL"} - computing
    hanging.await_calls(pid, {tid: hanging.SLEEPS for tid in others})


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


def shown_in(result):
    """[(tid, (name, functions))] of the threads that are shown."""
    own = ("enter", "inside", "deeper", "rest", "work")
    return [(thread["tid"], (thread["name"], ",".join(
        frame["function"] for frame in reversed(thread["frames"])
        if frame["kind"] == "python" and frame["function"] in own))) for thread in result["threads"]]


def false_in(shown, truth):
    """What is shown of a thread that is not true of it; less than all is no lie."""
    return [(tid, name, functions) for tid, (name, functions) in shown
            if tid is not None and (name not in (None, truth[tid][0]) or functions not in truth[tid][1])]


@pytest.mark.parametrize("interpreter", _chosen(), ids=lambda interpreter: interpreter.name)
@pytest.mark.parametrize("what, merged", [(what, True) for what in SCENES] + [("spins", False)])
def test_a_thread_state_is_with_the_thread_that_runs_it(interpreter, what, merged):
    with running(interpreter, what) as (pid, lines):
        truth = {int(tid): (name, rest[0]) for tid, name, *rest in lines if tid != "GIL"}
        for _ in range(5):
            status, result, said = report.run_command("attach", pid, merged=merged)
            shown = shown_in(result)
            assert false_in(shown, truth) == []
            # A thread that lacks a processor is not waited for, and then less may be known.
            if status == 0 and len(shown) == len(truth) and dict(shown) == truth:
                break
    assert status == 0, (said, report.incomplete(result))
    holders = [int(line[1]) for line in lines if line[0] == "GIL"]
    assert dict(shown) == truth
    assert all(frame["kind"] != "gap" for thread in result["threads"] for frame in thread["frames"])
    assert [thread["tid"] for thread in result["threads"] if thread["gil"] == "holds"] == holders
    assert {entry["gil_holder"] for entry in result["interpreters"]} >= {
        index for index, thread in enumerate(result["threads"]) if thread["tid"] in holders}
