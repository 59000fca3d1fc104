# SPDX-License-Identifier: Apache-2.0
"""Whatever happens while exuvia is attached to a process, the process goes on as before: no thread is left stopped, no
signal is lost or added, and what it computes is right. What cannot be shown is explained.

EXUVIA_ATTACHES says how often test_hundreds_of_attaches attaches: 200 times by default.
"""

import contextlib
import os
import pathlib
import random
import signal
import subprocess
import time

import pytest

from lib import hanging, interpreters, living, report, scenarios, waiting

FOUND = interpreters.find()
HOST = [interpreter for interpreter in FOUND if not interpreter.root and interpreter.kind == "release"]
LATEST = HOST[-1]
# An old one, where threads are found in another way; one that has no frames of its own any more; and the latest.
SOME = [pytest.param(interpreter, id=interpreter.name)
        for minor in ("2.7", "3.8", "3.11", "3.13") for interpreter in HOST if interpreter.minor == minor][:5]
ATTACHES = int(os.environ.get("EXUVIA_ATTACHES", "200"))
SEED = int(os.environ.get("EXUVIA_SEED", "1"))


@pytest.fixture(scope="module", autouse=True)
def built():
    yield
    hanging.remove_library()


@pytest.fixture
def chance():
    return random.Random(SEED)


def fail(problems):
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


def explained(status, result, said):
    """Why the answer is not one that a user understands, or None."""
    if status == 0:
        return None
    if status not in (1, 2):
        return f"exit status {status}: {said}"
    if status == 1 and not (result and waiting.incomplete(result)):
        return "exit status 1 without a diagnostic"
    if status == 2 and not said.strip():
        return "exit status 2 without a word"
    return None


def plausible(result):
    """Python frames that this program cannot have, as texts."""
    known = {"come_and_go.py": {"<module>", "main", "<listcomp>", "work", "nested", "pause", "compute"},
             "threading.py": None, "_weakrefset.py": None, "genericpath.py": None, "<frozen genericpath>": None}
    problems = []
    for thread in result["threads"]:
        frames = [frame for frame in thread["frames"] if frame["kind"] == "python"]
        for frame in frames:
            file = os.path.basename(frame["file"] or "")
            if file not in known or (known[file] and frame["function"] not in known[file]):
                problems.append(f"an invented frame: {frame}")
        outermost = frames[-1]["function"] if frames and thread["frames_complete"] else None
        if outermost not in (None, "<module>", "_bootstrap", "__bootstrap"):
            problems.append(f"the stack of {thread['tid']} begins in {outermost}")
    return problems


@pytest.mark.release_only
@pytest.mark.parametrize("interpreter", SOME)
def test_hundreds_of_attaches_do_no_harm_to_threads_that_come_and_go(interpreter, chance):
    problems, statuses = [], {}
    with living.living(interpreter) as target:
        for number in range(max(1, ATTACHES // len(SOME))):
            target.send(35)
            target.send(chance.choice([signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT]))
            status, result, said = hanging.attach(target.pid, merged=number % 4 != 0)
            statuses[status] = statuses.get(status, 0) + 1
            problem = explained(status, result, said)
            problems += [f"attach {number}: {problem}"] if problem else []
            if status == 2:
                problems.append(f"attach {number}: nothing shown: {said}")
            if result is not None:
                problems += [f"attach {number}: {text}" for text in plausible(result)]
            if number % 20 == 0:
                harm = target.unharmed()
                problems += [f"attach {number}: {harm}"] if harm else []
        problems += [harm for harm in [target.unharmed()] if harm]
        problems += target.finish()
    print(f"{interpreter.name}: exit statuses {statuses}")
    if statuses.get(0, 0) < 0.9 * sum(statuses.values()):
        problems.append(f"exit statuses {statuses}: most attaches should show everything")
    fail(problems[:20])


def duration_of_an_attach(pid):
    start = time.monotonic()
    subprocess.run([report.exuvia(), "attach", "--json", str(pid)], stdout=subprocess.DEVNULL, timeout=60)
    return time.monotonic() - start


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_process_goes_on_when_exuvia_is_killed_at_any_moment(number, chance):
    with living.living(LATEST) as target:
        usual = min(duration_of_an_attach(target.pid) for _ in range(5))
        problems, ends = [], {}
        for _ in range(25):
            tool = subprocess.Popen([report.exuvia(), "attach", "--json", str(target.pid)], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, usual))
            target.send(35)
            tool.send_signal(number)
            end = tool.wait(timeout=30)
            ends[end] = ends.get(end, 0) + 1
            harm = target.unharmed()
            problems += [harm] if harm else []
        problems += target.finish()
    print(f"ends: {ends}")
    # Some runs must have been killed, or this tests nothing.
    assert ends.get(-number, 0) >= 3, ends
    fail(problems)


def test_a_stopped_process_stays_stopped_when_exuvia_is_killed(chance):
    with hanging.hang(LATEST, "imports") as hung:
        os.kill(hung.pid, signal.SIGSTOP)
        before = hanging.await_state(hung.pid, "T")
        for number in [signal.SIGKILL, signal.SIGTERM] * 15:
            tool = subprocess.Popen([report.exuvia(), "attach", "--json", str(hung.pid)], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, 0.04))
            tool.send_signal(number)
            tool.wait(timeout=30)
            changed = hanging.same_footprint(hung.pid, before)
            assert changed is None, changed


