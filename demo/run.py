# SPDX-License-Identifier: Apache-2.0
"""Explain a crash (demo/crash.py) and a hang (demo/hang.py) under this machine's python3: run.py EXUVIA"""
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tools"))

from make_core import NoCore, make_core, real_executable  # noqa: E402


def crash(exuvia, python):
    program = os.path.join(HERE, "crash.py")
    print("$ python3 demo/crash.py", flush=True)
    try:
        core = os.path.relpath(make_core([python, program], os.path.join("build", "demo")))
    except NoCore as reason:
        sys.exit("exuvia: %s" % reason)
    print("Segmentation fault (core dumped)\n\n$ exuvia core %s" % core, flush=True)
    # 1 says that something was missing, and the report says what: that is an explanation too.
    return subprocess.call([exuvia, "core", core]) in (0, 1)


def hang(exuvia, python):
    print("\n$ python3 demo/hang.py &", flush=True)
    process = subprocess.Popen([python, os.path.join(HERE, "hang.py")])
    try:
        time.sleep(1)
        print("$ exuvia attach %d" % process.pid, flush=True)
        return subprocess.call([exuvia, "attach", str(process.pid)]) in (0, 1)
    finally:
        process.kill()
        process.wait()


def main():
    exuvia = os.path.abspath(sys.argv[1])
    python = real_executable("python3")
    if not python:
        sys.exit("exuvia: no python3 here to crash")
    return 0 if crash(exuvia, python) and hang(exuvia, python) else 1


sys.exit(main())
