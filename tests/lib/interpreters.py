# SPDX-License-Identifier: Apache-2.0
"""Every Python interpreter that this machine has for the tests, found at run time.

pyenv's, the system's, the one on PATH, and what tests/lib/setup-interpreters.sh left in the cache. The same file is
listed once.
``PYTHONPATH=tests python3 -m lib.interpreters`` prints them.
"""

import dataclasses
import functools
import glob
import json
import os
import pathlib
import shutil
import subprocess

PROBE = """
import json, sys
jit = getattr(sys, '_jit', None)
print(json.dumps({
    'version': list(sys.version_info[:3]),
    'debug': hasattr(sys, 'gettotalrefcount'),
    'free_threaded': hasattr(sys, '_is_gil_enabled') and not sys._is_gil_enabled(),
    'jit': bool(jit and jit.is_available()),
    'pypy': hasattr(sys, 'pypy_version_info'),
}))
"""

# What the tests want to see: (minor version, kind).
EXPECTED = [
    ("2.7", "release"), ("3.6", "release"), ("3.7", "release"), ("3.8", "release"), ("3.9", "release"),
    ("3.9", "debug"), ("3.10", "release"), ("3.11", "release"), ("3.12", "release"), ("3.13", "release"),
    ("3.13", "free-threaded"), ("3.14", "release"), ("3.14", "debug"), ("3.14", "jit"), ("3.15", "release"),
    ("3.15", "jit"),
]


@dataclasses.dataclass(frozen=True)
class Interpreter:
    name: str  # unique, for people
    path: str  # as the process sees it: inside `root` when there is one
    version: tuple
    kind: str  # release, debug, free-threaded, jit
    root: str | None = None  # the folder that the process has as its "/"
    environment: tuple = ()

    @property
    def minor(self):
        return "%d.%d" % self.version[:2]

    @property
    def executable(self):
        """The interpreter's file as this machine sees it."""
        return os.path.realpath(self.root + self.path if self.root else self.path)

    def command(self, *arguments):
        return chroot(self.root, [self.path, *arguments])


def is_root():
    return os.geteuid() == 0


def chroot(root, command):
    if not root:
        return list(command)
    # Not every PATH has the administrator's programs.
    program = shutil.which("chroot", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") or "chroot"
    if is_root():
        return [program, root, *command]
    return ["sudo", "-n", program, f"--userspec={os.getuid()}:{os.getgid()}", root, *command]


def can_chroot():
    return is_root() or subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0


def cache():
    if os.environ.get("EXUVIA_CACHE"):
        return pathlib.Path(os.environ["EXUVIA_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(base) / "exuvia"


def _probe(path, root):
    try:
        answer = subprocess.run(chroot(root, [path, "-c", PROBE]), capture_output=True, timeout=60, check=True)
        return json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _pyenv_root():
    if os.environ.get("PYENV_ROOT"):
        return os.environ["PYENV_ROOT"]
    try:
        answer = subprocess.run(["pyenv", "root"], capture_output=True, text=True, timeout=30)
        if answer.returncode == 0 and answer.stdout.strip():
            return answer.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        pass
    return os.path.expanduser("~/.pyenv")


def _candidates():
    """(label, path, root) of what could be an interpreter, in the order of preference among equal files."""
    for path in sorted(glob.glob(os.path.join(_pyenv_root(), "versions", "*", "bin", "python"))):
        yield "pyenv", path, None
    for path in sorted(glob.glob("/usr/bin/python[23].*")) + ["/usr/bin/python3"]:
        yield "system", path, None
    on_path = shutil.which("python3")
    # A version manager's shim is a script that starts something that is listed already.
    if on_path and "shims" not in on_path:
        yield "path", on_path, None
    for marker in sorted(cache().glob("interpreters/*/.exuvia-complete-*")):
        for path in sorted(glob.glob(str(marker.parent / "bin" / "python3.*"))):
            yield "built", path, None
    markers = sorted(cache().glob("roots/*/.exuvia-complete-*"))
    if markers and can_chroot():
        for marker in markers:
            root = str(marker.parent)
            for path in sorted(glob.glob(root + "/usr/bin/python[23].*")):
                yield marker.parent.name, path[len(root):], root


@functools.cache
def _all():
    """Every module of the tests asks; each interpreter is started once for each process of the tests."""
    found, seen = [], set()
    for label, path, root in _candidates():
        real = os.path.realpath((root or "") + path)
        file = os.stat(real) if os.path.exists(real) else None
        base = os.path.basename(path)
        if file is None or (file.st_dev, file.st_ino) in seen or base.endswith("-config"):
            continue
        if not os.access(real, os.X_OK):
            continue
        about = _probe(path, root)
        if about is None or about["pypy"]:
            continue
        seen.add((file.st_dev, file.st_ino))
        kind = "debug" if about["debug"] else "free-threaded" if about["free_threaded"] else "release"
        suffix = {"debug": "d", "free-threaded": "t"}.get(kind, "")
        version = tuple(about["version"])
        name = "%s%s-%s" % (".".join(map(str, version)), suffix, label)
        found.append(Interpreter(name, path, version, kind, root))
        if about["jit"] and not about["debug"]:
            environment = (("PYTHON_JIT", "1"),)
            found.append(Interpreter(name + "-jit", path, version, "jit", root, environment))
    found.sort(key=lambda item: (item.version, item.kind != "release", item.name))
    return found


def _walk(item):
    """What tells how the frames of its thread states are walked; debug builds and the JIT are one kind each."""
    if item.kind in ("debug", "jit"):
        return item.kind
    return "3.6 to 3.9" if (3, 6) <= item.version < (3, 10) else item.minor, item.kind


def find():
    """All that there are; with EXUVIA_ONE_OF_EACH the first of each version and kind, or, if that is "walk", the newest of
    those whose frames are walked in the same way."""
    found = _all()
    mode = os.environ.get("EXUVIA_ONE_OF_EACH")
    if not mode:
        return list(found)
    if mode == "walk":
        return sorted({_walk(item): item for item in found}.values(), key=found.index)
    first = {}
    for item in found:
        first.setdefault((item.minor, item.kind), item)
    return list(first.values())


def every():
    """Is the full matrix wanted?"""
    return bool(os.environ.get("EXUVIA_EVERY_INTERPRETER"))


@functools.cache
def walks():
    """Of find(): the newest of those whose frames are walked in the same way; with EXUVIA_EVERY_INTERPRETER all."""
    found = find()
    return found if every() else sorted({_walk(item): item for item in found}.values(), key=found.index)


def matrix(scenarios):
    """[(interpreter, scenario)]: each scenario with walks(), and with every third of the other interpreters, each time others:
    all of them have a part. EXUVIA_SCENARIOS=third takes every third of the former, too."""
    whole = [] if os.environ.get("EXUVIA_SCENARIOS") == "third" else walks()
    return [(interpreter, scenario) for row, scenario in enumerate(scenarios) for column, interpreter in enumerate(find())
            if interpreter in whole or (row + column) % 3 == 0]


def missing(found):
    have = {(item.minor, item.kind) for item in found}
    return ["%s %s" % want for want in EXPECTED if want not in have]


if __name__ == "__main__":
    everything = find()
    for interpreter in everything:
        print(interpreter.name, interpreter.kind, interpreter.executable)
    print("not found:", ", ".join(missing(everything)) or "none")
