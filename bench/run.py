# SPDX-License-Identifier: Apache-2.0
"""The same cores through exuvia and the other tools that this machine has: CPU time, wall time, largest resident set.

Run by `make bench`. Needs only the standard library; a tool that is not there is named as skipped. The tools take
turns, one run each, so that whatever else the machine does falls on all of them; the table shows medians. All that is
measured is written to WORK/results.json too.
"""
import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tools"))

from make_core import NoCore, make_core, real_executable  # noqa: E402

# name: (what it is, program and arguments, Python frames that must be shown)
CORES = {
    "A": ("1 thread of 20 frames", ["A.py"], 20),
    "B": ("20 threads of 200 frames", ["B.py", "20", "200"], 20 * 200 + 1),
    "C": ("400 threads of 20 frames", ["B.py", "400", "20"], 400 * 20 + 1),
    "deep": ("recursion of 100,000 frames", ["deep.py", "99998"], 100000),
    "sparse": ("B with 50 GiB mapped, a sparse core", ["B.py", "20", "200", "50"], 20 * 200 + 1),
}
# What exuvia --python-only is to need at most, of its CPU time (ms) and resident memory (MiB).
AIMS = {"A": (5, None), "B": (12, 16), "deep": (150, None)}
SPARSE_FACTOR = 1.2     # of the CPU time on B
PYSTACK_FACTOR = 20     # of the CPU time on B: this much faster than PyStack
CPU_LIMIT = 60          # seconds of CPU time for one run
SLOW = 10               # whoever needs more than these seconds on a core is run once, not RUNS times


class Tool:
    def __init__(self, name, command, skipped=None):
        self.name = name
        self.command = command  # core, executable -> argument list
        self.skipped = skipped  # why it is not here


