# SPDX-License-Identifier: Apache-2.0
"""What every thread of a hanging process waits for, who holds it, and which threads wait for each other: the report of the
live process and that of its core equal what the program wrote down before it hung. Most of it on every interpreter found.

programs/together.py hangs in most ways at once, a thread for each, programs/processes.py in those that concern other
processes, programs/proofs.py in those that only look like deadlocks; the others need a process of their own.
"""

import os
import shutil
import signal
import subprocess

import pytest

from lib import hanging, interpreters, report, scenarios, waiting

FOUND = interpreters.find()
INTERPRETERS = [pytest.param(interpreter, id=interpreter.name) for interpreter in FOUND]
# For what differs neither by version nor by build: each way that frames are walked, and where the GIL is a static variable.
WALKS = [pytest.param(interpreter, id=interpreter.name) for interpreter in FOUND
         if interpreter in interpreters.walks() or interpreter.version < (3, 7)]
# Bytecode differs with every version; by default one each of those that differ most.
RELEASED = [entry for entry in INTERPRETERS if os.environ.get("EXUVIA_EVERY_INTERPRETER") or
            entry.values[0].name in ("2.7.18-pyenv", "3.9.18-pyenv", "3.11.7-pyenv", "3.13.0-pyenv", "3.14.10-sid")]
# An ExitStack has had closures, then bound methods of C.
MANAGERS = RELEASED + [entry for entry in INTERPRETERS if entry not in RELEASED and
                       entry.values[0].name in ("3.6.15-pyenv", "3.7.16-pyenv")]
# Its lock is a semaphore, and a PyMutex since 3.15.
STREAMS = [entry for entry in INTERPRETERS if os.environ.get("EXUVIA_EVERY_INTERPRETER") or
           entry.values[0].name in ("2.7.18-pyenv", "3.8.18-pyenv", "3.12.1-pyenv", "3.14.10-sid") or
           entry.values[0].minor == "3.15"]
# Its queue has been a deque, a list of C, and a ring.
EXECUTORS = [entry for entry in INTERPRETERS if entry.values[0].version >= (3,) and (
             os.environ.get("EXUVIA_EVERY_INTERPRETER") or
             entry.values[0].name in ("3.6.15-pyenv", "3.8.18-pyenv", "3.11.7-pyenv", "3.14.10-sid"))]
GCORE = [entry for entry in INTERPRETERS if entry.values[0].minor in ("2.7", "3.8", "3.13") and not entry.values[0].root
         and entry.values[0].kind == "release"]


@pytest.fixture(scope="module", autouse=True)
def built():
    yield
    hanging.remove_library()


def in_root(interpreter):
    return ["--sysroot", interpreter.root] if interpreter.root else []


def fail(problems):
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


def keeps_its_gil_secret(interpreter):
    """Up to 3.6 the GIL and the import lock are static variables, which only a full symbol table has."""
    return interpreter.version < (3, 7) and interpreter.root


def forget_static_variables(hung):
    """What is left to tell there: that the thread waits, for something unknown, and not for anybody by name."""
    for wait in hung.waits["waits"].values():
        if wait["kind"] in ("gil", "import-lock"):
            wait.update(owner=None, kinds=["futex", "unknown"], says=[])
    hung.waits["deadlocks"] = []


def examine(interpreter, hung):
    """Attach to the process, look whether it is unharmed, then end it with a core and read that."""
    before = hanging.footprint(hung.pid)
    live = hanging.attach(hung.pid)
    changed = hanging.same_footprint(hung.pid, before)
    problems = [f"live: {problem}" for problem in waiting.problems_of(hung, interpreter, live, live=True)]
    if changed:
        problems.append(f"the process was changed: {changed}")
    dead = report.run(hung.core(), *in_root(interpreter), merged=True)
    found = waiting.problems_of(hung, interpreter, dead, live=False)
    return problems + [f"core: {problem}" for problem in found]


