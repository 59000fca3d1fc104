# SPDX-License-Identifier: Apache-2.0
"""Lines and columns of whole modules, instruction by instruction, as the interpreter itself computes them from its tables."""

import os
import pathlib
import shutil
import subprocess

import pytest

from lib import interpreters

PROGRAM = pathlib.Path(__file__).resolve().parent / "programs" / "dump_lines.py"
BUILD = pathlib.Path(os.environ.get("EXUVIA", pathlib.Path(__file__).parents[2] / "build" / "release" / "exuvia")).parent
TOOL = BUILD / "tests" / "lines"


def dump(interpreter):
    if not interpreter.root:
        command, text = [interpreter.path, str(PROGRAM)], None
    else:
        command, text = interpreter.command("-"), PROGRAM.read_bytes()
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **dict(interpreter.environment)}
    return subprocess.run(command, input=text, env=environment, capture_output=True, timeout=300)


@pytest.mark.parametrize("interpreter", [pytest.param(i, id=i.name) for i in interpreters.find() if i.kind != "jit"])
def test_positions_equal_the_interpreters_own(interpreter):
    assert TOOL.exists(), f"{TOOL} was not built"
    dumped = dump(interpreter)
    if b"No module named" in dumped.stderr and b"ctypes" in dumped.stderr:
        pytest.skip("this interpreter has no ctypes, which asks it for its lines")
    assert dumped.returncode == 0, dumped.stderr.decode("utf-8", "replace")[-2000:]
    rows = [line.split("\t") for line in dumped.stdout.decode("ascii").splitlines()]
    assert len(rows) > 400, "too few code objects to mean anything"
    asked = "".join(question + "\n" for question, _ in rows)
    answered = subprocess.run([str(TOOL)], input=asked, capture_output=True, text=True, check=True, timeout=300)
    answers = answered.stdout.splitlines()
    assert len(answers) == len(rows)
    wrong = [(question[:200], answer[:200], expected[:200]) for (question, expected), answer in zip(rows, answers)
             if answer.split() != expected.split()]
    assert not wrong, f"{len(wrong)} of {len(rows)} code objects differ, the first: {wrong[0]}"


def test_the_comparison_can_fail():
    table = subprocess.run([str(TOOL)], input="1 10 0201 0,2,4\n", capture_output=True, text=True, check=True).stdout
    assert table.split() == ["10:-1:-1:-1", "11:-1:-1:-1", "11:-1:-1:-1"]
    assert shutil.which(str(TOOL))
