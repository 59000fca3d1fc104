# SPDX-License-Identifier: Apache-2.0
"""A thread that runs where nobody can follow its stack is looked at once more: then it may be elsewhere."""

import contextlib
import os
import pathlib
import platform
import subprocess
import time

import pytest

from lib import client, hanging, interpreters, living, report

PROGRAMS = hanging.PROGRAMS
INTERPRETER = next((item for item in interpreters.find() if item.kind == "release" and not item.root
                    and item.version >= (3, 11)), None)

pytestmark = pytest.mark.skipif(not INTERPRETER or platform.machine() != "x86_64",
                                reason="no interpreter from 3.11 on was found, or another machine than x86-64")


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    return client.build(tmp_path_factory.mktemp("library") / "host")


@pytest.fixture(scope="module")
def leaves(tmp_path_factory):
    """The library of programs/leaves.py."""
    library = tmp_path_factory.mktemp("leaves") / "libleaves.so"
    made = subprocess.run([os.environ.get("CC", "gcc"), "-O1", "-shared", "-fPIC", "-pthread", "-o", library, PROGRAMS / "leaves.c"],
                          capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return library


@contextlib.contextmanager
def spinning(argument, library, depth=0):
    """A process that runs where nobody can follow it, until it has been stopped once ("leaves"), or for ever ("stays"): its id, and
    the file that it makes when it has left."""
    with living.program(INTERPRETER, "leaves", argument, str(depth)) as (process, directory):
        directory = pathlib.Path(directory)
        (directory / "libleaves.new").write_bytes(library.read_bytes())
        os.rename(directory / "libleaves.new", directory / "libleaves.so")
        living.await_files(directory, ["ready"], process)
        hanging.await_computing(process.pid)
        yield process.pid, directory / "left"


def main_thread(result):
    """(its Python functions, is something missing between its frames?)"""
    main = next(thread for thread in result["threads"] if thread["main"])
    return ([frame["function"] for frame in main["frames"] if frame["kind"] == "python"],
            "gap" in [frame["kind"] for frame in main["frames"]])


def codes(result):
    return [entry["code"] for entry in result["diagnostics"]]


def test_a_stack_that_cannot_be_followed_is_whole_at_the_second_look(leaves, host):
    with spinning("leaves", leaves) as (pid, left):
        result, seen = client.explain(host, "limit", pid, 0, left)
        assert not report.incomplete(result) and main_thread(result) == (["enter", "below", "<module>"], False), result["diagnostics"]
        again, once = client.explain(host, "limit", pid, 0)
        assert not report.incomplete(again) and (seen["stops"], once["stops"]) == (2, 1)


def test_a_stack_that_cannot_be_followed_for_ever_is_shown_with_what_is_missing(leaves, host):
    with spinning("stays", leaves) as (pid, _):
        result, seen = client.explain(host, "limit", pid, 0)
    assert report.incomplete(result) and main_thread(result) == (["enter", "below", "<module>"], True)
    assert seen["stops"] == 2 and 0 < result["source"]["pause_us"] < seen["took_us"]


def test_attach_looks_a_second_time(leaves):
    for _ in range(10):  # on a busy machine the thread may have had no processor to leave on
        with spinning("leaves", leaves) as (pid, _):
            status, result, said = hanging.attach(pid)
        assert result, said
        if status == 0:
            break
    assert status == 0 and main_thread(result) == (["enter", "below", "<module>"], False), result["diagnostics"]


def test_the_first_report_stays_when_the_second_look_is_cancelled(leaves, host):
    with spinning("leaves", leaves) as (pid, left):
        result, seen = client.explain(host, "stop", pid, 2, left)
        assert {traced for (traced,) in hanging.status(pid, "TracerPid").values()} == {"0"}
    assert main_thread(result) == (["enter", "below", "<module>"], True)
    assert codes(result) == ["native-gap", "cancelled"] and seen["stops"] == 2


def test_the_memory_limit_is_for_both_looks(leaves, host):
    depth, limit = 20000, 1 << 20
    with spinning("stays", leaves, depth) as (pid, _):
        while "memory-budget" in codes(client.explain(host, "memory", pid, limit)[0]):
            limit += limit // 10
    for size, first in ((limit * 5 // 4, True), (limit * 3, False)):
        with spinning("leaves", leaves, depth) as (pid, left):
            result, _ = client.explain(host, "memory", pid, size, left)
        functions, gap = main_thread(result)
        assert gap == first and len(functions) == depth + 3 and "memory-budget" not in codes(result)
