# SPDX-License-Identifier: Apache-2.0
"""The native frames that other unwinders find in a core: {thread id: [pc, ...]}, innermost first, no inlined calls."""

import re
import shutil
import subprocess

GDB = r"""
import gdb
for thread in gdb.selected_inferior().threads():
    thread.switch()
    pcs, frame = [], gdb.newest_frame()
    try:
        while frame is not None:
            # gdb also guesses calls that tail calls have replaced: they have no frame on the stack.
            if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
                pcs.append('%x' % frame.pc())
            frame = frame.older()
    except gdb.error:
        pcs.append('error')
    print('THREAD', thread.ptid[1] or thread.ptid[0], *pcs)
"""


def eu_stack(core, executable):
    """None when it is not there or did not succeed."""
    if not shutil.which("eu-stack"):
        return None
    result = subprocess.run(["eu-stack", "--core", str(core), "-e", executable, "-n", "0"], capture_output=True,
                            text=True, timeout=300)
    threads, current = {}, None
    for line in result.stdout.splitlines():
        if line.startswith("TID "):
            current = threads.setdefault(int(line[4:].rstrip(":")), [])
        elif line.startswith("#"):
            current.append(int(line.split()[1], 16))
    return threads if result.returncode == 0 and threads else None


def gdb(core, executable, sysroot=None):
    if not shutil.which("gdb"):
        return None
    settings = ["set debuginfod enabled off", "set auto-load off", "set backtrace past-main on",
                "set backtrace past-entry on"]
    if sysroot:
        settings.append("set sysroot " + sysroot)
    command = ["gdb", "-nx", "-batch"]
    for setting in settings:
        command += ["-iex", setting]
    command += ["-ex", "python exec(%r)" % GDB, executable, str(core)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    threads = {}
    for line in re.findall(r"^THREAD (.*)$", result.stdout, re.M):
        tid, *pcs = line.split()
        if "error" not in pcs:
            threads[int(tid)] = [int(pc, 16) for pc in pcs]
    return threads or None
