# SPDX-License-Identifier: Apache-2.0
"""`exuvia attach --watch`: what has moved and what has not, and how watching ends."""

import os
import re
import signal
import subprocess
import time

import pytest

from lib import hanging, interpreters, living, report

FOUND = interpreters.find()
HOST = [interpreter for interpreter in FOUND if not interpreter.root and interpreter.kind == "release"]
LATEST = HOST[-1]
SOME = [pytest.param(interpreter, id=interpreter.name) for interpreter in FOUND
        if interpreter in (HOST[0], LATEST) or interpreter.kind == "free-threaded"]


@pytest.fixture(scope="module", autouse=True)
def built():
    yield
    hanging.remove_library()


def named(document):
    return {thread["name"]: thread for thread in document["threads"]}


@pytest.mark.parametrize("interpreter", SOME)
@pytest.mark.parametrize("options", [(), ("--no-stop",)], ids=["stopped", "unstopped"])
def test_each_thread_is_said_to_have_moved_or_not(interpreter, options):
    with living.program(interpreter, "watched", "end") as (process, directory):
        living.await_files(directory, ["ready"], process)
        rounds = []
        with living.watching("--json", "--watch=0.25", *options, process.pid) as tool:
            for document in living.reports(tool, timeout=60):
                rounds.append(named(document))
                if len(rounds) == 2:
                    (directory / "end").touch()
                if len([threads for threads in rounds if "appears" in threads]) == 3:
                    break
            assert tool.poll() is None and process.poll() is None
    assert {name for name in rounds[0] if name} == {"MainThread", "busy", "sleeps", "ends"}
    assert {name for name in rounds[-1] if name} == {"MainThread", "busy", "sleeps", "appears"}
    assert all(thread["moved"] is None for thread in rounds[0].values())
    used = [threads["busy"]["cpu_us"] for threads in rounds]
    moved = [threads["busy"]["moved"] for threads in rounds[1:]]
    # On a machine that is busy itself it may not have had its turn in between, but not always.
    starved = [after - before <= 2000 for before, after in zip(used, used[1:])]
    assert all(one or other for one, other in zip(moved, starved)) and moved.count(True) > len(moved) / 2, (moved, used)
    assert [threads["sleeps"]["moved"] for threads in rounds[1:]] == [False] * (len(rounds) - 1)
    appeared = [threads["appears"]["moved"] for threads in rounds if "appears" in threads]
    assert appeared[0] is None and appeared[-1] is False, appeared
    assert used == sorted(used) and used[-1] > used[0] + 10000
    assert rounds[-1]["sleeps"]["cpu_us"] - rounds[0]["sleeps"]["cpu_us"] < 20000


def test_as_text_it_is_said_behind_the_name():
    with living.program(LATEST, "watched", "end") as (process, directory):
        living.await_files(directory, ["ready"], process)
        answer = subprocess.run([report.exuvia(), "attach", "--watch=0.3", "--count=2", str(process.pid)], text=True,
                                capture_output=True, timeout=30)
    assert (answer.returncode, answer.stderr) == (0, "")
    heads = [line for line in answer.stdout.splitlines() if line.startswith("Process ") and "live" in line]
    assert len(heads) == 2
    first, second = re.split(r"(?m)^(?=Process \d+, live)", answer.stdout)[1:]
    assert first.endswith("\n\n") and not first.endswith("\n\n\n")
    assert "moved" not in first
    said = {match[1]: match[2] for match in re.finditer(r'^Thread \d+ "(\w+)" \((.*)\), most recent', second, re.M)}
    assert "has moved" in said["busy"] and "has not moved" in said["sleeps"], second


def test_watching_ends_with_the_process_and_with_the_status_of_what_was_shown():
    with living.program(LATEST, "watched", "end") as (process, directory):
        living.await_files(directory, ["ready"], process)
        seen = []
        with living.watching("--json", "--watch=0.1", process.pid) as tool:
            for document in living.reports(tool):
                seen.append(document)
                if len(seen) == 2:
                    (directory / "end").touch()
                    (directory / "go").touch()
                    # Nobody has waited for it: it is a zombie now, later not even that.
            status, said = tool.wait(timeout=10), tool.stderr.read().decode()
        assert process.wait(timeout=10) == 7
    assert status == 0 and said.count("\n") == 1 and str(process.pid) in said and "ended" in said, (status, said)
    assert len([document for document in seen if document["python"]]) >= 2


