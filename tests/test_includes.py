# SPDX-License-Identifier: Apache-2.0
"""Includes point backwards along the flow only: base <- target <- binary <- python | native <- report.

Run by pytest, and by `make lint` as a script, which prints every violation as FILE:LINE and exits with 1.
"""
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ["base", "target", "binary", "python", "native", "report"]
# The files of src/report/ that make the report out of the layers before; all others there are renderers.
MAKERS = ("builtins", "glimpse", "join", "merge", "place", "plumbing", "splice", "stacks", "waits")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
# The libraries that a layer may use. libdwfl reads cores on its own terms; only the unwinder has a use for it.
LIBRARIES = {
    "elfutils/libdwfl.h": {"native"},
    "elfutils/libdw.h": {"binary", "python", "native"},
    "dwarf.h": {"binary", "python", "native"},
    "libelf.h": {"binary", "python", "native"},
    "gelf.h": {"binary", "python", "native"},
    "libiberty/demangle.h": {"native"},
    "lzma.h": {"binary"},
    "dlfcn.h": {"binary"},
}


def layer_of(path):
    """'base', ..., 'cli', 'public', 'analyze', 'offsets', or None for a file that no rule is about."""
    parts = path.parts
    if parts[0] == "include":
        return "public"
    if parts[0] == "offsets":
        return "offsets"
    if parts[0] == "src":
        return parts[1] if len(parts) > 2 else path.stem
    return None


def allowed(path, layer):
    """What the file may include: (prefixes, the same in words)."""
    if layer == "public":
        return (), "only system headers"
    if layer == "cli":
        return ("exuvia/", "cli/"), "only the public header and cli/"
    if layer == "analyze":
        return ("exuvia/", "analyze.h") + tuple(name + "/" for name in LAYERS), "every layer but cli"
    if layer == "offsets":
        return ("exuvia/", "base/", "offsets/", "python/layout"), "only base and python/layout*"
    if layer == "report" and path.stem.startswith("merge"):
        return ("report/merge", "base/search.h"), "only its own headers: they are pure functions"
    if layer == "report" and not path.name.startswith(MAKERS):
        return ("exuvia/", "base/", "report/"), "only the public header and base: it is a renderer"
    if layer == "python" and path.name.startswith("layout") and path.suffix == ".h":
        return ("exuvia/", "base/", "offsets/", "python/layout"), "only base: the shipped tables include it"
    if layer == "native":
        return ("exuvia/", "base/", "target/", "binary/", "native/"), "only base, target, binary: it knows no Python"
    if layer in LAYERS:
        prefixes = ["exuvia/"] + [name + "/" for name in LAYERS[:LAYERS.index(layer) + 1]]
        if LAYERS.index(layer) >= LAYERS.index("python"):
            prefixes.append("offsets/")
        return tuple(prefixes), "only " + ", ".join(LAYERS[:LAYERS.index(layer) + 1])
    return (), "nothing: src/%s is not a layer" % layer


def check_line(path, layer, bracket, name):
    """Why the include is wrong, or None."""
    if bracket == "<":
        users = LIBRARIES.get(name)
        if users is not None and layer not in users:
            return "<%s> is for %s only" % (name, ", ".join(sorted(users)))
        return None
    if ".." in Path(name).parts:
        return '"%s": paths are relative to src/, include/ or the root' % name
    makers = tuple("report/" + maker for maker in MAKERS)
    if layer == "report" and name.startswith(makers) and not path.name.startswith(MAKERS):
        return '"%s": a renderer sees the report only, not how it is made' % name
    prefixes, words = allowed(path, layer)
    if not name.startswith(prefixes or ("\0",)):
        return '"%s": %s may include %s' % (name, path.as_posix(), words)
    return None


def violations(root):
    """Every wrong include under root, as 'FILE:LINE: why'."""
    found = []
    files = [file for folder in ("src", "include", "offsets") for file in sorted((root / folder).rglob("*"))]
    for file in files:
        if file.suffix not in (".c", ".h", ".def"):
            continue
        path = file.relative_to(root)
        layer = layer_of(path)
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            why = check_line(path, layer, *match.groups()) if match else None
            if why:
                found.append("%s:%d: %s" % (path.as_posix(), number, why))
    return found


def plant(root, path, line):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("/* SPDX-License-Identifier: Apache-2.0 */\n\n%s\n" % line)


def test_the_includes_of_this_tree_point_one_way():
    assert violations(ROOT) == []


def test_the_checker_reports_every_kind_of_wrong_include_with_its_line(tmp_path):
    wrong = {
        "src/base/arena.c": '#include "target/space.h"',
        "src/target/space.h": '#include "binary/module.h"',
        "src/binary/module.c": '#include "python/layout.h"',
        "src/python/frames.c": '#  include "native/unwind.h"',
        "src/native/unwind.c": '#include "report/merge.h"',
        "src/native/stacks.c": '#include "python/frames.h"',
        "src/python/names.c": "#include <libiberty/demangle.h>",
        "src/report/merge.c": '#include "exuvia/exuvia.h"',
        "src/report/merge.h": '#include "base/arena.h"',
        "src/report/text_frames.c": '#include "report/splice.h"',
        "src/python/layout.h": '#include "target/space.h"',
        "src/python/dwfl.c": "#include <elfutils/libdwfl.h>",
        "src/base/elf.c": "#include <libelf.h>",
        "src/report/text.c": '#include "target/target.h"',
        "src/report/json_frames.c": '#include "report/merge.h"',
        "src/report/source.c": '#include "report/stacks.h"',
        "src/cli/main.c": '#include "base/arena.h"',
        "src/analyze.c": '#include "cli/options.h"',
        "src/target/core.c": '#include "../base/arena.h"',
        "src/extra/new.c": '#include "base/arena.h"',
        "include/exuvia/exuvia.h": '#include "base/arena.h"',
        "offsets/cpython-3.11.c": '#include "python/frames.h"',
    }
    for path, line in wrong.items():
        plant(tmp_path, path, line)
    reported = {text.split(": ", 1)[0] for text in violations(tmp_path)}
    assert reported == {path + ":3" for path in wrong}


def test_the_checker_lets_right_includes_pass(tmp_path):
    right = {
        "src/base/arena.c": '#include "exuvia/exuvia.h"',
        "src/python/frames.c": '#include "target/space.h"',
        "src/python/layout.c": '#include "offsets/fields.def"',
        "src/native/unwind.c": "#include <elfutils/libdwfl.h>",
        "src/native/demangle.c": "#include <libiberty/demangle.h>",
        "src/native/stacks.h": '#include "binary/module.h"',
        "src/report/merge.c": '#include "report/merge.h"',
        "src/report/merge_marker.c": '#include "base/search.h"',
        "src/report/splice.c": '#include "report/merge.h"',
        "src/report/stacks.h": '#include "native/stacks.h"',
        "src/report/text.c": '#include "report/text_source.h"',
        "src/cli/main.c": '#include "cli/options.h"',
        "src/analyze.c": '#include "report/merge.h"',
        "offsets/cpython-3.11.c": '#include "python/layout.h"',
    }
    for path, line in right.items():
        plant(tmp_path, path, line)
    assert violations(tmp_path) == []


def test_a_wrong_tree_makes_the_script_fail(tmp_path, capsys):
    plant(tmp_path, "src/base/arena.c", '#include "target/space.h"')
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
