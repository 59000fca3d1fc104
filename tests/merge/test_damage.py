# SPDX-License-Identifier: Apache-2.0
"""What is left is true where the stack itself is what broke: smashed, used up, or left through a bad pointer.

Python's frames still equal the program's record, no native frame is invented, and what is missing is said. How a
smashed stack should look is known from its twin: the same program, which crashes at the same instruction without
damage."""

import functools
import json
import os
import subprocess
import sys

import pytest

import running
from lib import interpreters, report, scenarios
from test_merged import builds, compare_trails, expected_rule, explain, known_function  # noqa: F401

INTERPRETERS = [item for item in interpreters.find() if item.kind != "jit"]
FLAGS = ["-O2 -fomit-frame-pointer", "-O1 -fno-omit-frame-pointer"]
SCENARIOS = {}
for entry in running.all_scenarios("damage"):
    SCENARIOS.setdefault(entry.program, []).append(entry)


def each(program, chosen=lambda interpreter: True, arguments=None):
    cases = [pytest.param(interpreter, scenario, id=f"{interpreter.name}-{scenario.name}")
             for scenario in SCENARIOS[program] for interpreter in INTERPRETERS
             if chosen(interpreter) and (not arguments or scenario.argument in arguments)]
    assert cases
    return pytest.mark.parametrize("interpreter, scenario", cases)


def one_of_each_version():
    """One release build of each version, of this machine if it has one."""
    found = {}
    for item in sorted(INTERPRETERS, key=lambda item: (item.kind != "release", item.root or "")):
        found.setdefault(item.minor, item)
    return set(found.values())


ONE_OF_EACH = one_of_each_version()


def flags(interpreter):
    return FLAGS[INTERPRETERS.index(interpreter) % 2]


def fail_for(problems):
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


def said(answer, tid):
    """What the report says of the thread's native stack."""
    return [entry for entry in answer["diagnostics"] if entry.get("tid") == tid]


def crashed(answer):
    return next(thread for thread in answer["threads"] if thread["crashed"])


# ---- A smashed stack ----


def module_of(frame):
    return os.path.basename(frame["module"]) if frame.get("module") else None


def key(frame):
    """What is the same in two runs of a program, wherever its memory was."""
    if frame["kind"] == "python":
        return ("python", frame["file"].rsplit("/", 1)[-1], frame["function"], frame["line"])
    return ("native", module_of(frame), frame.get("offset"), frame["function"], frame["inlined"], frame["eval"])


def frames_of(answer):
    return [key(frame) if frame["kind"] != "gap" else "gap" for frame in crashed(answer)["frames"]]


@functools.cache
def twin(interpreter):
    """The frames, innermost first, of the program that does no damage."""
    with running.death(interpreter, running.Scenario("smash", "no-0", "damage"), flags(interpreter)) as death:
        status, answer = explain(death, interpreter, "--native-all")
    problems = report.compare_threads(death.truth, answer) + compare_trails(death, answer)
    assert not problems and status == 0, "\n".join(problems)
    return frames_of(answer)


def without_gaps(frames):
    return [frame for frame in frames if frame != "gap"]


def invented(frames, whole):
    """Frames that are not in the undamaged stack, or not in that order."""
    problems, at = [], 0
    for frame in without_gaps(frames):
        if frame in whole[at:]:
            at = whole.index(frame, at) + 1
        else:
            problems.append(f"not in the undamaged stack, or not there: {frame}")
    return problems


def from_eval_on(frames):
    """The native frames from the innermost eval loop on."""
    first = next((i for i, frame in enumerate(frames) if frame[0] == "native" and frame[5]), len(frames))
    return frames[first:]


@each("smash", ONE_OF_EACH.__contains__,
      [scenario.argument for scenario in SCENARIOS["smash"] if scenario.argument != "no-0"])
