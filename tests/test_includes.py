# SPDX-License-Identifier: Apache-2.0
"""Includes point backwards along the flow only: each room of src/ lists those that it may use. Units (a header, its source and what
it shares in NAME_private.h) include each other without a circle. No room between process/ and render/ asks for the kind of a process.

Run by pytest, and by `make lint` as a script, which prints every violation as FILE:LINE and exits with 1.
"""
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What has no Python and no native frames in it yet, then the two that do not know each other, then what joins them.
BYTES = ("base", "elf", "arch", "memory", "process", "binary")
PYTHON = (*BYTES, "python/layout", "python", "python/object", "python/frame", "python/runtime")
# Each room of src/, and the rooms that it may include from, itself apart. "public" is include/exuvia/.
ROOMS = {
    "base": ("public",),
    "elf": ("public", "base"),
    "arch": ("public", "base"),
    "memory": ("public", "base"),
    "process": ("public", *BYTES[:4]),
    "binary": ("public", *BYTES[:5]),
    # The shipped tables include it.
    "python/layout": ("public", "base", "offsets"),
    # The reader that all rooms of python/ share.
    "python": ("public", *BYTES, "python/layout"),
    "python/object": ("public", *PYTHON[:-3]),
    "python/frame": ("public", "offsets", *PYTHON[:-2]),
    "python/runtime": ("public", "offsets", *PYTHON[:-1]),
    # It knows no Python.
    "native": ("public", *BYTES),
    # Pure functions.
    "merge": (),
    "waits": ("public", *PYTHON),
    "report": ("public", *PYTHON, "native", "merge", "waits"),
    # It sees the report only, not how that is made.
    "render": ("public", "base"),
    "cli": ("public",),
    "offsets": ("python/layout",),
    "public": (),
}
# Single headers that a room may include beside: those that hold nothing but a search.
HEADERS = {"merge": ("base/search.h",)}
# The one place that joins the branches, and what hands it out.
JOINS = {name: tuple(ROOMS) for name in ("src/analyze.c", "src/analyze.h", "src/session.c")}
# Rooms that read any process alike, and what would tell them a core from one that runs.
ALIKE = {*PYTHON, "native", "merge", "waits", "report"} - set(BYTES[:-1])
KIND = re.compile(r'\bEXU_SOURCE_(CORE|LIVE)\b|\bsource_kind\b|"process/(live|core_file|stop)')
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
# The libraries that a room may use. libdwfl reads cores on its own terms; only the unwinder has a use for it.
LIBRARIES = {
    "elfutils/libdwfl.h": {"native"},
    "elfutils/libdw.h": {"binary", "python/layout", "native"},
    "dwarf.h": {"binary", "python/layout", "native"},
    "libelf.h": {"binary", "python/layout", "native"},
    "gelf.h": {"binary", "python/layout", "native"},
    "libiberty/demangle.h": {"native"},
    "lzma.h": {"binary"},
    "dlfcn.h": {"binary"},
}


def room_of(path):
    """The room of a file, or None for one that is in none: of a path below the root."""
    if path.startswith("include/exuvia/"):
        return "public"
    if path.startswith("offsets/"):
        return "offsets"
    return str(Path(path).parent)[len("src/"):] if path.startswith("src/") else None


def included_room(name):
    """The room that `#include "name"` takes something from."""
    folder = str(Path(name).parent)
    return "public" if folder == "exuvia" else folder


def check_line(path, bracket, name):
    """Why the include is wrong, or None."""
    room = room_of(path)
    if bracket == "<":
        users = LIBRARIES.get(name)
        return f"<{name}> is for {', '.join(sorted(users))} only" if users is not None and room not in users else None
    if ".." in Path(name).parts:
        return f'"{name}": paths are relative to src/, include/ or the root'
    if path in JOINS:
        fine = name == "analyze.h" or included_room(name) in JOINS[path] and included_room(name) != "cli"
        return None if fine else f'"{name}": {path} does not see it'
    if room not in ROOMS:
        return f'"{name}": {room} is no room that this test knows'
    if included_room(name) not in (room, *ROOMS[room]) and name not in HEADERS.get(room, ()):
        return f'"{name}": {room}/ may include {", ".join((room, *ROOMS[room]))}'
    return None


