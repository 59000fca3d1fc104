# SPDX-License-Identifier: Apache-2.0
"""The truth tests on live processes: the report of a process that hangs equals what it wrote down, frame by frame,
whether it is stopped for that or not. The programs are those of tests/core, which hang instead of dying.

By default a choice of them; all when the variable EXUVIA_EVERY_SCENARIO is set.
"""

import os

import pytest

from lib import hanging, interpreters, report, scenarios, waiting

FOUND = interpreters.find()
CHOICE = {"blocked_threads", "c_callbacks", "coroutines", "forked_child", "hot_init", "line_tables[3]",
          "subinterpreter", "unicode_names"}
HANG = {"EXUVIA_HANG": "hang"}


def hangs(scenario):
    """The programs of one signal each are the same when they hang; one that never rests has no record of the future."""
    return not (scenario.argument or "").startswith("SIG") or scenario.argument == "SIGABRT"


def chosen(scenario):
    return hangs(scenario) and (os.environ.get("EXUVIA_EVERY_SCENARIO") or scenario.name in CHOICE)


CASES = [
    pytest.param(interpreter, scenario, id=f"{interpreter.name}-{scenario.name}")
    for interpreter, scenario in interpreters.matrix(list(filter(chosen, scenarios.scenarios())))
    if scenario.applies(interpreter)
]


@pytest.fixture(scope="module", autouse=True)
def built():
    yield
    hanging.remove_library()


def unstopped_problems(hung, interpreter):
    status, result, said = hanging.attach(hung.pid, "--no-stop", merged=True)
    if result is None:
        return [f"no report, exit status {status}: {said}"]
    problems = waiting.incomplete(result) + waiting.compare_process(hung, result, interpreter, live=True)
    if status != 0:
        problems.append(f"exit status {status}: {said}")
    if result["source"]["pause_us"] is not None:
        problems.append("it was stopped")
    return problems + report.compare_threads(waiting.hung_truth(hung), result)


@pytest.mark.parametrize("interpreter, scenario", CASES)
def test_the_report_of_a_live_process_equals_the_truth(interpreter, scenario):
    try:
        with hanging.hang(interpreter, scenario.program, scenario.argument, HANG, wants_waits=False) as hung:
            before = hanging.footprint(hung.pid)
            problems = [f"--no-stop: {problem}" for problem in unstopped_problems(hung, interpreter)]
            for merged in (False, True):
                answer = hanging.attach(hung.pid, merged=merged)
                how = "merged" if merged else "Python only"
                found = waiting.problems_of(hung, interpreter, answer, live=True)
                problems += [f"{how}: {problem}" for problem in found]
                if answer[1] is not None and not answer[1]["source"]["pause_us"]:
                    problems.append(f"{how}: no pause is told")
            changed = hanging.same_footprint(hung.pid, before)
            if changed:
                problems.append(f"the process was changed: {changed}")
    except scenarios.NotApplicable as reason:
        pytest.skip(f"n/a: {reason}")
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
