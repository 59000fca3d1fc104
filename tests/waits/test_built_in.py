# SPDX-License-Identifier: Apache-2.0
"""Native frames of a stripped interpreter have the names by which Python calls the built-in functions that they run."""

import pytest

from lib import binaries, hanging, interpreters, report

FOUND = [item for item in interpreters.find() if item.kind == "release"]
# Debian strips its interpreters.
STRIPPED = [pytest.param(item, id=item.name) for item in FOUND if item.root or item.path.startswith("/usr/bin/")]
WITH_SYMBOLS = [pytest.param(item, id=item.name) for item in FOUND if item.name.endswith("-pyenv")][-1:]


@pytest.fixture(scope="module", autouse=True)
def built():
    yield
    hanging.remove_library()


def functions(answer):
    """Of the native frames that call or are called by Python, the outermost first."""
    status, data, complaints = answer
    assert status == 0, complaints
    frames = data["threads"][0]["frames"]
    return [frame["function"] for frame in reversed(frames) if frame["kind"] == "native"]


@pytest.mark.parametrize("interpreter", STRIPPED)
def test_a_function_without_a_symbol_has_the_name_by_which_python_calls_it(interpreter):
    assert ".symtab" not in binaries.sections(binaries.runtime_binary(interpreter)[1])
    with hanging.hang(interpreter, "built_in", wants_waits=False) as hung:
        live = functions(hanging.attach(hung.pid))
        root = ["--sysroot", interpreter.root] if interpreter.root else []
        dead = functions(report.run(hung.core(), *root, merged=True))
    for found in live, dead:
        if "builtin_sorted" in found:
            pytest.skip("the distribution's debug file is installed: it has the symbols")
        named = [name for name in found if (name or "").startswith("<built-in")]
        # A compiler may have split a function, or let it jump to its last call: what runs then is not what Python calls.
        rest = iter(hung.truth["functions"])
        assert all(name in rest for name in named), found
        assert "<built-in function sorted>" in named, found


@pytest.mark.parametrize("interpreter", WITH_SYMBOLS)
def test_a_function_with_a_symbol_keeps_its_name(interpreter):
    with hanging.hang(interpreter, "built_in", wants_waits=False) as hung:
        found = functions(hanging.attach(hung.pid, "--native-all"))
    assert "lock_PyThread_acquire_lock" in found and not [name for name in found if (name or "").startswith("<built-in")]
