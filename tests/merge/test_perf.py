# SPDX-License-Identifier: Apache-2.0
"""Under -X perf (3.12 and later) every Python function is entered through a copy of a trampoline in memory of no file,
without unwinding information. No frame is lost for that, and the trampolines themselves are filtered out.

By default one interpreter for each trampoline that there is; all with EXUVIA_EVERY_INTERPRETER.
"""

import dataclasses
import os
import pathlib

import pytest

import running
from lib import interpreters, report
from test_merged import builds, compare_trails, explain  # noqa: F401

PROGRAM = running.Scenario("alternation", None)
TRAMPOLINE = "_Py_trampoline_func_start"
FOUND = [item for item in interpreters.find() if item.version >= (3, 12) and item.kind == "release"]
if not os.environ.get("EXUVIA_EVERY_INTERPRETER"):
    FOUND = [item for item in FOUND if item.minor == "3.12" and not item.root][:1] + \
            [item for item in FOUND if item.minor == "3.15"][:1]


@pytest.mark.parametrize("interpreter", FOUND, ids=lambda item: item.name)
def test_perf_trampolines_cost_no_frame(interpreter, kernel_leaves_cores):
    environment = (*interpreter.environment, ("PYTHONPERFSUPPORT", "1"))
    with running.death(dataclasses.replace(interpreter, environment=environment), PROGRAM, "-O2") as death:
        status, answer = explain(death, interpreter)
        _, everything = explain(death, interpreter, "--native-all")
        for folder in (interpreter.root or "", ""):
            pathlib.Path(f"{folder}/tmp/perf-{death.truth['pid']}.map").unlink(missing_ok=True)
    problems = []
    for view in (answer, everything):
        problems += report.compare_threads(death.truth, view) + compare_trails(death, view)
        problems += [f"thread {thread['tid']}: a gap" for thread in view["threads"]
                     if any(frame["kind"] == "gap" for frame in thread["frames"]) or not thread["native_complete"]]
    hidden = [frame for thread in answer["threads"] for frame in thread["frames"] if frame["kind"] == "native"]
    shown = [frame for thread in everything["threads"] for frame in thread["frames"] if frame["kind"] == "native"]
    # Every level of the program has two Python functions.
    if sum(frame["function"] == TRAMPOLINE for frame in shown) < 100:
        problems.append("no trampolines are on the stack: this shows nothing")
    if any(frame["module"] is None for frame in hidden):
        problems.append("a trampoline is shown")
    if status != 0:
        problems.append(f"exit status {status}: {answer['diagnostics']}")
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