def test_stop_and_continue_that_arrive_during_an_attach_have_their_effect(chance):
    with living.living(LATEST) as target:
        problems = []
        for _ in range(25):
            tool = subprocess.Popen([report.exuvia(), "attach", "--json", str(target.pid)], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.PIPE)
            time.sleep(chance.uniform(0, 0.03))
            os.kill(target.pid, signal.SIGSTOP)
            _, said = tool.communicate(timeout=30)
            if tool.returncode not in (0, 1):
                problems.append(f"exit status {tool.returncode}: {said.decode()}")
            try:
                hanging.await_state(target.pid, "T", timeout=10)
            except AssertionError as lost:
                problems.append(f"the stop was lost: {lost}")
            tool = subprocess.Popen([report.exuvia(), "attach", "--json", str(target.pid)], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, 0.03))
            target.send(signal.SIGCONT)
            tool.wait(timeout=30)
            harm = target.unharmed()
            problems += [harm] if harm else []
        problems += target.finish()
    fail(problems)


@contextlib.contextmanager
def program(name):
    """A program of its own, in a workspace of its own, and the file that says that it may end."""
    with scenarios.workspace(LATEST) as (outside, inside):
        process = hanging.launch(LATEST, name, inside + "/enough", outside, inside)
        try:
            yield process, outside / "enough"
        finally:
            hanging.end(process)


@pytest.mark.parametrize("name, end", [("execs", 5), ("forks", 6)])
def test_a_process_that_execs_forks_or_ends_while_it_is_attached_to_is_not_disturbed(name, end, chance):
    problems, attaches = [], 0
    with program(name) as (process, enough):
        while process.poll() is None and attaches < 500:
            time.sleep(chance.uniform(0, 0.005))
            status, result, said = hanging.attach(process.pid)
            problem = explained(status, result, said)
            problems += [f"attach {attaches}: {problem}"] if problem else []
            attaches += 1
            if attaches == 20:
                enough.touch()
        assert process.wait(timeout=60) == end
    assert attaches >= 20
    fail(problems)


SHORT = """
import threading, time, os
for _ in range(5): threading.Thread(target=time.sleep, args=(9,), daemon=True).start()
time.sleep(%f)
os._exit(7)
"""


def test_a_process_that_ends_while_it_is_attached_to_keeps_its_exit_status(chance):
    problems = []
    for _ in range(20):
        process = subprocess.Popen(LATEST.command("-c", SHORT % chance.uniform(0, 0.02)))
        time.sleep(0.02)
        tools = []
        while process.poll() is None:
            status, result, said = hanging.attach(process.pid)
            tools.append(status)
            problem = explained(status, result, said)
            problems += [problem] if problem else []
        if process.wait(timeout=30) != 7:
            problems.append(f"it ended with status {process.returncode}")
    fail(problems)


TRACER = """
import ctypes, sys, time
libc = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE = 0x4206
assert libc.ptrace(PTRACE_SEIZE, int(sys.argv[1]), None, None) == 0, ctypes.get_errno()
print("traced", flush=True)
time.sleep(60)
"""