def find_python():
    """Python 3.11 where there is one, for figures that compare; else this machine's python3."""
    candidates = []
    if shutil.which("pyenv"):
        run = subprocess.run(["pyenv", "root"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        versions = os.path.join(run.stdout.decode().strip(), "versions")
        if os.path.isdir(versions):
            candidates += [os.path.join(versions, v, "bin", "python3") for v in sorted(os.listdir(versions), reverse=True)
                           if v.startswith("3.11.")]
    for name in candidates + ["python3.11", "python3"]:
        path = real_executable(name)
        if path:
            return path
    sys.exit("exuvia: no python3 here to make cores with")


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


def find_tools(exuvia, venv, python):
    where = os.pathsep.join([os.path.join(venv, "bin"), os.environ.get("PATH", "")])

    def tool(name, program, command):
        path = shutil.which(program, path=where)
        return Tool(name, lambda core, executable: command(path, core, executable),
                    None if path else "%s is not installed" % program)

    gdb = ["-nx", "-batch", "-iex", "set debuginfod enabled off"]
    tools = [
        Tool("exuvia --python-only", lambda core, executable: [exuvia, "core", "--python-only", core]),
        Tool("exuvia --python-only --json", lambda core, executable: [exuvia, "core", "--python-only", "--json", core]),
        tool("pystack core", "pystack", lambda path, core, executable: [path, "core", core, executable]),
        tool("gdb bt", "gdb", lambda path, core, executable:
             [path] + gdb + ["-ex", "thread apply all bt", executable, core]),
        tool("eu-stack", "eu-stack", lambda path, core, executable:
             [path, "--core=" + core, "--executable=" + executable]),
    ]
    script = find_gdb_script(python)
    py_bt = tool("gdb py-bt", "gdb", lambda path, core, executable:
                 [path] + gdb + ["-ex", "source " + script, "-ex", "thread apply all py-bt", executable, core])
    if not script:
        py_bt.skipped = "no python-gdb.py for %s" % python
    tools.insert(4, py_bt)
    tools.append(py_spy(where))
    return tools


def py_spy(where):
    path = shutil.which("py-spy", path=where)
    tool = Tool("py-spy dump", lambda core, executable: [path, "dump", "--core", core])
    if not path:
        tool.skipped = "py-spy is not installed"
    elif b"--core" not in subprocess.run([path, "dump", "--help"], stdout=subprocess.PIPE).stdout:
        tool.skipped = "this py-spy reads no cores"
    return tool


def find_gdb_script(python):
    for path in python + "-gdb.py", "/usr/share/gdb/auto-load" + python + "-gdb.py":
        if os.path.exists(path):
            return path
    return None


def allocated(path):
    return os.stat(path).st_blocks * 512


def make_cores(names, python, work):
    """name -> path; says on the way what each is, and why one could not be made."""
    cores = {}
    for name in names:
        what, program, _ = CORES[name]
        command = [python, os.path.join(HERE, "programs", program[0])] + program[1:]
        try:
            # gdb would write the 50 GiB of zeros out: only the kernel leaves holes.
            core = make_core(command, os.path.join(work, "core-" + name), kernel_only=name == "sparse")
        except NoCore as reason:
            print("core %-6s skipped: %s" % (name, reason))
            continue
        cores[name] = core
        print("core %-6s %s: %.1f MiB, %.1f MiB on disk" % (
            name, what, os.path.getsize(core) / 2**20, allocated(core) / 2**20), flush=True)
    return cores


def measure(measure_program, command, output):
    """One run: a dictionary, times in ms and memory in MiB; `status` as measure.c says it."""
    run = subprocess.run([measure_program, output, str(CPU_LIMIT)] + command, stdout=subprocess.PIPE, check=True)
    wall, user, system, rss, status = [int(word) for word in run.stdout.split()]
    return {"wall_ms": wall / 1000, "cpu_ms": (user + system) / 1000, "rss_mib": rss / 1024, "status": status}


def failure(tool, run, output, core_name):
    """Why this run does not count, or None. What exuvia shows is checked to be everything."""
    if run["status"] == -signal.SIGXCPU:
        return "no answer within %d s of CPU time" % CPU_LIMIT
    if run["status"] < 0:
        return "killed by signal %d" % -run["status"]
    if not tool.name.startswith("exuvia"):
        return "exit status %d" % run["status"] if run["status"] else None
    if run["status"] not in (0, 1):
        return "exit status %d" % run["status"]
    if tool.name.endswith("--json"):
        try:
            with open(output, encoding="utf-8") as file:
                threads = json.load(file)["threads"]
        except ValueError:
            return "no JSON"
        shown = sum(frame["kind"] == "python" for thread in threads for frame in thread["frames"])
        if shown != CORES[core_name][2]:
            return "%d Python frames instead of %d" % (shown, CORES[core_name][2])
    return None


def run_core(name, core, executable, tools, measure_program, runs, work):
    """{tool name: {"runs": [...], "failed": reason or None}} of one core; one warm-up each, then in turn."""
    output = os.path.join(work, "output")
    results = {}
    for tool in tools:
        run = measure(measure_program, tool.command(core, executable), output)
        results[tool.name] = {"runs": [], "failed": failure(tool, run, output, name), "warm_up": run}
    for _ in range(runs):
        for tool in tools:
            result = results[tool.name]
            if result["failed"] or result["warm_up"]["wall_ms"] > SLOW * 1000:
                continue
            run = measure(measure_program, tool.command(core, executable), output)
            result["runs"].append(run)
            result["failed"] = failure(tool, run, output, name)
    for result in results.values():
        result["runs"] = result["runs"] or [result["warm_up"]]
        for what in "cpu_ms", "wall_ms", "rss_mib":
            result[what] = statistics.median(run[what] for run in result["runs"])
    return results


def print_core(name, results):
    print("\n%s: %s" % (name, CORES[name][0]))
    print("  %-30s %10s %10s %9s %10s %7s" % ("", "CPU ms", "wall ms", "RSS MiB", "CPU ratio", "runs"))
    base = results["exuvia --python-only"]
    for tool, result in results.items():
        if result["failed"]:
            print("  %-30s %s" % (tool, result["failed"]))
            continue
        ratio = result["cpu_ms"] / base["cpu_ms"] if base["cpu_ms"] and not base["failed"] else float("nan")
        print("  %-30s %10.1f %10.1f %9.1f %9.1fx %7d" % (
            tool, result["cpu_ms"], result["wall_ms"], result["rss_mib"], ratio, len(result["runs"])), flush=True)


def print_aims(results):
    print("\nAims (exuvia --python-only)")

    def say(what, value, limit, unit):
        print("  %-44s %8.1f %-4s at most %6.1f  %s" % (what, value, unit, limit, "met" if value <= limit else "MISSED"))

    def good(core, tool="exuvia --python-only"):
        of_core = results.get(core)
        # The JSON run is the one whose frames were counted: without it a fast answer may be a wrong one.
        if not of_core or of_core["exuvia --python-only --json"]["failed"]:
            return None
        result = of_core.get(tool)
        return result if result and not result["failed"] else None

    for name, (cpu, memory) in AIMS.items():
        if not good(name):
            print("  %-44s not measured" % name)
        else:
            say("%s, CPU time" % name, good(name)["cpu_ms"], cpu, "ms")
            if memory:
                say("%s, resident memory" % name, good(name)["rss_mib"], memory, "MiB")
    if good("B") and good("B", "pystack core"):
        say("B, CPU time where PyStack needs %.0f ms" % good("B", "pystack core")["cpu_ms"], good("B")["cpu_ms"],
            good("B", "pystack core")["cpu_ms"] / PYSTACK_FACTOR, "ms")
    if good("B") and good("sparse"):
        for what, unit in ("cpu_ms", "ms"), ("rss_mib", "MiB"):
            say("sparse, %s, against B" % ("CPU time" if unit == "ms" else "resident memory"), good("sparse")[what],
                good("B")[what] * SPARSE_FACTOR, unit)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--exuvia", required=True, help="the binary to measure")
    parser.add_argument("--measure", required=True, help="the built bench/measure.c")
    parser.add_argument("--work", required=True, help="a directory for cores, peers and results; made when missing")
    parser.add_argument("--python", help="the interpreter that crashes (default: a 3.11, else python3)")
    parser.add_argument("--runs", type=int, default=7, help="measured runs of each tool on each core (default 7)")
    parser.add_argument("--cores", default=",".join(CORES), help="which cores (default %(default)s)")
    parser.add_argument("--no-install", action="store_true", help="do not try to install PyStack and py-spy")
    arguments = parser.parse_args()

    work = os.path.abspath(arguments.work)
    os.makedirs(work, exist_ok=True)
    venv = os.path.join(work, "venv")
    if not arguments.no_install:
        install_peers(venv)
    python = real_executable(arguments.python) if arguments.python else find_python()
    if not python:
        sys.exit("exuvia: %s does not run" % arguments.python)
    version = python_version(python)
    print("Python %s, %s, %s cores" % (version, platform.platform(terse=True), os.cpu_count()))
    tools = find_tools(os.path.abspath(arguments.exuvia), venv, python)
    for tool in tools:
        if tool.skipped:
            print("skipped: %s: %s" % (tool.name, tool.skipped))
    here = [tool for tool in tools if not tool.skipped]

    cores = make_cores(arguments.cores.split(","), python, work)
    results = {}
    for name, core in cores.items():
        results[name] = run_core(name, core, python, here, os.path.abspath(arguments.measure), arguments.runs, work)
        print_core(name, results[name])
    print_aims(results)
    with open(os.path.join(work, "results.json"), "w") as file:
        json.dump({"python": version, "machine": platform.platform(), "cpus": os.cpu_count(),
                   "skipped": {tool.name: tool.skipped for tool in tools if tool.skipped}, "cores": results}, file,
                  indent=1)
    for core in cores.values():
        os.unlink(core)
    failed = [name for name, result in results.items()
              if result["exuvia --python-only"]["failed"] or result["exuvia --python-only --json"]["failed"]]
    return 1 if failed or not results else 0


sys.exit(main())