@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_every_wait_of_many_threads_and_every_deadlock_is_told_live_and_in_a_core(interpreter, kernel_leaves_cores):
    with hanging.hang(interpreter, "together") as hung:
        everything = hanging.attach(hung.pid, "--native-all")
        found = waiting.problems_of(hung, interpreter, everything, live=True, fresh=True)
        fail([f"--native-all: {problem}" for problem in found] + examine(interpreter, hung))


@pytest.mark.parametrize("interpreter", WALKS)
def test_an_import_that_waits_for_one_that_waits_is_a_deadlock(interpreter, kernel_leaves_cores):
    with hanging.hang(interpreter, "imports") as hung:
        if keeps_its_gil_secret(interpreter):
            forget_static_variables(hung)
        fail(examine(interpreter, hung))


@pytest.mark.parametrize("interpreter", WALKS)
def test_a_wait_that_may_end_is_no_deadlock_and_one_for_a_result_can_be(interpreter, kernel_leaves_cores):
    with hanging.hang(interpreter, "proofs") as hung:
        fail(examine(interpreter, hung))


@pytest.mark.parametrize("interpreter", EXECUTORS)
def test_a_pool_whose_threads_all_wait_for_its_own_work_is_a_deadlock(interpreter, kernel_leaves_cores):
    with hanging.hang(interpreter, "executors") as hung:
        fail(examine(interpreter, hung))


@pytest.mark.parametrize("interpreter", EXECUTORS)
def test_a_thread_pool_of_multiprocessing_whose_threads_all_wait_for_its_own_work_is_a_deadlock(interpreter):
    try:
        with hanging.hang(interpreter, "thread_pool", moving="others") as hung:
            status, result, said = hanging.attach(hung.pid)
            assert result is not None and status == 0, said
            fail(waiting.compare_waits(hung, result, live=True))
    except scenarios.NotApplicable as reason:
        pytest.skip(f"n/a: {reason}")


@pytest.mark.parametrize("interpreter", RELEASED)
def test_a_lock_that_was_released_inside_its_with_is_held_by_nobody_for_certain(interpreter):
    with hanging.hang(interpreter, "released") as hung:
        problems = waiting.problems_of(hung, interpreter, hanging.attach(hung.pid), live=True)
        with open(hung.directory / "go", "wb"):
            pass
        hung.process.wait(timeout=60)
        output = (hung.directory / "output.txt").read_text()
        assert "no deadlock: all threads have ended" in output, output
        fail(problems)


@pytest.mark.parametrize("interpreter", MANAGERS)
def test_a_lock_inside_of_a_context_manager_is_taken_by_who_is_inside_of_its_with(interpreter):
    with hanging.hang(interpreter, "managers") as hung:
        fail(waiting.problems_of(hung, interpreter, hanging.attach(hung.pid), live=True))


@pytest.mark.parametrize("interpreter", STREAMS)
def test_a_stream_that_another_thread_reads_or_writes_is_held_by_that(interpreter):
    with hanging.hang(interpreter, "streams") as hung:
        fail(waiting.problems_of(hung, interpreter, hanging.attach(hung.pid), live=True))


@pytest.mark.parametrize("interpreter", WALKS)
def test_what_processes_share_is_named_as_the_program_knows_it(interpreter, kernel_leaves_cores):
    try:
        with hanging.hang(interpreter, "processes") as hung:
            fail(examine(interpreter, hung))
    except scenarios.NotApplicable as reason:
        pytest.skip(f"n/a: {reason}")


@pytest.mark.parametrize("interpreter", WALKS)
def test_the_gil_and_a_mutex_of_a_c_library_are_a_deadlock(interpreter, kernel_leaves_cores):
    if interpreter.kind == "free-threaded":
        pytest.skip("a free-threaded interpreter has no GIL")
    with hanging.hang(interpreter, "gil_mutex") as hung:
        if keeps_its_gil_secret(interpreter):
            forget_static_variables(hung)
        fail(examine(interpreter, hung))


