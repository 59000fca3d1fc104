# SPDX-License-Identifier: Apache-2.0
"""The stack of a greenlet ends where the greenlet was started: what lies further out belongs to others.

Real greenlets of PyPI, of every kind that differs. EXUVIA_EVERY_INTERPRETER=1: under every interpreter with pip.
"""

import itertools
import json
import os
import shutil
import subprocess
import time

import pytest

from lib import hanging, interpreters, packages, report, scenarios, waiting

HOWS = ("started", "resumed", "shallow", "nested", "main", "starting", "traced", "thread")
# 0.4 and 1.x are C, 2 and later C++. Without symbols those of C++ that are exported stay, of C none.
KINDS = [("2.7", "greenlet==0.4.15", False), ("3.6", "greenlet==0.4.17", True), ("3.9", "greenlet==3.2.5", False),
         ("3.11", "greenlet==2.0.2", True), ("3.13", "greenlet", False)]
MORE_KINDS = [("3.8", "greenlet==1.1.2", False), ("3.10", "greenlet==1.1.2", True), ("2.7", "greenlet==1.1.3", True)]
EVERY = os.environ.get("EXUVIA_EVERY_INTERPRETER") == "1"
STARTERS = ("g_initialstub", "greenlet::UserGreenlet::g_initialstub(void*)")
# Of a trace function that is called in the new greenlet nothing tells, where there are no symbols, in which it is.
UNDECIDABLE = {"traced"}


def find():
    """Pairs of an interpreter and what to install for it."""
    releases = [item for item in interpreters.find() if not item.root and item.kind != "debug"]
    for minor, requirement, stripped in KINDS + (MORE_KINDS if EVERY else []):
        item = next((item for item in releases if item.minor == minor and item.kind == "release"), None)
        if item:
            yield pytest.param(item, requirement, stripped,
                               id=f"{item.name}-{requirement}{'-stripped' if stripped else ''}")
    if EVERY:
        for item, stripped in itertools.product(releases, (False, True)):
            yield pytest.param(item, "greenlet", stripped, id=f"{item.name}-any{'-stripped' if stripped else ''}")


def environment(interpreter, requirement, stripped, tmp_path):
    """For the program: where it finds greenlet."""
    folder, problem = packages.find(interpreter, requirement)
    if not folder:
        pytest.skip(f"{requirement} for {interpreter.name}: {problem}")
    if stripped:
        shutil.copytree(folder, tmp_path / "stripped")
        folder = tmp_path / "stripped"
        files = [str(path) for path in folder.rglob("*greenlet*.so") if "tests" not in path.parts]
        subprocess.run(["strip", "--strip-all", *files], check=True)
    return {"PYTHONPATH": str(folder)}


def await_rest(outside, process, timeout=30):
    deadline = time.monotonic() + timeout
    while not (outside / "ready").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    assert (outside / "ready").exists(), (outside / "output.txt").read_text(errors="replace")
    truth = json.loads((outside / "ready").read_bytes())
    hanging.await_rest(truth["pid"])
    return truth


def is_undecided(how, answer):
    """Is it said, and no frame shown that may be another greenlet's?"""
    return how in UNDECIDABLE and [entry["code"] for entry in report.incomplete(answer)] == ["native-incomplete"]


def problems_of(how, truth, stripped, status, answer, everything=False):
    thread = next(item for item in answer["threads"] if item["name"] == truth["thread"])
    frames = thread["frames"]
    gaps = [frame["code"] for frame in frames if frame["kind"] == "gap"]
    functions = [frame["function"] for frame in frames if frame["kind"] == "python"]
    problems = []
    if functions != truth["functions"]:
        problems.append(f"functions are {functions}, {truth['functions']} is true")
    outermost = [frame for frame in frames if frame["kind"] == "native"][-1]
    if stripped and is_undecided(how, answer):
        if gaps or not outermost["module"].rpartition("/")[2].lstrip("_").startswith("greenlet."):
            problems.append(f"the outermost frame is {outermost}, gaps: {gaps}")
        return problems
    problems += waiting.incomplete(answer)
    if status != 0 or not thread["native_complete"]:
        problems.append(f"exit status {status}, native_complete {thread['native_complete']}")
    if gaps != ([] if truth["main"] else ["greenlet-start"]):
        problems.append(f"gaps: {gaps}")
    if truth["main"]:
        if everything and "greenlet" in (outermost["module"] or ""):
            problems.append(f"the outermost frame is {outermost}")
    elif frames[-1]["kind"] != "gap" or outermost is not frames[-2]:
        problems.append(f"the stack goes on: {frames[-3:]}")
    elif outermost["function"] not in ([None] if stripped and is_c(outermost) else STARTERS):
        problems.append(f"the outermost frame is {outermost}")
    return problems


def is_c(frame):
    """Does the module not export the function that starts a greenlet, as those of C++ do?"""
    exported = subprocess.run(["nm", "--dynamic", "--defined-only", frame["module"]], capture_output=True, text=True)
    return "g_initialstub" not in exported.stdout


@pytest.mark.parametrize("interpreter, requirement, stripped", find())
def test_a_greenlets_stack_ends_where_it_was_started(interpreter, requirement, stripped, tmp_path):
    variables, problems = environment(interpreter, requirement, stripped, tmp_path), []
    for how in HOWS:
        with scenarios.workspace(interpreter) as (outside, inside):
            process = hanging.launch(interpreter, "greenlets", how, outside, inside, variables)
            try:
                truth = await_rest(outside, process)
                for options in ((), ("--native-all",)) if EVERY or how in ("resumed", "starting") else ((),):
                    status, answer, said = hanging.attach(truth["pid"], *options)
                    assert answer, f"{how}: {said}"
                    found = problems_of(how, truth, stripped, status, answer, bool(options))
                    problems += [f"{how} {options}: {problem}" for problem in found]
            finally:
                hanging.end(process)
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
