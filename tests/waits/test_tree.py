# SPDX-License-Identifier: Apache-2.0
"""`exuvia attach --tree`: a process and its descendants, however they came to be, and what the exit status says."""

import contextlib
import os
import pathlib
import platform
import re
import resource
import subprocess
import time

import pytest

from lib import hanging, interpreters, living, report

FOUND = interpreters.find()
HOST = [interpreter for interpreter in FOUND if not interpreter.root and interpreter.kind == "release"]
LATEST = HOST[-1]
SOME = [pytest.param(interpreter, id=interpreter.name) for interpreter in FOUND
        if interpreter.kind == "release" and (interpreter in (HOST[0], LATEST) or interpreter.minor == "3.15")]
KINDS = ("subprocess", "shell", "forked", "multiprocessing")


@pytest.fixture(scope="module", autouse=True)
def built():
    yield
    hanging.remove_library()
    hanging.remove_public_tool()


def pid_of(directory, name):
    return int((directory / f"{name}.pid").read_text())


def tree(pid, *options, tool=None, wrapper=(), timeout=60):
    """(exit status, reports, lines on stderr). Done again where a thread stopped late, as by hanging.attach."""
    command = [*wrapper, tool or report.exuvia(), "attach", "--tree", "--json", "--python-only", *options, str(pid)]
    for _ in range(5):
        answer = subprocess.run(command, capture_output=True, timeout=timeout)
        reports = hanging.documents(answer.stdout)
        if not any(entry["code"] == "thread-stopped-late" for document in reports for entry in document["diagnostics"]):
            break
    return answer.returncode, reports, answer.stderr.decode().splitlines()


def shown(reports):
    return [document["process"]["pid"] for document in reports]


def functions(document):
    """The functions of the main thread, outermost first."""
    main = next(thread for thread in document["threads"] if thread["tid"] == document["process"]["pid"])
    return [frame["function"] for frame in reversed(main["frames"]) if frame["kind"] == "python"]


@pytest.mark.parametrize("interpreter", SOME)
def test_children_of_every_kind_are_shown_and_what_is_no_python_is_not(interpreter):
    with living.program(interpreter, "family", "parent") as (process, directory):
        living.await_files(directory, ["parent.pid"], process)
        kinds = [name for name in KINDS if (directory / f"{name}.pid").exists()]
        assert len(kinds) >= len(KINDS) - bool(interpreter.root)
        pids = {name: pid_of(directory, name) for name in ("parent", *kinds)}
        zombie = int((directory / "zombie").read_text())
        while hanging.state(zombie) != "Z":
            pass
        before = {pid: hanging.footprint(pid) for pid in pids.values()}
        status, reports, said = tree(pids["parent"])
        changed = [hanging.same_footprint(pid, before[pid]) for pid in pids.values()]
    assert (status, said) == (0, [])
    assert sorted(shown(reports)) == sorted(pids.values()) and shown(reports)[0] == pids["parent"]
    ends = {document["process"]["pid"]: functions(document) for document in reports}
    assert ends[pids["parent"]] == ["<module>", "parent", "leaf"]
    assert ends[pids["subprocess"]] == ends[pids.get("shell", pids["subprocess"])] == ["<module>", "leaf"]
    assert ends[pids["forked"]] == ["<module>", "parent", "fork", "forked", "leaf"]
    assert ends[pids["multiprocessing"]][-2:] == ["of_multiprocessing", "leaf"]
    assert zombie not in shown(reports)
    assert not any(changed), changed


def test_as_text_every_process_has_its_own_report_set_off_by_one_blank_line():
    with living.program(LATEST, "family", "parent") as (process, directory):
        living.await_files(directory, ["parent.pid"], process)
        pids = {pid_of(directory, name) for name in ("parent", *KINDS)}
        answer = subprocess.run([report.exuvia(), "attach", "--tree", "--python-only", str(process.pid)],
                                capture_output=True, timeout=60, text=True)
    assert (answer.returncode, answer.stderr) == (0, "")
    heads = [(match.start(), int(match[1])) for match in re.finditer(r"^Process (\d+), live", answer.stdout, re.M)]
    assert {pid for _, pid in heads} == pids and len(heads) == len(pids)
    assert heads[0] == (0, process.pid)
    for start, _ in heads[1:]:
        assert answer.stdout[:start].endswith("\n\n") and not answer.stdout[:start].endswith("\n\n\n")


