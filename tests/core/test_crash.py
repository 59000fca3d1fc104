# SPDX-License-Identifier: Apache-2.0
"""What a process died of is the fault, in the thread that had it, whoever raised the signal at last; and no thread is
called crashed when nothing proves it. die.py and wait.py write down what is true."""

import functools
import glob
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from lib import hanging, interpreters, report, scenarios

HERE = pathlib.Path(__file__).resolve().parent / "crash"
FOUND = [item for item in interpreters.find() if not item.root]
EVERY = bool(os.environ.get("EXUVIA_EVERY_INTERPRETER"))
SUMMARY = {
    "read": "Segmentation fault reading address {address} (near NULL) in thread {tid}",
    "write": "Segmentation fault writing address {address} (near NULL) in thread {tid}",
    "execute": "Segmentation fault executing address {address} (no mapping) in thread {tid}",
    "noncanonical": "Segmentation fault for which the kernel gives no address (a non-canonical or misaligned one, or none) in thread {tid}",
    "privileged": "Segmentation fault for which the kernel gives no address (a non-canonical or misaligned one, or none) in thread {tid}",
    "short_file": "Bus error reading address {address} in {directory}/short (rw-) in thread {tid}",
    "divide": "Floating point exception (integer divide by zero) at ",
    "invalid": "Illegal instruction (illegal operand) at ",
    "abort": "Aborted (SIGABRT raised by the process itself) in thread {tid}",
}
NAMES = {"divide": "SIGFPE", "invalid": "SIGILL", "abort": "SIGABRT", "short_file": "SIGBUS"}
CASES = [
    # (fault, handler, thread); each is another way for the signal to come back
    ("read", "none", "thread"), ("read", "faulthandler", "main"), ("noncanonical", "faulthandler", "main"),
    ("privileged", "none", "thread"),
    ("divide", "faulthandler", "main"), ("abort", "faulthandler", "thread"), ("read", "kill", "thread"),
    ("write", "kill", "main"), ("short_file", "kill", "thread"), ("invalid", "raise", "main"),
    ("short_file", "raise", "main"), ("execute", "raise", "thread"), ("write", "tgkill", "thread"),
    ("read", "raise-altstack", "thread"), ("write", "kill-altstack", "thread"), ("invalid", "chain", "thread"),
    ("read", "abort", "main"), ("short_file", "abort", "thread"), ("read", "refault", "thread"),
    ("read", "reporter", "thread"), ("abort", "kill", "thread"), ("abort", "raise", "main"),
]
ALL = [(fault, handler, thread) for fault in SUMMARY for thread in ("main", "thread")
       for handler in ("none", "faulthandler", "kill", "raise", "tgkill", "chain", "abort", "refault", "kill-altstack")]


def chosen(*minors):
    one = {item.minor: item for item in FOUND if item.minor in minors and item.kind == "release"}
    return [pytest.param(item, id=item.name) for item in (FOUND if EVERY else one.values())]


@functools.cache
def library():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="exuvia-handlers-"))
    return build(folder, "handlers.c", "-lpthread")


def build(folder, source, *options):
    binary = folder / source.replace(".c", ".so")
    subprocess.run([os.environ.get("CC", "gcc"), "-std=gnu11", "-g", "-O1", "-shared", "-fPIC", "-w", "-o", binary,
                    HERE / source, *options], check=True)
    return binary


@pytest.fixture(scope="module", autouse=True)
def built():
    yield
    if library.cache_info().currsize:
        shutil.rmtree(library().parent, ignore_errors=True)
        library.cache_clear()


def core_of(directory):
    cores = glob.glob(str(directory / "core*"))
    assert len(cores) == 1, f"{len(cores)} cores were left"
    return cores[0]


