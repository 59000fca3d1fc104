# SPDX-License-Identifier: Apache-2.0
"""The files of a process: which are used, how they are known to be the same, and what is said of those that are missing."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import time

import pytest

from lib import hanging, interpreters, report, scenarios

FOUND = interpreters.find()
# One program with the interpreter inside, as distributions have it.
STATIC = next((interpreter for interpreter in FOUND if interpreter.path.startswith("/usr/bin/python3")
               and not interpreter.root and interpreter.kind == "release"), None)
needs_static = pytest.mark.skipif(not STATIC, reason="this machine has no Python of its distribution")

DEADLOCK = r"""import sys, threading
a, b, both = threading.Lock(), threading.Lock(), threading.Barrier(2)
def one():
    with a:
        both.wait()
        with b: pass
def two():
    with b:
        both.wait()
        with a: pass
threads = [threading.Thread(target=one, name="one"), threading.Thread(target=two, name="two")]
for thread in threads: thread.start()
sys.stdout.write("ready\n"); sys.stdout.flush()
"""


@contextlib.contextmanager
def folder():
    with scenarios.workspace(STATIC) as (outside, _):
        yield pathlib.Path(outside)


@contextlib.contextmanager
def running(command, directory, **environment):
    process = subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, start_new_session=True,
                               env={**os.environ, **environment})
    try:
        assert process.stdout.readline() == b"ready\n"
        hanging.await_rest(process.pid)
        yield process
    finally:
        hanging.end(process)
        process.stdout.close()


def core_of(process, directory):
    subprocess.run(["gcore", "-o", str(directory / "core"), str(process.pid)], capture_output=True, check=True,
                   timeout=60)
    return directory / f"core.{process.pid}"


def explain(*arguments):
    answer = subprocess.run([report.exuvia(), *map(str, arguments), "--json"], capture_output=True, timeout=60)
    document = json.loads(answer.stdout)
    report.validate(document)
    return answer.returncode, document


def module(document, name):
    return next(module for module in document["modules"] if (module["path"] or "").endswith("/" + name))


def build_id(path):
    text = subprocess.run(["readelf", "-n", str(path)], capture_output=True, text=True, check=True).stdout
    return text.partition("Build ID: ")[2].split()[0]


@needs_static
def test_a_program_that_was_replaced_is_named_first_with_what_to_do():
    with folder() as directory:
        program, kept = directory / "py", directory / "kept"
        kept.mkdir()
        shutil.copy(STATIC.path, program)
        shutil.copy(STATIC.path, kept / "py")
        code = "import sys, time; sys.stdout.write('ready\\n'); sys.stdout.flush(); time.sleep(600)"
        with running([str(program), "-c", code], directory) as process:
            core = core_of(process, directory)
        wanted = build_id(program)
        shutil.copy("/bin/true", directory / "new")
        (directory / "new").rename(program)
        status, document = explain("core", core)
        text = subprocess.run([report.exuvia(), "core", str(core)], capture_output=True, text=True, timeout=60).stdout
        found, whole = explain("core", core, "--search", kept)
        program.unlink()
        _, without = explain("core", core)
    first = document["diagnostics"][0]
    assert status == 1 and first["code"] == "files-missing" and first["incomplete"]
    for part in (str(program), wanted, "build ID mismatch", "--search", "--sysroot", "--debuginfod"):
        assert part in first["message"], (part, first)
    assert module(document, "py")["file"] == "mismatched"
    missing = text.partition("\nIncomplete:\n")[2].splitlines()
    assert missing[0] == f"  {first['message']} [files-missing]" and "not there" not in text
    assert found == 0 and not any("missing" in one["code"] for one in whole["diagnostics"])
    first = without["diagnostics"][0]
    assert first["code"] == "files-missing" and wanted in first["message"] and "mismatch" not in first["message"]


def without_build_id(source, target):
    """The note of the build id becomes a note of another type."""
    data = bytearray(pathlib.Path(source).read_bytes())
    at = data.find(bytes.fromhex(build_id(source)))
    assert data[at - 4:at] == b"GNU\0" and data[at - 8:at - 4] == b"\3\0\0\0"
    data[at - 8] = 77
    target.write_bytes(data)
    target.chmod(0o755)


@needs_static
def test_a_program_without_a_build_id_is_proved_by_what_the_core_has_of_it():
    """What it does not have, the constants of the interpreter, is read from the file then: the names of types."""
    with folder() as directory:
        (directory / "job.py").write_text(DEADLOCK)
        without_build_id(STATIC.path, directory / "py")
        with running([str(directory / "py"), "job.py"], directory) as process:
            live_status, live = explain("attach", process.pid)
            core = core_of(process, directory)
        status, document = explain("core", core)
        data = bytearray((directory / "py").read_bytes())
        data[300] ^= 1  # in the first page, which a core has
        (directory / "new").write_bytes(data)
        (directory / "new").rename(directory / "py")
        _, other = explain("core", core)
    assert module(live, "py")["file"] == module(document, "py")["file"] == "matched"
    assert module(document, "py")["build_id"] is None and module(other, "py")["file"] == "mismatched"
    assert live_status == status == 0
    waits = {thread["name"]: thread["waits_on"] for thread in document["threads"]}
    assert [waits[name]["kind"] for name in ("one", "two")] == ["lock", "lock"]
    said = {thread["name"]: thread["waits_on"]["summary"] for thread in live["threads"]}
    assert {name: wait["summary"] for name, wait in waits.items()} == said and '"two"' in said["one"]
    assert not any(one["code"].startswith("module-") for one in document["diagnostics"])


@needs_static
def test_symbols_of_a_separate_debug_file_are_said_to_be_used():
    source = ("#include <unistd.h>\n"
              "static __attribute__((noinline)) int inner(void) { return (int)sleep(600) + 1; }\n"
              "int outer(void) { return inner() + 1; }\n")
    code = ("import ctypes, sys; sys.stdout.write('ready\\n'); sys.stdout.flush()\n"
            "ctypes.CDLL('./libnat.so').outer()")
    with folder() as directory:
        (directory / "nat.c").write_text(source)
        for command in (["gcc", "-g", "-O1", "-shared", "-fPIC", "-Wl,--build-id", "-o", "libnat.so", "nat.c"],
                        ["objcopy", "--only-keep-debug", "libnat.so", "nat.debug"], ["strip", "libnat.so"]):
            subprocess.run(command, cwd=directory, check=True)
        name = build_id(directory / "libnat.so")
        place = directory / "debug" / ".build-id" / name[:2] / f"{name[2:]}.debug"
        place.parent.mkdir(parents=True)
        (directory / "nat.debug").rename(place)
        with running([STATIC.path, "-c", code], directory) as process:
            _, bare = explain("attach", process.pid)
            _, full = explain("attach", process.pid, "--search", directory / "debug")
            subprocess.run(["objcopy", "--strip-debug", str(place)], check=True)
            _, table = explain("attach", process.pid, "--search", directory / "debug")
    functions = [{frame["function"] for frame in document["threads"][0]["frames"] if frame["kind"] == "native"}
                 for document in (bare, full, table)]
    assert ["inner" in names for names in functions] == [False, True, True]
    assert [module(document, "libnat.so")["symbols"] for document in (bare, full, table)] == ["dynsym", "dwarf", "symtab"]


@needs_static
def test_a_program_that_was_given_and_is_not_used_is_said():
    with folder() as directory, running([STATIC.path, "-c", DEADLOCK], directory) as process:
        core = core_of(process, directory)
        for given, said in (("/bin/ls", "/bin/ls is not the program that the process ran"),
                            ("gone", "gone cannot be opened"), (os.path.realpath(STATIC.path), "")):
            for form in "--json", "--python-only":
                answer = subprocess.run([report.exuvia(), "core", form, core, given], cwd=directory, text=True,
                                        capture_output=True, timeout=60)
                assert answer.returncode == 0 and answer.stderr.startswith("exuvia: " + said if said else ""), answer.stderr
                assert answer.stderr.count("\n") == bool(said), answer.stderr