def test_a_process_that_is_traced_already_is_left_alone_and_its_tracer_is_named():
    with hanging.hang(LATEST, "imports") as hung:
        tracer = subprocess.Popen(["/usr/bin/env", "python3", "-c", TRACER, str(hung.pid)], stdout=subprocess.PIPE)
        try:
            assert tracer.stdout.readline() == b"traced\n"
            before = hanging.footprint(hung.pid)
            status, result, said = hanging.attach(hung.pid)
            changed = hanging.same_footprint(hung.pid, before)
            unstopped = hanging.attach(hung.pid, "--no-stop")
        finally:
            tracer.kill()
            tracer.wait()
            tracer.stdout.close()
        assert status == 2 and said.count("\n") == 1 and str(tracer.pid) in said, (status, said)
        assert changed is None, changed
        # To read it needs no tracing.
        assert unstopped[0] in (0, 1), unstopped[2]
        assert not waiting.compare_process(hung, unstopped[1], LATEST, live=True)
        assert hanging.attach(hung.pid)[0] == 0


def as_nobody(command):
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]


@pytest.mark.skipif(not interpreters.is_root(), reason="only root can become another user")
def test_the_process_of_another_user_is_refused_with_the_reason_and_a_remedy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tool")
    for path in (folder, folder.parent, folder.parent.parent):
        path.chmod(0o755)
    tool = folder / "exuvia"
    tool.write_bytes(pathlib.Path(report.exuvia()).read_bytes())
    tool.chmod(0o755)
    with hanging.hang(LATEST, "imports") as hung:
        before = hanging.footprint(hung.pid)
        refused = subprocess.run(as_nobody([str(tool), "attach", str(hung.pid)]), capture_output=True, text=True,
                                 timeout=30)
        assert hanging.same_footprint(hung.pid, before) is None
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert str(hung.pid) in refused.stderr and "root" in refused.stderr and "nobody" in refused.stderr


@pytest.mark.parametrize("what", ["no such process", "a zombie", "a thread of the kernel", "itself", "no Python"])
def test_what_cannot_be_shown_is_said_in_one_line(what):
    with contextlib.ExitStack() as stack:
        if what == "no such process":
            pid = int(pathlib.Path("/proc/sys/kernel/pid_max").read_text()) - 1
        elif what == "a zombie":
            process = subprocess.Popen(["true"])
            stack.callback(process.wait)
            while hanging.alive(process.pid):
                time.sleep(0.01)
            pid = process.pid
        elif what == "a thread of the kernel":
            pid = 2
            if os.path.exists("/proc/2/exe") or not pathlib.Path("/proc/2/stat").exists():
                pytest.skip("process 2 is none here: a container")
        elif what == "itself":
            answer = subprocess.run(["sh", "-c", 'exec "$0" attach $$', report.exuvia()], capture_output=True,
                                    text=True, timeout=30)
            assert answer.returncode == 2 and answer.stderr.count("\n") == 1, answer.stderr
            return
        else:
            process = subprocess.Popen(["sleep", "60"])
            stack.callback(process.wait)
            stack.callback(process.kill)
            pid = process.pid
        status, result, said = hanging.attach(pid)
        assert status == 2 and said.strip(), (status, said)
        assert said.strip().count("\n") == 0 and str(pid) in said, said


# By the thread's descriptor; by the kernel's thread id; by frame objects on its stack; by a marker on its stack.
STUCK = [pytest.param(interpreter, how, id=f"{interpreter.name}-{how or 'usual'}")
         for minor, how in (("3.8", None), ("3.10", None), ("3.13", None), ("3.13", "anonymous"), ("3.8", "anonymous"),
                            ("3.10", "anonymous"))
         for interpreter in [entry for entry in HOST if entry.minor == minor][:1]]


