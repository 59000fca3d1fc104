# SPDX-License-Identifier: Apache-2.0
"""A process that is stopped anywhere, at whatever instruction it comes to, is shown whole: no native frame is missing
and every Python function was called by one that calls it.

EXUVIA_STOPS says how often each interpreter is stopped: 10 times by default.
"""

import os
import pathlib
import time

import pytest

from lib import hanging, interpreters, scenarios, waiting

STOPS = int(os.environ.get("EXUVIA_STOPS", "10"))
INTERPRETERS = [pytest.param(interpreter, id=interpreter.name) for interpreter in interpreters.walks()]
PROGRAM = "everywhere.py"
# Who calls whom in it, directly or through C. Other files' functions are called and call as they like.
CALLS = {
    "<module>": {"loop"}, "loop": {"work"}, "run": {"loop"},
    "work": {"numbers", "key", "__init__", "__lt__", "__del__", "__getattr__", "double", "upper", "caught", "<module>"},
    "caught": {"fail", "key"}, "fail": {"fail", "key"}, "__getattr__": {"key"}, "__del__": {"gone"},
}
LEAVES = {"numbers", "key", "__init__", "__lt__", "double", "upper", "gone"}
# What is honestly said to be missing: a thread that got no processor. Such stops are done again. In 3.10 also a call that
# returns, which has a frame, but no marker any more.
UNLUCKY = {"thread-not-stopped"}
UNLUCKY_3_10 = UNLUCKY | {"merge-incomplete"}
# What may run wherever objects are made or a call returns: an object of another thread goes away, if the collector runs.
ANYWHERE = {"__del__"}


def is_program(frame):
    return os.path.basename(frame["file"] or "") == PROGRAM


def wrong_calls(thread):
    """Calls that the program does not make."""
    frames = [frame for frame in reversed(thread["frames"]) if frame["kind"] == "python"]
    problems = [f"no such function: {frame['function']}" for frame in frames
                if is_program(frame) and frame["function"] not in {*CALLS, *LEAVES}]
    for outer, inner in zip(frames, frames[1:]):
        if is_program(outer) and is_program(inner) and inner["function"] not in ANYWHERE:
            if inner["function"] not in CALLS.get(outer["function"], ()):
                problems.append(f"{outer['function']} does not call {inner['function']}")
    names = [frame["function"] for frame in frames if is_program(frame)]
    if "loop" not in names:
        problems.append(f"the stack has no loop: {names}")
    return problems


def is_unlucky(interpreter, answer):
    codes = {entry["code"] for entry in (answer[1] or {"diagnostics": []})["diagnostics"] if entry["incomplete"]}
    return bool(codes) and codes <= (UNLUCKY_3_10 if interpreter.minor == "3.10" else UNLUCKY)


def problems_of(answer):
    status, result, said = answer
    if result is None:
        return [f"no report, exit status {status}: {said}"]
    problems = waiting.incomplete(result)
    if status != 0:
        problems.append(f"exit status {status}: {said}")
    if len(result["threads"]) != 3:
        problems.append(f"{len(result['threads'])} threads")
    for thread in result["threads"]:
        found = wrong_calls(thread)
        if any(frame["kind"] == "gap" for frame in thread["frames"]) or not thread["native_complete"]:
            found.append("native frames are missing")
        problems += [f"thread {thread['tid']}: {problem}" for problem in found]
    return problems


@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_a_process_that_is_stopped_at_any_instruction_is_shown_whole(interpreter):
    problems, stops = [], 0
    with scenarios.workspace(interpreter) as (outside, inside):
        process = hanging.launch(interpreter, "everywhere", None, outside, inside)
        try:
            deadline = time.monotonic() + 30
            while not (outside / "ready").exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            assert (outside / "ready").exists(), (outside / "output.txt").read_text(errors="replace")
            for path in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
                hanging.await_computing(process.pid, int(path.name))  # "ready" is written before the loops begin
            unlucky = 0
            while stops < STOPS and unlucky <= STOPS // 2:
                answer = hanging.attach(process.pid, "--native-all")
                if is_unlucky(interpreter, answer):
                    unlucky += 1
                    continue
                problems += [f"stop {stops}: {problem}" for problem in problems_of(answer)]
                stops += 1
            if unlucky > STOPS // 2:
                problems.append(f"{unlucky} of {stops + unlucky} stops were not whole")
            assert process.poll() is None, (outside / "output.txt").read_text(errors="replace")
        finally:
            hanging.end(process)
    if problems:
        pytest.fail("\n".join(problems[:20]), pytrace=False)
