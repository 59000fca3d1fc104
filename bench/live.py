# SPDX-License-Identifier: Apache-2.0
"""The same live processes through exuvia and the other tools that this machine has: how long they stand still.

Run by `make bench`, as run.py is, and with the same rules. The pause is the one that the target feels: the largest gap
between two readings of its monotonic clock while a tool looks at it, less the largest gap of as long a time before in
which nobody did. The target's main thread takes one processor for itself and the tool needs another: with fewer than two
the figures mean little, and so they do beside other work: a target that nobody looks at shows how large its gaps are then
("idle gap"), and runs with large ones are done again. All that is measured is written to WORK/live.json too.
"""
import json
import mmap
import os
import platform
import statistics
import subprocess
import sys
import time

import peers
from peers import GDB, SLOW, Tool, failure, measure, python_version

HERE = os.path.dirname(os.path.abspath(__file__))
START_LIMIT = 30  # seconds for a target to start
SETTLE = 0.05     # seconds between two tools
QUIET_MS = 1.0    # with larger gaps in a target that nobody looks at, something else needs the machine: once more
TRIES = 3         # times RUNS, and then what there is must do
RESOLUTION = 0.02  # ms; ratios to less than this say nothing

WHOLE = "exuvia attach --json"  # its every answer is checked
OURS = "exuvia attach"
PYTHON_ONLY = "exuvia attach --python-only"
PEERS = ["pystack remote --native", "py-spy dump --native", "pystack remote", "py-spy dump"]


class Program:
    def __init__(self, name, what, threads, depth, limit=None):
        self.name = name
        self.what = what
        self.arguments = [str(threads), str(depth), "20"]
        self.frames = threads * depth + 20  # Python frames
        self.limit = limit                  # ms of pause that are the aim


PROGRAMS = {program.name: program for program in (
    Program("A", "1 thread of 20 frames", 0, 0, limit=2),
    Program("B", "20 threads of 200 frames, and the main thread", 20, 200, limit=10),
    Program("C", "400 threads of 20 frames, and the main thread", 400, 20))}


def find_tools(exuvia, venv):
    where = peers.search_path(venv)

    def ours(name, *options):
        return Tool("live", name, lambda pid: [exuvia, "attach"] + list(options) + [pid])

    def tool(name, program, command):
        return peers.find_tool(where, "live", name, program, command)

    py_spy_native = tool("py-spy dump --native", "py-spy", lambda path, pid: [path, "dump", "--native", "--pid", pid])
    if platform.machine() != "x86_64":
        py_spy_native.skipped = "py-spy reads native frames on x86-64 only"
    return [
        ours(OURS),
        ours(PYTHON_ONLY, "--python-only"),
        ours(WHOLE, "--json"),
        ours("exuvia attach --no-stop", "--no-stop"),
        tool("pystack remote", "pystack", lambda path, pid: [path, "remote", pid]),
        tool("pystack remote --native", "pystack", lambda path, pid: [path, "remote", "--native", pid]),
        tool("py-spy dump", "py-spy", lambda path, pid: [path, "dump", "--pid", pid]),
        py_spy_native,
        tool("eu-stack (names, no Python)", "eu-stack", lambda path, pid: [path, "-n", "0", "-p", pid]),
        tool("gdb bt (no Python)", "gdb", lambda path, pid: [path] + GDB + ["-p", pid, "-ex", "thread apply all bt"]),
    ]


# ---- targets ----

class NoTarget(Exception):
    pass


class Target:
    """A running programs/live.py."""

    def __init__(self, program, python, work):
        path = os.path.join(work, "gap")
        with open(path, "w+b") as file:
            file.truncate(16)
            self.shared = memoryview(mmap.mmap(file.fileno(), 16)).cast("q")
        command = [python, os.path.join(HERE, "programs", "live.py")] + program.arguments + [path]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self.pid = str(self.process.pid)
        end = time.monotonic() + START_LIMIT
        while not self.shared[1]:
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise NoTarget("the target did not start")
            time.sleep(0.01)
        os.unlink(path)

    def gap_during(self, action):
        """(the largest gap in ms, what the action returned)"""
        self.shared[0] = 0
        result = action()
        return self.shared[0] / 1e6, result

    def runs(self):
        """Is it still there, and does its main thread run on?"""
        if self.process.poll() is not None:
            return False
        gap, _ = self.gap_during(lambda: time.sleep(SETTLE))
        return gap > 0

    def stop(self):
        self.process.kill()
        self.process.wait()