@pytest.mark.parametrize("how", ["python", "c"])
@pytest.mark.parametrize("interpreter", WALKS)
def test_a_thread_that_computes_with_the_gil_is_running_and_others_wait_for_it(interpreter, how, kernel_leaves_cores):
    if interpreter.kind == "free-threaded":
        pytest.skip("a free-threaded interpreter has no GIL")
    with hanging.hang(interpreter, "busy", how, moving=True) as hung:
        if keeps_its_gil_secret(interpreter):
            forget_static_variables(hung)
        live = hanging.attach(hung.pid)
        dead = report.run(hung.core(), *in_root(interpreter), merged=True)
        fail([f"live: {problem}" for problem in waiting.problems_of(hung, interpreter, live, live=True)] +
             [f"core: {problem}" for problem in waiting.problems_of(hung, interpreter, dead, live=False)])


@pytest.mark.parametrize("interpreter", [entry for entry in INTERPRETERS if entry.values[0].kind == "free-threaded"])
def test_the_object_whose_critical_section_is_waited_for_is_named(interpreter, kernel_leaves_cores):
    with hanging.hang(interpreter, "critical", moving=True) as hung:
        for live in (True, False):
            status, result, said = hanging.attach(hung.pid) if live else report.run(hung.core(), merged=True)
            assert result is not None and status == 0, said
            # The record is of the moment before: the waiters are a line further now.
            fail(waiting.compare_waits(hung, result, live))


@pytest.mark.parametrize("kind", ["lock", "rlock", "shared", "shared-main"])
@pytest.mark.parametrize("interpreter", WALKS)
def test_a_lock_that_a_fork_copied_is_blamed_on_no_thread_of_the_child(interpreter, kind, kernel_leaves_cores):
    try:
        with hanging.hang(interpreter, "forked", kind) as hung:
            fail(examine(interpreter, hung))
    except scenarios.NotApplicable as reason:
        pytest.skip(f"n/a: {reason}")


@pytest.mark.parametrize("interpreter", WALKS)
def test_a_stopped_process_is_said_to_be_stopped_and_stays_stopped(interpreter):
    with hanging.hang(interpreter, "imports") as hung:
        os.kill(hung.pid, signal.SIGSTOP)
        before = hanging.await_state(hung.pid, "T")
        status, result, said = hanging.attach(hung.pid)
        changed = hanging.same_footprint(hung.pid, before)
        assert changed is None, changed
        assert result is not None and status == 0, said
        problems = report.compare_threads(waiting.hung_truth(hung), result)
        kinds = {thread["waits_on"]["kind"] for thread in result["threads"]}
        if kinds != {"stopped"}:
            problems.append(f"the threads wait for {kinds}; the process is stopped")
        running = hanging.attach(hung.pid, "--no-stop")[1]
        for wait in (thread["waits_on"] for thread in running["threads"]):
            if wait["kind"] != "stopped" or not wait["summary"].startswith("Stopped by a signal") or wait["stopped"]["signal"]:
                problems.append(f"without a stop it is said: {wait['summary']}")
        os.kill(hung.pid, signal.SIGCONT)
        hanging.await_state(hung.pid, "S")
        fail(problems)


@pytest.mark.skipif(not shutil.which("gcore"), reason="gcore (package gdb) is not installed")
@pytest.mark.parametrize("interpreter", GCORE)
def test_a_core_that_gcore_made_tells_the_same(interpreter, tmp_path):
    with hanging.hang(interpreter, "together") as hung:
        made = subprocess.run(["gcore", "-o", str(tmp_path / "core"), str(hung.pid)], capture_output=True, timeout=120)
        core = tmp_path / f"core.{hung.pid}"
        assert core.exists(), made.stderr.decode(errors="replace")
        answer = report.run(core, merged=True)
        status, result, said = answer
        assert result is not None, said
        problems = report.compare_threads(waiting.hung_truth(hung), result)
        fail(problems + waiting.compare_waits(hung, result, live=False))
