# SPDX-License-Identifier: Apache-2.0
"""Run a program between known native functions until it dies, and keep what it wrote down."""

import contextlib
import dataclasses
import functools
import glob
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from lib import scenarios

HERE = pathlib.Path(__file__).resolve().parent
RECORD = HERE.parent / "core" / "programs" / "record.py"


@dataclasses.dataclass(frozen=True)
class Scenario:
    program: str
    argument: str | None
    folder: str = "programs"
    files: tuple = ()  # that the program needs beside it

    @property
    def name(self):
        return f"{self.program}[{self.argument}]" if self.argument else self.program


@dataclasses.dataclass
class Death:
    core: pathlib.Path
    truth: dict
    trails: dict  # thread id -> known functions, outermost first
    directory: pathlib.Path


def all_scenarios(folder="programs"):
    result = []
    for path in sorted((HERE / folder).glob("*.py")):
        arguments = " ".join(re.findall(r"^# arguments: (.*)$", path.read_text(encoding="utf-8"), re.M)).split()
        if path.stem != "extensions":
            result += [Scenario(path.stem, argument, folder) for argument in arguments or [None]]
    return result


@functools.cache
def build_folder():
    return pathlib.Path(tempfile.mkdtemp(prefix="exuvia-extensions-"))


def remove_builds():
    if build_folder.cache_info().currsize:
        shutil.rmtree(build_folder(), ignore_errors=True)
        build_folder.cache_clear()


def _compile(command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise AssertionError(" ".join(map(str, command)) + "\n" + result.stderr)


@functools.cache
def libraries(flags):
    """The extension libraries, built with the flags; they need no Python headers."""
    folder = build_folder() / re.sub(r"[^a-z0-9]+", "-", flags.lower()).strip("-")
    folder.mkdir()
    common = ["-g", "-shared", "-fPIC", *flags.split()]
    sources = HERE / "extensions"
    for name in ("exv", "exv_damage"):
        _compile([os.environ.get("CC", "gcc"), *common, "-Wl,-z,lazy,-z,norelro", "-o", folder / f"lib{name}.so",
                  sources / f"{name}.c"])
    _compile([os.environ.get("CXX", "g++"), *common, "-static-libstdc++", "-static-libgcc", "-o",
              folder / "libexv_cpp.so", sources / "exv_cpp.cpp"])
    return folder


@functools.cache
def extension(interpreter, flags):
    """The extension module for an interpreter whose headers this machine has, or None."""
    if interpreter.root:
        return None
    code = "from sysconfig import *; print(get_path('include'), get_config_var('EXT_SUFFIX') or '.so')"
    answer = subprocess.run(interpreter.command("-c", code), capture_output=True, text=True, check=True)
    include, suffix = answer.stdout.split()
    if not os.path.exists(os.path.join(include, "Python.h")):
        return None
    folder = build_folder() / ("extension-" + interpreter.name)
    folder.mkdir(exist_ok=True)
    target = folder / ("exvmodule" + suffix)
    _compile([os.environ.get("CC", "gcc"), "-g", "-shared", "-fPIC", *flags.split(), "-I", include, "-o", target,
              HERE / "extensions" / "exvmodule.c"])
    return target


def prepare(interpreter, scenario, flags, outside, inside):
    """Put everything into the directory that the program needs; the command that runs it."""
    programs = outside / "programs"
    programs.mkdir()
    source = HERE / scenario.folder / (scenario.program + ".py")
    files = [RECORD, *scenario.files, *(HERE / "programs").glob("*.py"), *libraries(flags).iterdir()]
    if scenario.folder != "programs":
        files += (HERE / scenario.folder).glob("*.py")
    module = extension(interpreter, flags) if "exvmodule" in source.read_text(encoding="utf-8") else None
    for file in files + ([module] if module else []):
        shutil.copy(file, programs)
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
                   "PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1", **dict(interpreter.environment)}
    settings = "\n".join(f"{key}={value}" for key, value in environment.items())
    arguments = [scenario.argument] if scenario.argument else []
    return interpreter.command("-c", scenarios.LAUNCHER, inside, settings, interpreter.path,
                               f"{inside}/programs/{scenario.program}.py", *arguments)


def death(interpreter, scenario, flags, timeout=120):
    """A context manager, like scenarios.death."""
    return _Death(interpreter, scenario, flags, timeout)


class _Death:
    def __init__(self, *arguments):
        self.arguments = arguments

    def __enter__(self):
        interpreter, scenario, flags, timeout = self.arguments
        self.workspace = scenarios.workspace(interpreter)
        outside, inside = self.workspace.__enter__()
        try:
            return self._run(interpreter, scenario, flags, timeout, outside, inside)
        except BaseException:
            self.workspace.__exit__(None, None, None)
            raise

    def __exit__(self, *details):
        return self.workspace.__exit__(*details)

    def _run(self, interpreter, scenario, flags, timeout, outside, inside):
        command = prepare(interpreter, scenario, flags, outside, inside)
        result = subprocess.run(command, cwd=outside, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout,
                                preexec_fn=scenarios._allow_cores)
        output = result.stdout.decode(errors="replace")
        if result.returncode == scenarios.NOT_APPLICABLE:
            raise scenarios.NotApplicable(output.removeprefix("n/a: ").strip())
        cores, truth, trails = glob.glob(str(outside / "core*")), outside / "truth.json", outside / "trails.json"
        if len(cores) != 1 or not truth.exists() or not trails.exists():
            raise AssertionError(f"{interpreter.name}: {scenario.name} ended with status {result.returncode} and left "
                                 f"{len(cores)} cores\n{output}{result.stderr.decode(errors='replace')}")
        return Death(pathlib.Path(cores[0]), json.loads(truth.read_bytes()), json.loads(trails.read_bytes()), outside)


@contextlib.contextmanager
def stop(interpreter, scenario, flags):
    """A program that stops itself, and a core that gcore makes of it; it runs on until the context ends."""
    with scenarios.workspace(interpreter) as (outside, inside):
        with subprocess.Popen(prepare(interpreter, scenario, flags, outside, inside), cwd=outside,
                              stdin=subprocess.DEVNULL) as process:
            try:
                _, status = os.waitpid(process.pid, os.WUNTRACED)
                assert os.WIFSTOPPED(status), f"the program ended with status {status}"
                made = subprocess.run(["gcore", "-o", str(outside / "core"), str(process.pid)], capture_output=True,
                                      timeout=120)
                core = outside / f"core.{process.pid}"
                assert core.exists(), made.stderr.decode(errors="replace")
                yield Death(core, json.loads((outside / "truth.json").read_bytes()),
                            json.loads((outside / "trails.json").read_bytes()), outside)
            finally:
                process.kill()