# ---- measuring ----

def read_answer(output):
    """(the pause in ms that a JSON report tells, its numbers of frames)"""
    with open(output, "rb") as file:
        counts = peers.count_frames(file)
    try:
        with open(output, "rb") as file:
            pause = json.load(file)["source"]["pause_us"]
    except (ValueError, KeyError):
        return None, counts
    return (pause / 1000 if pause is not None else None), counts


def run_once(target, tool, measure_program, output, length):
    """One run, after `length` seconds in which nobody looks."""
    time.sleep(SETTLE)
    undisturbed, _ = target.gap_during(lambda: time.sleep(length))
    gap, run = target.gap_during(lambda: measure(measure_program, tool.command(target.pid), output))
    run.update(gap_ms=gap, undisturbed_ms=undisturbed)
    if tool.name == WHOLE:
        run["reported_ms"], run["frames"] = read_answer(output)
    return run


def summarize(result, wanted):
    """Medians, of the quiet runs unless most of those that were wanted are not."""
    quiet = [run for run in result["runs"] if run["undisturbed_ms"] <= QUIET_MS]
    enough = 2 * len(quiet) > min(len(result["runs"]), wanted)
    runs = quiet if enough else result["runs"] or [result["warm_up"]]
    result["used"] = len(runs)
    for what in "cpu_ms", "wall_ms", "rss_mib", "gap_ms", "undisturbed_ms", "reported_ms":
        values = [run[what] for run in runs if run.get(what) is not None]
        result[what] = statistics.median(values) if values else None
    result["pause_ms"] = max(0, result["gap_ms"] - result["undisturbed_ms"])


def run_tools(target, tools, arguments, output):
    """{tool name: result} of one target; one warm-up each, then in turn until each has its number of quiet runs."""
    results = {}
    for tool in tools:
        run = run_once(target, tool, arguments.measure, output, SETTLE)
        results[tool.name] = {"runs": [], "failed": failure(tool, run), "warm_up": run}
    for _ in range(TRIES * arguments.runs):
        for tool in tools:
            result = results[tool.name]
            length = result["warm_up"]["wall_ms"] / 1000
            quiet = sum(run["undisturbed_ms"] <= QUIET_MS for run in result["runs"])
            if result["failed"] or length > SLOW or quiet >= arguments.runs:
                continue
            run = run_once(target, tool, arguments.measure, output, length)
            result["runs"].append(run)
            result["failed"] = failure(tool, run)
            if not target.runs():
                result["failed"] = "the target does not run on"
                return results
    return results


def complaint(program, frames_of, runs):
    """Why one of the answers is not the whole answer, or None."""
    for counts in [frames_of] + [run["frames"] for run in runs]:
        if counts["python"] != program.frames:
            return "{:,} Python frames instead of {:,}".format(counts["python"], program.frames)
    for run in runs:
        if peers.not_whole(run["frames"]):
            return peers.not_whole(run["frames"])
    return None


def look(exuvia, pid, options):
    """The numbers of frames in the JSON of a live process."""
    command = [exuvia, "attach", "--json"] + options + [pid]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
        return peers.count_frames(run.stdout)