def die(interpreter, directory, fault, handler, thread):
    command = interpreter.command(str(HERE / "die.py"), str(library()), fault, handler, thread)
    subprocess.run(command, cwd=directory, capture_output=True, timeout=60, preexec_fn=scenarios._allow_cores)
    truth = json.loads((directory / "truth.json").read_text())
    return core_of(directory), truth


def crashed(result):
    return [thread["tid"] for thread in result["threads"] if thread["crashed"]]


def check(interpreter, directory, fault, handler, thread):
    core, truth = die(interpreter, directory, fault, handler, thread)
    status, result, said = report.run(core, merged=True)
    crash = result["crash"]
    wanted = SUMMARY[fault].format(address=hex(truth["address"]), tid=truth["tid"], directory=directory)
    assert status == 0, said
    assert crash["summary"].startswith(wanted), crash["summary"]
    assert crash["name"] == NAMES.get(fault, "SIGSEGV")
    assert crash["tid"] == truth["tid"] and crashed(result) == [truth["tid"]]
    raised = handler not in ("none", "refault") and not (fault == "abort" and handler == "refault")
    # The handler of SIGABRT that calls abort() puts back the default action first.
    assert bool(crash["raised_again"]) == raised, crash
    if raised:
        assert crash["raised_again"]["name"] == ("SIGABRT" if handler == "abort" else crash["name"])
    if fault in ("read", "write", "execute", "short_file"):
        assert crash["address"] == hex(truth["address"])
    # Without unwinding: the weaker truth, never another thread.
    _, plain, _ = report.run(core)
    assert crashed(plain) in ([], [truth["tid"]])
    assert plain["crash"]["tid"] in (None, truth["tid"])


@pytest.mark.parametrize("fault, handler, thread", ALL if EVERY else CASES)
@pytest.mark.parametrize("interpreter", chosen("3.11"))
def test_the_crash_is_what_the_handler_ran_for(interpreter, fault, handler, thread, tmp_path, kernel_leaves_cores):
    if handler == "faulthandler" and interpreter.version < (3, 3):
        pytest.skip("2.7 has no faulthandler")
    check(interpreter, tmp_path, fault, handler, thread)


@pytest.mark.parametrize("interpreter", chosen("3.11"))
def test_a_stack_that_is_too_large_to_be_searched_is_why_it_is_not_known_whose_the_crash_is(interpreter, tmp_path,
                                                                                           kernel_leaves_cores):
    code = ("import ctypes, sys, threading; threading.stack_size(128 << 20)\n"
            "threading.Thread(target=ctypes.CDLL(sys.argv[1]).deep_abort).start()")
    subprocess.run(interpreter.command("-c", code, str(library())), cwd=tmp_path, capture_output=True, timeout=60,
                   preexec_fn=scenarios._allow_cores)
    core = core_of(tmp_path)
    _, plain, _ = report.run(core)
    assert plain["crash"]["tid"] is None and crashed(plain) == []
    assert [one["incomplete"] for one in plain["diagnostics"] if one["code"] == "crash-search-budget"] == [True], plain
    _, merged, _ = report.run(core, merged=True)
    assert len(crashed(merged)) == 1
    assert "crash-search-budget" not in [one["code"] for one in merged["diagnostics"]]


@pytest.mark.parametrize("interpreter", chosen("2.7", "3.13"))
def test_a_request_that_crashes_under_apache_is_the_one_that_crashed(interpreter, tmp_path, kernel_leaves_cores):
    check(interpreter, tmp_path, "read", "kill", "thread")


def waiting(interpreter, directory, how):
    process = subprocess.Popen(interpreter.command(str(HERE / "wait.py"), str(library()), how), cwd=directory,
                               stdout=subprocess.PIPE, preexec_fn=scenarios._allow_cores)
    if how != "self":
        assert process.stdout.readline() == b"ready\n"
        if how == "fault_at_the_same_place":
            hanging.await_computing(process.pid)
        else:
            hanging.await_rest(process.pid)
    return process


