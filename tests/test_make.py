# SPDX-License-Identifier: Apache-2.0
"""What `make` says on a machine that lacks something: it builds, and never installs."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.release_only


@pytest.fixture
def machine(tmp_path):
    """A PATH with everything but cmake, and an apt-get that leaves a file when somebody runs it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for directory in reversed(os.environ["PATH"].split(":") + ["/usr/bin", "/bin"]):
        for program in pathlib.Path(directory or ".").glob("*"):
            (folder / program.name).unlink(missing_ok=True)
            (folder / program.name).symlink_to(program)
    for name in ("cmake", "apt-get", "sudo"):
        (folder / name).unlink(missing_ok=True)
    for name in ("apt-get", "sudo"):
        (folder / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/{name}-ran\nexit 1\n")
        (folder / name).chmod(0o755)
    return tmp_path


def run(machine, *command):
    # As from a shell, not from the `make check` that runs this.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60,
                          env={**environment, "PATH": str(machine / "bin")})


def test_make_says_in_one_line_what_is_missing_and_installs_nothing(machine):
    answer = run(machine, "make")
    said = [line for line in answer.stderr.splitlines() if not line.startswith("make:")]
    assert answer.returncode != 0
    assert said == ["exuvia: missing: cmake >= 3.25; `make setup` installs it"], answer.stderr
    assert answer.stdout == "" and not list(machine.glob("*-ran"))


def test_make_setup_installs_what_is_missing(machine):
    answer = run(machine, "make", "setup")
    assert list(machine.glob("*-ran")), answer.stdout + answer.stderr
    assert "exuvia: installing" in answer.stdout and "cmake" in answer.stdout
    # That apt-get fails: what to do is said.
    assert answer.returncode != 0 and "By hand: apt-get install" in answer.stderr
