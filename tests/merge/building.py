# SPDX-License-Identifier: Apache-2.0
"""What building an extension module takes: an interpreter with headers, and packages of PyPI for it."""

import os
import subprocess

import pytest

from lib import interpreters, packages


def _interpreter_with_pip():
    """A release build with pip and headers, or None. Cython's wheels are for some versions only, else it is slow."""
    for item in interpreters.find():
        if item.kind != "release" or item.root or item.minor not in ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13"):
            continue
        about = "import pip, sysconfig; print(sysconfig.get_path('include'))"
        answer = subprocess.run(item.command("-c", about), capture_output=True, text=True)
        if answer.returncode == 0 and os.path.exists(os.path.join(answer.stdout.strip(), "Python.h")):
            return item, answer.stdout.strip()
    return None


def interpreter_with(requirement):
    """(interpreter, folder of its headers, folder with the package); skips by name without one of them."""
    found = _interpreter_with_pip()
    if not found:
        pytest.skip("skipped: no interpreter with pip and headers was found")
    folder, reason = packages.find(found[0], requirement)
    if not folder:
        pytest.skip(f"skipped: {requirement} could not be had: {reason}")
    return (*found, folder)


def suffix_of(interpreter):
    code = "import sysconfig; print(sysconfig.get_config_var('EXT_SUFFIX'))"
    return subprocess.run(interpreter.command("-c", code), capture_output=True, text=True, check=True).stdout.strip()