def includes(root):
    """(path, line number, bracket, name) of every include below src/, include/ and offsets/."""
    files = [file for folder in ("src", "include", "offsets") for file in sorted((root / folder).rglob("*"))]
    for file in files:
        if file.suffix not in (".c", ".h", ".def"):
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if match:
                yield file.relative_to(root).as_posix(), number, *match.groups()


def kinds(root):
    """'FILE:LINE: why' of every line in a room that reads any process alike and asks what kind it is."""
    for file in sorted((root / "src").rglob("*.[ch]")):
        path = file.relative_to(root).as_posix()
        if room_of(path) not in ALIKE:
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            if KIND.search(line):
                yield f"{path}:{number}: {room_of(path)}/ reads any process alike: it does not ask what kind it is"


def unit_of(name):
    """A header, its source and what files of its idea share in private are one unit: what a reader takes for one thing."""
    return re.sub(r"^src/|(_private)?\.[ch]$", "", name)


def circle(graph):
    """Units that include each other in a circle, in their order; empty: there is none."""
    done, path = set(), []

    def visit(unit):
        if unit in path:
            return path[path.index(unit):] + [unit]
        if unit in done:
            return []
        path.append(unit)
        for other in sorted(graph.get(unit, ())):
            found = visit(other)
            if found:
                return found
        done.add(path.pop())
        return []

    return next((found for found in map(visit, sorted(graph)) if found), [])


def violations(root):
    """Every wrong include under root, as 'FILE:LINE: why', a circle of includes, and who asks for the kind of a process."""
    found, graph = list(kinds(root)), {}
    for path, number, bracket, name in includes(root):
        why = check_line(path, bracket, name)
        if why:
            found.append(f"{path}:{number}: {why}")
        elif bracket == '"' and unit_of(path) != unit_of(name):
            graph.setdefault(unit_of(path), set()).add(unit_of(name))
    round_trip = circle(graph)
    if round_trip:
        found.append("a circle: " + " -> ".join(round_trip))
    return found


def plant(root, path, line):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("/* SPDX-License-Identifier: Apache-2.0 */\n\n%s\n" % line)


def test_the_includes_of_this_tree_point_one_way():
    assert violations(ROOT) == []


def test_the_checker_reports_every_kind_of_wrong_include_with_its_line(tmp_path):
    wrong = {
        "src/base/arena.c": '#include "memory/space.h"',
        "src/memory/space.h": '#include "binary/module.h"',
        "src/binary/module.c": '#include "python/layout/layout.h"',
        "src/python/frame/frames.c": '#  include "native/unwind.h"',
        "src/native/unwind.c": '#include "merge/merge.h"',
        "src/native/stacks.c": '#include "python/frame/frames.h"',
        "src/python/runtime/names.c": "#include <libiberty/demangle.h>",
        "src/merge/merge.c": '#include "exuvia/exuvia.h"',
        "src/merge/merge.h": '#include "base/arena.h"',
        "src/render/text_frames.c": '#include "report/merged_stack.h"',
        "src/python/layout/layout.h": '#include "memory/space.h"',
        "src/python/layout/dwfl.c": "#include <elfutils/libdwfl.h>",
        "src/base/elf.c": "#include <libelf.h>",
        "src/render/text.c": '#include "process/process.h"',
        "src/waits/waits.c": '#include "merge/merge.h"',
        "src/render/source.c": '#include "report/stacks.h"',
        "src/cli/main.c": '#include "base/arena.h"',
        "src/analyze.c": '#include "cli/options.h"',
        "src/process/core_file.c": '#include "../base/arena.h"',
        "src/extra/new.c": '#include "base/arena.h"',
        "include/exuvia/exuvia.h": '#include "base/arena.h"',
        "offsets/cpython-3.11.c": '#include "python/frame/frames.h"',
    }
    for path, line in wrong.items():
        plant(tmp_path, path, line)
    reported = {text.split(": ", 1)[0] for text in violations(tmp_path)}
    assert reported == {path + ":3" for path in wrong}