def bench_program(program, python, tools, arguments):
    """{"tools": ..., "complaint": ...} of one program, printed; None: it could not be started."""
    output = os.path.join(arguments.work, "output")
    try:
        target = Target(program, python, arguments.work)
    except NoTarget as reason:
        print("\n%s skipped: %s" % (program.name, reason))
        return None
    try:
        frames = look(arguments.exuvia, target.pid, ["--python-only"])
        results = run_tools(target, tools, arguments, output)
    finally:
        target.stop()
    os.unlink(output)
    for result in results.values():
        summarize(result, arguments.runs)
    whole = results[WHOLE]
    of_program = {"tools": results, "complaint": complaint(program, frames, whole["runs"] + [whole["warm_up"]])}
    print_program(program, results)
    if of_program["complaint"]:
        print("  NOT COUNTED: exuvia shows %s" % of_program["complaint"])
    if results[OURS]["undisturbed_ms"] > QUIET_MS:
        print("  The machine is busy: the target has gaps of %.1f ms by itself, and pauses that short mean little."
              % results[OURS]["undisturbed_ms"])
    return of_program


# ---- saying ----

def ratio(value, base):
    return "%8.1fx" % (value / base) if base > RESOLUTION else "%9s" % "-"


def print_program(program, results):
    print("\n%s: %s (%s Python frames)" % (program.name, program.what, "{:,}".format(program.frames)))
    print("  %-28s %9s %9s %9s %9s %9s %9s %8s %9s %5s" % (
        "", "pause ms", "idle gap", "reported", "wall ms", "CPU ms", "RSS MiB", "pause", "wall", "runs"))
    base = results[OURS]
    for tool, result in results.items():
        if result["failed"]:
            print("  %-28s %s" % (tool, result["failed"]))
            continue
        reported = "%9.2f" % result["reported_ms"] if result["reported_ms"] is not None else "%9s" % ""
        print("  %-28s %9.2f %9.2f %s %9.1f %9.1f %9.1f %s %8.1fx %5d" % (
            tool, result["pause_ms"], result["undisturbed_ms"], reported, result["wall_ms"], result["cpu_ms"],
            result["rss_mib"], ratio(result["pause_ms"], base["pause_ms"]), result["wall_ms"] / base["wall_ms"],
            result["used"]), flush=True)


def figure(of_program, tool, what):
    """None: not measured, or it does not count."""
    if not of_program or of_program["complaint"]:
        return None
    result = of_program["tools"].get(tool)
    return result[what] if result and not result["failed"] else None


def print_aims(results):
    print("\nAims, live processes: the pause as the target feels it")
    for program in PROGRAMS.values():
        for tool in (OURS, PYTHON_ONLY, WHOLE) if program.limit else ():
            peers.say_aim("%s, %s" % (program.name, tool), figure(results.get(program.name), tool, "pause_ms"),
                          program.limit, "ms")
    print("\nHow many times longer than %s: pause, wall time" % OURS)
    for name, of_program in results.items():
        for peer in PEERS:
            words = []
            for what in "pause_ms", "wall_ms":
                theirs, own = figure(of_program, peer, what), figure(of_program, OURS, what)
                words.append("%9s" % "-" if theirs is None or own is None else ratio(theirs, own))
            print("  %-52s %s %s" % ("%s, %s" % (name, peer), words[0], words[1]))


def main():
    parser = peers.argument_parser(__doc__.split("\n")[0])
    parser.add_argument("--targets", default=",".join(PROGRAMS), help="which targets (default %(default)s)")
    arguments = parser.parse_args()
    venv, python = peers.prepare(arguments)
    print("\nLive processes: Python %s, %s, %s cores" % (
        python_version(python), platform.platform(terse=True), os.cpu_count()))
    tools = find_tools(arguments.exuvia, venv)
    here = peers.available(tools)
    results = {}
    for name in arguments.targets.split(","):
        of_program = bench_program(PROGRAMS[name], python, here, arguments)
        if of_program:
            results[name] = of_program
    print_aims(results)
    with open(os.path.join(arguments.work, "live.json"), "w") as file:
        json.dump({"python": python_version(python), "machine": platform.platform(), "cpus": os.cpu_count(),
                   "skipped": {tool.name: tool.skipped for tool in tools if tool.skipped}, "targets": results}, file,
                  indent=1)
    failed = [1 for of_program in results.values()
              if of_program["complaint"] or of_program["tools"][OURS]["failed"]]
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
