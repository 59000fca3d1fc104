# SPDX-License-Identifier: Apache-2.0
"""What --max-frames and --max-threads leave out is no damage: the rest is as without them, and one line counts it."""

import os
import re
import subprocess
import time

import pytest

from lib import hanging, interpreters, report, scenarios

MINORS = ("2.7", "3.10", "3.13")  # what tells which native frame runs which Python frames differs
FUNCTIONS = 11  # that the main thread has


def find():
    every = os.environ.get("EXUVIA_EVERY_INTERPRETER") == "1"
    found = [item for item in interpreters.find() if every or (item.minor in MINORS and item.kind == "release")]
    chosen = {item.minor: item for item in found}.values() if not every else found
    return [pytest.param(item, id=item.name) for item in chosen]


def main_thread(answer):
    return next(thread for thread in answer["threads"] if thread["main"])


def same(frames):
    return [{key: value for key, value in frame.items() if key != "pc"} for frame in frames]


def problems_with_frames(pid, options, whole, merged_by, limit):
    status, answer, said = hanging.attach(pid, f"--max-frames={limit}", *options)
    thread = main_thread(answer)
    frames, problems = thread["frames"], []
    if status != 0 or report.incomplete(answer) or not thread["frames_complete"]:
        problems.append(f"exit status {status}, {report.incomplete(answer)} {said}")
    left = thread.get("frames_left_out", 0)
    if left:
        last = frames.pop()
        words = f"{left} outer frame{'s' if left > 1 else ''} left out, as asked for"
        if (last["kind"], last.get("code"), last.get("reason")) != ("gap", "left-out", words):
            problems.append(f"the last is {last}")
    if same(frames) != same(whole[:len(frames)]) or len(frames) + left != len(whole):
        problems.append(f"{len(frames)} frames and {left} left out of {len(whole)} are not the innermost ones")
    shown = sum(frame["kind"] == "python" for frame in frames)
    if shown != min(limit, FUNCTIONS) or thread["merged_by"] != merged_by:
        problems.append(f"{shown} Python frames, merged by {thread['merged_by']}")
    return [f"--max-frames={limit} {' '.join(options)}: {problem}" for problem in problems]


def text(pid, *options):
    return subprocess.run([report.exuvia(), "attach", *options, str(pid)], capture_output=True, text=True, check=True).stdout


def problems_with_threads(pid):
    problems, count = [], 6
    for limit in (1, 5, 6):
        status, answer, _ = hanging.attach(pid, f"--max-threads={limit}")
        left = max(count - limit, 0)
        if (status, len(answer["threads"]), answer.get("threads_left_out", 0)) != (0, count - left, left):
            problems.append(f"--max-threads={limit}: exit status {status}, {len(answer['threads'])} threads")
        lines = re.findall(r"^\d+ more threads? left out \(--max-threads\)$", text(pid, f"--max-threads={limit}"), re.M)
        if lines != ([f"{left} more thread{'s' if left > 1 else ''} left out (--max-threads)"] if left else []):
            problems.append(f"--max-threads={limit}: {lines}")
    if text(pid, "--max-frames=2").count(" outer frames left out, as asked for]\n") != 1:
        problems.append("the text does not say that outer frames are left out")
    return problems


@pytest.mark.parametrize("interpreter", find())
def test_what_is_left_out_as_asked_for_is_counted_and_nothing_else_changes(interpreter):
    with scenarios.workspace(interpreter) as (outside, inside):
        process = hanging.launch(interpreter, "deep", None, outside, inside)
        try:
            deadline = time.monotonic() + 30
            while not (outside / "ready").exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            assert (outside / "ready").exists(), (outside / "output.txt").read_text(errors="replace")
            hanging.await_rest(process.pid)
            problems = problems_with_threads(process.pid)
            for options in ((), ("--native-all",), ("--python-only",)):
                merged = "--python-only" not in options
                whole = main_thread(hanging.attach(process.pid, *options, merged=merged)[1])
                for limit in (1, 4, FUNCTIONS):
                    problems += problems_with_frames(process.pid, options, whole["frames"], whole["merged_by"], limit)
        finally:
            hanging.end(process)
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
