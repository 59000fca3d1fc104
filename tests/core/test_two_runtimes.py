# SPDX-License-Identifier: Apache-2.0
"""Two copies of CPython in one process: every running one is shown, each frame is of the right one and in its place, and
an unused copy hides nothing. The program writes down itself which function of which runtime it enters."""

import contextlib
import os
import pathlib
import resource
import signal
import subprocess
import time

import pytest

from lib import binaries, hanging, interpreters, report

HERE = pathlib.Path(__file__).resolve().parent / "runtimes"
EVERY = os.environ.get("EXUVIA_EVERY_INTERPRETER") == "1"


def _libraries():
    """{minor version: (interpreter, its libpython)} of those that are a shared library."""
    found = {}
    for interpreter in interpreters.find():
        if interpreter.root or interpreter.kind != "release" or interpreter.minor in found:
            continue
        _, file = binaries.runtime_binary(interpreter)
        if "libpython" in os.path.basename(file):
            found[interpreter.minor] = (interpreter, file)
    return found


LIBRARIES = _libraries()
# Two that leave markers, two that do not, one of each either way round.
CHOSEN = [("3.12", "3.13"), ("3.8", "3.6"), ("3.11", "3.9"), ("2.7", "3.11")]
PAIRS = [(a, b) for a in LIBRARIES for b in LIBRARIES if a != b] if EVERY else CHOSEN
pairs = pytest.mark.parametrize("pair", PAIRS, ids=["%s+%s" % pair for pair in PAIRS])


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    target = tmp_path_factory.mktemp("two") / "two"
    subprocess.run([os.environ.get("CC", "gcc"), "-std=gnu11", "-g", "-O1", "-o", target, HERE / "two.c", "-ldl",
                    "-lpthread"], check=True)
    return target


def _arguments(pair):
    result = []
    for minor in pair:
        if minor not in LIBRARIES:
            pytest.skip(f"no shared library of {minor}")
        interpreter, file = LIBRARIES[minor]
        result += [file, os.path.dirname(os.path.dirname(interpreter.path))]
    return result


def _allow_cores():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)


class Run:
    def __init__(self, process, directory):
        self.process, self.pid, self.directory = process, process.pid, directory

    def stacks(self):
        """{tid: [(runtime, function)], outermost first}, as the program has written it down."""
        tids, stacks = {}, {}
        for line in (self.directory / "said").read_text().splitlines():
            ident, runtime, function = line.split()
            if runtime == "is":
                tids[ident] = int(function)
            else:
                stacks.setdefault(tids[ident], []).append((int(runtime), function))
        return stacks

    def wait(self, leaves):
        deadline = time.monotonic() + 30
        while sum(stack[-1][1] in ("stay", "hold") for stack in self.stacks().values()) < leaves:
            assert self.process.poll() is None and time.monotonic() < deadline, (self.process.poll(), self.stacks())
            time.sleep(0.02)
        # From the last line that each wrote to where it stays; who asks for a GIL does so again and again.
        ends = {tid: stack[-1][1] for tid, stack in self.stacks().items()}
        hanging.await_calls(self.pid, {tid: hanging.SLEEPS if end == "stay" else ("futex",) for tid, end in ends.items()
                                       if end in ("stay", "hold")})
        if "hold" in ends.values():
            time.sleep(0.1)  # they meet at a barrier first


@contextlib.contextmanager
def running(program, what, pair, directory, leaves):
    with open(directory / "said", "wb") as said:
        process = subprocess.Popen([program, what, *_arguments(pair)], cwd=directory, stdout=said,
                                   stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   preexec_fn=_allow_cores)
    try:
        run = Run(process, directory)
        run.wait(leaves)
        yield run
    finally:
        process.kill()
        process.wait()


def _index_of_versions(result, pair):
    """{index in the report: index in the pair}"""
    versions = [runtime["version"] for runtime in result["runtimes"]]
    assert len(versions) == len({version[: len(minor)] for version in versions for minor in pair if
                                 version.startswith(minor + ".")})
    return {place: index for place, version in enumerate(versions) for index, minor in enumerate(pair)
            if version.startswith(minor + ".")}


def _shown(result, indexes):
    """The stacks of a report as Run.stacks has them; module-level code, which does not note itself, left out."""
    stacks = {}
    for thread in result["threads"]:
        frames = [(indexes[frame["runtime"]], frame["function"]) for frame in reversed(thread["frames"])
                  if frame["kind"] == "python" and frame["function"] != "<module>"]
        if frames:
            stacks[thread["tid"]] = frames
    return stacks


def _check_order(result):
    """Between two runs of different runtimes is the C code that crosses over, and nothing is missing."""
    for thread in result["threads"]:
        before = None
        crossed = True
        for frame in reversed(thread["frames"]):
            assert frame["kind"] != "gap", thread["frames"]
            if frame["kind"] == "native":
                crossed |= frame["function"] == "cross"
                continue
            assert crossed or before is None or before == frame["runtime"], thread["frames"]
            before, crossed = frame["runtime"], False


