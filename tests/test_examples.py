# SPDX-License-Identifier: Apache-2.0
"""The programs in examples/ compile without a warning, as C and as C++, and say what is true."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from lib import hanging, interpreters, report, scenarios

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXUVIA = pathlib.Path(report.exuvia()).resolve()
SANITIZED = EXUVIA.exists() and b"__asan_init" in EXUVIA.read_bytes()
HOST = [one for one in interpreters.find() if not one.root and one.kind == "release"]
COMPILERS = [pytest.param([os.environ.get("CC", "gcc"), "-std=c11"], id="c"),
             pytest.param([os.environ.get("CXX", "g++"), "-x", "c++", "-std=c++11"], id="c++")]

pytestmark = pytest.mark.skipif(not HOST, reason="no release build of Python runs here without another root")


@pytest.fixture(scope="module", params=COMPILERS)
def compiled(request, tmp_path_factory):
    """The path of an example's program: a function. Linked with the shared library, as programs of others are."""
    if not shutil.which(request.param[0]):
        pytest.skip(f"{request.param[0]} is not installed")
    folder = tmp_path_factory.mktemp("examples")
    sanitizers = ["-fsanitize=address,undefined"] if SANITIZED else []

    def build(name):
        target = folder / name
        made = subprocess.run([*request.param, "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror", *sanitizers, "-I",
                               ROOT / "include", ROOT / "examples" / f"{name}.c", "-o", target, "-L", EXUVIA.parent,
                               "-lexuvia", f"-Wl,-rpath,{EXUVIA.parent}"], capture_output=True, text=True)
        assert made.returncode == 0 and not made.stderr, made.stderr
        return target
    return build


def run(*command):
    answer = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
    assert answer.stderr == "", answer.stderr
    return answer.returncode, answer.stdout


def crash(program, argument):
    wanted = [one for one in scenarios.scenarios() if (one.program, one.argument) == (program, argument)]
    return scenarios.death(HOST[-1], wanted[0])


def python_frames(truth, thread):
    """As examples/explain_core.c prints them."""
    for number in thread["frames"]:
        file, function, qualname, line = truth["table"][number][:4]
        yield f"  {qualname or function}  {file}:{line}"


def test_a_core_is_explained_with_its_threads(compiled, kernel_leaves_cores):
    program = compiled("explain_core")
    with crash("crash_in_thread", "SIGSEGV-read") as death:
        status, output = run(program, death.core)
    assert status == 0 and output.startswith("Segmentation fault"), output
    threads = {int(text.split()[0]): text.splitlines() for text in output.split("\nthread ")[1:]}
    assert len(threads) == len(death.truth["threads"]) == 2
    for thread in death.truth["threads"]:
        head, *frames = threads[thread["tid"]]
        assert thread["name"] in head and ("(crashed)" in head) == thread["me"]
        assert [text for text in frames if "[native]" not in text] == list(python_frames(death.truth, thread))
    assert run(program, "/nonexistent")[0] == 2


def lookup(text):
    """The parts of a line of examples/look_up.c: address, function, offset, module, what follows."""
    match = re.fullmatch(r"(0x[0-9a-f]+) in (\S+|no function)\+(0x[0-9a-f]+) \((.*?)\): (.*)", text)
    return int(match[1], 16), match[2], int(match[3], 16), match[4], match[5]


