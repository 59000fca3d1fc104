# SPDX-License-Identifier: Apache-2.0
"""The same cores through exuvia and the other tools that this machine has: CPU time, wall time, largest resident set.

Run by `make bench`. Needs only the standard library; a tool that is not there is named as skipped. The tools take
turns, one run each, so that whatever else the machine does falls on all of them; the table shows medians. All that is
measured is written to WORK/results.json too.
"""
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys

import peers
from make_core import NoCore, make_core
from peers import GDB, SLOW, Tool, candidates, failure, find_python, measure, python_version

HERE = os.path.dirname(os.path.abspath(__file__))


class Core:
    def __init__(self, name, what, program, python=None, native=None, series=None):
        self.name = name
        self.what = what
        self.program = program  # in programs/, and its arguments
        self.python = python    # how many Python frames there are; None: it depends on the version
        self.native = native    # how many native frames there are at least
        self.series = series    # (the series of Python to take, whether another one will do)


A = Core("A", "1 thread of 20 frames", ["A.py"], 20)
B = Core("B", "20 threads of 200 frames", ["B.py", "20", "200"], 20 * 200 + 1)
C = Core("C", "400 threads of 20 frames", ["B.py", "400", "20"], 400 * 20 + 1)
DEEP = Core("deep", "recursion of 100,000 frames", ["deep.py", "99998"], 100000)
SPARSE = Core("sparse", "B with 50 GiB mapped, a sparse core", ["B.py", "20", "200", "50"], 20 * 200 + 1)
CHAINS = Core("chains", "65 threads, Python and C in turn", ["chains.py", "65", "92"], native=64 * 92 * 3)
FILTERS = Core("filters", "523,000 nested filter iterators", ["filters.py", "523000"], native=523000,
               series=("3.8", True))
CALLS_38 = Core("calls-3.8", "recursion of 20,000 frames, 3.8", ["recursion.py", "20000"], native=20000,
                series=("3.8", False))
CALLS_313 = Core("calls-3.13", "recursion of 20,000 frames, 3.13", ["recursion.py", "20000"], series=("3.13", False))
CORES = {core.name: core for core in (A, B, C, DEEP, SPARSE, CHAINS, FILTERS, CALLS_38, CALLS_313)}
AT_LEAST = {"calls-3.8": 20000, "calls-3.13": 20000, "chains": 64 * 92}  # Python frames, beside those of the main thread

# The two views, and the cores that each is measured on. On the stress cores most peers never end: they get one run.
VIEWS = {"python": ["A", "B", "C", "deep", "sparse"],
         "merged": ["A", "B", "C", "chains", "filters", "calls-3.8", "calls-3.13"]}
TITLES = {"python": "Python frames only", "merged": "Native and Python frames merged, with lines and inlined calls"}
OURS = {"python": "exuvia --python-only", "merged": "exuvia"}
STRESS = {"deep", "chains", "filters", "calls-3.8", "calls-3.13"}


# ---- what is here ----

def find_tools(exuvia, venv, python):
    where = peers.search_path(venv)

    def tool(view, name, program, command):
        return peers.find_tool(where, view, name, program, command)

    script = find_gdb_script(python)
    py_bt = tool("python", "gdb py-bt", "gdb", lambda path, core, executable:
                 [path] + GDB + ["-ex", "source " + script, "-ex", "thread apply all py-bt", executable, core])
    if not script:
        py_bt.skipped = "no python-gdb.py for %s" % python
    return [
        Tool("python", "exuvia --python-only", lambda core, executable: [exuvia, "core", "--python-only", core]),
        Tool("python", "exuvia --python-only --json",
             lambda core, executable: [exuvia, "core", "--python-only", "--json", core]),
        tool("python", "pystack core", "pystack", lambda path, core, executable: [path, "core", core, executable]),
        py_bt,
        py_spy(where),
        Tool("merged", "exuvia", lambda core, executable: [exuvia, "core", core]),
        tool("merged", "pystack core --native", "pystack", lambda path, core, executable:
             [path, "core", "--native", core, executable]),
        tool("merged", "eu-stack (names, no Python)", "eu-stack", lambda path, core, executable:
             [path, "-n", "0", "--core=" + core, "--executable=" + executable]),
        tool("merged", "eu-stack -i -s (no Python)", "eu-stack", lambda path, core, executable:
             [path, "-n", "0", "-i", "-s", "--core=" + core, "--executable=" + executable]),
        tool("merged", "gdb bt (no Python)", "gdb", lambda path, core, executable:
             [path] + GDB + ["-ex", "thread apply all bt", executable, core]),
    ]


def py_spy(where):
    path = shutil.which("py-spy", path=where)
    tool = Tool("python", "py-spy dump", lambda core, executable: [path, "dump", "--core", core])
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


# ---- cores ----

