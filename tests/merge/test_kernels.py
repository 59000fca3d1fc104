# SPDX-License-Identifier: Apache-2.0
"""Hand-written code without unwinding information (kernels of OpenBLAS and MLAS) has its callers: processes that compute
in it are shown whole wherever they are stopped, and every chain of calls is possible.

EXUVIA_ATTACHES says how often each is stopped: 4 times by default.
"""

import collections
import contextlib
import os
import subprocess
import time

import pytest

from lib import calls, hanging, interpreters, packages, report

ATTACHES = int(os.environ.get("EXUVIA_ATTACHES", "4"))
# What a loaded machine does: a thread that got no processor. Nothing of the stacks is wrong then.
UNLUCKY = {"thread-not-stopped"}

NUMPY = """
import numpy
a, b = numpy.random.rand(400, 400), numpy.random.rand(400, 400)
def multiply():
    while True: a.dot(b)
open("ready", "w").close()
multiply()
"""

ONNX = """
import numpy, onnx, onnxruntime
from onnx import TensorProto, helper
n = 500
weights = numpy.random.rand(n, n).astype("f4")
graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Relu", ["y"], ["z"])], "g",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [n, n])],
    [helper.make_tensor_value_info("z", TensorProto.FLOAT, [n, n])],
    [helper.make_tensor("w", TensorProto.FLOAT, [n, n], weights.tobytes(), raw=True)])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
model.ir_version = 9
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 2
session = onnxruntime.InferenceSession(model.SerializeToString(), options)
x = numpy.random.rand(n, n).astype("f4")
def infer():
    while True: session.run(None, {"x": x})
open("ready", "w").close()
infer()
"""


def interpreter():
    """With wheels of all of these."""
    return next((item for item in interpreters.find()
                 if item.kind == "release" and not item.root and item.minor == "3.12"), None)


@contextlib.contextmanager
def computing(tmp_path, program, requirements, **settings):
    runner = interpreter()
    if not runner:
        pytest.skip("skipped: no 3.12, for which there are wheels, was found")
    environment = {**packages.environment(runner, *requirements), **settings}
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    with subprocess.Popen(runner.command("program.py"), cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL,
                          start_new_session=True, preexec_fn=hanging._die_with_the_tests) as process:
        try:
            deadline = time.monotonic() + 60
            while not (tmp_path / "ready").exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            assert (tmp_path / "ready").exists(), "the program does not get ready"
            hanging.await_computing(process.pid)
            yield process
        finally:
            hanging.end(process)


def stop_often(process, function, innermost):
    """Problems of all stops, and how often the main thread's innermost frame was one that `innermost` accepts."""
    problems, statuses, seen = [], collections.Counter(), 0
    with calls.Process(process.pid) as truth:
        for number in range(ATTACHES):
            status, answer, said = hanging.attach(process.pid, "--native-all")
            assert answer, said
            codes = {entry["code"] for entry in answer["diagnostics"] if entry["incomplete"]}
            statuses[status, *sorted(codes)] += 1
            if codes & UNLUCKY:
                continue
            thread = next(thread for thread in answer["threads"] if thread["tid"] == process.pid)
            seen += innermost(thread["frames"][0])
            found = [problem for item in answer["threads"] for problem in truth.impossible(item)]
            if function not in [frame.get("function") for frame in thread["frames"]]:
                found.append(f"{function} is not on the stack")
            if status != 0:
                found.append(f"exit status {status}: {answer['diagnostics']}")
            problems += [f"stop {number}: {problem}" for problem in found]
    print("exit status and reasons:", dict(statuses))
    return problems, seen


@pytest.mark.release_only
@pytest.mark.parametrize("threads", ["1", "2"])
def test_kernels_of_openblas_have_their_callers(threads, tmp_path):
    # Of this processor's own kernels some are compiled; Haswell's are assembly, and put the stack pointer into rbx.
    with computing(tmp_path, NUMPY, ["numpy==2.2.6"], OPENBLAS_CORETYPE="Haswell", OPENBLAS_NUM_THREADS=threads) as process:
        problems, _ = stop_often(process, "multiply", lambda frame: frame.get("function") == "dgemm_kernel_HASWELL")
    assert not problems, "\n".join(problems[:20])


@pytest.mark.release_only
def test_kernels_of_onnxruntime_have_their_callers(tmp_path):
    wanted = ["onnxruntime==1.22.1", "onnx==1.18.0", "numpy==2.2.6"]
    with computing(tmp_path, ONNX, wanted) as process:
        problems, _ = stop_often(process, "infer", lambda frame: False)
    assert not problems, "\n".join(problems[:20])
