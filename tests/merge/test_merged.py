# SPDX-License-Identifier: Apache-2.0
"""Merged stacks are true: at known native and Python functions that the program itself recorded, on every interpreter that is
found. The Python frames still equal the program's record, and the native frames what other unwinders find."""

import json
import re
import subprocess

import pytest

import peers
import running
from lib import interpreters, report, scenarios

INTERPRETERS = interpreters.find()
SCENARIOS = running.all_scenarios()
# With frame pointers and without; the second is what most libraries are.
FLAGS = ["-O1 -fno-omit-frame-pointer", "-O2 -fomit-frame-pointer"]

# Scenarios whose native frames are compared with other unwinders'.
COMPARED = {"alternation", "threads", "cpp[exv_cpp_unwinding]", "signal_in_c[other_stack]", "crash_in_c[generator]"}


def explain(death, interpreter, *options):
    sysroot = ["--sysroot", interpreter.root] if interpreter.root else []
    command = [report.exuvia(), "core", "--json", *sysroot, *options, str(death.core)]
    result = subprocess.run(command, capture_output=True, timeout=300)
    assert result.stdout, f"no report, exit status {result.returncode}: {result.stderr.decode(errors='replace')}"
    answer = json.loads(result.stdout.decode("utf-8"))
    report.validate(answer)
    return result.returncode, answer


def known_function(frame, names):
    """The known function that a frame is, or None."""
    function = frame.get("function") or ""
    if frame["kind"] == "native":
        function = re.sub(r" \[clone .*|\(.*|\.(cold|part|isra|constprop).*", "", re.sub(r"<.*>", "", function))
        function = function.split(" ")[-1]
    return function if function in names else None


def compare_trails(death, answer):
    problems = []
    names = {name for trail in death.trails.values() for name in trail}
    threads = {str(thread["tid"]): thread for thread in answer["threads"]}
    for tid, trail in death.trails.items():
        frames = threads[tid]["frames"] if tid in threads else []
        found = [name for name in (known_function(frame, names) for frame in reversed(frames)) if name]
        if found != trail:
            problems.append(f"thread {tid}: known functions, outermost first\n  true:     {' '.join(trail)}\n  reported: "
                            f"{' '.join(found)}")
        if any(frame["kind"] == "gap" for frame in frames):
            problems.append(f"thread {tid}: frames are missing")
    return problems


def compare_eval_loops(interpreter, answer):
    """Where symbols tell, a native frame runs Python frames exactly if it is the eval loop."""
    name = "PyEval_EvalFrameEx" if interpreter.version < (3,) else "_PyEval_EvalFrameDefault"
    problems = []
    for thread in answer["threads"]:
        if not thread["python"]:
            continue
        frames = [frame for frame in thread["frames"] if frame["kind"] == "native" and frame["function"]]
        for number, frame in enumerate(frames):
            if frame["eval"] != (re.sub(r"[ .].*", "", frame["function"]) == name):
                problems.append(f"thread {thread['tid']}: frame {number} is {frame['function']}, eval: {frame['eval']}")
    return problems[:10]


def is_gapped(death, answer):
    return any(frame["kind"] == "gap" for thread in answer["threads"] if str(thread["tid"]) in death.trails
               for frame in thread["frames"])


def compare_gapped(death, answer):
    """Known native functions may be missing at a gap; Python's may not, and what is there is in its true order."""
    problems = []
    names = {name for trail in death.trails.values() for name in trail}
    for thread in answer["threads"]:
        trail = death.trails.get(str(thread["tid"]), [])
        found = [name for name in (known_function(frame, names) for frame in reversed(thread["frames"])) if name]
        rest = iter(trail)
        in_order = all(name in rest for name in found)
        lost = [name for name in set(trail) - set(found) if not name.startswith("exv")]
        if not in_order or lost:
            problems.append(f"thread {thread['tid']}: {lost} lost\n  true:     {' '.join(trail)}\n  reported: "
                            f"{' '.join(found)}")
    return problems


def runs_compiled_code(answer):
    """Is code that no file holds on the crashed thread's stack, or a gap where its frame was?"""
    frames = next(thread for thread in answer["threads"] if thread["crashed"])["frames"]
    return any(frame["kind"] == "gap" or frame["kind"] == "native" and not frame["module"] for frame in frames)


def expected_rule(interpreter):
    return "stack-address" if interpreter.version >= (3, 10) else "frame-pointer"