def test_symbols_and_memory_of_a_core_are_those_that_gdb_shows(compiled, kernel_leaves_cores):
    names = ["PyObject_Repr", "Py_BytesMain", "_Py_NoneStruct", "getpid", "malloc"]
    with crash("crash_in_thread", "SIGSEGV-read") as death:
        asked = [part for name in names for part in ("-ex", f"output (long) &{name}", "-ex", 'printf "\\n"')]
        gdb = subprocess.run(["gdb", "-nx", "-batch", "-iex", "set auto-load off", HOST[-1].path, death.core, *asked],
                             capture_output=True, text=True, timeout=60)
        known = dict(zip(names, map(int, gdb.stdout.splitlines()[-len(names):])))
        asked = [part for name in names for part in ("-ex", f"x/8xb {known[name]}")]
        gdb = subprocess.run(["gdb", "-nx", "-batch", "-iex", "set auto-load off", HOST[-1].path, death.core, *asked],
                             capture_output=True, text=True, timeout=60)
        memory = ["".join(re.findall(r"0x([0-9a-f]{2})\b", line)) for line in gdb.stdout.splitlines()[-len(names):]]
        status, output = run(compiled("look_up"), death.core, *names, *(hex(known[name] + 3) for name in names))
        assert run(compiled("look_up"), death.core, "no_such_symbol") == (1, "no_such_symbol: no such symbol\n")
        assert run(compiled("look_up"), death.core, "0x10") == (0, "0x10: the process has no memory there\n")
    assert status == 0, output
    lines = output.splitlines()
    for number, name in enumerate(names):
        address, function, offset, _, data = lookup(lines[number])
        assert address == known[name] and data == memory[number], (name, lines[number])
        if not name.startswith("_Py_None"):  # a variable is in no function
            inside, again, more, _, _ = lookup(lines[len(names) + number])
            assert (offset, inside, again, more) == (0, known[name] + 3, function, 3)
            assert function.lstrip("_").endswith(name.lstrip("_")), function


def test_what_the_threads_of_a_process_wait_for_is_printed(compiled):
    with hanging.hang(HOST[-1], "together") as hung:
        # On a busy machine a thread may stop too late to be part of a deadlock, as for hanging.attach.
        for _ in range(5):
            status, output = run(compiled("waits"), hung.pid)
            if "Deadlock: " in output:
                break
    names = {thread["name"]: thread["tid"] for thread in hung.truth["threads"]}
    lines = {line.split(": ")[0]: line for line in output.splitlines()}
    assert status == 0, output
    ring = [lines[f"{names[f'ring {number}']} ring {number}"] for number in range(3)]
    for number, line in enumerate(ring):
        assert "RLock" in line and line.endswith(f"; owner: ring {(number + 1) % 3}"), line
    assert lines[f"{names['twice']} twice"].endswith("; taken by with in: twice")
    assert any(line.startswith("Deadlock: ") and all(f'"ring {number}"' in line for number in range(3))
               for line in output.splitlines())


def test_a_name_moves_no_cursor(compiled):
    program = ("import threading, time\nname = u'a\\x9b2Jb\\x1b[m\\u0430'\nthread = threading.Thread(target=time.sleep, "
               "args=(60,), name=name)\nthread.daemon = True\nthread.start()\nprint('')\ntime.sleep(60)")
    with subprocess.Popen(HOST[-1].command("-u", "-c", program), stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        status, output = run(compiled("waits"), process.pid)
        process.kill()
    assert status == 0 and " a?2Jb?[m\u0430: " in output, output


def test_a_process_that_is_not_there_is_said(compiled):
    status, output = run(compiled("waits"), 2 ** 22 + 1)
    assert status == 2 and output.count("\n") == 1 and str(2 ** 22 + 1) in output, output


def test_several_cores_have_a_line_each(compiled, kernel_leaves_cores):
    with crash("crash_in_thread", "SIGABRT") as first, crash("crash_in_thread", "SIGSEGV-write") as second:
        missing = second.directory / "missing"
        status, output = run(compiled("one_line"), first.core, second.core, missing)
    expected = []
    for death, signal in ((first, "SIGABRT"), (second, "SIGSEGV")):
        me = next(thread for thread in death.truth["threads"] if thread["me"])
        file, function, _, line = death.truth["table"][me["frames"][0]][:4]
        version = ".".join(map(str, death.truth["version"]))
        expected.append(f"{death.core}: {signal}, Python {version}, in {function} ({file}:{line})")
    *lines, last = output.splitlines()
    assert status == 2 and lines == expected, output
    assert last.startswith(f"{missing}: no signal, no Python: ") and "No such file" in last
