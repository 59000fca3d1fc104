# SPDX-License-Identifier: Apache-2.0
"""The report of a core equals what the program wrote down as the last thing before it died: on every interpreter found
on this machine, in every scenario, for every thread, frame by frame."""

import pytest

from support import interpreters, report, scenarios

INTERPRETERS = interpreters.find()
CASES = [
    pytest.param(interpreter, scenario, id=f"{interpreter.name}-{scenario.name}")
    for scenario in scenarios.scenarios()
    for interpreter in INTERPRETERS
    if scenario.applies(interpreter)
]


@pytest.mark.parametrize("interpreter, scenario", CASES)
def test_report_equals_truth(interpreter, scenario, record_property, kernel_leaves_cores):
    record_property("truth", [interpreter.name, scenario.name])
    try:
        with scenarios.death(interpreter, scenario) as death:
            options = ["--sysroot", interpreter.root] if interpreter.root else []
            status, result, said = report.run(death.core, *options)
    except scenarios.NotApplicable as reason:
        record_property("truth-not-applicable", str(reason))
        pytest.skip(f"n/a: {reason}")
    assert result is not None, f"no report, exit status {status}: {said}"
    problems = report.compare_process(death.truth, result, interpreter) + report.compare_threads(death.truth, result)
    if status != 0:
        problems.append(f"exit status {status}: {said}")
    problems.extend(f"diagnostic {entry['code']}: {entry['message']}" for entry in result["diagnostics"]
                    if status != 0 or entry.get("incomplete"))
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
