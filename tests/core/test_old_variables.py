# SPDX-License-Identifier: Apache-2.0
"""What 2.7 and 3.6 keep in variables of the library, which a stripped file does not name: the GIL, and the end."""

import subprocess

import pytest

from lib import interpreters, report

IDLE = "import sys, time\nsys.stdout.write('x')\nsys.stdout.flush()\ntime.sleep(1000)"
ENDS = """import os, time
class Last(object):
    def __del__(self, write=os.write, sleep=time.sleep):
        write(1, b'x')
        sleep(1000)
last = Last()"""


def _chosen():
    found = {}
    for interpreter in interpreters.find():
        if interpreter.version < (3, 7) or interpreter.minor in ("3.7", "3.12"):
            found.setdefault((interpreter.minor, bool(interpreter.root)), interpreter)
    return list(found.values())


def explain(interpreter, code):
    process = subprocess.Popen(interpreter.command("-c", code), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        assert process.stdout.read(1) == b"x"
        status, result, said = report.run_command("attach", process.pid)
    finally:
        process.kill()
        process.communicate()
    assert status == 0, said
    return result


@pytest.mark.parametrize("interpreter", _chosen(), ids=lambda interpreter: interpreter.name)
def test_an_idle_interpreter_has_nobody_with_the_gil_and_does_not_end(interpreter):
    result = explain(interpreter, IDLE)
    assert [thread["gil"] for thread in result["threads"]] == ["none"]
    assert result["python"]["finalizing"] is False


@pytest.mark.parametrize("interpreter", _chosen(), ids=lambda interpreter: interpreter.name)
def test_an_interpreter_that_is_taken_down_is_said_to_shut_down(interpreter):
    assert explain(interpreter, ENDS)["python"]["finalizing"] is True
