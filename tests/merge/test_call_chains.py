# SPDX-License-Identifier: Apache-2.0
"""The judge of native stacks, lib/calls.py, over a module of this very process: what a thread there may run."""

import os
import re
import shutil
import subprocess

import pytest

from lib import calls

ssl = pytest.importorskip("_ssl")


def linkage_calls(path):
    """(address behind the call, entry of the procedure linkage table), as they are in the file."""
    code = subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], capture_output=True, text=True, check=True).stdout
    return [(int(after, 16), int(entry, 16)) for entry, after in re.findall(
        r"call\s+([0-9a-f]+) <\w+@plt>\n +([0-9a-f]+):", code)]


def native(pc):
    return {"kind": "native", "pc": hex(pc), "inlined": False, "signal": False}


@pytest.mark.skipif(not shutil.which("objdump"), reason="objdump (binutils) is not installed")
def test_a_thread_may_be_in_the_entry_of_the_linkage_table_that_was_called_and_in_no_other():
    found = linkage_calls(ssl.__file__)
    assert len(found) > 100
    problems = {0: 0, 4: 0, calls.PLT_ENTRY: 0}
    with calls.Process(os.getpid()) as process:
        base = min(part[0] for part in process.maps if part[3] == ssl.__file__)
        for after, entry in found:
            for offset in problems:
                thread = {"frames": [native(base + entry + offset), native(base + after)]}
                problems[offset] += bool(process.impossible(thread))
    # In another entry not every one is: a function that may jump anywhere may have jumped there.
    assert problems[0] == problems[4] == 0 < problems[calls.PLT_ENTRY], problems