def test_a_smashed_stack_loses_only_what_was_smashed(interpreter, scenario, kernel_leaves_cores):
    whole = twin(interpreter)
    with running.death(interpreter, scenario, flags(interpreter)) as death:
        status, answer = explain(death, interpreter, "--native-all")
    thread, frames = crashed(answer), frames_of(answer)
    problems = invented(frames, whole)
    eval_is_smashed = scenario.argument.startswith("eval")
    if not eval_is_smashed:
        problems += report.compare_threads(death.truth, answer)
    if frames[0] != whole[0]:
        problems.append(f"the innermost frame is {frames[0]}")
    missing = len(whole) - len(without_gaps(frames))
    if missing and "gap" not in frames and thread["native_complete"]:
        problems.append(f"{missing} frames are missing, and nothing in the stack says it")
    if missing and (status != 1 or not any(entry["incomplete"] for entry in said(answer, thread["tid"]))):
        problems.append(f"{missing} frames are missing, exit status {status}: {said(answer, thread['tid'])}")
    if not missing and status != 0:
        problems.append(f"nothing is missing, and the exit status is {status}: {said(answer, thread['tid'])}")
    if interpreter.version >= (3, 10) and not eval_is_smashed:
        if from_eval_on(frames) != from_eval_on(whole):
            problems.append("the stack does not go on at the eval loop that called the function")
        if thread["merged_by"] != expected_rule(interpreter):
            problems.append(f"merged by {thread['merged_by']}")
    if problems:
        problems += ["reported:"] + [f"  {frame}" for frame in frames] + ["true:"] + [f"  {frame}" for frame in whole]
        problems += [f"{entry['code']}: {entry['message']}" for entry in said(answer, thread["tid"])]
    fail_for(problems)


# ---- A stack that is used up ----


def counter(death):
    return int.from_bytes((death.directory / "counter").read_bytes()[:8], "little")


def is_stack_overflow(answer):
    return "probably a stack overflow" in answer["crash"]["summary"]


# Between pytest and what is measured: a program takes over the largest resident set of the one that started it.
MEASURE = """
import os, resource, sys
process = os.spawnv(os.P_WAIT, sys.argv[1], sys.argv[1:])
sys.stderr.write("%d %d" % (process, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
"""


def measured(death, interpreter):
    """(exit status, report, MiB of memory that it took)"""
    sysroot = ["--sysroot", interpreter.root] if interpreter.root else []
    command = [sys.executable, "-IS", "-c", MEASURE, report.exuvia(), "core", "--json", *sysroot,
               str(death.core)]
    result = subprocess.run(command, capture_output=True, timeout=120)
    answer = json.loads(result.stdout)
    report.validate(answer)
    status, kilobytes = result.stderr.split()[-2:]
    return int(status), answer, int(kilobytes) / 1024


@pytest.mark.release_only
@each("overflow_in_c", ONE_OF_EACH.__contains__)
def test_a_stack_that_c_used_up_is_shown_to_its_start(interpreter, scenario, kernel_leaves_cores):
    with running.death(interpreter, scenario, flags(interpreter)) as death:
        status, answer, memory = measured(death, interpreter)
        depth = counter(death)
    thread = crashed(answer)
    frames = thread["frames"]
    calls = [frame for frame in frames if frame["kind"] == "native" and frame["function"] == "exv_overflow"]
    problems = report.compare_threads(death.truth, answer)
    if len(calls) - depth not in (0, 1) or depth < 10000:
        problems.append(f"{depth} calls were counted, {len(calls)} are in the report")
    if calls != frames[:len(calls)]:
        problems.append("the calls are not the innermost frames")
    names = {name for trail in death.trails.values() for name in trail}
    found = [name for name in (known_function(frame, names) for frame in reversed(frames)) if name]
    if found != death.trails[str(thread["tid"])]:
        problems.append(f"known functions: {death.trails[str(thread['tid'])]} are true, {found} reported")
    if status != 0 or not thread["native_complete"] or not is_stack_overflow(answer):
        problems.append(f"exit status {status}, {answer['crash']['summary']}, {said(answer, thread['tid'])}")
    if memory > 64:
        problems.append(f"{memory:.0f} MiB of memory")
    fail_for(problems)


