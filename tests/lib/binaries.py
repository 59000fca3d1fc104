# SPDX-License-Identifier: Apache-2.0
"""Copies of an interpreter's binary with one way of finding the runtime taken away. The build id stays the same."""

import os
import pathlib
import re
import shutil
import struct
import subprocess

# Every variable that leads to the runtime. A symbol of another name is as good as no symbol.
SYMBOLS = (b"_PyRuntime", b"interp_head", b"_PyThreadState_Current")


def runtime_binary(interpreter):
    """(path as the process sees it, file on this machine) of what holds the runtime: executable or libpython."""
    root = interpreter.root or ""
    inside = interpreter.executable[len(os.path.realpath(root)) if root else 0:]
    needed = subprocess.run(["readelf", "-d", interpreter.executable], capture_output=True, text=True).stdout
    library = re.search(r"NEEDED.*\[(libpython[^\]]*)\]", needed)
    if not library:
        return inside, interpreter.executable
    # A chroot has no /proc; its interpreters are linked statically.
    maps = "print([line.split()[-1] for line in open('/proc/self/maps') if '/libpython' in line][0])"
    command = interpreter.command("-c", maps)
    inside = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return inside, root + inside


def is_fixed(path):
    """Linked for one address (ET_EXEC)."""
    with open(path, "rb") as file:
        return struct.unpack_from("<H", file.read(20), 16)[0] == 2


def sections(path):
    """{name} of a binary's sections."""
    listing = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True).stdout
    return set(re.findall(r"^\s*\[\s*\d+\]\s+(\S+)", listing, re.M))


def symbols(path, table):
    """{name} of a binary's variables in .dynsym or .symtab."""
    option = "-D" if table == ".dynsym" else "-a"
    listing = subprocess.run(["nm", option, path], capture_output=True, text=True).stdout
    return {line.split()[-1].split("@")[0].encode() for line in listing.splitlines() if line.split()} & set(SYMBOLS)


def _change(path, pairs):
    data = bytearray(pathlib.Path(path).read_bytes())
    for old, new in pairs:
        data = data.replace(old, new)
    pathlib.Path(path).write_bytes(data)


def copy(source, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copyfile(source, target)


def without_symbols(path):
    """Sections as they were, but no symbol has the name of a runtime variable."""
    _change(path, [(name + b"\0", name[:-1] + b"~\0") for name in SYMBOLS])


def without_sections(path):
    """No section headers at all, as some packers and strippers leave a binary; no symbol either."""
    without_symbols(path)
    with open(path, "r+b") as file:
        file.seek(0x28)  # e_shoff
        file.write(struct.pack("<Q", 0))
        file.seek(0x3C)  # e_shnum, e_shstrndx
        file.write(struct.pack("<HH", 0, 0))


def with_renamed_section(path):
    """Section headers in place, but none is called .PyRuntime; no symbol either."""
    without_symbols(path)
    without_runtime_section(path)


def stripped(path):
    """As distributions ship it: no .symtab, no debug information."""
    subprocess.run(["strip", "--strip-all", path], check=True)


def without_runtime_section(path):
    """No section is called .PyRuntime: only a symbol can tell."""
    _change(path, [(b".PyRuntime\0", b".PyRuntim~\0")])


def without_symbols_of_functions(path):
    """Stripped, and no symbol covers any code: what .dynsym must have for the loader has no size, which linking does
    not look at."""
    stripped(path)
    data = bytearray(pathlib.Path(path).read_bytes())
    headers, = struct.unpack_from("<Q", data, 0x28)
    count, = struct.unpack_from("<H", data, 0x3C)
    for number in range(count):
        _, kind, _, _, offset, size = struct.unpack_from("<IIQQQQ", data, headers + number * 64)
        for symbol in range(offset, offset + size, 24) if kind == 11 else ():  # SHT_DYNSYM
            if data[symbol + 4] & 15 in (2, 10):  # STT_FUNC, STT_GNU_IFUNC
                struct.pack_into("<Q", data, symbol + 16, 0)
    pathlib.Path(path).write_bytes(data)
