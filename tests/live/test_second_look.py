# SPDX-License-Identifier: Apache-2.0
"""A thread that runs where nobody can follow its stack is looked at once more: then it may be elsewhere."""

import contextlib
import os
import pathlib
import platform
import subprocess
import time

import pytest

from lib import hanging, interpreters, living

PROGRAMS = hanging.PROGRAMS


@contextlib.contextmanager
def spinning(argument):
    interpreter = next((item for item in interpreters.find() if item.kind == "release" and not item.root
                        and item.version >= (3, 11)), None)
    if not interpreter or platform.machine() != "x86_64":
        pytest.skip("skipped: no interpreter from 3.11 on was found, or another machine than x86-64")
    with living.program(interpreter, "leaves", argument) as (process, directory):
        yield process, pathlib.Path(directory)


def look(argument, tmp_path, *options):
    made = subprocess.run([os.environ.get("CC", "gcc"), "-O1", "-shared", "-fPIC", "-pthread", "-o", tmp_path / "libleaves.so",
                           PROGRAMS / "leaves.c"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    with spinning(argument) as (process, directory):
        (directory / "libleaves.new").write_bytes((tmp_path / "libleaves.so").read_bytes())
        os.rename(directory / "libleaves.new", directory / "libleaves.so")
        living.await_files(directory, ["ready"], process)
        hanging.await_computing(process.pid)
        before = time.monotonic()
        status, report, said = hanging.attach(process.pid, *options)
        assert report, said
        return status, report, (time.monotonic() - before) * 1e6


def test_a_stack_that_cannot_be_followed_is_whole_at_the_second_look(tmp_path):
    status, report, _ = look("leaves", tmp_path)
    main = next(thread for thread in report["threads"] if thread["main"])
    assert status == 0 and "gap" not in [frame["kind"] for frame in main["frames"]], report["diagnostics"]
    assert [frame["function"] for frame in main["frames"] if frame["kind"] == "python"] == ["<module>"]


def test_a_stack_that_cannot_be_followed_for_ever_is_shown_with_what_is_missing(tmp_path):
    status, report, spent = look("stays", tmp_path)
    main = next(thread for thread in report["threads"] if thread["main"])
    assert status == 1 and "gap" in [frame["kind"] for frame in main["frames"]]
    assert [frame["function"] for frame in main["frames"] if frame["kind"] == "python"] == ["enter", "<module>"]
    assert 0 < report["source"]["pause_us"] < spent
