# SPDX-License-Identifier: Apache-2.0
"""Packages from PyPI for the programs of the tests, each set in a folder of its own in the tests' cache.

Nothing is installed into an interpreter: the folder goes onto PYTHONPATH. Without a network, or where there is no wheel
for an interpreter, a test that wants them is skipped, and the reason names what could not be had.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess

import pytest

from . import interpreters

# pip waits for a dead network for minutes.
SECONDS = 240


def _has_pip(interpreter):
    return not interpreter.root and subprocess.run(
        interpreter.command("-c", "import pip"), capture_output=True).returncode == 0


def _fetch(interpreter, requirements, folder, options):
    """None, or why the packages could not be had."""
    if not _has_pip(interpreter):
        return "this interpreter has no pip"
    command = interpreter.command("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir",
                                  "--target", str(folder), *options, *requirements)
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"pip took more than {SECONDS} seconds"
    if result.returncode != 0:
        return (result.stderr.strip().splitlines() or ["pip failed"])[-1]
    return None


def find(interpreter, *requirements, build=False):
    """(folder, None), or (None, why not).

    Fetched once for each interpreter and set of requirements. Wheels only, unless `build` allows to compile.
    """
    options = () if build else ("--only-binary", ":all:")
    # An interpreter's file tells one build from another; of two with the same version only one may be free-threaded.
    key = "\n".join([interpreter.executable, interpreter.kind, *requirements])
    name = requirements[0].split("=")[0].split("<")[0].split(">")[0].split("[")[0].strip()
    packages = interpreters.cache() / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    folder = packages / f"{name}-{interpreter.minor}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not (folder / ".complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            problem = _fetch(interpreter, requirements, folder, options)
            if problem:
                shutil.rmtree(folder, ignore_errors=True)
                return None, problem
            (folder / ".complete").touch()
        if interpreter.version < (3, 3):
            _make_namespaces(folder)
    return folder, None


def _make_namespaces(folder):
    """Before PEP 420 a package has an __init__.py; those of namespaces are made by .pth files, which PYTHONPATH does not have."""
    for listed in folder.glob("*.dist-info/namespace_packages.txt"):
        for name in listed.read_text().split():
            (folder / name.replace(".", "/") / "__init__.py").touch()


def environment(interpreter, *requirements, build=False):
    """The environment variables with which `interpreter` can import these; skips the test, by name, where they cannot be had."""
    folder, problem = find(interpreter, *requirements, build=build)
    if not folder:
        pytest.skip(f"{', '.join(requirements)} for {interpreter.name}: {problem}")
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
