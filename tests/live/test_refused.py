# SPDX-License-Identifier: Apache-2.0
"""Who may attach to what: a refusal is one line that names the rule and what to do, and leaves the process as it was;
what is allowed to others than root, or lies in other namespaces, gives the whole report."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from lib import hanging, interpreters, report, waiting

FOUND = interpreters.find()
HOST = [interpreter for interpreter in FOUND if not interpreter.root and interpreter.kind == "release"]
LATEST = HOST[-1]
IS_ROOT = interpreters.is_root()
PUBLIC = hanging.public_interpreter(HOST) if IS_ROOT else None
UNSHARE = ["unshare", "--mount", "--propagation=private"]

needs_users = pytest.mark.skipif(not PUBLIC, reason="only root can become another user, who needs an interpreter")
needs_namespaces = pytest.mark.skipif(
    not IS_ROOT or subprocess.run([*UNSHARE, "--user", "--pid", "--fork", "true"], capture_output=True).returncode != 0,
    reason="namespaces cannot be made here")


@pytest.fixture(scope="module", autouse=True)
def built():
    yield
    hanging.remove_library()
    hanging.remove_public_tool()


@pytest.fixture(autouse=True)
def unrestricted():
    """What is refused here is refused by the rule at hand."""
    with hanging.yama_scope(0):
        yield


# Says that it is ready, and waits. What comes before is of the test.
WAITS = "{}\nimport time\ndef waits():\n    print('ready', flush=True)\n    time.sleep(600)\nwaits()\n"
NOT_DUMPABLE = "import ctypes; assert ctypes.CDLL(None).prctl(4, 0) == 0"


@contextlib.contextmanager
def waiting_process(first="", wrapper=(), interpreter=PUBLIC or LATEST):
    process = subprocess.Popen([*wrapper, *interpreter.command("-c", WAITS.format(first))], stdout=subprocess.PIPE,
                               start_new_session=True, cwd="/", env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"})
    try:
        assert process.stdout.readline() == b"ready\n"
        pid = process.pid
        # The program may be below what started it.
        while (children := pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            pid = int(children[0])
        hanging.await_rest(pid)
        yield pid
    finally:
        hanging.end(process)
        process.stdout.close()


def run(pid, *options, wrapper=()):
    """(exit status, stdout, stderr)"""
    answer = subprocess.run([*wrapper, hanging.public_tool(), "attach", *options, str(pid)], capture_output=True,
                            timeout=30, text=True, cwd="/")
    return answer.returncode, answer.stdout, answer.stderr


def check_refused(pid, *words, wrapper=(), options=((), ("--no-stop",), ("--json",)), seen_as=None):
    """With every choice of options: one line with these words, nothing else, and the process is what it was."""
    before = hanging.footprint(pid)
    number = pid if seen_as is None else seen_as
    for choice in options:
        status, out, said = run(number, *choice, wrapper=wrapper)
        assert status == 2 and said.count("\n") == 1 and said.startswith("exuvia: "), (choice, status, said)
        for word in words:
            assert word in said, (choice, word, said)
        if "--json" in choice:
            document = json.loads(out)
            report.validate(document)
            assert document["threads"] == [] and document["python"] is None
            assert document["diagnostics"][-1]["message"] in said
        else:
            assert out == "", (choice, out)
        changed = hanging.same_footprint(pid, before)
        assert changed is None, changed


def check_shown(pid, *options, wrapper=(), seen_as=None):
    status, out, said = run(pid if seen_as is None else seen_as, "--json", *options, wrapper=wrapper)
    assert (status, said) == (0, ""), (options, status, said)
    document = json.loads(out)
    report.validate(document)
    thread = document["threads"][0]
    names = [frame["function"] for frame in thread["frames"] if frame["kind"] == "python"]
    assert names == ["waits", "<module>"], names
    return document


as_nobody = hanging.as_nobody([])


# ---- Refused ---------------------------------------------------------------------------------------------------------


@needs_users
def test_the_process_of_another_user():
    with waiting_process() as pid:
        check_refused(pid, f"process {pid} belongs to root, and this is nobody: run exuvia as root", wrapper=as_nobody)
    with waiting_process(wrapper=["setpriv", "--reuid=1", "--regid=1", "--clear-groups"]) as pid:
        check_refused(pid, "belongs to daemon", "as daemon or as root", wrapper=as_nobody)


@needs_users
def test_the_process_of_another_group():
    group = ["setpriv", f"--reuid={hanging.NOBODY}", "--regid=1", "--clear-groups"]
    with waiting_process(wrapper=group) as pid:
        check_refused(pid, f"process {pid} has the group 1, and this program {hanging.NOBODY}", "as root",
                      wrapper=as_nobody)
        check_shown(pid, wrapper=group)


@needs_users
def test_a_process_that_is_setuid():
    # Real, effective and saved ids differ, as a program with the setuid bit has them.
    with waiting_process("import os; os.setresuid(65534, 1, 1)") as pid:
        check_refused(pid, f"process {pid} runs with changed credentials", "as root", wrapper=as_nobody)


@needs_users
def test_a_process_that_is_not_dumpable():
    with waiting_process(NOT_DUMPABLE, wrapper=as_nobody) as pid:
        check_refused(pid, f"process {pid} is not dumpable", "PR_SET_DUMPABLE", "as root", wrapper=as_nobody)
        check_shown(pid)


@needs_users
def test_a_process_with_more_capabilities():
    capable = [*as_nobody, "--inh-caps=+net_raw", "--ambient-caps=+net_raw"]
    with waiting_process(wrapper=capable) as pid:
        fields = hanging.status(pid, "CapPrm", "Uid")[pid]
        assert int(fields[0], 16) and fields[1].split()[0] == str(hanging.NOBODY)
        check_refused(pid, "has more rights, and this program lacks CAP_SYS_PTRACE", "as root", wrapper=as_nobody)
        check_shown(pid, wrapper=capable)


WITHOUT = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"]


@needs_users
@pytest.mark.parametrize("wrapper", [(), as_nobody], ids=["root", "nobody"])
def test_root_without_the_capability(wrapper):
    with waiting_process(wrapper=wrapper) as pid:
        check_refused(pid, "CAP_SYS_PTRACE", "--cap-add=SYS_PTRACE", wrapper=WITHOUT)
    with waiting_process(wrapper=WITHOUT) as pid:
        check_shown(pid, wrapper=WITHOUT)


@needs_users
@pytest.mark.release_only
def test_root_without_the_capability_but_with_a_filter():
    """As many container runtimes have it: the capability is not what was missing."""
    with waiting_process(wrapper=WITHOUT) as pid:
        check_refused(pid, "seccomp", "--no-stop", wrapper=[*WITHOUT, *filtered(PTRACE)], options=((), ("--json",)))


# Forbids system calls with EPERM, as container runtimes do: seccomp(2), a filter in classic BPF.
FILTER = """
import ctypes, os, struct, sys
calls, command = [int(number) for number in sys.argv[1].split(',')], sys.argv[2:]
program = struct.pack('HBBI', 0x20, 0, 0, 0)
for number in calls:
    program += struct.pack('HBBI', 0x15, 0, 1, number) + struct.pack('HBBI', 0x06, 0, 0, 0x00050001)