@pytest.mark.parametrize("role, names", [("many", [f"many{number}" for number in range(200)] + ["many"]),
                                         ("chain", [f"chain{length}" for length in range(60, 0, -1)])])
def test_hundreds_of_descendants_are_each_shown_once_and_parents_first(role, names):
    with living.program(LATEST, "family", role, str(len(names) - (role == "many"))) as (process, directory):
        living.await_files(directory, [f"{name}.pid" for name in names], process)
        pids = {name: pid_of(directory, name) for name in names}
        status, reports, said = tree(process.pid, "--no-stop")
    assert (status, said) == (0, [])
    assert sorted(shown(reports)) == sorted(pids.values())
    if role == "chain":
        assert shown(reports) == [pids[name] for name in names]
        assert functions(reports[-1]) == ["<module>"] + ["chain", "fork"] * (len(names) - 1) + ["chain"]
    else:
        assert shown(reports)[0] == process.pid


def test_descendants_that_end_while_they_are_shown_are_no_failure_and_are_not_disturbed():
    statuses, problems, children = [], [], set()
    with living.program(LATEST, "family", "breed") as (process, directory):
        living.await_files(directory, ["breed.pid"], process)
        for _ in range(25):
            status, reports, said = tree(process.pid)
            statuses.append(status)
            if shown(reports)[0] != process.pid:
                problems.append(f"the parent is not shown: {said}")
            children.update(shown(reports)[1:])
            # What was shown in part is said to be.
            if status == 1 and not said and not any(map(report.incomplete, reports)):
                problems.append("exit status 1 without a reason")
            if status not in (0, 1):
                problems.append(f"exit status {status}: {said}")
        (directory / "stop").touch()
        end = process.wait(timeout=30)
    assert not problems, problems
    assert end == 6
    assert children and statuses.count(0) > 12, (statuses, children)


UNSHARE = ["unshare", "--pid", "--fork", "--kill-child"]


def can_unshare():
    return interpreters.is_root() and subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="pid namespaces cannot be made here")
def test_children_in_another_pid_namespace_are_shown_by_their_ids_here():
    with living.program(LATEST, "family", "parent", wrapper=UNSHARE) as (process, directory):
        living.await_files(directory, ["parent.pid"], process)
        inner = {name: pid_of(directory, name) for name in ("parent", *KINDS)}
        assert inner["parent"] == 1
        status, reports, said = tree(process.pid)
        here = {document["process"]["pid"]: hanging.status(document["process"]["pid"], "NSpid")
                for document in reports if document["threads"] and document["python"]}
    # The root of this tree is unshare, which is no Python.
    assert status == 1 and len(said) == 1 and str(process.pid) in said[0], (status, said)
    assert sorted(int(list(fields.values())[0][0].split()[-1]) for fields in here.values()) == sorted(inner.values())
    ends = {tuple(functions(document)[-2:]) for document in reports if document["python"]}
    assert {("parent", "leaf"), ("forked", "leaf"), ("of_multiprocessing", "leaf"), ("<module>", "leaf")} == ends


def shell(command, *arguments):
    return subprocess.Popen(["/bin/sh", "-c", command, *arguments], start_new_session=True, stdout=subprocess.PIPE)


WAITS = "import time; print('ready', flush=True); time.sleep(600)"


def test_a_root_that_is_no_python_is_said_and_its_descendants_are_shown():
    process = shell('"$0" "$@"; true', LATEST.path, "-c", WAITS)
    try:
        assert process.stdout.readline() == b"ready\n"
        status, reports, said = tree(process.pid)
        alone = hanging.attach(process.pid)
    finally:
        hanging.end(process)
        process.stdout.close()
    assert status == 1 and len(said) == 1 and str(process.pid) in said[0] and "Python" in said[0], (status, said)
    assert [bool(document["python"]) for document in reports] == [False, True]
    assert functions(reports[1]) == ["<module>"]
    assert alone[0] == 2


