# SPDX-License-Identifier: Apache-2.0
"""Who holds the GIL, who waits for it, and whether the garbage collector runs."""

import pytest

from lib import interpreters, report, scenarios

INTERPRETERS = [pytest.param(interpreter, id=interpreter.name) for interpreter in interpreters.find()]
WAIT_FOR_GIL = scenarios.Scenario("wait_for_gil", None, (0, 0), "")


def explain(interpreter, scenario):
    with scenarios.death(interpreter, scenario) as death:
        options = ["--sysroot", interpreter.root] if interpreter.root else []
        status, result, said = report.run(death.core, *options)
    assert status == 0, said
    return death.truth, result


def knows_static_variables(interpreter):
    """Up to 3.6 the GIL and the collector's state are static variables, which only a full symbol table has."""
    return interpreter.version >= (3, 7) or not interpreter.root


@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_the_thread_that_computes_without_the_gil_waits_for_it(interpreter, kernel_leaves_cores):
    truth, result = explain(interpreter, WAIT_FOR_GIL)
    states = {thread["tid"]: thread["gil"] for thread in result["threads"]}
    waiting = [states[tid] for tid in truth["tids"]]
    main = states[result["process"]["pid"]]
    if interpreter.kind == "free-threaded":
        assert main == "none" and waiting == ["none"] * 4
        return
    # A thread can be caught between two attempts, awake; more than one at an instant is not by chance.
    awake = waiting.count("none")
    expected = "waits" if knows_static_variables(interpreter) else "unknown"
    assert main == "holds" and awake <= 1 and waiting.count(expected) == 4 - awake


@pytest.mark.parametrize("interpreter", INTERPRETERS)
@pytest.mark.parametrize("program, argument, running", [("crash_in_gc", "del", True), ("c_callbacks", None, False)])
def test_the_report_says_whether_the_collector_runs(interpreter, program, argument, running, kernel_leaves_cores):
    _, result = explain(interpreter, scenarios.Scenario(program, argument, (0, 0), ""))
    collecting = [entry["gc_collecting"] for entry in result["interpreters"]]
    assert collecting == [running if knows_static_variables(interpreter) else None]