program += struct.pack('HBBI', 0x06, 0, 0, 0x7fff0000)
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(program, len(program))
fprog = struct.pack('HxxxxxxP', len(program) // 8, ctypes.addressof(buffer))
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, fprog, 0, 0) == 0, ctypes.get_errno()
os.execvp(command[0], command)
"""
PTRACE, READV, OPENAT2, LISTS = {"x86_64": (101, 310, 437, 274), "aarch64": (117, 270, 437, 100)}[os.uname().machine]


def filtered(*numbers):
    return [(PUBLIC or LATEST).path, "-c", FILTER, ",".join(map(str, numbers))]


@pytest.mark.release_only
@pytest.mark.parametrize("user", [pytest.param([], id="same"), pytest.param(as_nobody, id="nobody", marks=needs_users)])
def test_a_seccomp_filter_forbids_ptrace_and_to_read_without_stopping_is_the_remedy(user):
    with waiting_process(wrapper=user) as pid:
        check_refused(pid, f"process {pid} cannot be stopped", "seccomp", "--no-stop", "seccomp=unconfined",
                      wrapper=[*user, *filtered(PTRACE)], options=((), ("--json",)))
        document = check_shown(pid, "--no-stop", wrapper=[*user, *filtered(PTRACE, READV, LISTS)])
        assert document["source"]["pause_us"] is None


@pytest.mark.release_only
def test_a_seccomp_filter_that_leaves_ptrace_costs_nothing():
    """Old container runtimes know openat2(2) and process_vm_readv(2) as little as they know what they forbid."""
    with waiting_process() as pid:
        free, bound = check_shown(pid), check_shown(pid, wrapper=filtered(READV, OPENAT2, LISTS))
        assert free["threads"][0]["frames"] == bound["threads"][0]["frames"]
        assert [module["file"] for module in free["modules"]] == [module["file"] for module in bound["modules"]]


def in_mount_namespace(script):
    return [*UNSHARE, "sh", "-c", script + ' && exec "$0" "$@"']


@needs_users
@needs_namespaces
@pytest.mark.parametrize("option", ["noaccess", "invisible", "ptraceable"])
def test_a_proc_that_hides_processes(option):
    wrapper = [*in_mount_namespace(f"mount -t proc -o hidepid={option} proc /proc"), *as_nobody]
    with waiting_process() as pid:
        check_refused(pid, f"process {pid} is hidden", "hidepid", "as root", wrapper=wrapper)
    with waiting_process(wrapper=as_nobody) as pid:
        check_shown(pid, wrapper=wrapper)
    # What does not exist is not hidden.
    status, _, line = run(pid, wrapper=wrapper)
    assert status == 2 and line == f"exuvia: there is no process {pid}\n"


@pytest.mark.release_only
@needs_namespaces
def test_no_proc_at_all():
    with waiting_process() as pid:
        check_refused(pid, "/proc is not mounted", wrapper=in_mount_namespace("umount -l /proc"))


@needs_namespaces
def test_a_proc_of_another_pid_namespace():
    """There process 1 is one thing and process 1 of the own namespace another: none is taken for the other."""
    with waiting_process() as pid:
        wrapper = ["unshare", "--pid", "--fork", "--kill-child"]
        check_refused(pid, "/proc shows the processes of another pid namespace", "mount -t proc", wrapper=wrapper)


@needs_namespaces
def test_a_process_outside_of_the_user_namespace():
    with waiting_process() as pid:
        check_refused(pid, f"process {pid} cannot be read", "user namespace", "outside", "as root",
                      wrapper=["unshare", "--user", "--map-root-user"])


# A file system on top of a part of /proc: what Yama would say, where the kernel has none.
FAKE_YAMA = ("mount -t tmpfs none /proc/sys/kernel && mkdir /proc/sys/kernel/yama && "
             "echo {} > /proc/sys/kernel/yama/ptrace_scope")
YAMA_WORDS = {1: ("ptrace_scope is 1", "ancestors", "as root", "sysctl kernel.yama.ptrace_scope=0"),
              2: ("ptrace_scope is 2", "CAP_SYS_PTRACE", "as root"),
              3: ("ptrace_scope is 3", "next boot", "core")}


@needs_users
@needs_namespaces
@pytest.mark.parametrize("number", YAMA_WORDS)
def test_the_words_for_every_scope_of_yama(number):
    wrapper = in_mount_namespace(FAKE_YAMA.format(number))
    with waiting_process(NOT_DUMPABLE, wrapper=as_nobody) as pid:
        check_refused(pid, *YAMA_WORDS[number], wrapper=[*wrapper, *as_nobody])
    with waiting_process() as pid:
        # Another user's process is another user's, whatever Yama says.
        check_refused(pid, "belongs to root", wrapper=[*wrapper, *as_nobody])


@needs_namespaces
@pytest.mark.release_only
def test_root_is_told_of_the_scope_of_yama_that_refuses_even_root():
    wrapper = [*in_mount_namespace(FAKE_YAMA.format(3)), *filtered(PTRACE)]
    with waiting_process() as pid:
        check_refused(pid, *YAMA_WORDS[3], wrapper=wrapper, options=((), ("--json",)))


@needs_users
@pytest.mark.skipif(not hanging.YAMA.exists(), reason="this kernel has no Yama: only its words are tested")
@pytest.mark.parametrize("number", [1, 2])
def test_the_scopes_of_yama(number):
    with hanging.yama_scope(number), waiting_process(wrapper=as_nobody) as pid:
        check_refused(pid, *YAMA_WORDS[number], wrapper=as_nobody)
        check_shown(pid)


def taken_apart(answer):
    """(exit status, report or None, stderr), as the comparison with the truth wants it."""
    found = hanging.documents(answer.stdout)
    return answer.returncode, found[0] if found else None, answer.stderr.decode()


# ---- Allowed ---------------------------------------------------------------------------------------------------------


@needs_users
def test_an_own_process_of_a_user_who_is_not_root_has_the_whole_report(monkeypatch):
    monkeypatch.setenv("EXUVIA", hanging.public_tool())
    with hanging.hang(PUBLIC, "together", wrapper=as_nobody, owner=hanging.NOBODY) as hung:
        before = hanging.footprint(hung.pid)
        assert hanging.status(hung.pid, "Uid")[hung.pid][0].split() == [str(hanging.NOBODY)] * 4
        for options in (["--native-all"], ["--python-only"]):
            answer = subprocess.run([*as_nobody, hanging.public_tool(), "attach", "--json", *options, str(hung.pid)],
                                    capture_output=True, timeout=60, cwd="/")
            fresh = "--native-all" in options
            problems = waiting.problems_of(hung, PUBLIC, taken_apart(answer), live=True, fresh=fresh)
            assert not problems, "\n".join(problems)
            assert hanging.same_footprint(hung.pid, before) is None


@contextlib.contextmanager
def public_folder(parent=None):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="exuvia-", dir=parent))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# /proc/PID/map_files takes one of these, whoever asks.
NO_MAP_FILES = ["setpriv", "--bounding-set=-sys_admin,-checkpoint_restore",
                "--inh-caps=-sys_admin,-checkpoint_restore"]
# Those that are one file, with a copy of which nothing else has to be copied: root's own are distributions'.
GONE = [pytest.param(PUBLIC, "deleted", id="nobody-deleted", marks=needs_users),
        pytest.param(PUBLIC, "replaced", id="nobody-replaced", marks=needs_users),
        *[pytest.param(interpreter, "replaced", id=interpreter.name) for interpreter in FOUND
          if IS_ROOT and interpreter.root and (interpreter.minor, interpreter.kind) in
          (("2.7", "release"), ("3.9", "debug"), ("3.14", "debug"), ("3.15", "release"))]]


@pytest.mark.parametrize("original, how", GONE)
def test_a_binary_that_only_the_memory_of_the_process_still_has_is_read_from_there(original, how):
    nobody = not original.root
    rights = as_nobody if nobody else NO_MAP_FILES
    with public_folder(original.root and original.root + "/tmp") as folder:
        binary = folder / "python"
        shutil.copy(original.executable, binary)
        path = str(binary)[len(original.root or ""):]
        interpreter = interpreters.dataclasses.replace(original, path=path, environment=(("PYTHONHOME", "/usr"),))
        with hanging.hang(interpreter, "together", wrapper=as_nobody if nobody else (),
                          owner=hanging.NOBODY if nobody else None) as hung:
            binary.unlink()
            if how == "replaced":
                shutil.copy(next(entry for entry in HOST if entry.minor != original.minor).executable, binary)
            answer = subprocess.run([*rights, hanging.public_tool(), "attach", "--json", str(hung.pid)],
                                    capture_output=True, timeout=60, cwd="/")
            _, result, _ = taken = taken_apart(answer)
            problems = waiting.problems_of(hung, interpreter, taken, live=True)
            mapped = subprocess.run([*rights, "sh", "-c", f"cat /proc/{hung.pid}/map_files/* | head -c1"],
                                    capture_output=True)
    assert mapped.stdout == b""
    assert not problems, "\n".join(problems)
    module = next(module for module in result["modules"] if module["path"].startswith(path))
    assert module["file"] == "core" and module["symbols"] == "dynsym", module
    names = {frame["function"] for thread in result["threads"] for frame in thread["frames"]
             if frame["kind"] == "native" and frame["module"] == module["path"]}
    assert names - {None}


@needs_namespaces
def test_a_process_in_a_user_namespace_of_its_own():
    with waiting_process(wrapper=["unshare", "--user", "--map-root-user"]) as pid:
        assert os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")
        check_shown(pid)
        check_shown(pid, "--no-stop")


@needs_namespaces
def test_within_a_user_namespace_its_own_processes_are_shown():
    with waiting_process(wrapper=["unshare", "--user", "--map-root-user"]) as pid:
        inside = ["nsenter", "--user", f"--target={pid}"]
        check_shown(pid, wrapper=inside)
        check_shown(pid, "--no-stop", wrapper=inside)


CONTAINERS = [pytest.param(interpreter, id=interpreter.name) for interpreter in FOUND
              if interpreter.root and interpreter.minor in ("2.7", "3.15") and interpreter.kind == "release"]


@needs_namespaces
@pytest.mark.skipif(not CONTAINERS, reason="no root with another distribution in it")
@pytest.mark.parametrize("interpreter", CONTAINERS)
def test_a_container_of_another_distribution(interpreter):
    """Own root, own processes, own mounts: nothing of this machine's files is its."""
    wrapper = [*UNSHARE, "--pid", "--fork", "--kill-child"]
    with waiting_process("from __future__ import print_function\nfrom functools import partial\nimport sys\n"
                         "ready = print\n"
                         "def print(*_, **__):\n    ready('ready'); sys.stdout.flush()\n",
                         wrapper=wrapper, interpreter=interpreter) as pid:
        assert hanging.status(pid, "NSpid")[pid][0].split()[-1] == "1"
        document = check_shown(pid)
        check_shown(pid, "--no-stop")
    assert document["process"]["pid"] == pid
    assert document["python"]["version"].startswith(".".join(map(str, interpreter.version)))
    assert document["process"]["executable"].startswith("/usr/bin/python")
    files = {module["file"] for module in document["modules"] if module["path"].startswith("/")}
    assert files == {"matched"}