def test_the_checker_lets_right_includes_pass(tmp_path):
    right = {
        "src/base/arena.c": '#include "exuvia/exuvia.h"',
        "src/python/frame/frames.c": '#include "memory/space.h"',
        "src/python/layout/layout.c": '#include "offsets/fields.def"',
        "src/native/unwind.c": "#include <elfutils/libdwfl.h>",
        "src/native/demangle.c": "#include <libiberty/demangle.h>",
        "src/native/stacks.h": '#include "binary/module.h"',
        "src/merge/merge.c": '#include "merge/merge.h"',
        "src/report/merged_stack.c": '#include "merge/merge.h"',
        "src/report/stacks.h": '#include "native/stacks.h"',
        "src/render/text.c": '#include "render/source.h"',
        "src/cli/main.c": '#include "cli/options.h"',
        "src/analyze.c": '#include "merge/merge.h"',
        "offsets/cpython-3.11.c": '#include "python/layout/layout.h"',
    }
    for path, line in right.items():
        plant(tmp_path, path, line)
    assert violations(tmp_path) == []


def test_who_asks_for_the_kind_of_a_process_is_reported(tmp_path):
    plant(tmp_path, "src/process/new.c", "if (kind == EXU_SOURCE_CORE) return;")
    plant(tmp_path, "src/render/new.c", "if (report->source_kind == EXU_SOURCE_CORE) return;")
    assert list(kinds(tmp_path)) == []
    plant(tmp_path, "src/native/new.c", "if (report->source_kind == EXU_SOURCE_CORE) return;")
    plant(tmp_path, "src/waits/new.c", '#include "process/live.h"')
    assert [line.split(": ")[0] for line in violations(tmp_path)][:2] == ["src/native/new.c:3", "src/waits/new.c:3"]


def test_a_circle_of_includes_is_reported(tmp_path):
    plant(tmp_path, "src/base/arena.h", '#include "base/map.h"')
    plant(tmp_path, "src/base/map.h", '#include "base/error.h"')
    plant(tmp_path, "src/base/error.h", '#include "base/arena.h"')
    assert violations(tmp_path) == ["a circle: base/arena -> base/map -> base/error -> base/arena"]


def test_a_wrong_tree_makes_the_script_fail(tmp_path, capsys):
    plant(tmp_path, "src/base/arena.c", '#include "memory/space.h"')
    assert main([str(tmp_path)]) == 1
    assert "src/base/arena.c:3:" in capsys.readouterr().out


def compile_includes(lines):
    """What the compiler says of a file of these lines; nothing where it is right."""
    command = [os.environ.get("CC", "cc"), "-std=gnu11", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-fsyntax-only", "-Wall",
               "-Wextra", "-Werror", *("-I%s" % (ROOT / folder) for folder in ("src", "include", ".")), "-x", "c", "-"]
    return subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True).stderr


def test_every_header_compiles_alone_and_with_every_other_in_either_order():
    headers = [str(file.relative_to(ROOT / folder)) for folder in ("src", "include")
               for file in sorted((ROOT / folder).rglob("*.h"))]
    assert len(headers) > 100
    lines = ['#include "%s"' % header for header in headers]
    alone = {header: said for header, line in zip(headers, lines) if (said := compile_includes([line]))}
    assert not alone
    assert compile_includes(lines) == ""
    assert compile_includes(lines[::-1]) == ""


def main(arguments):
    found = violations(Path(arguments[0]) if arguments else ROOT)
    for text in found:
        print(text)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
