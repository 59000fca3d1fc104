# SPDX-License-Identifier: Apache-2.0
"""Crash demo/crash.py under this machine's python3 and explain its core: run.py EXUVIA"""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tools"))

from make_core import NoCore, make_core, real_executable  # noqa: E402


def main():
    exuvia = os.path.abspath(sys.argv[1])
    python = real_executable("python3")
    if not python:
        sys.exit("exuvia: no python3 here to crash")
    program = os.path.join(HERE, "crash.py")
    print("$ python3 demo/crash.py", flush=True)
    try:
        core = os.path.relpath(make_core([python, program], os.path.join("build", "demo")))
    except NoCore as reason:
        sys.exit("exuvia: %s" % reason)
    print("Segmentation fault (core dumped)\n\n$ exuvia core %s" % core, flush=True)
    # 1 says that something was missing, and the report says what: that is an explanation too.
    return 0 if subprocess.call([exuvia, "core", core]) in (0, 1) else 1


sys.exit(main())