@pytest.mark.parametrize("interpreter, how", STUCK)
def test_a_thread_that_cannot_be_interrupted_is_one_thread_and_the_rest_is_shown(interpreter, how):
    with hanging.hang(interpreter, "uninterruptible", how) as hung:
        stuck = next((thread for thread in hung.truth["threads"] if thread["name"] == "stuck"), None)
        tid = next(int(path.name) for path in pathlib.Path(f"/proc/{hung.pid}/task").iterdir()
                   if hanging.state(hung.pid, path.name) == "D")
        before = hanging.footprint(hung.pid)
        start = time.monotonic()
        status, result, said = hanging.attach(hung.pid)
        took = time.monotonic() - start
        assert hanging.same_footprint(hung.pid, before) is None
        assert result is not None and status == 1, (status, said)
        assert took < 5, f"it took {took} seconds"
        message, = [entry["message"] for entry in result["diagnostics"] if entry["tid"] == tid and entry["incomplete"]]
        assert "sleeps in the kernel" in message
        thread, = [thread for thread in result["threads"] if thread["tid"] == tid]
        wchan = pathlib.Path(f"/proc/{hung.pid}/task/{tid}/wchan").read_text()
        assert thread["waits_on"]["system_call"]["name"] == "vfork", thread["waits_on"]
        assert thread["waits_on"]["summary"] == f"In system call vfork, asleep in the kernel's {wchan}"
        assert thread["waits_on"]["evidence"].startswith("the kernel: vfork(")
        named = [entry for entry in result["threads"] if entry["name"] == "stuck"]
        assert len(named) == 1, named
        assert named == [thread] and thread["python"] is True, (thread, named)
        assert stuck is None or stuck["tid"] == tid
        fail(report.compare_threads(waiting.hung_truth(hung), result))
        stuck = tid
        # Its child ends: the thread goes on, and no interruption that came too late stops it.
        children = pathlib.Path(f"/proc/{hung.pid}/task/{stuck}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        deadline = time.monotonic() + 10
        while not (hung.directory / "released").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (hung.directory / "released").exists()
        assert hanging.state(hung.pid, stuck) == "S"


MOUNT = ["unshare", "--mount", "--kill-child"]


def can_mount():
    return os.access("/dev/fuse", os.W_OK) and subprocess.run([*MOUNT, "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="file systems cannot be mounted here")
def test_where_in_the_kernel_a_thread_sleeps_is_said_when_its_call_does_not_tell(tmp_path):
    interpreter = [entry for entry in HOST if entry.version >= (3, 8)][-1]
    process = subprocess.Popen([*MOUNT, interpreter.path, hanging.PROGRAMS / "silent_disk.py", tmp_path],
                               start_new_session=True, stdout=subprocess.PIPE, text=True)
    try:
        tids = {name: int(tid) for name, tid in (process.stdout.readline().split() for _ in range(3))}
        pid = int(next(iter(hanging.status(tids["read"], "Tgid").values()))[0])
        where = {"several": "futex_wait_multiple", "read": "request_wait_answer", "touch": "request_wait_answer"}
        deadline = time.monotonic() + 20
        while (now := {name: pathlib.Path(f"/proc/{tid}/wchan").read_text() for name, tid in tids.items()}) != where:
            assert time.monotonic() < deadline, now
            time.sleep(0.01)
        for _ in range(10):  # what was let go again may need a moment until it sleeps
            status, result, said = hanging.attach(pid)
            assert status == 1, said
            waits = {name: thread["waits_on"] for name, tid in tids.items() for thread in result["threads"]
                     if thread["tid"] == tid}
            if "asleep" in waits["several"]["summary"]:
                break
        states = {name: hanging.state(pid, tid) for name, tid in tids.items()}
    finally:
        hanging.end(process)
        process.stdout.close()
    # A debugger makes them wait for the server without an end.
    assert states == {"several": "S", "read": "D", "touch": "D"}
    assert waits["several"]["summary"] == "In system call futex_waitv, asleep in the kernel's futex_wait_multiple"
    assert waits["read"]["summary"].startswith("Reading from fd ")
    assert waits["read"]["summary"].endswith(f"{tmp_path}/read, asleep in the kernel's request_wait_answer")
    assert waits["touch"]["summary"] == "Sleeping in the kernel's request_wait_answer"
    assert (waits["touch"]["kind"], waits["touch"]["system_call"]) == ("kernel", None)


def static_interpreter():
    """One whose file can be taken elsewhere: it finds its library by PYTHONHOME."""
    found = [interpreter for interpreter in HOST if interpreter.name.endswith("-system")]
    if not found:
        pytest.skip("no interpreter of the system was found")
    return found[-1]


def moved(interpreter, path):
    environment = (*interpreter.environment, ("PYTHONHOME", "/usr"))
    return interpreters.dataclasses.replace(interpreter, path=str(path), environment=environment)


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_binary_that_was_deleted_or_replaced_does_not_matter(how, tmp_path):
    original = static_interpreter()
    binary = tmp_path / "python"
    binary.write_bytes(pathlib.Path(original.executable).read_bytes())
    binary.chmod(0o755)
    interpreter = moved(original, binary)
    with hanging.hang(interpreter, "together") as hung:
        binary.unlink()
        if how == "replaced":
            other = next(entry for entry in HOST if entry.minor != original.minor)
            binary.write_bytes(pathlib.Path(other.executable).read_bytes())
        answer = hanging.attach(hung.pid)
        fail(waiting.problems_of(hung, interpreter, answer, live=True))


def outer_ids(root):
    """{id inside its innermost namespace: id as seen from here} of all threads below a process."""
    ids, todo = {}, [root]
    while todo:
        pid = todo.pop()
        for tid, (ns,) in hanging.status(pid, "NSpid").items():
            inner = ns.split()
            if len(inner) > 1:
                ids[int(inner[-1])] = tid
            children = pathlib.Path(f"/proc/{pid}/task/{tid}/children").read_text().split()
            todo += map(int, children)
    return ids


UNSHARE = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]


def can_unshare():
    return interpreters.is_root() and subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="namespaces cannot be made here")
def test_a_process_in_other_namespaces_is_shown_by_the_ids_of_this_one(tmp_path):
    """Its binary is in a file system that only it has mounted."""
    original = static_interpreter()
    private = tmp_path / "private"
    private.mkdir()
    script = f'mount -t tmpfs none {private} && cp {original.executable} {private}/python && exec "$@"'
    interpreter = moved(original, private / "python")
    with scenarios.workspace(interpreter) as (outside, inside):
        process = hanging.launch(interpreter, "blocked_threads", None, outside, inside, {"EXUVIA_HANG": "hang"},
                                 [*UNSHARE, "sh", "-c", script, "sh"])
        try:
            deadline = time.monotonic() + 30
            while not (outside / "truth.json").exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            truth = hanging.json.loads((outside / "truth.json").read_bytes())
            ids = outer_ids(process.pid)
            pid = ids[truth["pid"]]
            hanging.await_rest(pid)
            status, result, said = hanging.attach(pid)
        finally:
            hanging.end(process)
    assert not (private / "python").exists()
    threads = [dict(thread, tid=ids[thread["tid"]], me=False) for thread in truth["threads"]]
    truth = dict(truth, pid=pid, threads=threads)
    assert result is not None and status == 0, (status, said)
    assert result["process"]["pid"] == pid
    fail(report.compare_threads(truth, result))


def test_watching_leaks_no_descriptor_and_does_no_harm():
    with living.living(LATEST) as target:
        tool = subprocess.Popen([report.exuvia(), "attach", "--json", "--watch=0.01", "--count=60", str(target.pid)],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        counts, reports = [], 0
        try:
            for line in tool.stdout:
                if line.startswith(b'{"schema"') or line.startswith(b"{"):
                    reports += 1
                    with contextlib.suppress(FileNotFoundError):
                        counts.append(len(os.listdir(f"/proc/{tool.pid}/fd")))
            said = tool.stderr.read()
            status = tool.wait(timeout=60)
        finally:
            tool.kill()
            tool.wait()
            tool.stdout.close()
            tool.stderr.close()
        problems = [harm for harm in [target.unharmed()] if harm] + target.finish()
    assert status in (0, 1) and reports == 60, (status, reports, said)
    # While a report is made more are open than between two: what is left over is seen in the smallest number.
    assert counts and min(counts[-20:]) <= min(counts[:20]), counts
    fail(problems)


@pytest.mark.release_only
@pytest.mark.parametrize("stacks", ["--python-only", "--native-all"])
def test_without_memory_exuvia_says_so_and_the_process_goes_on(stacks):
    # 127: the loader itself had no memory for the libraries. libdw aborts where it has none for its tables.
    allowed = {0, 1, 2, 127} | ({-signal.SIGABRT} if stacks == "--native-all" else set())
    with living.living(LATEST) as target:
        problems, statuses = [], set()
        for mebibytes in range(4, 160, 9):
            command = [report.exuvia(), "attach", "--json", stacks, str(target.pid)]
            answer = subprocess.run(["prlimit", f"--as={mebibytes << 20}", *command], capture_output=True, timeout=60)
            statuses.add(answer.returncode)
            if answer.returncode not in allowed:
                problems.append(f"{mebibytes} MiB: exit status {answer.returncode}: {answer.stderr.decode()}")
            harm = target.unharmed()
            problems += [f"{mebibytes} MiB: {harm}"] if harm else []
        problems += target.finish()
    assert {0, 1} & statuses and 2 in statuses, statuses
    fail(problems)
