# SPDX-License-Identifier: Apache-2.0
"""A report that is ended early: by the time, by the memory, or because the caller says so. It says so, and what is in it is true."""
import subprocess

import pytest

from lib import client, hanging, interpreters, report

HOST = [one for one in interpreters.find() if not one.root and one.kind == "release"]
WHY = {"cancel": "cancelled", "signal": "cancelled", "limit": "time-limit", "memory": "memory-budget"}

pytestmark = pytest.mark.skipif(not HOST, reason="no release build of Python runs here without another root")

PROGRAM = """
import threading, time, sys
DEPTH, THREADS = 100, 12
def down(n):
    down(n - 1) if n else time.sleep(3600)
for _ in range(THREADS):
    threading.Thread(target=down, args=(DEPTH,), daemon=True).start()
print("ready", flush=True)
time.sleep(3600)
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    return client.build(tmp_path_factory.mktemp("library") / "host")


@pytest.fixture(scope="module")
def process():
    with subprocess.Popen([HOST[-1].path, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout.readline() == "ready\n"
            hanging.await_rest(started.pid)
            yield started
        finally:
            started.kill()


def python_frames(thread):
    return [(frame["function"], frame["line"]) for frame in thread["frames"] if frame["kind"] == "python"]


def check(result, whole, why):
    """It is complete, or says why not; whatever it shows of a stack, the thread has, and nothing is said of whom it lacks."""
    codes = {entry["code"] for entry in result["diagnostics"]}
    known = {thread["tid"]: python_frames(thread) for thread in whole["threads"]}
    assert why in codes or not report.incomplete(result), codes
    assert not codes & {"python-not-found", "source-unreadable"}, codes  # it is there: who did not look everywhere does not know
    for thread in result["threads"]:
        frames = python_frames(thread)
        assert frames == known[thread["tid"]][:len(frames)]
        if thread["frames_complete"] and thread["python"]:
            assert frames == known[thread["tid"]]
    assert not result["deadlocks"]
    return why in codes


@pytest.mark.parametrize("mode", ["cancel", "signal", "limit"])
def test_a_report_may_end_at_any_moment_and_the_process_goes_on_as_before(host, process, mode):
    whole, seen = client.explain(host, "limit", process.pid, 0)
    took = seen["took_us"]
    assert not report.incomplete(whole), whole["diagnostics"]
    before = hanging.footprint(process.pid)
    ended = 0
    steps = range(0, 13) if mode != "limit" else range(1, max(2, took // 1000), 4)
    for step in steps:
        result, _ = client.explain(host, mode, process.pid, step if mode == "limit" else max(1, step * took // 12))
        ended += check(result, whole, WHY[mode])
    assert ended > 0
    assert (wrong := hanging.same_footprint(process.pid, before)) is None, wrong


def test_a_report_within_less_memory_says_what_it_lacks(host, process):
    whole, _ = client.explain(host, "limit", process.pid, 0)
    before, limit, ended = hanging.footprint(process.pid), 100 * 1000, 0
    while limit < 64 << 20:
        result, _ = client.explain(host, "memory", process.pid, limit)
        ended += check(result, whole, WHY["memory"])
        limit = limit * 2
    assert ended > 0 and not check(result, whole, WHY["memory"])
    assert (wrong := hanging.same_footprint(process.pid, before)) is None, wrong
