# SPDX-License-Identifier: Apache-2.0
"""What threads wait for in the C library, which differs by that: glibc 2.31, 2.36, 2.41 and 2.43, and by nothing else.

With EXUVIA_EVERY_INTERPRETER on every interpreter found.
"""

import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from lib import hanging, interpreters, report, waiting

FOUND = interpreters.find()
EVERY = os.environ.get("EXUVIA_EVERY_INTERPRETER")


def one_of_each_c_library():
    last = {entry.root: entry for entry in FOUND if entry.kind == "release"}
    return [*last.values(), *[entry for entry in FOUND if entry.kind == "free-threaded"][:1]]


SOME = [pytest.param(interpreter, id=interpreter.name) for interpreter in (FOUND if EVERY else one_of_each_c_library())]


@pytest.fixture(scope="module", autouse=True)
def built():
    yield
    hanging.remove_library()


def fail(problems):
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


def in_root(interpreter):
    return ["--sysroot", interpreter.root] if interpreter.root else []


@pytest.mark.parametrize("interpreter", SOME)
def test_locks_barriers_and_the_end_of_a_thread_are_told_with_who_holds_them(interpreter, kernel_leaves_cores):
    gil = "without" if interpreter.kind == "free-threaded" else "with"
    with hanging.hang(interpreter, "native_locks", f"{gil} the GIL") as hung:
        if interpreter.version < (3, 7) and interpreter.root:
            hung.waits["waits"] = {tid: wait for tid, wait in hung.waits["waits"].items() if wait["kind"] != "gil"}
            hung.waits["deadlocks"] = []
        before = hanging.footprint(hung.pid)
        live = hanging.attach(hung.pid)
        problems = [f"live: {problem}" for problem in waiting.problems_of(hung, interpreter, live, live=True)]
        problems.append(hanging.same_footprint(hung.pid, before))
        dead = report.run(hung.core(), *in_root(interpreter), merged=True)
        problems += [f"core: {problem}" for problem in waiting.problems_of(hung, interpreter, dead, False)]
        fail([problem for problem in problems if problem])


# What is said of a live process; in a core, whose handlers of signals are unknown, it is less certain where that matters.
NOBODY = [
    ("empty", ["queue"], ["MainThread", "waits for Queue", "(it is empty), and is the only thread."]),
    ("unfinished", ["queue"], ["MainThread", "task_done was not called", "the only thread"]),
    ("joined", ["join"], ['"MainThread" waits for "worker" to end, which waits for Event']),
    ("joined_of_a_lost_lock", ["lost-owner", "join"], ['"worker" waits for mutex', "which does not exist",
                                                       '"MainThread" waits for "worker" to end, which waits for mutex']),
    ("barrier", ["barrier"], ["MainThread", "waits for Barrier", '"came" waits for Barrier']),
    ("guard", ["once"], ["MainThread", "the initialisation of a static variable (guard 0x",
                         '"initialises" waits for the GIL held by "MainThread"']),
    ("own_lock", ["nobody-left"], ["waits for futex 0x", "and is the only thread."]),
    ("somebody_runs", [], []),
    ("time_limit", [], []),
    ("handler", [], []),
]
WITHOUT_A_LIMIT = [interpreter for interpreter in FOUND if interpreter.version >= (3,)]
LATEST = [interpreter for interpreter in WITHOUT_A_LIMIT if not interpreter.root and interpreter.kind == "release"][-1]


def hangs(result):
    sentences = " ".join(entry["sentence"] for entry in result["hangs"])
    return [entry["kind"] for entry in result["hangs"]], re.sub(r'(?<=") \(\d+\)', "", sentences)


@pytest.mark.parametrize("how, kinds, says", NOBODY, ids=[entry[0] for entry in NOBODY])
@pytest.mark.parametrize("interpreter", [pytest.param(interpreter, id=interpreter.name)
                                         for interpreter in (WITHOUT_A_LIMIT if EVERY else [LATEST])])
def test_a_hang_is_said_when_nobody_can_end_it_and_never_else(interpreter, how, kinds, says, kernel_leaves_cores):
    if how == "guard" and (interpreter.kind == "free-threaded" or interpreter.root):
        pytest.skip("there is no GIL, or no libstdc++")
    with hanging.hang(interpreter, "nobody", how) as hung:
        status, live, said = hanging.attach(hung.pid)
        assert status == 0 and live, said
        found, sentences = hangs(live)
        assert found == kinds, live["hangs"]
        assert all(part in sentences for part in says), sentences
        assert all(entry["certain"] and entry["sentence"].startswith("Hangs for ever: ") for entry in live["hangs"])
        status, dead, said = report.run(hung.core(), *in_root(interpreter), merged=True)
        found, sentences = hangs(dead)
        assert found == (["nobody-left"] if how == "handler" else kinds), dead["hangs"]
        assert all(part in sentences for part in says), sentences
        for entry in dead["hangs"]:
            assert entry["certain"] == ("lost-owner" in kinds), entry


def test_without_names_of_functions_a_lock_of_the_programs_own_is_a_futex():
    with hanging.hang(LATEST, "nobody", "own_lock") as hung:
        status, live, said = hanging.attach(hung.pid, "--python-only")
    assert status == 0 and live, said
    assert [thread["waits_on"]["kind"] for thread in live["threads"]] == ["futex"], live["threads"]


def children(pid):
    """Those that a thread of the process forked."""
    return [int(child) for path in pathlib.Path(f"/proc/{pid}/task").glob("*/children")
            for child in path.read_text().split()]


FORKS = [interpreter for interpreter in FOUND if not interpreter.root and interpreter.kind == "release"]


@pytest.mark.parametrize("interpreter", [pytest.param(interpreter, id=interpreter.name) for interpreter in
                                         (FORKS if EVERY else [FORKS[0], LATEST])])
def test_the_gil_that_a_fork_copied_is_held_by_nobody(interpreter):
    """C code forks while another thread has the GIL, and asks for the GIL in the child."""
    # Not before the main thread waits for that, in nanosleep or clock_nanosleep of x86-64 or aarch64.
    script = ("import ctypes, os, threading, time\n"
              f"name = {str(hanging.library())!r}\n"
              "call = '/proc/self/task/%d/syscall' % os.getpid()\n"
              "def spin():\n"
              "    while open(call).read().split()[0] not in ('35', '230', '101', '115'): time.sleep(0.005)\n"
              "    ctypes.PyDLL(name).hang_raise_and_spin()\n"
              "t = threading.Thread(target=spin, name='spins')\n"
              "t.daemon = True\n"
              "t.start()\n"
              "ctypes.CDLL(name).hang_fork_after_flag()\n")
    process = subprocess.Popen([interpreter.path, "-c", script], start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not children(process.pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        child, = children(process.pid)
        result = None
        while not (result and result["threads"][0]["gil"] == "waits") and time.monotonic() < deadline:
            status, result, said = hanging.attach(child)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert result, said
    assert hangs(result) == (["lost-owner"], 'Hangs for ever: "MainThread" waits for the GIL held by a thread that does '
                             "not exist in this process (copied by fork?)."), result["hangs"]
    assert result["hangs"][0]["threads"] == [child] and result["hangs"][0]["certain"]
