# SPDX-License-Identifier: Apache-2.0
"""Merged stacks are true also where the interpreter's binary was stripped of everything that the loader does not need:
of every symbol but the exported ones (`strip -s`), of those too as far as they cover code, and of the section headers
themselves. None of it touches the machine code or its unwinding tables, so no frame may be lost, none invented, and the
merge stays one by address."""

import contextlib
import dataclasses
import os
import shutil
import struct
import subprocess

import pytest

import running
from lib import binaries, interpreters, report, scenarios
from test_merged import builds, compare_trails, explain  # noqa: F401 (builds: cleans up behind running)

PROGRAMS = [running.Scenario("alternation", None), running.Scenario("threads", None)]
FLAGS = "-O2 -fomit-frame-pointer"
SHARED = ("3.8", "3.11", "3.13")
BY_POINTER = ("2.7", "3.6", "3.7", "3.8", "3.9")
FOUND = interpreters.find()


def without_section_headers(path):
    with open(path, "r+b") as file:
        file.seek(0x28)  # e_shoff
        file.write(struct.pack("<Q", 0))
        file.seek(0x3C)  # e_shnum, e_shstrndx
        file.write(struct.pack("<HH", 0, 0))


def stripped_without_section_headers(path):
    binaries.stripped(path)
    without_section_headers(path)


CHANGES = {
    "as-shipped": None,
    "stripped": binaries.stripped,
    "no-section-headers": stripped_without_section_headers,
    "no-symbols": binaries.without_symbols_of_functions,
}


def cases():
    """The interpreters of this machine with a libpython, changed; those of the distribution also as they are."""
    wanted = [(minor, change) for minor in SHARED for change in ("stripped", "no-section-headers")]
    wanted += [(minor, "no-symbols") for minor in (*BY_POINTER, "3.11")]
    for minor, change in wanted:
        found = [item for item in FOUND if item.minor == minor and item.kind == "release" and not item.root
                 and binaries.runtime_binary(item)[1] != item.executable]
        absent = pytest.mark.skipif(not found, reason=f"skipped: no {minor} with a libpython was found")
        yield pytest.param(found[0] if found else None, change, id=f"{minor}-{change}", marks=absent)
    roots = [item for item in FOUND if item.root and item.kind == "release"]
    for item in roots:
        for change in ("as-shipped", "no-section-headers", *(["no-symbols"] if item.minor in BY_POINTER else [])):
            yield pytest.param(item, change, id=f"{item.name}-{change}")
    if not roots:
        reason = "skipped: no interpreter of a distribution was found; tests/lib/setup-interpreters.sh fetches them"
        yield pytest.param(None, "as-shipped", id="distribution", marks=pytest.mark.skip(reason=reason))


@contextlib.contextmanager
def changed(interpreter, change):
    """The interpreter as it runs with the changed copy of the binary that holds its runtime, and that copy."""
    inside, outside = binaries.runtime_binary(interpreter)
    if not CHANGES[change]:
        yield interpreter, outside
        return
    with scenarios.workspace(interpreter) as (folder, folder_inside):
        copy = folder / os.path.basename(inside)
        shutil.copy(outside, copy)
        CHANGES[change](copy)
        folder.chmod(0o755)
        if outside == interpreter.executable:
            yield dataclasses.replace(interpreter, path=f"{folder_inside}/{copy.name}"), str(copy)
        else:
            environment = (*interpreter.environment, ("LD_LIBRARY_PATH", folder_inside))
            yield dataclasses.replace(interpreter, environment=environment), str(copy)


def check_binary(path, change):
    """The copy is what its name says, and it can still be told which one it is."""
    symbols = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True).stdout
    assert ".symtab" not in symbols and ".debug_info" not in symbols
    if change == "no-section-headers":
        assert "There are no sections in this file" in symbols
    segments = subprocess.run(["readelf", "-lW", path], capture_output=True, text=True).stdout
    assert "GNU_EH_FRAME" in segments and "NOTE" in segments


def compare_hosts(answer, module, interpreter):
    """Whatever the binary was stripped of: what runs Python frames is the eval loop, by the symbols that it had."""
    name = "PyEval_EvalFrameEx" if interpreter.version < (3,) else "_PyEval_EvalFrameDefault"
    listing = subprocess.run(["nm", "-DS", binaries.runtime_binary(interpreter)[1]], capture_output=True, text=True)
    start, size = next((int(line.split()[0], 16), int(line.split()[1], 16)) for line in listing.stdout.splitlines()
                       if line.split()[-1].split("@")[0] == name)
    base = next(int(entry["start"], 16) for entry in answer["modules"] if entry["path"] == module)
    fixed = binaries.is_fixed(binaries.runtime_binary(interpreter)[1])
    problems = []
    for thread in answer["threads"]:
        for number, frame in enumerate(thread["frames"]):
            if frame["kind"] != "native" or not frame["eval"]:
                continue
            offset = int(frame["pc"], 16) - (0 if fixed else base) - start
            if frame["module"] != module or not 0 <= offset < size:
                problems.append(f"thread {thread['tid']}: frame {number} at {frame['pc']} is no {name}")
    return problems


@pytest.mark.skipif(not shutil.which("strip"), reason="skipped: strip (package binutils) is not installed")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
@pytest.mark.parametrize("interpreter, change", list(cases()))
def test_stacks_of_a_stripped_interpreter_are_whole_and_true(interpreter, change, program, kernel_leaves_cores):
    with changed(interpreter, change) as (runner, binary):
        check_binary(binary, change)
        try:
            with running.death(runner, program, FLAGS) as death:
                status, answer = explain(death, runner)
                _, everything = explain(death, runner, "--native-all")
        except scenarios.NotApplicable as reason:
            pytest.skip(f"n/a: {reason}")
    problems = []
    used = [module for module in answer["modules"] if os.path.basename(module["path"]) == os.path.basename(binary)]
    inside = binary[len(os.path.realpath(runner.root)):] if runner.root else binary
    if [(module["path"], module["file"]) for module in used] != [(inside, "matched")]:
        problems.append(f"the process did not run {inside}, or it was not matched: {used}")
    rules = ("stack-address",) if interpreter.version >= (3, 10) else ("frame-pointer",)
    if change == "no-symbols":
        problems += compare_hosts(everything, inside, interpreter)
    for view in (answer, everything):
        problems += report.compare_threads(death.truth, view) + compare_trails(death, view)
        for thread in view["threads"]:
            if not thread["native_complete"]:
                problems.append(f"thread {thread['tid']}: the native stack is not complete")
            if thread["python"] and thread["merged_by"] not in rules:
                problems.append(f"thread {thread['tid']}: merged by {thread['merged_by']}")
    if status != 0:
        problems.append(f"exit status {status}")
        problems += [f"diagnostic {entry['code']}: {entry['message']}" for entry in answer["diagnostics"]]
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