@pairs
def test_frames_of_both_runtimes_are_merged_in_their_order(program, pair, tmp_path):
    with running(program, "nested", pair, tmp_path, 4) as run:
        status, result, said = report.run_command("attach", run.pid, merged=True)
        truth = run.stacks()
    assert status == 0, (said, report.incomplete(result))
    assert len(result["runtimes"]) == 2 and result["python"] == result["runtimes"][0]
    for runtime in result["runtimes"]:
        assert any(runtime["module"] == file for _, file in LIBRARIES.values())
    assert _shown(result, _index_of_versions(result, pair)) == truth
    _check_order(result)


@pairs
def test_a_core_alone_has_both_runtimes(program, pair, tmp_path, kernel_leaves_cores):
    """Without any file: by cookies and by anchors, each in the memory of its own module."""
    with running(program, "nested", pair, tmp_path, 4) as run:
        run.process.send_signal(signal.SIGABRT)
        run.process.wait(30)
        truth = run.stacks()
        core = next(tmp_path.glob("core*"))
        (tmp_path / "root").mkdir()
        _, result, said = report.run(core, "--sysroot", tmp_path / "root")
        status, whole, said = report.run(core, merged=True)
        core.unlink()
    assert status == 0, said
    indexes = _index_of_versions(whole, pair)
    assert _shown(whole, indexes) == truth
    _check_order(whole)
    indexes = _index_of_versions(result, pair)
    found = {runtime["found_by"] for runtime in result["runtimes"]}
    assert len(result["runtimes"]) == 2 and found <= {"cookie", "thread-pointer"}
    shown = _shown(result, indexes)
    assert shown.keys() == truth.keys()
    for tid, frames in truth.items():
        for index in (0, 1):
            assert [one for one in shown[tid] if one[0] == index] == [one for one in frames if one[0] == index]


@pairs
def test_an_unused_copy_hides_nothing_and_is_noted(program, pair, tmp_path):
    with running(program, "unused", pair, tmp_path, 1) as run:
        status, result, said = report.run_command("attach", run.pid, merged=True)
        truth = run.stacks()
    assert status == 0, said
    assert [runtime["version"][: len(pair[0])] for runtime in result["runtimes"]] == [pair[0]]
    indexes = {0: 0}
    for thread in result["threads"]:
        for frame in thread["frames"]:
            assert "runtime" not in frame
            frame["runtime"] = 0
    assert _shown(result, indexes) == truth
    notes = [entry for entry in result["diagnostics"] if entry["code"] == "python-unused"]
    assert len(notes) == 1 and not notes[0]["incomplete"] and "python" + pair[1] in notes[0]["message"]


@pytest.mark.parametrize("pair", PAIRS if EVERY else [("3.11", "3.9")], ids=lambda pair: "%s+%s" % pair)
def test_two_threads_that_hold_one_gil_and_ask_for_the_other_are_a_deadlock(program, pair, tmp_path):
    with running(program, "deadlock", pair, tmp_path, 2) as run:
        _, result, said = report.run_command("attach", run.pid, merged=True)
        truth = run.stacks()
    indexes = _index_of_versions(result, pair)
    holders = {indexes[interpreter["runtime"]]: result["threads"][interpreter["gil_holder"]]["tid"]
               for interpreter in result["interpreters"]}
    assert holders == {stack[-1][0]: tid for tid, stack in truth.items()}
    assert len(result["deadlocks"]) == 1, said
    by_tid = {thread["tid"]: thread for thread in result["threads"]}
    for tid, stack in truth.items():
        other = next(one for one in truth if one != tid)
        wait = by_tid[tid]["waits_on"]
        assert wait["kind"] == "gil" and wait["owner"]["tid"] == other
        assert f"the GIL of Python {pair[1 - stack[-1][0]]}." in wait["summary"]


@pytest.mark.skipif(not os.path.exists("/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0") or
                    not os.path.exists("/usr/bin/python3.11"), reason="not Debian 12 with libpython3.11")
@pytest.mark.parametrize("without_files", [False, True], ids=["with files", "without"])
def test_the_library_of_the_same_version_loaded_into_a_static_interpreter_is_unused(without_files, tmp_path):
    code = ("import ctypes, time\nctypes.CDLL('libpython3.11.so.1.0')\ndef stuck():\n    print('here', flush=True)\n"
            "    time.sleep(1000)\nstuck()")
    process = subprocess.Popen(["/usr/bin/python3.11", "-c", code], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"here\n"
        hanging.await_rest(process.pid)
        options = ["--sysroot", tmp_path] if without_files else []
        status, result, said = report.run_command("attach", process.pid, *options)
    finally:
        process.kill()
        process.communicate()
    assert status == 0, said
    assert len(result["runtimes"]) == 1
    assert [frame["function"] for frame in result["threads"][0]["frames"]] == ["stuck", "<module>"]