@pytest.mark.parametrize("how, number", [
    ("nothing", signal.SIGABRT), ("nothing", signal.SIGSEGV), ("faulthandler", signal.SIGABRT),
    ("faulthandler", signal.SIGSEGV), ("raise", signal.SIGABRT), ("mended", signal.SIGSEGV),
    ("fault_at_the_same_place", signal.SIGSEGV)])
@pytest.mark.parametrize("interpreter", chosen("3.11"))
def test_no_thread_crashed_of_a_signal_from_outside(interpreter, how, number, tmp_path, kernel_leaves_cores):
    """A handler may have raised it again; faults that were handled long before are not its reason."""
    if how == "faulthandler" and interpreter.version < (3, 3):
        pytest.skip("2.7 has no faulthandler")
    with waiting(interpreter, tmp_path, how) as process:
        os.kill(process.pid, number)
        process.wait(timeout=60)
    core = core_of(tmp_path)
    for merged in (True, False):
        _, result, _ = report.run(core, merged=merged)
        crash = result["crash"]
        assert crashed(result) == [] and crash["tid"] is None and crash["address"] is None, crash
        assert crash["name"] == number.name and crash["raised_again"] is None
        if how == "nothing":
            assert crash["summary"] == f"Killed by {number.name} sent by process {os.getpid()} (uid {os.getuid()})"
        else:
            assert "raised by" in crash["summary"] and "address" not in crash["summary"]


@pytest.mark.parametrize("interpreter", chosen("3.11"))
def test_no_thread_crashed_when_another_one_has_sent_the_signal_and_gone_on(interpreter, tmp_path,
                                                                            kernel_leaves_cores):
    with waiting(interpreter, tmp_path, "self") as process:
        process.wait(timeout=60)
    _, result, _ = report.run(core_of(tmp_path), merged=True)
    assert result["crash"]["summary"].startswith("Killed by SIGQUIT raised by the process itself")
    assert crashed(result) != [process.pid] and result["crash"]["tid"] != process.pid


OVERFLOW = """
import sys, threading
sys.setrecursionlimit(10**6)
class A(object):
    def __getattr__(self, name): return getattr(self, name + 'x')
if sys.argv[1] == 'handler':
    import ctypes
    ctypes.CDLL(sys.argv[2]).exv_handle(b'raise')
def deep():
    import ctypes
    with open('room', 'w') as file: file.write(str(ctypes.PyDLL(sys.argv[2]).exv_has_alternate_stack()))
    A().foo
if sys.argv[3] == 'main':
    deep()
threading.stack_size(1024 * 1024)
thread = threading.Thread(target=deep)
thread.start()
thread.join()
"""


@pytest.mark.parametrize("thread", ["main", "thread"] if EVERY else ["thread"])
@pytest.mark.parametrize("interpreter", [item for item in chosen("2.7", "3.8", "3.11")
                                         if item.values[0].version < (3, 12)])
def test_a_stack_overflow_is_the_same_with_a_handler_that_found_no_room(interpreter, thread, tmp_path,
                                                                        kernel_leaves_cores):
    program = tmp_path / "overflow.py"
    program.write_text(OVERFLOW)
    for handler in ("none", "handler"):
        for old in glob.glob(str(tmp_path / "core*")):
            os.unlink(old)
        subprocess.run(interpreter.command(str(program), handler, str(library()), thread), cwd=tmp_path,
                       capture_output=True, timeout=60, preexec_fn=scenarios._allow_cores)
        _, result, _ = report.run(core_of(tmp_path))
        crash = result["crash"]
        # From 3.6 to 3.8 the main thread always has one: faulthandler makes it when the interpreter starts.
        room = handler != "none" and (tmp_path / "room").read_text() == "1"
        assert room == (handler != "none" and thread == "main" and (3, 6) <= interpreter.version < (3, 9))
        assert bool(crash["raised_again"]) == room
        assert crash["code_name"] == "SI_KERNEL" or handler == "none" or room
        assert crash["summary"].startswith("Segmentation fault writing address 0x"), crash["summary"]
        assert "probably a stack overflow" in crash["summary"] and crashed(result) == [crash["tid"]]
        assert (crash["tid"] == result["process"]["pid"]) == (thread == "main")


