# SPDX-License-Identifier: Apache-2.0
"""Threads without Python: whose stack is shown, and how the others are counted."""

import subprocess

import pytest

from lib import hanging, interpreters, report

FOUND = [item for item in interpreters.find() if item.kind == "release"]
# One with symbols and without a root, one stripped one.
CHOSEN = [next((item for item in reversed(FOUND) if item.minor == "3.12" and not item.root), None),
          next((item for item in reversed(FOUND) if item.path == "/usr/bin/python3.11" and not item.root), None)]
INTERPRETERS = [pytest.param(item, id=item.name) for item in CHOSEN if item]


@pytest.fixture(scope="module", autouse=True)
def built():
    yield
    hanging.remove_library()


def blocks(text):
    """{the first word after "Thread": its lines}"""
    found, current = {}, None
    for line in text.splitlines():
        if line.startswith("Thread "):
            current = found.setdefault(line.split()[1], [line])
        elif not line.startswith("  "):
            current = None
        elif current:
            current.append(line)
    return found


def show(pid, *options):
    answer = subprocess.run([report.exuvia(), "attach", str(pid), *options], capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr + answer.stdout
    return answer.stdout


@pytest.mark.skipif(not INTERPRETERS, reason="neither 3.12 nor a stripped 3.11 was found")
@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_the_native_owner_is_shown_and_the_other_native_threads_are_a_line(interpreter):
    with hanging.hang(interpreter, "native_pool", wants_waits=False) as hung:
        text = show(hung.pid)
        everything = show(hung.pid, "--native-all")
        status, answer, _ = hanging.attach(hung.pid)
    owner, workers = hung.truth["owner"], hung.truth["workers"]
    assert status == 0 and len(workers) == 3
    assert f" held by thread {owner}\n" in text
    assert any("pool_owner" in line for line in blocks(text)[str(owner)])
    lines = [line for line in text.splitlines() if "without Python frames" in line]
    assert len(lines) == 1, text
    assert lines[0].startswith("3 threads without Python frames wait in libhang.so, in pool_worker (condition variable): ")
    assert all(str(tid) in lines[0] for tid in workers)
    assert "\nThreads " in everything and "pool_worker" in everything and "without Python" not in everything
    threads = {thread["tid"]: thread for thread in answer["threads"]}
    for tid, function in [(owner, "pool_owner"), *((tid, "pool_worker") for tid in workers)]:
        assert function in [frame["function"] for frame in threads[tid]["frames"]]
        assert threads[tid]["python"] is False


@pytest.mark.skipif(not INTERPRETERS, reason="neither 3.12 nor a stripped 3.11 was found")
@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_how_a_thread_starts_and_how_it_waits_is_a_line_each(interpreter):
    with hanging.hang(interpreter, "native_pool", wants_waits=False) as hung:
        text = show(hung.pid)
        verbose = show(hung.pid, "-v")
    waiters = [lines for name, lines in blocks(text).items() if any("for Lock" in line for line in lines)]
    assert len(waiters) == 2, text
    for lines in waiters:
        # A run() of the program's own is no start.
        own = [line for line in lines if line.startswith("  File ")]
        assert f"  [{3 - len(own)} calls in threading.py start the thread]" in lines
        native = [line for line in lines if line.startswith("  (native) ")]
        assert len(native) == 1 and " frames that wait, from " in native[0], text
    assert text.count("in Waiter.run" if interpreter.version >= (3, 11) else "in run") == 1
    assert "start the thread]" not in verbose and "frames that wait" not in verbose
    assert "in Thread._bootstrap" in verbose
