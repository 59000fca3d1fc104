# SPDX-License-Identifier: Apache-2.0
"""A gevent server under load, stopped anywhere: no frame of another greenlet is shown, and nothing is missing.

EXUVIA_ATTACHES says how often: 20 times by default. Every stop must be whole.
"""

import os
import time

import pytest

from lib import hanging, interpreters, packages, scenarios, waiting

ATTACHES = int(os.environ.get("EXUVIA_ATTACHES", "20"))
MINORS = ("3.9", "3.12")  # with frame objects, and with markers
PROGRAM = "gevent_server.py"
# Who calls whom in it, directly or through C. A greenlet begins with one of FIRST.
CALLS = {
    "<module>": {"main"}, "main": set(), "handle": {"answer"}, "answer": {"__init__", "__lt__", "deep", "<listcomp>"},
    "__lt__": {"compare"}, "compare": {"digest"}, "deep": {"<lambda>", "pause"}, "<lambda>": {"deep"}, "pause": {"digest"},
    "client": {"ask"}, "worker": {"work"}, "short": {"digest"},
}
LEAVES = {"__init__", "digest", "<listcomp>", "ask", "work", "ready"}
FIRST = {"<module>", "handle", "client", "worker", "short", "ready"}
# A thread that got no processor is honestly said not to have stopped. Such stops are done again.
UNLUCKY = {"thread-not-stopped"}


def find():
    every = os.environ.get("EXUVIA_EVERY_INTERPRETER") == "1"
    found = [item for item in interpreters.find() if item.kind == "release" and not item.root]
    return [pytest.param(item, id=item.name) for item in found if every or item.minor in MINORS]


def names_of(thread):
    """Functions of the program, the outermost first."""
    return [frame["function"] for frame in reversed(thread["frames"])
            if frame["kind"] == "python" and os.path.basename(frame["file"] or "") == PROGRAM]


def wrong_calls(names):
    problems = [f"no such function: {name}" for name in names if name not in {*CALLS, *LEAVES}]
    problems += [f"{outer} does not call {inner}" for outer, inner in zip(names, names[1:])
                 if inner not in CALLS.get(outer, ())]
    if names and names[0] not in FIRST:
        problems.append(f"no greenlet begins with {names[0]}")
    return problems


def starter_of(folder):
    """What only the start of a greenlet has on its stack: greenlet was written in C before 2.0."""
    (package,) = folder.glob("greenlet-*.dist-info")
    return "g_initialstub" if int(package.name.split("-")[1].split(".")[0]) < 2 else "inner_bootstrap"


def wrong_native(thread, starter):
    """A greenlet has one first frame, and it is the outermost; the main one has none."""
    frames = thread["frames"]
    gaps = [frame["code"] for frame in frames if frame["kind"] == "gap"]
    native = [frame["function"] or "" for frame in frames if frame["kind"] == "native"]
    if gaps in (["greenlet-switch"], ["greenlet-switch-python"]):
        return []
    starts = [name for name in native if starter in name]
    if gaps == ["greenlet-start"]:
        whole = len(starts) == 1 and "g_initialstub" in native[-1] and frames[-1]["kind"] == "gap"
        return [] if whole else [f"a greenlet ends with {native[-3:]}"]
    problems = [f"gaps: {gaps}"] if gaps else []
    if starts:
        problems.append(f"the main greenlet was started: {native}")
    return problems + ([] if thread["native_complete"] else ["native frames are missing"])


def problems_of(answer, starter):
    status, result, said = answer
    if result is None:
        return [f"no report, exit status {status}: {said}"]
    problems = waiting.incomplete(result)
    if status != 0:
        problems.append(f"exit status {status}: {said}")
    thread = next(item for item in result["threads"] if item["main"])
    return problems + wrong_calls(names_of(thread)) + wrong_native(thread, starter)


def is_said(answer, known):
    """Is something missing, and nothing but for these reasons?"""
    codes = {entry["code"] for entry in (answer[1] or {"diagnostics": []})["diagnostics"] if entry["incomplete"]}
    return bool(codes) and codes <= known


@pytest.mark.parametrize("interpreter", find())
def test_a_gevent_server_that_is_stopped_anywhere_is_shown_without_frames_of_other_greenlets(interpreter):
    folder, problem = packages.find(interpreter, "gevent")
    if not folder:
        pytest.skip(f"gevent for {interpreter.name}: {problem}")
    problems, seen = [], set()
    with scenarios.workspace(interpreter) as (outside, inside):
        process = hanging.launch(interpreter, "gevent_server", None, outside, inside, {"PYTHONPATH": str(folder)})
        try:
            deadline = time.monotonic() + 30
            while not (outside / "ready").exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            assert (outside / "ready").exists(), (outside / "output.txt").read_text(errors="replace")
            stops = unlucky = 0
            # A slow tool meets the server in the same places: until it has been met elsewhere, too.
            while (stops < ATTACHES or len(seen) <= 3 and stops < 10 * ATTACHES) and unlucky <= ATTACHES // 2:
                answer = hanging.attach(process.pid)
                if is_said(answer, UNLUCKY):
                    unlucky += 1
                    continue
                problems += [f"stop {stops}: {text}" for text in problems_of(answer, starter_of(folder))]
                seen.update(name for thread in (answer[1] or {"threads": []})["threads"] for name in names_of(thread))
                stops += 1
            assert unlucky <= ATTACHES // 2, f"{unlucky} of {stops + unlucky} stops were not whole"
            assert process.poll() is None, (outside / "output.txt").read_text(errors="replace")
        finally:
            hanging.end(process)
    if problems:
        pytest.fail(f"{len(problems)} problems\n" + "\n".join(problems[:30]), pytrace=False)
    assert len(seen) > 3 or ATTACHES < 20, f"only {seen} was seen"