BEYOND = ("Bus error reading address {address} in {directory}/data.bin{deleted} (rw-) in thread {pid}{raised}: "
          "byte 28,672 of the file, of which 65,536 bytes from offset 16,384 were mapped{now}")
SAME = "; a file of that name is 20,000 bytes long here, unchanged since this core file was written"


def shrink(interpreter, directory, how):
    subprocess.run(interpreter.command(str(HERE / "shrink.py"), how), cwd=directory, capture_output=True, timeout=60,
                   preexec_fn=scenarios._allow_cores)
    truth = json.loads((directory / "truth.json").read_text())
    return core_of(directory), {"address": hex(truth["address"]), "pid": truth["pid"], "directory": directory,
                                "deleted": "", "raised": "", "now": ""}


def file_of(core, *options):
    status, result, said = report.run(core, *options, merged=True)
    assert status == 0 or options, said
    return result["crash"]["summary"], result["crash"]["file"]


@pytest.mark.parametrize("how", ["byte", "slice", "faulthandler", "faulthandler slice"])
@pytest.mark.parametrize("interpreter", chosen("3.11"))
def test_the_end_of_a_mapped_file_is_told_where_a_page_behind_it_was_read(interpreter, how, tmp_path,
                                                                          kernel_leaves_cores):
    if "faulthandler" in how and interpreter.version < (3, 3):
        pytest.skip("2.7 has no faulthandler")
    core, truth = shrink(interpreter, tmp_path, how)
    raised = ", raised again by a signal handler" if "faulthandler" in how else ""
    summary, file = file_of(core)
    assert summary == BEYOND.format(**{**truth, "raised": raised, "now": SAME})
    assert file == {"path": str(tmp_path / "data.bin"), "position": 28672, "mapped_from": 16384, "mapped_bytes": 65536,
                    "length_now": 20000, "changed_after_core": False}


@pytest.mark.parametrize("interpreter", chosen("3.11"))
def test_a_file_of_the_same_name_need_not_be_the_one_that_was_mapped(interpreter, tmp_path, kernel_leaves_cores):
    core, truth = shrink(interpreter, tmp_path, "byte")
    data = tmp_path / "data.bin"

    def says(now, changed, *options):
        summary, file = file_of(core, *options)
        if options:  # without the program's files nothing tells that it was read
            summary = summary.replace(" at address", " reading address")
        assert summary == BEYOND.format(**{**truth, "now": now}) and file["changed_after_core"] is changed
    time.sleep(0.05)  # the clock of files is coarse
    data.write_bytes(b"x" * 123456)
    says("; a file of that name is 123,456 bytes long here, changed after this core file was written", True)
    os.utime(data, (1, 1))  # only the time of the inode's change says that there was one
    says("; a file of that name is 123,456 bytes long here now", None)
    # In a sysroot, also when it is a link that means the sysroot's own root, nothing of this machine counts.
    root = tmp_path / "root"
    (root / str(tmp_path)[1:]).mkdir(parents=True)
    says("", None, "--sysroot", str(root))
    (root / "other").write_bytes(b"x" * 77)
    (root / str(data)[1:]).symlink_to("/other")
    says("; a file of that name is 77 bytes long here now", None, "--sysroot", str(root))
    data.unlink()
    says("", None)
    os.mkfifo(data)
    says("", None)


@pytest.mark.parametrize("interpreter", chosen("3.11"))
def test_a_mapped_file_without_a_name_has_no_length_now(interpreter, tmp_path, kernel_leaves_cores):
    core, truth = shrink(interpreter, tmp_path, "unlink")
    (tmp_path / "data.bin").write_bytes(b"another")
    (tmp_path / "data.bin (deleted)").write_bytes(b"another")
    summary, file = file_of(core)
    assert summary == BEYOND.format(**{**truth, "deleted": " (deleted)"}) and file["length_now"] is None


