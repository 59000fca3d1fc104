# SPDX-License-Identifier: Apache-2.0
"""Programs that hang: start one, wait until it is at rest, keep what it wrote down, and leave nothing of it behind."""

import contextlib
import ctypes
import dataclasses
import fcntl
import functools
import glob
import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import tempfile
import time

from lib import report, scenarios

WAITS = pathlib.Path(__file__).resolve().parent.parent / "waits"
PROGRAMS = WAITS / "programs"
PR_SET_PDEATHSIG = 1
NOBODY = 65534
YAMA = pathlib.Path("/proc/sys/kernel/yama/ptrace_scope")


@dataclasses.dataclass
class Hanging:
    """A process that hangs; it is killed when the context ends."""

    pid: int
    truth: dict
    waits: dict
    directory: pathlib.Path
    process: subprocess.Popen

    def core(self, timeout=60):
        """Let the kernel end it with a core, by its main thread. Its children stay."""
        number = {"x86_64": 234, "aarch64": 131}[os.uname().machine]  # tgkill(2)
        if ctypes.CDLL(None).syscall(number, self.pid, self.pid, signal.SIGABRT.value) != 0:
            raise ProcessLookupError(self.pid)
        deadline = time.monotonic() + timeout
        while alive(self.pid) and time.monotonic() < deadline:
            time.sleep(0.005)
        cores = glob.glob(str(self.directory / "core*"))
        assert len(cores) == 1, f"the process left {len(cores)} cores"
        return cores[0]


def alive(pid):
    try:
        return state(pid) not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def state(pid, tid=None):
    """The kernel's letter for what a thread does: R, S, D, T (stopped), t (traced), Z."""
    text = pathlib.Path(f"/proc/{pid}/task/{tid or pid}/stat").read_text(encoding="utf-8", errors="replace")
    return text[text.rindex(")") + 2]


# asm/unistd_64.h, asm-generic/unistd.h
CALLS = {"x86_64": {0: "read", 1: "write", 7: "poll", 23: "select", 45: "recvfrom", 44: "sendto", 61: "wait4", 202: "futex",
                    230: "clock_nanosleep", 270: "pselect6"},
         "aarch64": {63: "read", 64: "write", 72: "pselect6", 73: "ppoll", 207: "recvfrom", 206: "sendto", 260: "wait4", 98: "futex",
                     115: "clock_nanosleep"}}[platform.machine()]


# time.sleep(), up to 3.10 and since.
SLEEPS = ("select", "pselect6", "clock_nanosleep")


def system_call(pid, tid=None):
    """The call that a thread sleeps in, as the kernel says; None when it is in none or runs."""
    number = pathlib.Path(f"/proc/{pid}/task/{tid or pid}/syscall").read_text(encoding="ascii").split()[0]
    return CALLS.get(int(number), number) if number.lstrip("-").isdigit() and int(number) >= 0 else None


def status(pid, *keys):
    """{thread id: (the named fields of its status)}, of all threads that are there."""
    result = {}
    for path in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            lines = (path / "status").read_text(encoding="utf-8", errors="replace").splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        result[int(path.name)] = tuple(fields.get(key) for key in keys)
    return result


