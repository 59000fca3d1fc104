# SPDX-License-Identifier: Apache-2.0
"""Run a program that crashes and get hold of its core, whatever this machine does with cores.

The kernel writes a core where /proc/sys/kernel/core_pattern says: into a directory, or into a program such as
systemd-coredump or apport. Where it cannot be had from there, gdb writes one at the moment of the fatal signal.

    core = make_core(["python3", "crash.py"], directory)
"""
import os
import resource
import shutil
import subprocess
import sys
import time

CORE_PATTERN = "/proc/sys/kernel/core_pattern"

HELP = """no core of the crashed program could be had.
core_pattern is {pattern!r}. Any one of these helps:
  - echo core | sudo tee {file}    (cores go into the current directory, until the next boot)
  - install gdb, which can write a core without the kernel's help
  - in a container: raise the hard limit of `ulimit -c`, for example docker run --ulimit core=-1"""


class NoCore(Exception):
    """No core could be had; the text says what to do."""


def core_pattern():
    with open(CORE_PATTERN) as file:
        return file.read().strip()


def make_core(command, directory, kernel_only=False, timeout=300):
    """The path of a core of `command`, which runs in the fresh directory `directory` and must die of a signal."""
    directory = os.path.abspath(directory)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    pattern = core_pattern()
    started = time.time()
    process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, preexec_fn=_allow_cores)
    try:
        status = process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise NoCore("%s did not end within %d s" % (" ".join(command), timeout))
    if status >= 0:
        raise NoCore("%s exited with status %d instead of crashing" % (" ".join(command), status))

    ways = [lambda: _from_file(pattern, directory, process.pid, started)]
    if not kernel_only:
        ways += [lambda: _from_coredumpctl(directory, process.pid), lambda: _from_gdb(command, directory, timeout)]
    for way in ways:
        core = way()
        if core:
            return core
    raise NoCore(HELP.format(pattern=pattern, file=CORE_PATTERN))


def _allow_cores():
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def _from_file(pattern, directory, pid, started):
    if pattern.startswith("|"):
        return None
    folder = os.path.dirname(pattern)
    folder = os.path.join(directory, folder)
    if "%" in folder or not os.path.isdir(folder):
        return None
    found = []
    for entry in os.scandir(folder):
        if not entry.is_file(follow_symlinks=False):
            continue
        status = entry.stat()
        ours = folder.rstrip("/") == directory or str(pid) in entry.name
        if ours and status.st_mtime >= started - 1 and status.st_size > 0 and _is_elf(entry.path):
            found.append((status.st_mtime, entry.path))
    return max(found)[1] if found else None


def _is_elf(path):
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def _from_coredumpctl(directory, pid):
    if not shutil.which("coredumpctl"):
        return None
    core = os.path.join(directory, "core")
    for _ in range(20):  # systemd-coredump stores it after the process is gone
        run = subprocess.run(["coredumpctl", "dump", "--output", core, str(pid)], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if run.returncode == 0 and _is_elf(core):
            return core
        time.sleep(0.5)
    return None


def _from_gdb(command, directory, timeout):
    if not shutil.which("gdb"):
        return None
    core = os.path.join(directory, "core")
    # A version manager's python3 is a script that ends in the real one: gdb must not stop on the way.
    run = ["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex", "set startup-with-shell off",
           "-ex", "run", "-ex", "generate-core-file " + core, "--args", _real(command[0])] + command[1:]
    try:
        subprocess.run(run, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=timeout)
    except subprocess.TimeoutExpired:
        return None
    return core if _is_elf(core) else None


def _real(python):
    return real_executable(python) or python


def real_executable(python):
    """The file that runs when `python` is started (it may be a script or a link), or None when it does not run."""
    ask = "import os; print(os.path.realpath('/proc/self/exe'))"
    try:
        run = subprocess.run([python, "-c", ask], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return run.stdout.decode(errors="surrogateescape").strip() if run.returncode == 0 else None


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: make_core.py DIRECTORY COMMAND [ARGUMENT...]")
    try:
        print(make_core(sys.argv[2:], sys.argv[1]))
    except NoCore as reason:
        sys.exit("exuvia: %s" % reason)
