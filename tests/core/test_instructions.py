# SPDX-License-Identifier: Apache-2.0
"""Every instruction of the C library and of the C++ runtime is as long as objdump says, vectors of all widths included."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

BUILD = pathlib.Path(os.environ.get("EXUVIA", pathlib.Path(__file__).parents[2] / "build" / "release" / "exuvia")).parent
TOOL = BUILD / "tests" / "lengths"


def library_path(name):
    """As the loader finds it."""
    listing = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout
    found = re.search(rf"^\s{re.escape(name)} \(libc6,x86-64\) => (\S+)$", listing, re.M)
    return found and found[1]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="skipped: instructions of x86-64")
@pytest.mark.skipif(not shutil.which("objdump"), reason="skipped: objdump (package binutils) is not installed")
@pytest.mark.parametrize("name", ["libc.so.6", "libstdc++.so.6"])
def test_instructions_are_as_long_as_objdump_says(name):
    path = library_path(name)
    if not path:
        pytest.skip(f"skipped: {name} was not found")
    listing = subprocess.run(["objdump", "-d", "--insn-width=16", path], capture_output=True, text=True, check=True).stdout
    rows = [line.split("\t") for line in listing.splitlines()]
    rows = [(row[1].strip(), row[2]) for row in rows if len(row) == 3 and "(bad)" not in row[2]]
    assert len(rows) > 100000
    answer = subprocess.run([str(TOOL)], input="".join(code + "\n" for code, _ in rows), capture_output=True, text=True,
                            check=True).stdout.split()
    wrong = [(code, text, length) for (code, text), length in zip(rows, answer)
             # A 16-bit call, as it stands in front of __tls_get_addr, is not decoded on purpose.
             if len(code.split()) != int(length) and not (length == "0" and "call" in text)]
    assert len(answer) == len(rows) and not wrong, wrong[:10]
