# SPDX-License-Identifier: Apache-2.0
"""What threads wait for in the C library, which differs by that: glibc 2.31, 2.36, 2.41 and 2.43, and by nothing else.

With EXUVIA_EVERY_INTERPRETER on every interpreter found.
"""

import os

import pytest

from support import hanging, interpreters, report, waiting

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
        problems += [f"core: {problem}" for problem in waiting.problems_of(hung, interpreter, dead, False, crashed=True)]
        fail([problem for problem in problems if problem])
