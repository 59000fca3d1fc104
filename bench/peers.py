# SPDX-License-Identifier: Apache-2.0
"""What both benches need of this machine: interpreters and the other tools; and a tool's run, measured."""
import argparse
import os
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tools"))

from make_core import real_executable  # noqa: E402

CPU_LIMIT = 10  # seconds of CPU time for one run
SLOW = 3        # whoever needs more than these seconds on a target is run once, not RUNS times
GDB = ["-nx", "-batch", "-iex", "set debuginfod enabled off"]


class Tool:
    def __init__(self, view, name, command, skipped=None):
        self.view = view        # the table that it belongs to
        self.name = name
        self.command = command  # what is measured -> argument list
        self.skipped = skipped  # why it is not here
        self.ours = name.startswith("exuvia")


# ---- what is here ----

def candidates(series):
    """Interpreters of one series, the newest first."""
    found = []
    if shutil.which("pyenv"):
        run = subprocess.run(["pyenv", "root"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        versions = os.path.join(run.stdout.decode().strip(), "versions")
        if os.path.isdir(versions):
            found += [os.path.join(versions, v, "bin", "python3") for v in sorted(os.listdir(versions), reverse=True)
                      if v.startswith(series + ".")]
    return found + ["python" + series]


def find_python(names):
    for name in names:
        path = real_executable(name)
        if path:
            return path
    return None


def python_version(python):
    code = "import platform; print(platform.python_version())"
    return subprocess.run([python, "-c", code], stdout=subprocess.PIPE).stdout.decode().strip()


def install_peers(venv):
    """PyStack and py-spy from the package index; without a network the bench goes on without them."""
    if os.path.exists(os.path.join(venv, "installed")):
        return
    try:
        subprocess.run([sys.executable, "-m", "venv", venv], check=True, stdout=subprocess.DEVNULL, timeout=300)
        pip = [os.path.join(venv, "bin", "python"), "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
        for package in "pystack", "py-spy":
            subprocess.run(pip + [package], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           timeout=600)
        open(os.path.join(venv, "installed"), "w").close()
    except (OSError, subprocess.SubprocessError) as reason:
        print("exuvia: could not install the peers: %s" % reason, file=sys.stderr)


def search_path(venv):
    return os.pathsep.join([os.path.join(venv, "bin"), os.environ.get("PATH", "")])


def find_tool(where, view, name, program, command):
    """A tool whose command(path, ...) begins with the path of `program`."""
    path = shutil.which(program, path=where)
    return Tool(view, name, lambda *what: command(path, *what), None if path else "%s is not installed" % program)


def available(tools):
    """Those that are here; the others are named."""
    for tool in tools:
        if tool.skipped:
            print("skipped: %s: %s" % (tool.name, tool.skipped))
    return [tool for tool in tools if not tool.skipped]


# ---- the command line ----

def argument_parser(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--exuvia", required=True, type=os.path.abspath, help="the binary to measure")
    parser.add_argument("--measure", required=True, type=os.path.abspath, help="the built bench/measure.c")
    parser.add_argument("--work", required=True, type=os.path.abspath,
                        help="a directory for targets, peers and results; made when missing")
    parser.add_argument("--python", help="the interpreter to look at (default: a 3.11, else python3)")
    parser.add_argument("--runs", type=int, default=7, help="measured runs of each tool on each target (default 7)")
    parser.add_argument("--no-install", action="store_true", help="do not try to install PyStack and py-spy")
    return parser


def prepare(arguments):
    """(where the peers are, the interpreter to look at)."""
    os.makedirs(arguments.work, exist_ok=True)
    venv = os.path.join(arguments.work, "venv")
    if not arguments.no_install:
        install_peers(venv)
    python = find_python([arguments.python] if arguments.python else candidates("3.11") + ["python3"])
    if not python:
        sys.exit("exuvia: %s does not run" % (arguments.python or "python3"))
    return venv, python


# ---- one run ----

def measure(measure_program, command, output):
    """One run: a dictionary, times in ms and memory in MiB; `status` as measure.c says it."""
    run = subprocess.run([measure_program, output, str(CPU_LIMIT)] + command, stdout=subprocess.PIPE, check=True)
    wall, user, system, rss, status = [int(word) for word in run.stdout.split()]
    return {"wall_ms": wall / 1000, "cpu_ms": (user + system) / 1000, "rss_mib": rss / 1024, "status": status}


def failure(tool, run):
    """Why this run does not count, or None."""
    if run["status"] == -signal.SIGXCPU or (run["status"] == -signal.SIGKILL and run["cpu_ms"] > CPU_LIMIT * 1000):
        return "no answer within %d s of CPU time (%.0f MiB by then)" % (CPU_LIMIT, run["rss_mib"])
    if run["status"] < 0:
        return "crashed: %s" % signal.Signals(-run["status"]).name
    if run["status"] == 0 or (tool.ours and run["status"] == 1):
        return None
    return "exit status %d" % run["status"]


# ---- checking: a fast answer may be a wrong one ----

def count_frames(lines):
    """What a JSON report says, line by line: numbers of frames, of gaps, of threads not unwound to their start."""
    counts = {"python": 0, "native": 0, "gap": 0, "cut": 0}
    for line in lines:  # one frame a line; half a million are too many to keep
        if line.startswith(b'      {"kind": "python"'):
            counts["python"] += 1
        elif line.startswith(b'      {"kind": "native"'):
            counts["native"] += b'"inlined": false' in line  # frames of the machine, which eu-stack counts too
        elif line.startswith(b'      {"kind": "gap"'):
            counts["gap"] += 1
        elif line.startswith(b'    {"tid": '):
            counts["cut"] += b'"native_complete": false' in line
    return counts


def not_whole(counts):
    """Why a merged answer is not the whole answer, or None."""
    if counts["gap"] or counts["cut"]:
        return "%d gaps, %d threads not unwound to their start" % (counts["gap"], counts["cut"])
    return None


# ---- saying ----

def say_aim(text, value, limit, unit):
    """An aim beside its figure; one of them None: it was not measured."""
    if value is None or limit is None:
        print("  %-52s not measured" % text)
    else:
        print("  %-52s %8.1f %-4s at most %7.1f  %s" % (text, value, unit, limit, "ok" if value <= limit else "over"))
