# SPDX-License-Identifier: Apache-2.0
"""Writes, for every code object of some modules, its line table and what this interpreter makes of it.

One line each: FORMAT FIRST_LINE TABLE OFFSETS<tab>EXPECTED, in the form of tests/lib/lines.c. Runs on 2.7 and 3.x. The expected
lines are PyCode_Addr2Line's, the columns those of co_positions().
"""
import binascii
import ctypes
import sys
import types

LINETABLE, LOCATIONS = 2, 3
MODULES = ["argparse", "decimal", "json.decoder", "logging", "os", "string", "subprocess", "tarfile", "tokenize", "textwrap"]

addr2line = ctypes.pythonapi.PyCode_Addr2Line
addr2line.argtypes = [ctypes.py_object, ctypes.c_int]


def synthetic():
    """Tables that ordinary code does not have: long jumps, lines beyond 65,535, long lines, lines that go back."""
    yield "x = 1\n" + "\n" * 70000 + "def far():\n    return [x,\n\n\n   x]\n" + "\n" * 300 + "y = far()\n"
    yield "def wide():\n    return " + " + ".join("name%d" % i for i in range(400)) + "\n"
    yield "def back():\n    f(a,\n" + "\n" * 200 + "      b(\n      ), c)\n    for i in (\n\n" + "\n" * 130 + "       1, 2): pass\n"
    yield "def handlers():\n    try:\n        with a as b, c as d:\n            return 1\n    except X as e:\n        raise\n    finally:\n        y()\n"


def sources():
    for name in MODULES:
        module = __import__(name, fromlist=["x"])
        path = module.__file__
        if path.endswith((".pyc", ".pyo")):
            path = path[:-1]
        with open(path, "rb") as source:
            yield source.read(), path
    for number, text in enumerate(synthetic()):
        yield text.encode("ascii"), "<synthetic %d>" % number


def codes(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            for inner in codes(constant):
                yield inner


def line_format():
    if sys.version_info >= (3, 11):
        return LOCATIONS
    if sys.version_info >= (3, 10):
        return LINETABLE
    return 1 if sys.version_info[0] >= 3 else 0


def expected(code, offsets):
    if sys.version_info >= (3, 11):
        for position in code.co_positions():
            yield ":".join(str(-1 if part is None else part) for part in (position[0], position[1], position[2], position[3]))
    else:
        for offset in offsets:
            yield "%d:-1:-1:-1" % addr2line(code, offset)


def main():
    kind = line_format()
    for text, path in sources():
        for code in codes(compile(text, path, "exec")):
            table = code.co_linetable if kind >= LINETABLE else code.co_lnotab
            offsets = range(0, len(code.co_code), 2 if sys.version_info[0] >= 3 else 1)
            print("%d %d %s %s\t%s" % (kind, code.co_firstlineno, binascii.hexlify(table).decode("ascii") or "-",
                                       ",".join(map(str, offsets)), " ".join(expected(code, offsets))))


main()
