# SPDX-License-Identifier: Apache-2.0
"""The scenario programs of tests/core/programs, and how one is run until it leaves a core and the truth.

A program says in its first comment lines what it needs:

    # arguments: a b c        one scenario for each; there can be several such lines
    # since: 3.6 (reason)     older versions do not apply
"""

import contextlib
import dataclasses
import glob
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import tempfile

PROGRAMS = pathlib.Path(__file__).resolve().parent.parent / "core" / "programs"
NOT_APPLICABLE = 77
CORE_PATTERN = pathlib.Path("/proc/sys/kernel/core_pattern")

# Changes to the directory inside the root, which chroot itself cannot, and becomes the program with exactly the
# environment that is wanted, which sudo would not keep.
LAUNCHER = """
import os, sys
os.chdir(sys.argv[1])
os.execve(sys.argv[3], sys.argv[3:], dict(item.split('=', 1) for item in sys.argv[2].split('\\n')))
"""


class NotApplicable(Exception):
    """This interpreter cannot do what the scenario needs."""


@dataclasses.dataclass(frozen=True)
class Scenario:
    program: str
    argument: str | None
    since: tuple
    reason: str

    @property
    def name(self):
        return f"{self.program}[{self.argument}]" if self.argument else self.program

    def applies(self, interpreter):
        return interpreter.version[:2] >= self.since


@dataclasses.dataclass
class Death:
    """What one run left behind. `core` is gone when the context ends."""

    core: pathlib.Path
    truth: dict
    directory: pathlib.Path


def scenarios():
    result = []
    for path in sorted(PROGRAMS.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if path.name == "record.py" or not re.search(r"^\s*import record$", text, re.M):
            continue
        since = re.search(r"^# since: (\d+)\.(\d+) \((.*)\)$", text, re.M)
        arguments = " ".join(re.findall(r"^# arguments: (.*)$", text, re.M))
        for argument in arguments.split() or [None]:
            version = (int(since.group(1)), int(since.group(2))) if since else (0, 0)
            result.append(Scenario(path.stem, argument, version, since.group(3) if since else ""))
    return result


def check_core_pattern():
    """Why the kernel will not leave a core beside the program, or None."""
    try:
        pattern = CORE_PATTERN.read_text().strip()
    except OSError:
        return None
    if pattern.startswith("|") or "/" in pattern or not pattern.startswith("core"):
        return (
            f"the kernel sends cores elsewhere (core_pattern is {pattern!r}); the tests need them in the current "
            "directory: run  echo core | sudo tee /proc/sys/kernel/core_pattern"
        )
    return None


def _allow_cores():
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


@contextlib.contextmanager
def workspace(interpreter):
    """A temporary directory, as this machine sees it and as the interpreter does."""
    parent = interpreter.root + "/tmp" if interpreter.root else None
    outside = pathlib.Path(tempfile.mkdtemp(prefix="exuvia-", dir=parent))
    try:
        inside = "/tmp/" + outside.name if interpreter.root else str(outside)
        yield outside, inside
    finally:
        shutil.rmtree(outside, ignore_errors=True)


@contextlib.contextmanager
def death(interpreter, scenario, timeout=120):
    """Run the scenario until it dies, and give what it left."""
    with workspace(interpreter) as (outside, inside):
        programs = PROGRAMS
        if interpreter.root:
            shutil.copytree(PROGRAMS, outside / "programs", ignore=shutil.ignore_patterns("__pycache__"))
            programs = pathlib.Path(inside) / "programs"
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1", **dict(interpreter.environment),
        }
        arguments = [scenario.argument] if scenario.argument else []
        settings = "\n".join(f"{key}={value}" for key, value in environment.items())
        command = interpreter.command("-c", LAUNCHER, inside, settings, interpreter.path,
                                      str(programs / (scenario.program + ".py")), *arguments)
        truth = outside / "truth.json"
        # sys._current_frames() of a free-threaded 3.13 races with the other threads: it can kill the program before it
        # has written anything down. That is no scenario; it is said, and the program is run again.
        for attempt in range(3 if interpreter.kind == "free-threaded" else 1):
            for old in glob.glob(str(outside / "core*")):
                os.unlink(old)
            result = subprocess.run(command, cwd=outside, stdin=subprocess.DEVNULL, capture_output=True,
                                    timeout=timeout, preexec_fn=_allow_cores)
            if truth.exists() or result.returncode == NOT_APPLICABLE:
                break
            print(f"{interpreter.name}: {scenario.name} died before it wrote the truth, attempt {attempt + 1}")
        output = result.stdout.decode(errors="replace")
        if result.returncode == NOT_APPLICABLE:
            raise NotApplicable(output.removeprefix("n/a: ").strip())
        cores = glob.glob(str(outside / "core*"))
        if len(cores) != 1 or not truth.exists():
            raise AssertionError(
                f"{interpreter.name}: {scenario.name} ended with status {result.returncode} and left {len(cores)} "
                f"cores, {'' if truth.exists() else 'no '}truth\n{output}{result.stderr.decode(errors='replace')}"
            )
        yield Death(pathlib.Path(cores[0]), json.loads(truth.read_bytes()), outside)