@pytest.fixture(scope="session", autouse=True)
def builds():
    yield
    running.remove_builds()


CASES = [
    pytest.param(interpreter, scenario, id=f"{interpreter.name}-{scenario.name}")
    for interpreter, scenario in interpreters.matrix(SCENARIOS)
]


@pytest.mark.parametrize("interpreter, scenario", CASES)
def test_known_functions_are_in_their_true_order(interpreter, scenario, kernel_leaves_cores):
    flags = FLAGS[(SCENARIOS.index(scenario) + INTERPRETERS.index(interpreter)) % 2]
    try:
        with running.death(interpreter, scenario, flags) as death:
            status, answer = explain(death, interpreter)
            _, everything = explain(death, interpreter, "--native-all")
    except scenarios.NotApplicable as reason:
        pytest.skip(f"n/a: {reason}")
    if scenario.program == "signal_in_c":
        # The process dies in a handler. What that ran for, which may be a signal from outside, is not recorded: no thread is
        # said to have crashed, but where the signal was raised is.
        for thread in death.truth["threads"]:
            assert not thread["me"] or answer["crash"]["handler_tid"] == thread["tid"], answer["crash"]
            thread["me"] = False
    problems = report.compare_threads(death.truth, answer) + report.compare_threads(death.truth, everything)
    problems += compare_eval_loops(interpreter, everything)
    # 3.14's compiled code has no unwinding information: what lies between it and the eval loop may be lost.
    if interpreter.kind == "jit" and interpreter.minor == "3.14" and is_gapped(death, answer):
        problems += compare_gapped(death, answer) + compare_gapped(death, everything)
        status = 0
    else:
        problems += compare_trails(death, answer) + compare_trails(death, everything)
    for thread in answer["threads"]:
        if str(thread["tid"]) in death.trails and thread["merged_by"] != expected_rule(interpreter):
            problems.append(f"thread {thread['tid']}: merged by {thread['merged_by']}")
    if interpreter.kind == "jit" and scenario.name == "hot_loop[native]" and not runs_compiled_code(everything):
        problems.append("no compiled code is on the stack: this shows nothing")
    if status != 0:
        problems.append(f"exit status {status}")
        problems += [f"diagnostic {entry['code']}: {entry['message']}" for entry in answer["diagnostics"]]
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


# ---- Native frames ----


def native_pcs(thread):
    return [int(frame["pc"], 16) for frame in thread["frames"] if frame["kind"] == "native" and not frame["inlined"]]


def compare_pcs(theirs, answer, peer):
    problems = []
    for thread in answer["threads"]:
        ours = native_pcs(thread)
        if theirs.get(thread["tid"], ours) == ours:
            continue
        pcs = theirs[thread["tid"]]
        lines = [f"thread {thread['tid']}: {peer} finds {len(pcs)} native frames, the report has {len(ours)}"]
        for number in range(max(len(pcs), len(ours))):
            a, b = pcs[number:number + 1], ours[number:number + 1]
            if a != b:
                lines.append(f"  #{number}: {peer} {a and hex(a[0])}, ours {b and hex(b[0])}")
        problems.append("\n".join(lines[:12]))
    return problems


@pytest.mark.release_only
@pytest.mark.parametrize("peer", ["gdb", "eu-stack"])
@pytest.mark.parametrize("interpreter, scenario", [case for case in CASES if case.values[1].name in COMPARED])
def test_native_frames_are_those_of_other_unwinders(interpreter, scenario, peer, kernel_leaves_cores):
    if peer == "eu-stack" and interpreter.root:
        pytest.skip("skipped: this eu-stack finds no files under another root")
    if interpreter.kind == "jit" and interpreter.minor == "3.14":
        pytest.skip("skipped: other unwinders guess where compiled code has no unwinding information")
    try:
        with running.death(interpreter, scenario, FLAGS[1]) as death:
            _, answer = explain(death, interpreter, "--native-all")
            if peer == "gdb":
                theirs = peers.gdb(death.core, interpreter.executable, interpreter.root)
            else:
                theirs = peers.eu_stack(death.core, interpreter.executable)
    except scenarios.NotApplicable as reason:
        pytest.skip(f"n/a: {reason}")
    if not theirs:
        pytest.skip(f"skipped: {peer} did not succeed")
    problems = compare_pcs(theirs, answer, peer)
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