def test_a_tree_without_any_python_is_exit_status_2():
    process = shell("sleep 600 & echo ready; wait")
    try:
        assert process.stdout.readline() == b"ready\n"
        status, reports, said = tree(process.pid)
    finally:
        hanging.end(process)
        process.stdout.close()
    assert status == 2 and len(said) == 1 and shown(reports) == [process.pid], (status, said)


def test_watching_a_tree_without_any_python_waits_for_one_until_the_root_ends():
    """The shell starts Python when it reads a line, and ends soon after it."""
    script = "print('ready', flush=True); import sys; sys.stdin.readline()"
    process = subprocess.Popen(["/bin/sh", "-c", 'echo ready; read line; "$0" "$@"; true', LATEST.path, "-c", script],
                               start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    seen = []
    try:
        assert process.stdout.readline() == b"ready\n"
        with living.watching("--tree", "--json", "--watch=0.1", process.pid) as tool:
            for document in living.reports(tool):
                seen.append(document)
                if len(seen) == 1:
                    time.sleep(0.3)
                    assert tool.poll() is None
                    process.stdin.write(b"go\n")
                    process.stdin.flush()
                    assert process.stdout.readline() == b"ready\n"
                elif document["python"] and document["threads"][0]["moved"] is False:
                    process.stdin.write(b"end\n")
                    process.stdin.flush()
            status = tool.wait(timeout=30)
            said = tool.stderr.read().decode().splitlines()
        assert process.wait(timeout=30) == 0
    finally:
        hanging.end(process)
        process.stdin.close()
        process.stdout.close()
    # That the shell is no Python is said once; a look may also come between the child's exec and its interpreter.
    assert [document["process"]["pid"] == process.pid for document in seen] == [True] + [False] * (len(seen) - 1)
    assert functions(seen[-1]) == ["<module>"] and status == 1
    of_child = [line for line in said if "it was not initialised yet" in line]
    assert len(said) == 1 + len(of_child) and len(of_child) <= 1, said
    assert str(process.pid) in said[0] and said[0] not in of_child, said


def test_a_tree_that_never_runs_python_is_exit_status_2_also_when_it_is_watched():
    process = shell("echo ready; sleep 0.5")
    try:
        assert process.stdout.readline() == b"ready\n"
        status, reports, said = tree(process.pid, "--watch=0.1")
    finally:
        hanging.end(process)
        process.stdout.close()
    assert status == 2 and len(said) == 1 and shown(reports) == [process.pid], (status, said)


def test_a_tree_of_a_process_that_is_not_there_is_exit_status_2():
    process = subprocess.Popen(["true"])
    process.wait()
    status, _, said = tree(process.pid)
    assert status == 2 and said == [f"exuvia: there is no process {process.pid}"]


PUBLIC = hanging.public_interpreter(HOST) if interpreters.is_root() else None


@pytest.mark.skipif(not PUBLIC, reason="only root can become another user, who needs an interpreter to run")
def test_a_descendant_of_another_user_is_refused_by_name_and_the_rest_is_shown():
    """Whether it runs Python cannot be seen."""
    script = ("import subprocess, sys, time\n"
              "child = subprocess.Popen(['sleep', '600'], stdout=subprocess.DEVNULL)\n"
              "import os; os.setgid(65534); os.setuid(65534)\n"
              "runs = 'print(1, flush=True); import time; time.sleep(600)'\n"
              "other = subprocess.Popen([sys.executable, '-c', runs], stdout=subprocess.PIPE)\n"
              "other.stdout.readline()\n"
              "import ctypes; ctypes.CDLL(None).prctl(4, 1)\n"
              "print(child.pid, other.pid, flush=True)\n"
              "time.sleep(600)\n")
    process = subprocess.Popen([PUBLIC.path, "-c", script], start_new_session=True, stdout=subprocess.PIPE, cwd="/")
    try:
        child, other = map(int, process.stdout.readline().split())
        with hanging.yama_scope(0):
            status, reports, said = tree(process.pid, tool=hanging.public_tool(), wrapper=hanging.as_nobody([]))
    finally:
        hanging.end(process)
        process.stdout.close()
    assert status == 1 and len(said) == 1, (status, said)
    assert str(child) in said[0] and "root" in said[0]
    assert [pid for pid, document in zip(shown(reports), reports) if document["python"]] == [process.pid, other]


def test_watching_a_tree_goes_on_when_a_descendant_ends_and_shows_new_ones():
    script = ("import subprocess, sys, time\n"
              "def child():\n"
              "    code = 'print(1, flush=True); import time; time.sleep(600)'\n"
              "    process = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE)\n"
              "    process.stdout.readline()\n"
              "    return process\n"
              "short, long = child(), child()\n"
              "print(short.pid, long.pid, flush=True)\n"
              "sys.stdin.readline()\n"
              "short.kill()\n"
              "short.wait()\n"
              "late = child()\n"
              "print(late.pid, flush=True)\n"
              "time.sleep(600)\n")
    process = subprocess.Popen([LATEST.path, "-c", script], start_new_session=True, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    rounds, late = [], None
    try:
        short, long = map(int, process.stdout.readline().split())
        with living.watching("--tree", "--json", "--watch=0.1", process.pid) as tool:
            for document in living.reports(tool, timeout=60):
                if document["process"]["pid"] == process.pid:
                    rounds.append({})
                    if len(rounds) == 4:
                        process.stdin.write(b"go\n")
                        process.stdin.flush()
                        late = int(process.stdout.readline())
                rounds[-1][document["process"]["pid"]] = document
                if len([entry for entry in rounds if late in entry]) == 3:
                    break
            assert tool.poll() is None
    finally:
        hanging.end(process)
        process.stdin.close()
        process.stdout.close()
    # The last round was not waited for, and in the fourth it ended.
    whole = rounds[:-1]
    assert [set(entry) for entry in whole[:3]] == [{process.pid, short, long}] * 3
    assert set(whole[-1]) == {process.pid, long, late}
    assert all(long in entry for entry in whole)
    assert [entry[long]["threads"][0]["moved"] for entry in whole] == [None] + [False] * (len(whole) - 1)
    assert rounds[-1][late]["threads"][0]["moved"] is False


POLL = "poll" if platform.machine() == "x86_64" else "ppoll"

# The program, and in which call the parent and the child are when they wait.
RELATIVES = [
    ("pipes", "read", "read", ["pipe", "pipe"], ["{parent} (", "reads from fd", "{child} ("]),
    ("child reads, parent waits", "wait4", "read", ["child", "child"], ["{parent} (", "waits for a child process to end", "{child} (",
                                                       "reads from fd"]),
    ("child writes, parent waits", "wait4", "write", ["child", "child"], ["{parent} (", "{child} (", "writes to fd"]),
    ("waits for a shared mutex", "futex", "read", ["shared-lock", "shared-lock"], ["{parent} (", "waits for mutex",
                                                                  "held by process {child}", "reads from fd"]),
    ("child waits for a shared mutex", "wait4", "futex", ["child", "child"], ["{parent} (", "{child} (", "waits for mutex",
                                                                            "held by process {parent}"]),
    ("a file is on its way", "read", "read", ["pipe", "pipe"], ["{parent} (", "reads from fd", "{child} ("]),
    ("reads its own", "read", "clock_nanosleep", ["pipe"], ["{parent} (", "pipe, whose other end this process itself holds"]),
    ("somebody else has the pipe", "wait4", "read", [], []),
    ("has a handler", "wait4", "read", [], []),
    ("parent sleeps", "clock_nanosleep", "read", [], []),
    ("child sleeps", "wait4", "clock_nanosleep", [], []),
    ("waits for a shared mutex for a while", "futex", "read", [], []),
    ("polls pipes", POLL, "read", ["pipe", "pipe"], ["{parent} (", "waits for events on 2 descriptors", "{child} (",
                                                     "reads from fd"]),
    ("polls pipes for a while", POLL, "read", [], []),
    ("polls a pipe that is full", POLL, "clock_nanosleep", [], []),
    ("sockets", "recvfrom", "read", ["socket", "socket"], ["{parent} (", "Unix socket", "{child} (", "reads from fd"]),
    ("polls a socket", "recvfrom", POLL, ["socket", "socket"], ["{parent} (", "reads from fd", "{child} (",
                                                                "waits for fd"]),
    ("sockets that are full", "write", "write", ["socket", "socket"], ["{parent} (", "writes to fd", "{child} ("]),
    ("a socket with a time limit", "recvfrom", "recvfrom", [], []),
    ("a socket and a sleeper", "recvfrom", "clock_nanosleep", [], []),
    ("somebody else has the sockets", "recvfrom", "read", [], []),
    ("tcp", "recvfrom", "recvfrom", ["socket", "socket"], ["{parent} (", "(recvfrom), socket 127.0.0.1:", "{child} ("]),
    ("tcp of both families", "recvfrom", "read", ["socket", "socket"], ["{parent} (", "{child} (",
                                                                        "(read), socket [::ffff:127.0.0.1]:"]),
    ("polls tcp", "recvfrom", POLL, ["socket", "socket"], ["{parent} (", "{child} (", "waits for fd"]),
    ("tcp that is full", "write", "write", ["socket", "socket"], ["{parent} (", "writes to fd", "{child} ("]),
    ("tcp that is full, with a time limit", "write", "write", [], []),
    ("tcp and a sleeper", "recvfrom", "clock_nanosleep", [], []),
    ("somebody else has the tcp", "recvfrom", "recvfrom", [], []),
    ("fifos", "read", "read", ["pipe", "pipe"], ["{parent} (", "FIFO ", "{child} ("]),
    ("fifos that are deleted", "read", "read", ["pipe", "pipe"], ["{parent} (", "FIFO ", "{child} ("]),
    ("a fifo and a sleeper", "read", "clock_nanosleep", [], []),
    ("tcp that is half closed", "recvfrom", "read", ["socket", "socket"], ["{parent} (", "(FIN_WAIT2)", "{child} ("]),
    ("semaphores", "futex", "futex", ["shared-lock", "shared-lock"], ["{parent} (", "waits for multiprocessing.Lock",
                                                                      "{child} ("]),
    ("a semaphore for a while", "futex", "futex", [], []),
    ("a semaphore, and the child sleeps", "futex", "clock_nanosleep", [], []),
    ("somebody else has the semaphores", "futex", "futex", [], []),
]


# Those who wait for each other by what names its owner, whoever else may have it, and those who share what has a name.
NAMES_OWNER = ["child waits for a shared mutex"]
HAS_A_NAME = ["fifos"]


def may_look_into_all():
    """Is this the first pid namespace, may the descriptors and the memory of every process be seen, and is no file sent that
    was not received? Not where even root may not look into the init."""
    if os.stat("/proc/self/ns/pid").st_ino != 0xeffffffc:
        return False
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            for fd in os.listdir(process / "fd"):
                with contextlib.suppress(FileNotFoundError):
                    os.readlink(process / "fd" / fd)
                    if re.search(r"^scm_fds:\s*[1-9]", (process / "fdinfo" / fd).read_text(), re.M):
                        return False
            (process / "maps").read_bytes()
        except PermissionError:
            return False
        except (FileNotFoundError, ProcessLookupError):
            continue
    return True


def beginning(named, unseen):
    """Of the sentence, and the evidence that goes with it."""
    if not unseen:
        return ("Hangs, unless another process opens what these share: ", ["processes", "has-a-name"]) if named else (
            "Hangs for ever: ", ["processes"])
    if named:
        return ("Hangs, unless another process opens what these share, or has it, which is not known of all: ",
                ["seen-processes", "has-a-name"])
    return "Hangs, unless another process has what these share, which is not known of all: ", ["seen-processes"]


def await_calls(calls, timeout=60):
    """Until each of these processes sleeps in its system call."""
    deadline = time.monotonic() + timeout
    while (now := {pid: hanging.system_call(pid) for pid in calls}) != calls:
        assert time.monotonic() < deadline, (now, calls)
        time.sleep(0.01)


def children(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextlib.contextmanager
def relatives(how, alone, directory):
    """Two of them as they are numbered here and as the tool sees them, and how to run it. `alone`: in a namespace of
    process ids of their own, in which no process hides what it has mapped."""
    process = subprocess.Popen([*(["unshare", "--mount-proc", *UNSHARE[1:]] if alone else []), LATEST.path,
                                hanging.PROGRAMS / "relatives.py", how, directory], start_new_session=True, stdout=subprocess.PIPE)
    try:
        seen = [1 if alone else process.pid, int(process.stdout.readline())]
        parent = children(process.pid)[0] if alone else process.pid
        pids = [parent, children(parent)[0]] if alone else seen
        yield pids, seen, ["nsenter", "-t", str(parent), "-p", "-m"] if alone else []
    finally:
        hanging.end(process)
        process.stdout.close()


@pytest.mark.skipif(not can_unshare(), reason="only root sees who else has a pipe, and what others have mapped")
@pytest.mark.parametrize("how, parent, child, kinds, says", RELATIVES, ids=[entry[0] for entry in RELATIVES])
def test_processes_of_a_tree_that_wait_for_each_other_are_said_to_hang_and_no_others(how, parent, child, kinds, says,
                                                                                     tmp_path):
    with relatives(how, "semaphore" in how, tmp_path) as (pids, seen, wrapper):
        await_calls(dict(zip(pids, (parent, child))))
        deadline = time.monotonic() + 20
        hangs = []
        before = may_look_into_all()
        # TCP sends for some time yet when those that write sleep already.
        while not hangs and time.monotonic() < deadline:
            status, reports, said = tree(seen[0], wrapper=wrapper)
            assert (status, said) == (0, [])
            hangs = [(document["process"]["pid"], entry) for document in reports for entry in document["hangs"]]
            if not kinds:
                break
        after = may_look_into_all()
    assert [entry["kind"] for _, entry in hangs] == kinds, (hangs, reports)
    sees_all = {True} if how in NAMES_OWNER else {False} if "semaphore" in how else {before, after}
    for of, entry in hangs:
        assert entry["threads"] == [of]
        assert (re.split("(?<=: )process ", entry["sentence"])[0], [fact["code"] for fact in entry["seen"]]) in [
            beginning(how in HAS_A_NAME, not all_seen) for all_seen in sees_all], entry
        assert entry["certain"] is entry["sentence"].startswith("Hangs for ever: ")
        for part in says:
            assert part.format(parent=seen[0], child=seen[1]) in entry["sentence"], entry


@pytest.mark.skipif(not can_unshare(), reason="pid namespaces cannot be made here")
def test_a_pipe_that_who_cannot_be_seen_may_have_is_not_waited_for_for_ever(tmp_path):
    """Here, it has: this process, which is in no namespace of the one that reads, lets it go on at the end."""
    given, other = os.pipe()
    process = subprocess.Popen(["unshare", "--mount-proc", *UNSHARE[1:], LATEST.path, hanging.PROGRAMS / "relatives.py",
                                "reads what it was given", tmp_path, str(given), str(other)], start_new_session=True,
                               stdout=subprocess.PIPE, pass_fds=(given, other))
    try:
        process.stdout.readline()
        parent = children(process.pid)[0]
        await_calls({parent: "read"})
        status, reports, said = tree(1, wrapper=["nsenter", "-t", str(parent), "-p", "-m"])
        os.write(other, b"x")
        assert process.stdout.readline() == b"read\n"
    finally:
        hanging.end(process)
        process.stdout.close()
        os.close(given)
        os.close(other)
    assert (status, said) == (0, [])
    hangs = [entry for document in reports for entry in document["hangs"]]
    assert [entry["certain"] for entry in hangs] == [False], hangs
    assert hangs[0]["sentence"].startswith(beginning(False, True)[0] + "process 1 ("), hangs


@pytest.mark.skipif(not can_unshare(), reason="only root sees who else has a pipe")
def test_a_thread_that_was_not_to_be_shown_may_let_the_others_go_on(tmp_path):
    with relatives("pipes, and a thread that sleeps", False, tmp_path) as (pids, seen, _):
        await_calls(dict(zip(pids, ("read", "read"))))
        for options in ([], ["--max-threads=1"]):
            status, reports, said = tree(seen[0], *options)
            assert status == 0, said
            assert len(reports[0]["threads"]) == (1 if options else 2)
            assert not any(document["hangs"] for document in reports), reports


def test_who_has_a_pipe_is_asked_once_for_all_threads_that_read_it():
    script = ("import os, threading\n"
              "threading.stack_size(65536)\n"
              "pipe, others = os.pipe(), [os.dup(0) for _ in range(900)]\n"
              "threads = [threading.Thread(target=os.read, args=(pipe[0], 1)) for _ in range(400)]\n"
              "for thread in threads: thread.start()\n"
              "print(len(threads), flush=True)\n"
              "threads[0].join()\n")
    process = subprocess.Popen([LATEST.path, "-c", script], start_new_session=True, stdout=subprocess.PIPE)
    spent = []
    try:
        assert process.stdout.readline() == b"400\n"
        hanging.await_rest(process.pid)
        for options in ([], ["--tree"]):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            answer = subprocess.run([report.exuvia(), "attach", "--json", *options, str(process.pid)], capture_output=True,
                                    timeout=120)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    finally:
        hanging.end(process)
        process.stdout.close()
    document, = hanging.documents(answer.stdout)
    assert [entry["kind"] for entry in document["hangs"]] == ["pipe"], document["hangs"]
    assert spent[1] < spent[0] + 1, spent


def outer_ids(pid):
    """{id inside its innermost namespace: id as seen from here} of the descendants."""
    ids, todo = {}, children(pid)
    while todo:
        pid = todo.pop()
        ids[int(hanging.status(pid, "NSpid")[pid][0].split()[-1])] = pid
        todo += children(pid)
    return ids


# How the child is started, what both wait for, and whether others can open the semaphores yet: only those of fork have no
# name any more. The parent made its own, which the C library did under another name.
STARTED = [("fork", "RLock", "lock", False), ("spawn", "Lock", "lock", True), ("spawn", "Lock", "pipe", True),
           ("forkserver", "Lock", "lock", True)]


@pytest.mark.skipif(not can_unshare(), reason="only root sees what others have mapped")
@pytest.mark.parametrize("how, kind, child, named", STARTED, ids=[f"{entry[0]} {entry[2]}" for entry in STARTED])
def test_locks_of_processes_that_wait_for_each_other_hang_unless_others_have_them_or_open_them_by_name(how, kind, child, named):
    # What is killed leaves its semaphores behind: in a /dev/shm of its own.
    process = subprocess.Popen(["unshare", "--mount-proc", *UNSHARE[1:], "sh", "-c",
                                'mount -t tmpfs none /dev/shm && exec "$0" "$@"', LATEST.path,
                                hanging.PROGRAMS / "spawned.py", how, kind, child],
                               start_new_session=True, stdout=subprocess.PIPE)
    try:
        seen = [int(pid) for pid in process.stdout.readline().split()]
        outside = outer_ids(process.pid)
        await_calls(dict(zip([outside[pid] for pid in seen], ("futex", {"lock": "futex", "pipe": "read"}[child]))))
        status, reports, said = tree(seen[0], wrapper=["nsenter", "-t", str(outside[1]), "-p", "-m"])
    finally:
        hanging.end(process)
        process.stdout.close()
    assert (status, said) == (0, [])
    hangs = {document["process"]["pid"]: entry for document in reports for entry in document["hangs"]}
    # multiprocessing's own process, which waits until these close its pipe, hangs with them.
    assert set(hangs) >= set(seen) and all(hangs[pid]["kind"] == "pipe" for pid in set(hangs) - set(seen)), reports
    assert not any(entry["certain"] for entry in hangs.values()), hangs
    for entry in (hangs[pid] for pid in seen):
        assert entry["kind"] == "shared-lock"
        assert entry["sentence"].startswith(f"{beginning(named, True)[0]}process "), entry
        for pid in seen:
            assert f"process {pid} (" in entry["sentence"]
        assert f"waits for multiprocessing.{kind}" in entry["sentence"]