def footprint(pid):
    """What attaching must not change: the threads, their states, and what is pending, blocked or caught of signals."""
    return status(pid, "State", "TracerPid", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt")


def same_footprint(pid, before, timeout=5):
    """Difference to an earlier footprint as text, or None. A call that was interrupted takes a moment to go on."""
    deadline = time.monotonic() + timeout
    while True:
        now = footprint(pid)
        if now == before:
            return None
        if time.monotonic() > deadline:
            return f"before: {sorted(set(before.items()) - set(now.items()))}, after: " \
                   f"{sorted(set(now.items()) - set(before.items()))}"
        time.sleep(0.01)


def at_rest(pid, moving=False, waits=None):
    """Has no thread run, or wanted to, between two looks? `moving`: but the main thread, which never rests; "others": but
    those of which the program does not say what they wait for."""
    def rests(tid):
        return str(tid) in waits["waits"] if moving == "others" else not moving or tid != pid

    def look():
        threads = status(pid, "State", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")
        return {tid: fields for tid, fields in threads.items() if rests(tid)}
    first = look()
    # One that waits for a processor on a busy machine has not run either.
    if any(fields[0][0] == "R" for fields in first.values()):
        return False
    time.sleep(0.03)
    return first == look()


def await_rest(pid, moving=False, timeout=60):
    """Until no thread of the process runs."""
    deadline = time.monotonic() + timeout
    while not at_rest(pid, moving):
        assert time.monotonic() < deadline, f"it does not come to rest: {status(pid, 'Name', 'State')}"
        time.sleep(0.01)


def await_calls(pid, calls, timeout=60):
    """Until threads sleep in system calls: `calls` is {thread id: names}."""
    deadline = time.monotonic() + timeout
    while wrong := {tid: now for tid in calls if (now := system_call(pid, tid)) not in calls[tid]}:
        assert time.monotonic() < deadline, f"threads do not come to where they stay: {wrong}"
        time.sleep(0.01)


def await_state(pid, letter, timeout=60):
    """The footprint of the process as soon as all its threads are in a state."""
    deadline = time.monotonic() + timeout
    while True:
        now = footprint(pid)
        if {fields[0][0] for fields in now.values()} == {letter}:
            return now
        assert time.monotonic() < deadline, f"not all threads came to {letter}: {now}"
        time.sleep(0.005)


def computed(pid, tid=None):
    """Processor time of a thread in user mode, in the kernel's ticks."""
    text = pathlib.Path(f"/proc/{pid}/task/{tid or pid}/stat").read_text(encoding="utf-8", errors="replace")
    return int(text[text.rindex(")") + 2:].split()[11])


def await_computing(pid, tid=None, timeout=60):
    """Until a thread has computed for some time, in whatever it does now."""
    deadline, before = time.monotonic() + timeout, computed(pid, tid)
    while computed(pid, tid) < before + 5:
        assert time.monotonic() < deadline, "it does not compute"
        time.sleep(0.01)


@functools.cache
def library():
    """The C part of the programs, built once per run of the tests."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="exuvia-hang-"))
    made = subprocess.run([os.environ.get("CC", "gcc"), "-std=gnu11", "-g", "-O1", "-shared", "-fPIC", "-o",
                           folder / "libhang.so", WAITS / "libhang.c"], capture_output=True, text=True)
    if made.returncode != 0:
        raise AssertionError("libhang.c\n" + made.stderr)
    return folder / "libhang.so"


def remove_library():
    if library.cache_info().currsize:
        shutil.rmtree(library().parent, ignore_errors=True)
        library.cache_clear()


def as_nobody(command):
    """The command, by another user. It ends with the tests: a change of the user makes the kernel forget that."""
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--pdeathsig=KILL", *command]


@functools.cache
def _yama_lock():
    """Tests that run at the same time have one kernel: its setting is one test's after the other."""
    return open(pathlib.Path(tempfile.gettempdir()) / "exuvia-yama.lock", "w")


@contextlib.contextmanager
def yama_scope(number):
    """With this kernel.yama.ptrace_scope, where the kernel has one and it may be set. Can be nested."""
    if not YAMA.exists() or not os.access(YAMA, os.W_OK):
        yield
        return
    nested = getattr(yama_scope, "depth", 0)
    if not nested:
        fcntl.flock(_yama_lock(), fcntl.LOCK_EX)
    before = YAMA.read_text()
    # Scope 3 stays until the machine is started again.
    assert int(before) < 3, "kernel.yama.ptrace_scope is 3: nothing can be attached to here"
    yama_scope.depth = nested + 1
    try:
        YAMA.write_text(f"{number}\n")
        yield
    finally:
        YAMA.write_text(before)
        yama_scope.depth = nested
        if not nested:
            fcntl.flock(_yama_lock(), fcntl.LOCK_UN)


def public_interpreter(candidates):
    """The last of them that other users may run, or None."""
    probe = "import ctypes, subprocess, threading"
    for interpreter in reversed(candidates):
        # setpriv itself still has root's rights when it starts a program.
        command = ["sh", "-c", 'exec "$0" "$@"', interpreter.path, "-c", probe]
        answer = subprocess.run(as_nobody(command), capture_output=True, cwd="/")
        if answer.returncode == 0:
            return interpreter
    return None


@functools.cache
def _public_folder():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="exuvia-public-"))
    folder.chmod(0o755)
    tool = folder / "exuvia"
    tool.write_bytes(pathlib.Path(report.exuvia()).read_bytes())
    tool.chmod(0o755)
    return folder