def test_an_interrupt_ends_watching_and_what_was_written_is_whole():
    with living.living(LATEST) as target:
        for number in (signal.SIGINT, signal.SIGTERM):
            with living.watching("--json", "--watch=60", target.pid) as tool:
                documents = living.reports(tool)
                assert next(documents)["python"]
                start = time.monotonic()
                # It sleeps as soon as the report is out.
                while hanging.state(tool.pid) != "S":
                    time.sleep(0.005)
                tool.send_signal(number)
                assert not list(documents)
                assert tool.wait(timeout=10) == -number
                assert time.monotonic() - start < 5 and tool.stderr.read() == b""
            assert target.unharmed() is None
        problems = target.finish()
    assert not problems, problems


def test_an_interrupt_at_any_moment_harms_nobody():
    with living.living(LATEST) as target:
        problems = []
        for number in range(12):
            with living.watching("--json", "--watch=0.01", target.pid) as tool:
                next(living.reports(tool))
                time.sleep(0.004 * number)
                tool.send_signal(signal.SIGINT)
                if tool.wait(timeout=10) != -signal.SIGINT:
                    problems.append(f"status {tool.returncode}")
            harm = target.unharmed()
            problems += [harm] if harm else []
        problems += target.finish()
    assert not problems, problems


def test_count_says_how_many_reports():
    with living.program(LATEST, "watched", "end") as (process, directory):
        living.await_files(directory, ["ready"], process)
        for count in (1, 3):
            with living.watching("--json", "--watch=0.02", f"--count={count}", process.pid) as tool:
                assert len(list(living.reports(tool))) == count
                assert tool.wait(timeout=10) == 0


def test_watching_ends_when_nobody_reads_any_more():
    with living.program(LATEST, "watched", "end") as (process, directory):
        living.await_files(directory, ["ready"], process)
        with living.watching("--json", "--watch=0.05", process.pid) as tool:
            next(living.reports(tool))
            tool.stdout.close()
            assert tool.wait(timeout=10) == -signal.SIGPIPE
        with open("/dev/full", "w") as full:
            answer = subprocess.run([report.exuvia(), "attach", "--json", "--watch=0.05", str(process.pid)],
                                    stdout=full, stderr=subprocess.PIPE, text=True, timeout=10)
        assert answer.returncode == 74 and answer.stderr.count("\n") == 1 and "standard output" in answer.stderr
        assert process.poll() is None


@pytest.mark.parametrize("other", [pytest.param(HOST[0], id=HOST[0].name), pytest.param(None, id="no-Python")])
def test_a_process_that_becomes_another_program_is_watched_on(other):
    becomes = other.path if other else "/proc/self/cwd/waits.sh"
    with living.program(LATEST, "watched", "exec", becomes) as (process, directory):
        script = directory / "waits.sh"
        script.write_text("#!/bin/sh\ntouch other\nwhile :; do sleep 0.05; done\n")
        script.chmod(0o755)
        living.await_files(directory, ["ready"], process)
        seen = []
        with living.watching("--json", "--watch=0.1", process.pid) as tool:
            for document in living.reports(tool):
                seen.append(document)
                if len(seen) == 2:
                    (directory / "end").touch()
                    (directory / "go").touch()
                # What was read may be older than what it is now.
                if is_other(document) and document["threads"][0]["moved"] is False if other else not document["python"]:
                    break
                assert len(seen) < 200
            for _, document in zip(range(3), living.reports(tool)):
                seen.append(document)
            os.kill(process.pid, signal.SIGKILL)
            last = list(living.reports(tool))
            status, said = tool.wait(timeout=10), tool.stderr.read().decode().splitlines()
        process.wait()
    before = [document for document in seen if (document["python"] or {}).get("version", "").startswith(LATEST.minor)]
    assert len(before) >= 2
    assert status in (0, 1) and str(process.pid) in said[-1] and "ended" in said[-1], (status, said)
    if other:
        assert is_other(seen[-1])
        assert seen[-1]["threads"][0]["moved"] is False
        # A round may have met it before it was Python again, or when it had begun to end.
        assert status == 0 or len(said) > 1 or any(map(report.incomplete, seen + last))
        assert len(seen[-1]["threads"]) == 1
    else:
        assert seen[-1]["python"] is None and status == 1 and len(said) >= 2


def is_other(document):
    return any(frame.get("function") == "other" for thread in document["threads"] for frame in thread["frames"])
