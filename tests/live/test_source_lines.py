# SPDX-License-Identifier: Apache-2.0
"""Source lines are those that ran: of files that have changed since, of relative names, of a process whose first thread
has ended."""

import contextlib
import os
import pathlib
import subprocess
import tempfile
import time

import pytest

from lib import hanging, interpreters, report

FOUND = interpreters.find()
HOST = [interpreter for interpreter in FOUND if not interpreter.root and interpreter.kind == "release"]
EVERY = os.environ.get("EXUVIA_EVERY_INTERPRETER") == "1"
# 2.7 to 3.8 name the program as it was given; each kind of line table.
SOME = [interpreter for interpreter in HOST
        if EVERY or interpreter.minor in ("2.7", "3.8") or interpreter is HOST[-1]]
each = pytest.mark.parametrize("interpreter", SOME, ids=lambda interpreter: interpreter.name)

RUNS = r"""import os, sys, time
def first():
    second()
def second():
    sys.stdout.write('ready\n'); sys.stdout.flush(); time.sleep(600)
"""
CALLS = "first()\n"
LINES = ["first()", "second()", r"sys.stdout.write('ready\n'); sys.stdout.flush(); time.sleep(600)"]
MOVED = "# Two lines that an upgrade\n# of the program added\n" + RUNS + CALLS
# The same definitions in the same lines.
EDITED = RUNS.replace("    second()", "    launch_missiles()") + CALLS
THREAD = """import ctypes, threading
threading.Thread(target=first).start()
ctypes.CDLL(None).pthread_exit(None)
"""
FORK = r"""sys.stdout.write('loaded\n'); sys.stdout.flush()
sys.stdin.readline()
child = os.fork()
if not child: first()
sys.stdout.write('%d\n' % child); sys.stdout.flush(); time.sleep(600)
"""
NOT_SHOWN = "[this file was changed after the process started: its lines are not shown]"
AS_NOW = "[this file was changed after the process started: its lines are shown as they are now]"


@contextlib.contextmanager
def folder(program):
    with tempfile.TemporaryDirectory(prefix="exuvia-") as path:
        (pathlib.Path(path) / "job.py").write_text(program)
        time.sleep(0.05)
        yield pathlib.Path(path)


@contextlib.contextmanager
def running(interpreter, directory, script="job.py"):
    """The script runs in the directory, and has said its first line."""
    process = subprocess.Popen(interpreter.command(script), cwd=directory, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, start_new_session=True,
                               env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    try:
        assert process.stdout.readline()
        hanging.await_rest(process.pid)
        yield process
    finally:
        hanging.end(process)
        process.stdin.close()
        process.stdout.close()


def shown(command, target):
    """What stands below the lines of job.py, and all of the text."""
    answer = subprocess.run([report.exuvia(), command, str(target)], capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, (answer.returncode, answer.stdout, answer.stderr)
    below, inside = [], False
    for line in answer.stdout.splitlines():
        if not line.startswith("    "):
            inside = line.startswith("  File ") and "job.py" in line
        elif inside and line.strip(" ^"):
            below.append(line.strip())
    return below, answer.stdout


def replace(path, text, age=0):
    """As an editor does: another file takes the name."""
    other = path.with_suffix(".new")
    other.write_text(text)
    os.utime(other, (time.time() - age,) * 2)
    other.rename(path)


def as_now(lines):
    return ["(now) " + line.replace("second()", "launch_missiles()") for line in lines]


@each
def test_a_file_that_did_not_change_has_its_lines(interpreter):
    with folder(RUNS + CALLS) as directory, running(interpreter, directory) as process:
        assert shown("attach", process.pid)[0] == LINES


@each
@pytest.mark.parametrize("age", [0, 86400], ids=["newer", "of-an-older-date"])
def test_a_file_that_was_replaced_by_another_has_none_and_that_is_said_once(interpreter, age):
    with folder(RUNS + CALLS) as directory, running(interpreter, directory) as process:
        replace(directory / "job.py", MOVED, age)
        assert shown("attach", process.pid)[0] == [NOT_SHOWN]


def test_lines_of_a_file_that_changed_and_still_fits_are_marked():
    with folder(RUNS + CALLS) as directory, running(HOST[-1], directory) as process:
        (directory / "job.py").write_text(EDITED)
        below, text = shown("attach", process.pid)
    assert below == [AS_NOW] + as_now(LINES) and "^" not in text


def test_code_that_a_child_inherited_is_older_than_the_child():
    with folder(RUNS + FORK) as directory, running(HOST[-1], directory) as process:
        replace(directory / "job.py", EDITED.replace(CALLS, FORK))
        time.sleep(0.1)
        process.stdin.write(b"go\n")
        process.stdin.flush()
        said = {process.stdout.readline().strip() for _ in range(2)}
        child = int((said - {b"ready"}).pop())
        try:
            below, _ = shown("attach", child)
        finally:
            os.kill(child, 9)
    assert below == [AS_NOW] + as_now(["if not child: first()", *LINES[1:]])


@each
def test_a_relative_name_begins_in_the_directory_of_the_process(interpreter):
    with folder(RUNS + CALLS) as directory:
        (directory / "library").mkdir()
        (directory / "job.py").rename(directory / "library" / "job.py")
        (directory / "main.py").write_text("import sys\nsys.path.insert(0, 'library')\nimport job\n")
        time.sleep(0.05)
        with running(interpreter, directory, "main.py") as process:
            below, text = shown("attach", process.pid)
    assert below == LINES
    if interpreter.minor == "2.7":  # otherwise this might test nothing
        assert '  File "library/job.py"' in text


def test_a_process_whose_first_thread_has_ended_has_its_lines():
    with folder(RUNS + THREAD) as directory, running(HOST[-1], directory) as process:
        while hanging.state(process.pid) != "Z":
            time.sleep(0.01)
        assert shown("attach", process.pid)[0] == LINES[1:] + THREAD.splitlines()[-1:]


@each
def test_a_core_has_the_lines_of_files_that_fit_its_code(interpreter):
    """When the process started is not known: what it has is the code, and when the core was written."""
    with folder(RUNS + CALLS) as directory:
        with running(interpreter, directory, str(directory / "job.py")) as process:
            subprocess.run(["gcore", "-o", str(directory / "core"), str(process.pid)], capture_output=True, check=True,
                           timeout=60)
        core = directory / f"core.{process.pid}"
        assert shown("core", core)[0] == LINES
        replace(directory / "job.py", MOVED, age=86400)
        assert shown("core", core)[0] == ["[this file does not fit the code that ran: its lines are not shown]"]
        replace(directory / "job.py", EDITED, age=-86400)
        said = "[this file is newer than the core: its lines are shown as they are now]"
        assert shown("core", core)[0] == [said] + as_now(LINES)