def public_tool():
    """exuvia where every user may run it; remove_public_tool() must follow."""
    return str(_public_folder() / "exuvia")


def remove_public_tool():
    if _public_folder.cache_info().currsize:
        shutil.rmtree(_public_folder(), ignore_errors=True)
        _public_folder.cache_clear()


def _die_with_the_tests():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    scenarios._allow_cores()


def _read(path):
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _wait(process, directory, wants_waits, moving, timeout):
    """(truth, waits) as soon as the program hangs."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return None, None
        truth, waits = _read(directory / "truth.json"), _read(directory / "waits.json")
        if truth is not None and (waits is not None or not wants_waits):
            if at_rest(truth["pid"], moving, waits):
                # It could have been written once more meanwhile.
                return _read(directory / "truth.json"), waits
        time.sleep(0.01)
    raise AssertionError(f"the program does not come to hang within {timeout} seconds")


def _copy(source, target):
    target.mkdir(exist_ok=True)
    for file in list(source.glob("*.py")) + list(source.glob("*.so")):
        shutil.copyfile(file, target / file.name)  # not its mode: another user may run it


def launch(interpreter, program, argument, outside, inside, environment=None, wrapper=()):
    """Start a program of tests/core or tests/waits in a workspace; end() must follow. `wrapper`: what runs it."""
    arguments = [argument] if isinstance(argument, str) else argument or []
    programs = outside / "programs"
    for source in (scenarios.PROGRAMS, PROGRAMS, library().parent):
        _copy(source, programs)
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1", **dict(interpreter.environment), **(environment or {}),
    }
    settings = "\n".join(f"{key}={value}" for key, value in environment.items())
    command = interpreter.command("-c", scenarios.LAUNCHER, inside, settings, interpreter.path,
                                  f"{inside}/programs/{program}.py", *arguments)
    output = open(outside / "output.txt", "wb")
    with output:
        return subprocess.Popen([*wrapper, *command], cwd=outside, stdin=subprocess.DEVNULL, stdout=output,
                                stderr=output, start_new_session=True, preexec_fn=_die_with_the_tests)


def end(process):
    """Kill the process and whatever it started: they are one session, and none of them leaves its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def hang(interpreter, program, argument=None, environment=None, wants_waits=True, moving=False, timeout=60,
         wrapper=(), owner=None):
    """Run a program until it hangs. `moving`: its main thread never rests ("others": threads that it does not speak of). `owner`: of its directory, by number."""
    with scenarios.workspace(interpreter) as (outside, inside):
        # A free-threaded 3.13 can die in sys._current_frames(), before it has written anything down: once more then.
        for attempt in range(3 if interpreter.kind == "free-threaded" else 1):
            if owner is not None:
                os.chown(outside, owner, owner)
            process = launch(interpreter, program, argument, outside, inside, environment, wrapper)
            try:
                truth, waits = _wait(process, outside, wants_waits, moving, timeout)
                if truth is not None:
                    yield Hanging(truth["pid"], truth, waits, outside, process)
                    return
            finally:
                end(process)
            output = (outside / "output.txt").read_text(encoding="utf-8", errors="replace")
            if process.returncode == scenarios.NOT_APPLICABLE:
                raise scenarios.NotApplicable(output.removeprefix("n/a: ").strip())
            print(f"{interpreter.name}: {program} ended with status {process.returncode}, attempt {attempt + 1}")
        raise AssertionError(f"{interpreter.name}: {program} ended with status {process.returncode}\n{output}")


def documents(text):
    """JSON reports one after the other, every one of them valid."""
    found, decoder, text = [], json.JSONDecoder(), text.decode("utf-8")
    while text.strip():
        document, end = decoder.raw_decode(text.lstrip())
        report.validate(document)
        found.append(document)
        text = text.lstrip()[end:]
    return found


def attach(pid, *options, merged=True, timeout=120, late=False):
    """(exit status, report or None, what it said on stderr) of `exuvia attach --json`.

    On a busy machine a thread may get no processor to stop on in time, and then is part of no deadlock. Such an attach
    is done again, a few times, unless `late` says that it is wanted.
    """
    for _ in range(5):
        answer = report.run_command("attach", pid, *options, merged=merged, timeout=timeout)
        if late or not answer[1] or "thread-stopped-late" not in [entry["code"] for entry in answer[1]["diagnostics"]]:
            break
    return answer
