# SPDX-License-Identifier: Apache-2.0
"""Bad input of every kind: never a crash, a hang, an invented frame, or more than 256 MiB.

What is done ten thousand times is done inside one process by the driver in this directory; here the cores are made.
"""
import contextlib
import glob
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

import pytest

from lib import interpreters, report as reports, scenarios

HERE = pathlib.Path(__file__).resolve().parent
EXUVIA = pathlib.Path(reports.exuvia()).resolve()
DRIVER = pathlib.Path(os.environ.get("EXUVIA_BUILD") or EXUVIA.parent) / "tests" / "hostile"
SANITIZED = EXUVIA.exists() and b"__asan_init" in EXUVIA.read_bytes()
COMPLETE, PARTIAL, NOTHING = 0, 1, 2

pytestmark = pytest.mark.usefixtures("kernel_leaves_cores")
ALL = interpreters.find()
HERE_ONLY = [one for one in ALL if one.root is None and one.kind == "release"]


def one_of(minor):
    """An interpreter of this version, as a test's parameter; without one the test is skipped and says so."""
    for interpreter in HERE_ONLY:
        if interpreter.minor == minor:
            return pytest.param(interpreter, id=minor)
    return pytest.param(None, id=minor, marks=pytest.mark.skip(reason="no CPython %s here" % minor))


# ---- Making cores ------------------------------------------------------------------------------------------------------

def crash(command, directory):
    """The core of a command that dies in `directory`."""
    subprocess.run(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=120, preexec_fn=scenarios._allow_cores)
    cores = glob.glob(os.path.join(directory, "core*"))
    assert len(cores) == 1, "%s left %d cores" % (command, len(cores))
    return cores[0]


