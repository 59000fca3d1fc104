# SPDX-License-Identifier: Apache-2.0
"""Frames of a real Cython module show its .pyx file and line, which the compiler took into the debug information."""

import os
import shutil
import subprocess

from lib import report, scenarios

import building
import running

from test_merged import builds, explain  # noqa: F401

CYTHON = "cython==3.0.11"
SOURCE = running.HERE / "extensions" / "exvcython.pyx"

# The number of conv_2d is 4, which is the length of "conv".
NAMES = """
def first(f): return f()
def gen(f): yield f()
def conv_2d(f): return f()

cdef class Loop:
    def __init__(self): pass
    def run(self, f): return self._inner(f)
    cdef object _inner(self, f): return f()
    cpdef object both(self, f): return f()

class Plain:
    def meth(self, f): return f()
"""


def compile_module(interpreter, include, folder, target, source=SOURCE, *options):
    """The module, from a copy of its source in the folder `target`."""
    if source.parent != target:
        shutil.copy(source, target)
    # Only what Cython itself needs is added to the path: the folder comes last.
    translate = f"import sys; sys.path.append({str(folder)!r})\n" \
                "from Cython.Compiler.Main import main; main(command_line=1)"
    module = target / (source.stem + building.suffix_of(interpreter))
    for command in (interpreter.command("-c", translate, "-3", "--line-directives", source.name),
                    [os.environ.get("CC", "gcc"), "-g", "-O1", *options, "-shared", "-fPIC", "-I", include, "-o",
                     str(module), source.with_suffix(".c").name]):
        result = subprocess.run(command, cwd=target, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stderr
    return module


def line_of(comment):
    lines = SOURCE.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.endswith("  # " + comment))


def test_frames_of_cython_show_the_lines_of_its_source(kernel_leaves_cores, tmp_path):
    interpreter, include, folder = building.interpreter_with(CYTHON)
    module = compile_module(interpreter, include, folder, tmp_path)
    scenario = running.Scenario("cython_calls", None, "compiled", (module,))
    with running.death(interpreter, scenario, "-O1") as death:
        status, answer = explain(death, interpreter)
    assert status == 0, answer["diagnostics"]
    assert not report.compare_threads(death.truth, answer)
    thread = next(thread for thread in answer["threads"] if thread["crashed"])
    shown = []
    for frame in reversed(thread["frames"]):
        if frame["kind"] == "python" and frame["function"].startswith("py_"):
            shown.append(frame["function"])
        elif frame["kind"] == "native" and os.path.basename(frame["file"] or "") == SOURCE.name:
            shown.append(frame["line"])
    # Cython makes a wrapper for what Python can call, which is where its definition is.
    lines = [line_of(comment) for comment in ("generator", "wrapper", "in", "again", "again", "out")]
    assert shown == ["py_outer", *lines, "py_last"]
    named = [frame for frame in thread["frames"] if frame["kind"] == "native" and frame["symbol"]]
    assert {frame["function"] for frame in named} == {"exvcython.exv_cython_inner", "exvcython.exv_cython"}
    assert all(frame["symbol"].startswith("__pyx_") for frame in named)


def test_methods_of_cython_are_named_as_python_names_them(kernel_leaves_cores, tmp_path):
    """Without debug information, so by symbols alone; the names are those that the program's own functions have."""
    interpreter, include, folder = building.interpreter_with(CYTHON)
    (tmp_path / "exvnames.pyx").write_text(NAMES)
    compile_module(interpreter, include, folder, tmp_path, tmp_path / "exvnames.pyx", "-O0", "-g0")
    program = "import exvnames, os, sys\n" \
              "loop = exvnames.Loop()\n" \
              "print(*[f.__module__ + '.' + f.__qualname__ for f in (exvnames.conv_2d, exvnames.Plain.meth)])\n" \
              "exvnames.conv_2d(lambda: loop.run(lambda: loop.both(lambda: exvnames.Plain().meth(os.abort))))\n"
    answer = subprocess.run(interpreter.command("-c", program), cwd=tmp_path, capture_output=True, text=True,
                            preexec_fn=scenarios._allow_cores)
    assert answer.returncode == -6, answer.stderr
    names = [*answer.stdout.split(), "exvnames.Loop.run", "exvnames.Loop.both", "exvnames.Loop._inner"]
    status, data, _ = report.run(next(tmp_path.glob("core*")), merged=True)
    assert status == 0, data["diagnostics"]
    frames = [frame for frame in data["threads"][0]["frames"] if (frame.get("module") or "").endswith(".so")]
    own = [frame for frame in frames if "exvnames" in frame["module"]]
    assert {frame["function"] for frame in own} == set(names)
    assert all(frame["symbol"].startswith("__pyx_") and frame["file"] is None for frame in own)
    text = subprocess.run([report.exuvia(), "core", str(next(tmp_path.glob("core*")))], capture_output=True, text=True)
    shown = [line.split(", in ")[1] for line in text.stdout.splitlines() if "exvnames" in line and "(native)" in line]
    assert shown == [name + " [cython]" for name in ("exvnames.conv_2d", "exvnames.Loop.run", "exvnames.Loop._inner",
                                                      "exvnames.Loop.both", "exvnames.Plain.meth")]
