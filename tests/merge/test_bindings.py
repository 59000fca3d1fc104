# SPDX-License-Identifier: Apache-2.0
"""Between Python and a C++ function that pybind11 binds, only that function is shown."""

import shutil
import subprocess

import pytest

from lib import report, scenarios

import building
import running

PYBIND11 = "pybind11==2.13.6"
PROGRAM = "import exvbinding, os\nexvbinding.bound(os.abort)\n"


@pytest.mark.skipif(not shutil.which("g++"), reason="skipped: there is no g++")
def test_the_wrappers_of_pybind11_stand_back_for_the_function_that_they_call(kernel_leaves_cores, tmp_path):
    interpreter, include, folder = building.interpreter_with(PYBIND11)
    module = tmp_path / ("exvbinding" + building.suffix_of(interpreter))
    made = subprocess.run(["g++", "-std=c++17", "-O1", "-shared", "-fPIC", "-I", include, "-I",
                           str(folder / "pybind11" / "include"), "-o", str(module),
                           str(running.HERE / "compiled" / "exvbinding.cpp")], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    answer = subprocess.run(interpreter.command("-c", PROGRAM), cwd=tmp_path, capture_output=True, text=True,
                            preexec_fn=scenarios._allow_cores)
    assert answer.returncode == -6, answer.stderr
    core = next(tmp_path.glob("core*"))
    functions = {}
    for option in (), ("--native-all",):
        status, data, _ = report.run(core, *option, merged=True)
        assert status == 0, data["diagnostics"]
        functions[option] = [frame["function"] for frame in data["threads"][0]["frames"]
                             if frame["kind"] == "native" and "exvbinding" in (frame["module"] or "")]
    wrappers = [name for name in functions["--native-all",] if "pybind11::cpp_function::" in name.split("(")[0]]
    assert wrappers
    shown = functions[()]
    assert [name for name in shown if name.startswith("exv_bound(")] and not set(wrappers) & set(shown)