LAST_WORDS = """
import ctypes, sys
if sys.argv[3:]:
    import faulthandler
    faulthandler.enable(file=open('/dev/null', 'w'))
getattr(ctypes.PyDLL(sys.argv[1]), 'exv_' + sys.argv[2])()
"""


@pytest.mark.parametrize("how", ["double_free", "assert", "control", "smash", "abort", "raise", "assert faulthandler"])
@pytest.mark.parametrize("interpreter", chosen("3.11"))
def test_what_glibc_said_before_it_aborted_is_told(interpreter, how, tmp_path, kernel_leaves_cores):
    """It says the same on its standard error."""
    if "faulthandler" in how and interpreter.version < (3, 3):
        pytest.skip("2.7 has no faulthandler")
    words = build(tmp_path, "last_words.c", "-fstack-protector-all")
    program = tmp_path / "program.py"
    program.write_text(LAST_WORDS)
    done = subprocess.run(interpreter.command(str(program), str(words), *how.split()), cwd=tmp_path, timeout=60,
                          capture_output=True, preexec_fn=scenarios._allow_cores,
                          env=dict(os.environ, LIBC_FATAL_STDERR_="1"))
    said = done.stderr.decode().rstrip("\n") or None
    assert (said is None) == (how in ("abort", "raise"))
    shown = said and said.replace("\x1b", "\\x1b").replace("\n", "\\n")
    end = f"; the last words of the C library: {shown}" if said else ""
    for merged in (True, False):
        _, result, _ = report.run(core_of(tmp_path), merged=merged)
        crash = result["crash"]
        assert crash["message"] == said
        assert crash["summary"].startswith("Aborted (SIGABRT raised by ")
        assert crash["summary"].endswith(end) and ("last words" in crash["summary"]) == bool(said)
    text = subprocess.run([report.exuvia(), "core", "--color=never", core_of(tmp_path)], capture_output=True).stdout
    assert b"\x1b" not in text
    assert text.decode().splitlines()[0].endswith(end)


VALGRIND = """
import ctypes, threading, time
def sleep(): time.sleep(1000)
def inner(): ctypes.string_at(0)
first = threading.Thread(target=sleep, name='sleeper')
first.daemon = True
first.start()
time.sleep(1)
inner()
"""


@pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed")
@pytest.mark.parametrize("interpreter", chosen("3.10", "3.11"))  # only 3.11 keeps the kernel's id of a thread
def test_a_core_that_valgrind_wrote_tells_of_no_call_that_is_not_one(interpreter, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(VALGRIND)
    # Without a GIL there is no other allocator than the one that it has: "Fatal Python error: unknown allocator".
    environment = dict(os.environ, **{} if interpreter.kind == "free-threaded" else {"PYTHONMALLOC": "malloc"})
    subprocess.run(["valgrind", "-q", *interpreter.command(str(program))], cwd=tmp_path, env=environment,
                   capture_output=True, timeout=300, preexec_fn=scenarios._allow_cores)
    core, = glob.glob(str(tmp_path / "vgcore.*"))
    _, result, _ = report.run(core, merged=True)
    waits = {thread["name"]: thread["waits_on"] for thread in result["threads"]}
    calls = {name: wait and wait["system_call"] and wait["system_call"]["name"] for name, wait in waits.items()}
    assert calls["sleeper"] in ("clock_nanosleep", "select", "pselect6", "futex", None) and calls["MainThread"] is None, waits
    assert not any(wait and "fd" in (wait["summary"] or "") for wait in waits.values()), waits
    assert crashed(result) == [next(thread["tid"] for thread in result["threads"] if thread["name"] == "MainThread")]