@contextlib.contextmanager
def python_core(interpreter):
    """A core of programs/threads.py."""
    with scenarios.workspace(interpreter) as (outside, inside):
        shutil.copy(HERE / "programs" / "threads.py", outside)
        # chroot cannot change into the directory, so the interpreter does.
        program = "import os; os.chdir(%r); exec(open('threads.py').read())" % inside
        yield crash(interpreter.command("-E", "-B", "-c", program), outside)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Compile a program of programs/ with these options: a function."""
    directory = tmp_path_factory.mktemp("programs")
    made = []

    def build(name, *options, output=None):
        made.append(None)
        target = directory / str(len(made)) / (output or name)
        target.parent.mkdir()
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        subprocess.run([compiler, "-g", "-pthread", "-o", target, HERE / "programs" / (name + ".c"), *options], check=True)
        return target

    return build


def drive(*arguments, timeout):
    """Run the driver, which must find nothing wrong."""
    assert DRIVER.exists(), "%s is not built" % DRIVER
    result = subprocess.run([DRIVER, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=timeout)
    output = result.stdout.decode(errors="replace")
    print(output)
    assert result.returncode == 0, output[-8000:]
    return output


def explain(path, *options):
    """(exit status, standard output, standard error) of `exuvia core`, which the driver holds to its limits."""
    result = subprocess.run([DRIVER, "limits", EXUVIA, "core", *options, path], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return check_result(result)


def check_result(result):
    output, errors = result.stdout.decode(), result.stderr.decode(errors="replace")
    assert result.returncode in (COMPLETE, PARTIAL, NOTHING), (result.returncode, errors)
    assert all(line.startswith("exuvia: ") for line in errors.splitlines()), errors
    return result.returncode, output, errors


def assert_nothing(path, because, crash_shown=False):
    """Exit status 2 and one line that says why; the crash, when there is one, is shown all the same."""
    status, output, errors = explain(path, "--python-only")
    assert status == NOTHING
    assert errors.count("\n") == 1 and because in errors, errors
    assert ("SIGABRT" in output and "File" not in output) if crash_shown else output == "", output
    status, output, errors = explain(path)  # with the native stack of the thread that crashed
    assert status == NOTHING and errors.count("\n") == 1 and because in errors, errors
    assert ("in abort" in output) == crash_shown
    status, output, errors = explain(path, "--json")
    assert status == NOTHING
    status, document, _ = reports.run(path)
    assert not any(thread["frames"] for thread in document["threads"])
    assert bool(document["crash"]) == crash_shown
    return document


# ---- Inside one process -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("interpreter, cases", [
    pytest.param(*one_of("3.11").values, 2500, id="3.11-first", marks=one_of("3.11").marks),
    pytest.param(*one_of("3.11").values, 2501, id="3.11-second", marks=one_of("3.11").marks),
    pytest.param(*one_of("3.13").values, 1700, id="3.13", marks=one_of("3.13").marks),
    pytest.param(*one_of("3.8").values, 1700, id="3.8", marks=one_of("3.8").marks),
    pytest.param(*one_of("2.7").values, 1700, id="2.7", marks=one_of("2.7").marks),
])
def test_random_corruption_costs_no_more_than_a_part_of_the_report(interpreter, cases):
    with python_core(interpreter) as core:
        drive("corrupt", core, cases, cases, timeout=600)


@pytest.mark.parametrize("interpreter, step", [
    pytest.param(*one_of(minor).values, step, id=minor, marks=one_of(minor).marks)
    for minor, step in (("3.8", 4096), ("2.7", 65536), ("3.11", 65536), ("3.13", 65536))
])
def test_a_core_cut_off_anywhere_shows_no_frame_that_never_was(interpreter, step):
    # Within headers and notes every length for one version; a sanitizer build and the other versions take some.
    header_step = 1 if step == 4096 and not SANITIZED else 13
    with python_core(interpreter) as core:
        drive("truncate", core, step, header_step, timeout=600)


@pytest.mark.parametrize("interpreter", interpreters.walks(), ids=lambda one: one.name)
def test_structures_that_lie_cost_only_what_they_lie_about(interpreter):
    with python_core(interpreter) as core:
        drive("mutations", core, timeout=300)


# ---- Files --------------------------------------------------------------------------------------------------------------

def test_an_empty_file_is_no_core(tmp_path):
    path = tmp_path / "core"
    path.write_bytes(b"")
    status, output, errors = explain(path)
    assert (status, output) == (NOTHING, "") and "empty" in errors and errors.count("\n") == 1


def test_a_text_file_is_no_core():
    status, output, errors = explain(__file__)
    assert (status, output) == (NOTHING, "") and "not an ELF file" in errors and errors.count("\n") == 1


def test_an_elf_program_is_no_core():
    status, output, errors = explain(EXUVIA)
    assert (status, output) == (NOTHING, "") and "not a core" in errors and errors.count("\n") == 1


def test_a_directory_is_no_core(tmp_path):
    status, output, errors = explain(tmp_path)
    assert (status, output) == (NOTHING, "") and "directory" in errors


def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "core")
    status, output, errors = explain(tmp_path / "core")
    assert (status, output) == (NOTHING, "") and "regular file" in errors


def test_a_missing_file_is_said(tmp_path):
    status, output, errors = explain(tmp_path / "core")
    assert (status, output) == (NOTHING, "") and "No such file" in errors


def test_an_unreadable_file_is_said():
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        core = pathlib.Path(directory) / "core"
        core.write_bytes(b"\x7fELF")
        core.chmod(0)
        executable, user = EXUVIA, None
        if os.geteuid() == 0:  # who may read everything: let somebody else try
            executable, user = pathlib.Path(shutil.copy(EXUVIA, directory)), 65534
            executable.chmod(0o755)
        result = subprocess.run([executable, "core", core], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, user=user, timeout=10)
        status, output, errors = check_result(result)
    assert (status, output) == (NOTHING, "") and "Permission denied" in errors


def core_header(count, sections=0):
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    return ident + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, sections, 0, 64, 56, count, 64 if sections else 0,
                               1 if sections else 0, 0)


@pytest.mark.parametrize("count", [65535, 70000, 1 << 20, 1 << 31])
def test_a_core_of_more_segments_than_a_header_can_count(tmp_path, count):
    there = min(count, 1 << 20)
    path = tmp_path / "core"
    with open(path, "wb") as file:
        table = b"".join(struct.pack("<IIQQQQQQ", 1, 6, 0, number << 12, 0, 0, 4096, 4096) for number in range(1, 1 + there))
        sections = 64 + len(table)
        file.write(core_header(0xffff, sections) + table)
        file.write(struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, count, 0, 0))
    status, output, errors = explain(path)
    assert (status, output) == (NOTHING, "") and errors.count("\n") == 1
    status, document, _ = reports.run(path)
    assert status == NOTHING and document["threads"] == []


@pytest.mark.parametrize("interpreter", [one_of("3.11")])
def test_a_core_with_zeroed_program_headers_is_said(interpreter):
    with python_core(interpreter) as core:
        with open(core, "r+b") as file:
            count = struct.unpack("<H", file.read(64)[56:58])[0]
            file.seek(64)
            file.write(bytes(56 * count))
        status, output, errors = explain(core)
        assert status == NOTHING and errors.count("\n") == 1 and "File" not in output


# ---- Stacks -------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("interpreter", [one_of("3.11")])
@pytest.mark.parametrize("depth, whole, inlines", [(1000, True, True), (999_000, True, False), (1_100_000, False, False)])
def test_a_million_native_frames_fit_without_their_inlined_calls(compiled, tmp_path, interpreter, depth, whole, inlines):
    library = compiled("inlines", "-O2", "-shared", "-fPIC", output="libinlines.so")
    program = HERE / "programs" / "inlines.py"
    core = crash(interpreter.command("-E", "-B", str(program), str(library), str(depth)), tmp_path)
    status, output, _ = explain(core, "--json")
    head, diagnostics = output.split('"diagnostics": [')
    codes = {word.split('"')[0] for word in diagnostics.split('"code": "')[1:]}
    shown = {name: head.count('"function": "%s"' % name) for name in ("inlines", "one", "two", "three", "run")}
    assert shown["run"] == 2  # Python's, in this program and in threading
    assert shown["one"] == shown["two"] == shown["three"] == (depth if inlines else 0)
    assert shown["inlines"] == depth + 1 if whole else 990_000 < shown["inlines"] <= 1_000_000
    assert ("inlines-left-out" in codes) != inlines and "memory-budget" not in codes
    assert ("native-incomplete" in codes) != whole
    assert status == (COMPLETE if whole and inlines else PARTIAL)


def claim_registers(core, count, differ):
    """Add threads to a core, each with the registers of the one that crashed; only its dead r11 may differ."""
    with open(core, "r+b") as file:
        header = file.read(64)
        table, segments = struct.unpack_from("<Q", header, 32)[0], struct.unpack_from("<H", header, 56)[0]
        for at in range(table, table + 56 * segments, 56):
            file.seek(at)
            kind, _, offset, _, _, size = struct.unpack("<IIQQQQ", file.read(40))
            if kind == 4:  # PT_NOTE
                break
        file.seek(offset)
        notes = file.read(size)
        status = bytearray(notes[:20 + 336])  # the first note: NT_PRSTATUS of the thread that crashed
        assert struct.unpack_from("<III", status) == (5, 336, 1)
        for number in range(count):
            struct.pack_into("<I", status, 20 + 32, CLAIMED + number)  # pr_pid
            if differ:
                struct.pack_into("<Q", status, 20 + 112 + 8 * 6, number)  # r11
            notes += status
        end = (file.seek(0, os.SEEK_END) + 7) // 8 * 8
        file.seek(end)
        file.write(notes)
        for field, value in (8, end), (32, len(notes)):
            file.seek(at + field)
            file.write(struct.pack("<Q", value))


CLAIMED = 1 << 30


@pytest.mark.parametrize("interpreter", [one_of("3.11")])
@pytest.mark.parametrize("differ", [False, True], ids=["equal", "unequal"])
def test_a_deep_stack_that_many_threads_claim_is_shown_as_often_as_a_process_may_have_frames(compiled, tmp_path,
                                                                                         interpreter, differ):
    threads, depth, most, free = 256, 30_000, 1_000_000, 128
    library = compiled("inlines", "-O2", "-g0", "-shared", "-fPIC", output="libinlines.so")
    program = HERE / "programs" / "inlines.py"
    core = crash(interpreter.command("-E", "-B", str(program), str(library), str(depth)), tmp_path)
    claim_registers(core, threads, differ)
    status, output, _ = explain(core, "--json", "--max-frames", str(free // 2))
    document = json.loads(output)
    codes = {one["code"] for one in document["diagnostics"]}
    assert status == PARTIAL and "native-incomplete" in codes and "memory-budget" not in codes
    # One of them has the Python frames, and is not cut off where the others are.
    claimed = [thread for thread in document["threads"] if thread["tid"] >= CLAIMED and not thread["python"]]
    shown = [len(thread["frames"]) - 1 + thread["frames_left_out"] for thread in claimed]
    assert len(claimed) == threads - 1 and min(shown) == free and max(shown) > depth
    assert most * 0.9 < sum(shown) < most + free * threads
    assert [thread["native_complete"] for thread in claimed] == [count > depth for count in shown]
    first = claimed[0]["frames"][:-1]
    assert all(thread["frames"][:-1] == first for thread in claimed)


@pytest.mark.parametrize("interpreter", [one_of("3.11")])
def test_markers_that_lie_do_not_make_the_search_for_their_frames_endless(compiled, tmp_path, interpreter):
    """Each of them is in memory that is full of what looks like return addresses; nothing tells libdwfl of the code there."""
    library = compiled("markers", "-O1", "-g0", "-shared", "-fPIC", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables",
                       "-fno-exceptions", "-fomit-frame-pointer", output="libmarkers.so")
    core = crash(interpreter.command("-E", "-B", str(HERE / "programs" / "markers.py"), str(library), "1000"), tmp_path)
    status, output, _ = explain(core, "--json")
    document = json.loads(output)
    codes = {one["code"] for one in document["diagnostics"]}
    assert status == PARTIAL and "native-search-budget" in codes, codes
    thread, = document["threads"]
    functions = [frame["function"] for frame in thread["frames"] if frame["kind"] == "python"]
    assert functions == ["down"] * 1001 + ["<module>"]


# ---- Processes without a Python that can be read ------------------------------------------------------------------------

def test_a_program_that_is_not_python_has_its_crash_shown(compiled, tmp_path):
    core = crash([compiled("crash")], tmp_path)
    document = assert_nothing(core, "not a Python process", crash_shown=True)
    assert document["crash"]["name"] == "SIGABRT" and len(document["threads"]) == 1


def test_a_threaded_program_that_is_not_python_has_its_threads_shown(compiled, tmp_path):
    core = crash([compiled("crash"), "threads"], tmp_path)
    document = assert_nothing(core, "not a Python process", crash_shown=True)
    assert [thread["crashed"] for thread in document["threads"]].count(True) == 1 and len(document["threads"]) == 3


def shared_library(interpreter):
    """(the library, PYTHONHOME for it) or None."""
    ask = ("import sys, sysconfig as s; "
           "print(s.get_config_var('LIBDIR') + '/' + s.get_config_var('LDLIBRARY')); print(sys.prefix)")
    answer = subprocess.run(interpreter.command("-c", ask), stdout=subprocess.PIPE, universal_newlines=True)
    path, home = (answer.stdout.splitlines() + ["", ""])[:2]
    return (path, home) if ".so" in path and os.path.exists(path) else None


@pytest.mark.parametrize("when, because", [("before", "not initialised"), ("after", "shut down")])
@pytest.mark.parametrize("interpreter", HERE_ONLY, ids=lambda one: one.name)
def test_python_that_is_not_running_is_said(compiled, tmp_path, interpreter, when, because):
    found = shared_library(interpreter)
    if not found:
        pytest.skip("%s has no shared library" % interpreter.name)
    library, home = found
    program = compiled("embed", library, "-Wl,-rpath," + os.path.dirname(library), "-Wl,--no-as-needed")
    core = crash(["env", "PYTHONHOME=" + home, str(program), when], tmp_path)
    assert_nothing(core, because, crash_shown=True)


@pytest.mark.parametrize("options, name, version", [
    (["-DCOOKIE=0x036300f0"], "python3.99", "3.99"),
    (["-DCOOKIE=0x034d00f0"], "python3.77", "3.77"),
    (["-DCOOKIE=0x030500f0"], "python3.5", "3.5"),
    (['-DVERSION_TEXT="3.5.10"'], "python3.5", "3.5.10"),
    (['-DVERSION_TEXT="2.6.9"'], "python2.6", "2.6.9"),
])
def test_a_version_that_cannot_be_read_is_said(compiled, tmp_path, options, name, version):
    core = crash([compiled("pretend", *options, output=name)], tmp_path)
    document = assert_nothing(core, version, crash_shown=True)
    assert [thread["python"] for thread in document["threads"]] == [None]
    for option in "--python-only", "--color=never":
        output = explain(core, option)[1]
        assert "  Python   not read, see below\n" in output and "o Python frames are known" in output, output