def allocated(path):
    return os.stat(path).st_blocks * 512


def choose_python(core, default):
    """(interpreter, None) or (None, why not)."""
    if not core.series:
        return default, None
    series, others = core.series
    found = find_python(candidates(series))
    if not found and not others:
        return None, "no Python %s here" % series
    return found or default, None


def make_one(core, default, work):
    """(path, interpreter), or None; says what it is, or why it could not be made."""
    python, reason = choose_python(core, default)
    if python:
        command = [python, os.path.join(HERE, "programs", core.program[0])] + core.program[1:]
        try:
            # gdb would write the 50 GiB of zeros out: only the kernel leaves holes.
            path = make_core(command, os.path.join(work, "core-" + core.name), kernel_only=core is SPARSE)
            return path, python
        except NoCore as error:
            reason = error
    print("core %-10s skipped: %s" % (core.name, reason))
    return None


# ---- checking: a fast answer may be a wrong one ----

def look(exuvia, path, options):
    """What the JSON of a core says: numbers of frames, of gaps, of threads that were not unwound to their start."""
    command = [exuvia, "core", "--json", path] + options
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        return peers.count_frames(run.stdout)


def complaint(core, view, counts):
    """Why an answer is not the whole answer, or None."""
    if core.python is not None and counts["python"] != core.python:
        return "{:,} Python frames instead of {:,}".format(counts["python"], core.python)
    if counts["python"] < AT_LEAST.get(core.name, 1):
        return "{:,} Python frames, not {:,}".format(counts["python"], AT_LEAST.get(core.name, 1))
    if view == "python":
        return None
    if core.native and counts["native"] < core.native:
        return "{:,} native frames, not {:,}".format(counts["native"], core.native)
    return peers.not_whole(counts)


# ---- measuring ----

def run_core(core, path, executable, tools, measure_program, runs, work):
    """{tool name: {"runs": [...], "failed": reason or None}} of one core; one warm-up each, then in turn."""
    output = os.path.join(work, "output")
    results = {}
    for tool in tools:
        run = measure(measure_program, tool.command(path, executable), output)
        results[tool.name] = {"runs": [], "failed": failure(tool, run), "warm_up": run}
    for _ in range(runs):
        for tool in tools:
            result = results[tool.name]
            once = core.name in STRESS and not tool.ours
            if result["failed"] or once or result["warm_up"]["wall_ms"] > SLOW * 1000:
                continue
            run = measure(measure_program, tool.command(path, executable), output)
            result["runs"].append(run)
            result["failed"] = failure(tool, run)
    for result in results.values():
        result["runs"] = result["runs"] or [result["warm_up"]]
        for what in "cpu_ms", "wall_ms", "rss_mib":
            result[what] = statistics.median(run[what] for run in result["runs"])
    os.unlink(output)
    return results


