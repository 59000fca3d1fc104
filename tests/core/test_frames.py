# SPDX-License-Identifier: Apache-2.0
"""The report of a core equals what the program wrote down as the last thing before it died, for every thread, frame by
frame: in every scenario on each way that frames are walked, and on every interpreter found on this machine in some
(EXUVIA_EVERY_INTERPRETER=1: in all)."""

import pytest

from lib import interpreters, report, scenarios

CASES = [
    pytest.param(interpreter, scenario, id=f"{interpreter.name}-{scenario.name}")
    for interpreter, scenario in interpreters.matrix(scenarios.scenarios())
    if scenario.applies(interpreter)
]


def merged_problems(interpreter, truth, status, result, said):
    """Among native frames the Python frames are the same, whole and in order.

    Before 3.10 no marker leads to the frame of a part that the compiler split off the eval loop; in a stripped build
    no symbol does either, and the report says that there is a gap.
    """
    allowed = {"merge-incomplete"} if interpreter.root and interpreter.version < (3, 10) else set()
    if result is None:
        return [f"no report, exit status {status}: {said}"]
    for thread in result["threads"]:
        thread["frames"] = [frame for frame in thread["frames"] if frame["kind"] == "python"]
    problems = report.compare_threads(truth, result)
    problems.extend(f"diagnostic {entry['code']}: {entry['message']}" for entry in result["diagnostics"]
                    if entry.get("incomplete") and entry["code"] not in allowed)
    return problems


@pytest.mark.parametrize("interpreter, scenario", CASES)
def test_report_equals_truth(interpreter, scenario, record_property, kernel_leaves_cores):
    record_property("truth", [interpreter.name, scenario.name])
    try:
        with scenarios.death(interpreter, scenario) as death:
            options = ["--sysroot", interpreter.root] if interpreter.root else []
            status, result, said = report.run(death.core, *options)
            merged_status, merged, merged_said = report.run(death.core, *options, merged=True)
    except scenarios.NotApplicable as reason:
        record_property("truth-not-applicable", str(reason))
        pytest.skip(f"n/a: {reason}")
    assert result is not None, f"no report, exit status {status}: {said}"
    problems = report.compare_process(death.truth, result, interpreter) + report.compare_threads(death.truth, result)
    if status != 0:
        problems.append(f"exit status {status}: {said}")
    problems.extend(f"diagnostic {entry['code']}: {entry['message']}" for entry in result["diagnostics"]
                    if status != 0 or entry.get("incomplete"))
    also = merged_problems(interpreter, death.truth, merged_status, merged, merged_said)
    problems.extend(f"merged: {problem}" for problem in also)
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
