# SPDX-License-Identifier: Apache-2.0
"""Each way of finding the runtime works alone, on every version that it can serve, and the stacks are as true as ever.

The process runs normally. What is taken away is what exuvia gets to see: a --sysroot that holds a changed copy of the
interpreter's binary, with the same build id, or nothing at all.
"""

import contextlib
import shutil
import tempfile

import pytest

from lib import binaries, interpreters, report, scenarios

SCENARIOS = {scenario.name: scenario for scenario in scenarios.scenarios()}
# The JIT changes nothing about where the runtime is.
INTERPRETERS = [interpreter for interpreter in interpreters.find() if interpreter.kind != "jit"]
WALKS = [interpreter for interpreter in interpreters.walks() if interpreter.kind != "jit"]
SCENARIO = SCENARIOS["crash_in_thread[SIGABRT]"]

every_interpreter = pytest.mark.parametrize("interpreter", INTERPRETERS, ids=lambda interpreter: interpreter.name)
each_walk = pytest.mark.parametrize("interpreter", WALKS, ids=lambda interpreter: interpreter.name)


def has_debug_offsets(interpreter):
    return interpreter.version >= (3, 13)


def scanned(interpreter):
    """How the runtime is found where no file tells."""
    return "cookie" if has_debug_offsets(interpreter) else "thread-pointer"


def layout(interpreter, dwarf):
    if has_debug_offsets(interpreter):
        return {"debug-offsets"}
    return {"dwarf"} if dwarf else {"table"}


@contextlib.contextmanager
def changed(interpreter, *changes):
    """A sysroot with nothing but the changed copy of the binary that holds the runtime."""
    sysroot = tempfile.mkdtemp(prefix="exuvia-sysroot-")
    try:
        inside, source = binaries.runtime_binary(interpreter)
        target = sysroot + inside
        binaries.copy(source, target)
        for change in changes:
            change(target)
        yield sysroot, target
    finally:
        shutil.rmtree(sysroot, ignore_errors=True)


def check(interpreter, sysroot, found_by, layout_from, exact=True):
    with scenarios.death(interpreter, SCENARIO) as death:
        options = ["--sysroot", sysroot] if sysroot else []
        status, result, said = report.run(death.core, *options)
    assert result is not None and result["python"] is not None, f"nothing found, exit status {status}: {said}"
    python = result["python"]
    problems = report.compare_process(death.truth, result, interpreter) + report.compare_threads(death.truth, result)
    if python["found_by"] not in found_by:
        problems.append(f"found by {python['found_by']}, not {' or '.join(found_by)}")
    if python["layout_from"] not in layout_from:
        problems.append(f"layout from {python['layout_from']}, not {' or '.join(layout_from)}")
    if exact and status != 0:
        problems.append(f"exit status {status}: {said}")
    assert status in (0, 1), said
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


def by_symbol(names):
    return {"symbol"} if names else {"thread-pointer"}


@every_interpreter
def test_symbol_of_the_file_as_it_is(interpreter, kernel_leaves_cores):
    _, file = binaries.runtime_binary(interpreter)
    names = binaries.symbols(file, ".symtab") | binaries.symbols(file, ".dynsym")
    dwarf = ".debug_info" in binaries.sections(file)
    check(interpreter, interpreter.root, by_symbol(names), layout(interpreter, dwarf))


@each_walk
def test_symbol_of_a_stripped_file(interpreter, kernel_leaves_cores):
    with changed(interpreter, binaries.stripped, binaries.without_runtime_section) as (sysroot, target):
        names = binaries.symbols(target, ".dynsym")
        check(interpreter, sysroot, by_symbol(names), layout(interpreter, False), exact=False)


@each_walk
def test_section_without_symbols(interpreter, kernel_leaves_cores):
    _, file = binaries.runtime_binary(interpreter)
    if ".PyRuntime" not in binaries.sections(file):
        pytest.skip("n/a: this build has no .PyRuntime section")
    with changed(interpreter, binaries.without_symbols) as (sysroot, target):
        dwarf = ".debug_info" in binaries.sections(file)
        check(interpreter, sysroot, {"section"}, layout(interpreter, dwarf), exact=False)


@each_walk
def test_scan_when_the_section_has_another_name(interpreter, kernel_leaves_cores):
    with changed(interpreter, binaries.with_renamed_section) as (sysroot, target):
        # The file may still help with its DWARF; a scan may also do without.
        layouts = layout(interpreter, False) | layout(interpreter, ".debug_info" in binaries.sections(target))
        check(interpreter, sysroot, {scanned(interpreter)}, layouts, exact=False)


@each_walk
def test_scan_when_the_file_has_no_section_headers(interpreter, kernel_leaves_cores):
    with changed(interpreter, binaries.without_sections) as (sysroot, _):
        check(interpreter, sysroot, {scanned(interpreter)}, layout(interpreter, False), exact=False)


@every_interpreter
def test_core_alone(interpreter, kernel_leaves_cores, tmp_path):
    check(interpreter, str(tmp_path), {scanned(interpreter)}, layout(interpreter, False), exact=False)