def unwinding_rate(unwind_program, path):
    """{"frames": ..., "us_per_frame": ...} of unwinding alone, without symbols and merging; None: it failed."""
    run = subprocess.run([unwind_program, path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=120)
    if run.returncode != 0:
        return None
    frames, microseconds = [int(word) for word in run.stdout.split()]
    return {"frames": frames, "us_per_frame": microseconds / max(frames, 1)}


# ---- saying ----

def print_core(core, view, counts, results):
    frames = "{:,} Python frames".format(counts["python"])
    if view == "merged":
        frames += ", {:,} native frames".format(counts["native"])
    print("\n%s: %s (%s)" % (core.name, core.what, frames))
    print("  %-30s %10s %10s %9s %10s %7s" % ("", "CPU ms", "wall ms", "RSS MiB", "CPU ratio", "runs"))
    base = results[OURS[view]]
    for tool, result in results.items():
        if result["failed"]:
            print("  %-30s %s" % (tool, result["failed"]))
            continue
        ratio = result["cpu_ms"] / base["cpu_ms"] if base["cpu_ms"] and not base["failed"] else float("nan")
        print("  %-30s %10.1f %10.1f %9.1f %9.1fx %7d" % (
            tool, result["cpu_ms"], result["wall_ms"], result["rss_mib"], ratio, len(result["runs"])), flush=True)


class Aims:
    """Prints each aim beside its figure; figures that do not count are not measured."""

    def __init__(self, results, rates):
        self.results = results
        self.rates = rates

    def figure(self, view, core, tool=None, what="cpu_ms"):
        of_core = self.results.get((view, core))
        if not of_core or of_core["complaint"]:
            return None
        result = of_core["tools"].get(tool or OURS[view])
        return result[what] if result and not result["failed"] else None

    def against(self, text, view, core, tool, factor):
        limit = self.figure(view, core, tool)
        peers.say_aim(text, self.figure(view, core), limit / factor if limit is not None else None, "ms")

    def print_python(self):
        print("\nAims, Python frames only")
        for core, limit in ("A", 5), ("B", 12), ("deep", 150):
            peers.say_aim("%s, CPU time" % core, self.figure("python", core), limit, "ms")
        peers.say_aim("B, resident memory", self.figure("python", "B", what="rss_mib"), 16, "MiB")
        self.against("B, 20 times faster than PyStack", "python", "B", "pystack core", 20)
        for what, unit, text in ("cpu_ms", "ms", "CPU time"), ("rss_mib", "MiB", "resident memory"):
            limit = self.figure("python", "B", what=what)
            peers.say_aim("sparse, %s, against 1.2 times B" % text, self.figure("python", "sparse", what=what),
                     limit * 1.2 if limit is not None else None, unit)

    def print_merged(self):
        print("\nAims, merged stacks")
        peers.say_aim("B, the aim for function names only", self.figure("merged", "B"), 25, "ms")
        peers.say_aim("B, the aim for lines and inlined calls", self.figure("merged", "B"), 80, "ms")
        self.against("B, 10 times faster than PyStack", "merged", "B", "pystack core --native", 10)
        self.against("B, faster than eu-stack", "merged", "B", "eu-stack (names, no Python)", 1)
        self.against("B, 3 times faster than eu-stack -i -s", "merged", "B", "eu-stack -i -s (no Python)", 3)
        peers.say_aim("C", self.figure("merged", "C"), 120, "ms")
        peers.say_aim("chains", self.figure("merged", "chains"), 250, "ms")
        peers.say_aim("filters", self.figure("merged", "filters"), 3000, "ms")
        peers.say_aim("calls-3.8", self.figure("merged", "calls-3.8"), 1000, "ms")
        peers.say_aim("calls-3.13", self.figure("merged", "calls-3.13"), 1000, "ms")
        for core in "chains", "filters":
            rate = self.rates.get(core)
            peers.say_aim("unwinding alone, a frame of %s" % core, rate and rate["us_per_frame"], 1.5, "us")
        for core in VIEWS["merged"]:
            peers.say_aim("%s, resident memory" % core, self.figure("merged", core, what="rss_mib"),
                     300 if core == "filters" else 64, "MiB")


def bench_core(core, made, tools, arguments, work):
    """{(view, core name): results} and the rate of unwinding, printed on the way."""
    path, executable = made
    results, rate = {}, None
    print("\ncore %s: Python %s, %.1f MiB, %.1f MiB on disk" % (
        core.name, python_version(executable), os.path.getsize(path) / 2**20, allocated(path) / 2**20), flush=True)
    for view in VIEWS:
        if core.name not in VIEWS[view]:
            continue
        counts = look(arguments.exuvia, path, ["--python-only"] if view == "python" else ["--native-all"])
        why = complaint(core, view, counts)
        measured = run_core(core, path, executable, [tool for tool in tools if tool.view == view],
                            arguments.measure, arguments.runs, work)
        results[view, core.name] = {"frames": counts, "complaint": why, "tools": measured}
        print("\n%s" % TITLES[view], end="")
        print_core(core, view, counts, measured)
        if why:
            print("  NOT COUNTED: exuvia shows %s" % why)
    if core.name in ("chains", "filters"):
        rate = unwinding_rate(arguments.unwind, path)
    return results, rate


def main():
    parser = peers.argument_parser(__doc__.split("\n")[0])
    parser.add_argument("--unwind", required=True, type=os.path.abspath, help="the built bench/unwind.c")
    parser.add_argument("--cores", default=",".join(CORES), help="which cores (default %(default)s)")
    arguments = parser.parse_args()
    work = arguments.work
    venv, python = peers.prepare(arguments)
    print("Python %s, %s, %s cores" % (python_version(python), platform.platform(terse=True), os.cpu_count()))
    tools = find_tools(arguments.exuvia, venv, python)
    here = peers.available(tools)

    results, rates = {}, {}
    for name in arguments.cores.split(","):
        made = make_one(CORES[name], python, work)
        if not made:
            continue
        of_core, rate = bench_core(CORES[name], made, here, arguments, work)
        results.update(of_core)
        if rate:
            rates[name] = rate
        os.unlink(made[0])
    aims = Aims(results, rates)
    aims.print_python()
    aims.print_merged()
    with open(os.path.join(work, "results.json"), "w") as file:
        json.dump({"python": python_version(python), "machine": platform.platform(), "cpus": os.cpu_count(),
                   "skipped": {tool.name: tool.skipped for tool in tools if tool.skipped}, "unwinding": rates,
                   "cores": {"%s, %s" % (core, view): result for (view, core), result in results.items()}}, file,
                  indent=1)
    failed = [1 for (view, _), result in results.items()
              if result["complaint"] or result["tools"][OURS[view]]["failed"]]
    return 1 if failed or not results else 0


sys.exit(main())