@each("overflow_in_python", ONE_OF_EACH.__contains__)
def test_a_stack_that_python_used_up_is_shown_to_its_start(interpreter, scenario, kernel_leaves_cores):
    """The program cannot write down how it ends. Known are its outer frames, and how many calls there were at least."""
    try:
        with running.death(interpreter, scenario, flags(interpreter)) as death:
            status, answer = explain(death, interpreter, "--native-all")
            depth = counter(death)
    except scenarios.NotApplicable as reason:
        pytest.skip(f"n/a: {reason}")
    thread = crashed(answer)
    python = [frame for frame in thread["frames"] if frame["kind"] == "python"]
    known = next(entry for entry in death.truth["threads"] if entry["me"])
    outer = [tuple(death.truth["table"][number][:4]) for number in known["frames"]]
    found = [(frame["file"], frame["function"], frame.get("qualname"), frame["line"]) for frame in python]
    inner, name = found[:-len(outer)], "py_" + scenario.argument
    problems = []
    if found[-len(outer):] != outer:
        problems.append(f"the outer frames are {found[-len(outer):]}, and not {outer}")
    plain = [frame for frame in inner if frame[1] == name]
    if len(plain) - depth not in (0, 1) or depth < 50:
        problems.append(f"{depth} calls were counted, {len(plain)} are in the report")
    # A call of a Python callback from ctypes goes through one more function of the known functions'.
    if {frame[1] for frame in inner} - {name, "plain"} or len({frame[3] for frame in plain[1:]}) != 1:
        problems.append(f"other frames: {set(inner)}")
    if scenario.argument == "large" and [frame[1] for frame in inner[:20]].count("plain") != 10:
        problems.append(f"the frames do not alternate: {inner[:20]}")
    # In true order: every call of Python is followed by the eval loop that runs it, where no call is left out.
    order = ["python" if frame["kind"] == "python" else "eval" for frame in thread["frames"]
             if frame["kind"] == "python" or frame.get("eval")]
    if "gap" in [frame["kind"] for frame in thread["frames"]] or thread["merged_by"] != expected_rule(interpreter):
        problems.append(f"frames are missing, or merged by {thread['merged_by']}: {said(answer, thread['tid'])}")
    if interpreter.version < (3, 11) and order != ["python", "eval"] * len(python):
        problems.append("eval loops and Python frames do not alternate")
    if interpreter.version >= (3, 11) and order.count("eval") < depth:
        problems.append(f"{order.count('eval')} eval loops for {depth} calls")
    if status != 0 or not is_stack_overflow(answer):
        problems.append(f"exit status {status}, {answer['crash']['summary']}, {said(answer, thread['tid'])}")
    fail_for(problems)


# ---- A call through a bad pointer ----


@each("bad_call", ONE_OF_EACH.__contains__)
def test_a_call_through_a_bad_pointer_is_stepped_over(interpreter, scenario, kernel_leaves_cores):
    try:
        with running.death(interpreter, scenario, flags(interpreter)) as death:
            status, answer = explain(death, interpreter)
            address = int((death.directory / "address").read_text(), 16)
    except scenarios.NotApplicable as reason:
        pytest.skip(f"n/a: {reason}")
    problems = report.compare_threads(death.truth, answer) + compare_trails(death, answer)
    first, second = crashed(answer)["frames"][:2]
    if first["kind"] != "native" or int(first["pc"], 16) != address or first["function"] or first["module"]:
        problems.append(f"{address:#x} was called, the innermost frame is {first}")
    if second["function"] != death.trails[str(crashed(answer)["tid"])][-1]:
        problems.append(f"it was called by {second}")
    if "executing" not in answer["crash"]["summary"] or int(answer["crash"]["address"] or "0", 16) not in (address, 0):
        problems.append(f"the crash is described as {answer['crash']}")
    if status != 0 or not crashed(answer)["native_complete"]:
        problems.append(f"exit status {status}: {answer['diagnostics']}")
    fail_for(problems)


@each("linkage", ONE_OF_EACH.__contains__)
def test_the_caller_of_an_entry_of_a_linkage_table_is_known(interpreter, scenario, kernel_leaves_cores):
    with running.death(interpreter, scenario, flags(interpreter)) as death:
        status, answer = explain(death, interpreter)
    problems = report.compare_threads(death.truth, answer) + compare_trails(death, answer)
    first, second = crashed(answer)["frames"][:2]
    if first["function"] == "exv_linkage" or module_of(first) != "libexv_damage.so":
        problems.append(f"it did not die where it should: {first}")
    if second["function"] != "exv_linkage" or module_of(second) != "libexv_damage.so":
        problems.append(f"{first} was called by {second}")
    if status != 0 or not crashed(answer)["native_complete"]:
        problems.append(f"exit status {status}: {answer['diagnostics']}")
    fail_for(problems)


@each("clone", ONE_OF_EACH.__contains__)
def test_the_caller_of_clone_is_known(interpreter, scenario, kernel_leaves_cores):
    with running.death(interpreter, scenario, flags(interpreter)) as death:
        status, answer = explain(death, interpreter)
    problems = report.compare_threads(death.truth, answer) + compare_trails(death, answer)
    second = crashed(answer)["frames"][1]
    if second["function"] != "exv_clone":
        problems.append(f"clone was called by {second}")
    if status != 0 or not crashed(answer)["native_complete"] or answer["crash"]["name"] != "SIGSYS":
        problems.append(f"exit status {status}, {answer['crash']}: {answer['diagnostics']}")
    fail_for(problems)
