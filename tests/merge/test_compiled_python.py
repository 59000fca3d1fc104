# SPDX-License-Identifier: Apache-2.0
"""Python code that Nuitka compiled: its frames are there, no native frame is missing, and no eval loop ran it.

Compiling takes a minute for each version: with EXUVIA_EVERY_INTERPRETER=1 only.
"""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from lib import interpreters, packages, report, scenarios

PROGRAM = pathlib.Path(__file__).resolve().parent / "compiled" / "nuitka_main.py"
INTERPRETERS = [pytest.param(item, id=item.name) for item in interpreters.find()
                if item.name.endswith("-pyenv") and item.minor in ("3.8", "3.10", "3.11", "3.13")]


@pytest.mark.skipif(not os.environ.get("EXUVIA_EVERY_INTERPRETER"), reason="slow: EXUVIA_EVERY_INTERPRETER is not set")
@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_frames_of_compiled_code_are_shown_without_a_gap(interpreter, kernel_leaves_cores, tmp_path):
    environment = packages.environment(interpreter, "nuitka", build=True)
    shutil.copy(PROGRAM, tmp_path)
    made = subprocess.run(interpreter.command("-m", "nuitka", "--no-pyi-file", "--assume-yes-for-downloads",
                                              PROGRAM.name), cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    library = os.path.join(os.path.dirname(os.path.dirname(interpreter.executable)), "lib")
    subprocess.run([tmp_path / "nuitka_main.bin"], cwd=tmp_path, preexec_fn=scenarios._allow_cores,
                   env={**os.environ, "LD_LIBRARY_PATH": library}, capture_output=True)
    status, answer, _ = report.run(next(tmp_path.glob("core*")), merged=True)
    frames = answer["threads"][0]["frames"]
    shown = [[frame["function"], frame["line"]] for frame in frames if frame["kind"] == "python"]
    assert shown == json.loads((tmp_path / "record.json").read_text())
    assert [frame["code"] for frame in frames if frame["kind"] == "gap"] == ["compiled-code"]
    assert status == 0, answer["diagnostics"]
