# SPDX-License-Identifier: Apache-2.0
"""The interpreter's binary is gone, but the core holds its image (bit 2 of coredump_filter: private memory of files).
Names of exported functions, unwinding information and the runtime are taken from there: no Python frame is lost, and
native ones are followed and named as far as `.dynsym` goes."""

import contextlib
import dataclasses
import os
import pathlib
import shutil

import pytest

import running
from lib import binaries, interpreters, report, scenarios
from test_merged import builds, compare_trails, explain  # noqa: F401 (builds: cleans up behind running)

FILTER = pathlib.Path("/proc/self/coredump_filter")
PROGRAMS = [running.Scenario("alternation", None), running.Scenario("threads", None)]
FLAGS = "-O2 -fomit-frame-pointer"
FOUND = interpreters.find()


def cases():
    """One interpreter for each rule of merging and way of finding the runtime, and Debian's, which are stripped."""
    for minor in ("2.7", "3.6", "3.8", "3.11", "3.13"):
        found = [item for item in FOUND if item.minor == minor and item.kind == "release" and not item.root]
        absent = pytest.mark.skipif(not found, reason=f"skipped: no {minor} was found")
        yield pytest.param(found[0] if found else None, id=minor, marks=absent)
    roots = [item for item in FOUND if item.root and item.kind == "release"]
    for item in roots:
        yield pytest.param(item, id=item.name)
    if not roots:
        reason = "skipped: no interpreter of a distribution was found; tests/lib/setup-interpreters.sh fetches them"
        yield pytest.param(None, id="distribution", marks=pytest.mark.skip(reason=reason))


@contextlib.contextmanager
def whole_images():
    """Processes that are started inherit what of their memory the kernel saves: also what files back."""
    before = FILTER.read_text()
    FILTER.write_text("0x37")
    try:
        yield
    finally:
        FILTER.write_text("0x" + before)


@contextlib.contextmanager
def death_of_a_copy(interpreter, program):
    """How the program died, run by a copy of the binary that holds the runtime, of which there is no file any more; and
    that file's path as the process saw it."""
    inside, outside = binaries.runtime_binary(interpreter)
    with scenarios.workspace(interpreter) as (folder, folder_inside):
        copy = folder / os.path.basename(inside)
        shutil.copy(outside, copy)
        folder.chmod(0o755)
        path = f"{folder_inside}/{copy.name}"
        if outside == interpreter.executable:
            runner = dataclasses.replace(interpreter, path=path)
        else:
            environment = (*interpreter.environment, ("LD_LIBRARY_PATH", folder_inside))
            runner = dataclasses.replace(interpreter, environment=environment)
        with whole_images(), running.death(runner, program, FLAGS) as death:
            copy.unlink()
            yield death, path


def has_debug_file(answer, path, interpreter):
    """Is the separate debug file of its distribution installed? Then that has the names."""
    name = next(entry["build_id"] for entry in answer["modules"] if entry["path"] == path) or "?"
    return os.path.exists(f"{interpreter.root or ''}/usr/lib/debug/.build-id/{name[:2]}/{name[2:]}.debug")


@pytest.mark.skipif(not FILTER.exists(), reason="skipped: this kernel has no coredump_filter")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
@pytest.mark.parametrize("interpreter", list(cases()))
def test_binary_that_is_gone_is_replaced_by_its_image_in_the_core(interpreter, program, kernel_leaves_cores):
    try:
        with death_of_a_copy(interpreter, program) as (death, path):
            status, answer = explain(death, interpreter)
            _, everything = explain(death, interpreter, "--native-all")
    except scenarios.NotApplicable as reason:
        pytest.skip(f"n/a: {reason}")
    problems = []
    found = [(entry["path"], entry["file"], entry["symbols"]) for entry in answer["modules"] if entry["path"] == path]
    if found != [(path, "core", "symtab" if has_debug_file(answer, path, interpreter) else "dynsym")]:
        problems.append(f"the module is {found}")
    rule = "stack-address" if interpreter.version >= (3, 10) else "frame-pointer"
    for view in (answer, everything):
        problems += report.compare_threads(death.truth, view) + compare_trails(death, view)
        for thread in view["threads"]:
            if not thread["native_complete"]:
                problems.append(f"thread {thread['tid']}: the native stack is not complete")
            if thread["python"] and thread["merged_by"] != rule:
                problems.append(f"thread {thread['tid']}: merged by {thread['merged_by']}")
    if answer["python"]["found_by"] != "symbol":
        problems.append(f"the runtime was found by {answer['python']['found_by']}")
    shown = [frame for thread in everything["threads"] for frame in thread["frames"] if frame["kind"] == "native"]
    names = {frame["function"] for frame in shown if frame["module"] == path}
    if "PyEval_EvalCode" not in names:
        problems.append(f"no frame is called PyEval_EvalCode: {sorted(filter(None, names))}")
    if status != 0:
        problems.append(f"exit status {status}")
        problems += [f"diagnostic {entry['code']}: {entry['message']}" for entry in answer["diagnostics"]]
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
