# SPDX-License-Identifier: Apache-2.0
"""A hanging process of which a debugger made the core: no signal, other notes, segments in another order. Its merged
stacks are as true as those of a process that died."""

import shutil

import pytest

import peers
import running
from lib import report
from test_damage import ONE_OF_EACH
from test_merged import builds, compare_eval_loops, compare_pcs, compare_trails, expected_rule, explain  # noqa: F401

PROGRAM = running.Scenario("threads", "SIGSTOP")
FLAGS = "-O2 -fomit-frame-pointer"
# Newer C libraries put a thread's guard page inside its stack's mapping, of which gcore then saves nothing.
OUTSIDE_OF_ROOTS = [item for item in sorted(ONE_OF_EACH, key=lambda item: item.version) if not item.root]


@pytest.mark.skipif(not shutil.which("gcore"), reason="skipped: gcore (package gdb) is not installed")
@pytest.mark.parametrize("interpreter", OUTSIDE_OF_ROOTS, ids=lambda item: item.name)
def test_merged_stacks_of_a_hanging_process_in_a_core_of_gcore_are_true(interpreter):
    with running.stop(interpreter, PROGRAM, FLAGS) as death:
        status, answer = explain(death, interpreter)
        _, everything = explain(death, interpreter, "--native-all")
        others = {"gdb": peers.gdb(death.core, interpreter.executable),
                  "eu-stack": peers.eu_stack(death.core, interpreter.executable)}
    for thread in death.truth["threads"]:
        thread["me"] = False  # nobody crashed
    problems = compare_eval_loops(interpreter, everything)
    for view in (answer, everything):
        problems += report.compare_threads(death.truth, view) + compare_trails(death, view)
    for peer, theirs in others.items():
        problems += compare_pcs(theirs or {}, everything, peer)
    if not any(others.values()):
        problems.append("no other unwinder succeeded")
    for thread in answer["threads"]:
        if not thread["native_complete"] or (thread["python"] and thread["merged_by"] != expected_rule(interpreter)):
            problems.append(f"thread {thread['tid']}: merged by {thread['merged_by']}, or its stack is not complete")
    if answer["crash"] is not None or status != 0:
        problems.append(f"exit status {status}, crash {answer['crash']}, {answer['diagnostics']}")
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
