# SPDX-License-Identifier: Apache-2.0
"""Run exuvia, validate its report, and compare it with the truth."""

import difflib
import functools
import json
import os
import pathlib
import subprocess

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SCHEMA = ROOT / "docs" / "report.schema.json"

# Positions of a frame in the truth's table that the program itself could not know.
ANY = "any"


def exuvia():
    return os.environ.get("EXUVIA") or str(ROOT / "build" / "release" / "exuvia")


def run_command(command, target, *options, merged=False, timeout=120):
    """(exit status, report or None, what it said on stderr); of Python frames only, unless `merged`."""
    if not os.access(exuvia(), os.X_OK):
        raise FileNotFoundError(f"{exuvia()} is not there: build it, or name another one in the variable EXUVIA")
    stacks = [] if merged else ["--python-only"]
    result = subprocess.run([exuvia(), command, "--json", *stacks, *options, str(target)], capture_output=True,
                            timeout=timeout)
    report = None
    if result.stdout:
        report = json.loads(result.stdout.decode("utf-8"))  # strictly: a report is always valid UTF-8
        validate(report)
    return result.returncode, report, result.stderr.decode(errors="replace")


def run(core, *options, merged=False, timeout=120):
    """As run_command, for a core."""
    return run_command("core", core, *options, merged=merged, timeout=timeout)


@functools.cache
def _validator():
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    cls = jsonschema.validators.validator_for(schema)
    cls.check_schema(schema)
    return cls(schema)


def validate(report):
    """Raise if the report does not follow its schema. Frames that occur often are looked at once."""
    seen = set()
    slim = dict(report, threads=[])
    for thread in report["threads"]:
        frames = []
        for frame in thread["frames"]:
            # Only the address is different in each of 100,000 frames.
            key = tuple((name, repr(value)) for name, value in frame.items() if name != "address")
            if key not in seen:
                seen.add(key)
                frames.append(frame)
        slim["threads"].append(dict(thread, frames=frames))
    _validator().validate(slim)


def _line(entry):
    file, function, qualname, line, end_line, column, end_column = entry
    return f"{file!r}:{line} {function!r} [{qualname!r}] {end_line}:{column}-{end_column}"


def _shorten(text):
    return text if len(text) < 240 else text[:150] + f" ...({len(text)} characters)... " + text[-60:]


def stack(report_thread):
    """Its Python frames, as the truth has them."""
    keys = ("file", "function", "qualname", "line", "end_line", "column", "end_column")
    return [tuple(frame.get(key) for key in keys) for frame in report_thread["frames"] if frame["kind"] == "python"]


def _same(want, got):
    return all(a == b or a == ANY for a, b in zip(want, got))


def same_stack(want, got):
    return len(want) == len(got) and all(map(_same, want, got))


def _difference(label, want, got):
    """The two stacks as a diff; positions that nobody knows are taken over."""
    filled = [
        tuple(b if a == ANY else a for a, b in zip(entry, got[number])) if number < len(got) else entry
        for number, entry in enumerate(want)
    ]
    texts = [[_line(entry) for entry in stack[:3000]] for stack in (filled, got)]
    lines = difflib.unified_diff(*texts, "truth", "exuvia", lineterm="", n=2)
    shown = [_shorten(line) for line in lines]
    return f"{label}: {len(want)} frames in truth, {len(got)} in the report\n  " + "\n  ".join(shown[:60])


def _same_name(truth, wanted, thread):
    if thread["name"] == wanted["name"]:
        return True
    if wanted["name"] is None:
        # While 2.7 shuts down, threading has forgotten even the main thread, which is no secret.
        return wanted["tid"] == truth["pid"] and thread["name"] == "MainThread"
    return truth["nameless"] and thread["name"] is None


def compare_threads(truth, report):
    """Problems, as texts: every Python thread of the truth is in the report, equal frame by frame, and no other."""
    problems = []
    table = [tuple(entry) for entry in truth["table"]]
    shown = [thread for thread in report["threads"] if thread["python"] and thread["frames"]]
    threads = {thread["tid"]: thread for thread in shown if thread["tid"] is not None}
    ghosts = [thread for thread in shown if thread["tid"] is None]
    for wanted in truth["threads"]:
        label = f"thread {wanted['tid']} ({_shorten(repr(wanted['name']))})"
        if wanted["tid"] is None:
            # 2.7 keeps the thread states of the parent in a forked child: no thread of the system runs them.
            frames = [table[number] for number in wanted["frames"]]
            if not any(stack(thread) == frames for thread in ghosts):
                problems.append(f"{label}: a thread state without a thread is not in the report")
            continue
        thread = threads.pop(wanted["tid"], None)
        if thread is None:
            problems.append(f"{label}: not in the report")
            continue
        if not _same_name(truth, wanted, thread):
            problems.append(f"{label}: the report calls it {_shorten(repr(thread['name']))}")
        if thread["crashed"] != wanted["me"]:
            problems.append(f"{label}: crashed is {thread['crashed']}, {wanted['me']} is true")
        want, got = [table[number] for number in wanted["frames"]], stack(thread)
        if not same_stack(want, got):
            problems.append(_difference(label, want, got))
    problems.extend(f"thread {tid}: in the report only: {threads[tid]['name']!r}" for tid in threads)
    if ghosts and all(wanted["tid"] is not None for wanted in truth["threads"]):
        problems.append(f"{len(ghosts)} threads in the report that the system does not have")
    return problems


def compare_process(truth, report, interpreter):
    """Problems with what the report says of the process as a whole."""
    problems = []

    def check(what, want, got):
        if want != got:
            problems.append(f"{what}: {want!r} is true, the report says {got!r}")

    me = next(thread for thread in truth["threads"] if thread["me"])
    python, crash = report["python"] or {}, report["crash"] or {}
    number = ".".join(map(str, truth["version"]))
    check("pid", truth["pid"], report["process"]["pid"])
    check("signal", truth["how"].split("-")[0], crash.get("name"))
    check("crashed tid", me["tid"], crash.get("tid"))
    check("version", number, (python.get("version") or "")[: len(number)])
    check("debug", truth["debug"], python.get("debug"))
    check("free_threaded", truth["free_threaded"], python.get("free_threaded"))
    if not truth["free_threaded"]:
        holders = [thread["tid"] for thread in report["threads"] if thread["gil"] == "holds"]
        if truth["how"] == "SIGABRT":
            # os.abort() keeps the GIL. Up to 3.6 only a variable tells who holds it, which a scan does not find.
            if holders or interpreter.version >= (3, 7) or python.get("found_by") == "symbol":
                check("holders of the GIL", [me["tid"]], holders)
        elif len(holders) > 1:
            problems.append(f"the GIL is held by {holders}")
    if interpreter.version[:2] < (3, 11):
        for thread in report["threads"]:
            if any(frame.get("column") is not None for frame in thread["frames"]):
                problems.append("columns before 3.11")
                break
    return problems


def incomplete(report):
    return [entry for entry in report["diagnostics"] if entry.get("incomplete")]
