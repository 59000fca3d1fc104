# SPDX-License-Identifier: Apache-2.0
"""A thread that runs while it is read: what is shown of its stack is the outer part of one that it had.

EXUVIA_READINGS says how often each interpreter's process is read: 30 times by default. With EXUVIA_EVERY_INTERPRETER all
are tried.
"""

import os
import pathlib

import pytest

from lib import hanging, interpreters, living

FOUND = interpreters.find()
READINGS = int(os.environ.get("EXUVIA_READINGS", "30"))
# Frame objects on the heap; frames in one piece of memory, with the eval loop's own frames on the C stack between, or not.
CHOSEN = ("2.7", "3.9", "3.11", "3.13")
SOME = FOUND if os.environ.get("EXUVIA_EVERY_INTERPRETER") else [
    next(interpreter for interpreter in FOUND if interpreter.minor == minor and interpreter.kind == "release")
    for minor in CHOSEN if any(entry.minor == minor and entry.kind == "release" for entry in FOUND)]


@pytest.fixture(scope="module", autouse=True)
def built():
    yield
    hanging.remove_library()


# What the frame calls, and in which line. A frame without a line, or at another, calls nothing.
CALLS = {("<module>", 21): "up", ("<module>", 22): "down", ("up", 9): "up", ("up", 10): "leaf", ("down", 15): "down",
         ("down", 16): "leaf"}


def impossible(frames):
    """Why the program cannot have had this stack, innermost frame first, or None."""
    stack = [(frame["function"], frame["line"]) for frame in frames if frame["kind"] == "python"]
    if stack and stack[-1][0] != "<module>":
        return f"it does not begin in <module>: {stack}"
    if len(stack) > 6:
        return f"it is deeper than it can be: {stack}"
    for inner, outer in zip(stack, stack[1:]):
        if CALLS.get(outer) != inner[0]:
            return f"{outer} cannot have called {inner}: {stack}"
    return None


@pytest.mark.release_only
@pytest.mark.parametrize("interpreter", [pytest.param(entry, id=entry.name) for entry in SOME])
def test_a_stack_of_a_thread_that_runs_is_never_one_that_it_did_not_have(interpreter):
    problems, shown = [], 0
    with living.program(interpreter, "alternates") as (process, directory):
        living.await_files(pathlib.Path(directory), ["ready"], process)
        while READINGS > shown and process.poll() is None:
            status, result, said = hanging.attach(process.pid, "--no-stop", merged=True)
            assert status in (0, 1), said
            thread, = [thread for thread in result["threads"] if thread["python"]]
            problem = impossible(thread["frames"])
            problems += [problem] if problem else []
            assert status == 1 or thread["frames_complete"], thread
            shown += 1
    if problems:
        pytest.fail(f"{len(problems)} of {shown}\n" + "\n".join(problems[:5]), pytrace=False)
