# SPDX-License-Identifier: Apache-2.0
"""What all the tests share, and the table at the end of a run: version x scenario."""

import collections
import os
import signal

import pytest

from lib import interpreters, scenarios


def _start_alike():
    """Whatever starts the tests (a shell's background job ignores SIGINT, nohup SIGHUP, a daemon may block signals, a careful
    user has the umask 077): the programs that they start begin as those of a plain shell do."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD):
        if signal.getsignal(number) == signal.SIG_IGN:
            # Still nothing happens here, but unlike SIG_IGN this is no more in a program that is started: see execve(2).
            signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o022)


def pytest_configure(config):
    _start_alike()
    config.addinivalue_line("markers", "release_only: too slow, or without meaning, for a sanitizer build")


@pytest.fixture(scope="session")
def kernel_leaves_cores():
    problem = scenarios.check_core_pattern()
    if problem:
        pytest.fail(problem, pytrace=False)


def _outcomes(terminalreporter):
    """{(interpreter, scenario): ok, FAIL, n/a or skip} of this run's truth tests."""
    outcomes = {}
    for category, mark in (("passed", "ok"), ("skipped", "skip"), ("failed", "FAIL"), ("error", "FAIL")):
        for entry in terminalreporter.stats.get(category, []):
            properties = dict(getattr(entry, "user_properties", []))
            if "truth" in properties:
                outcomes[tuple(properties["truth"])] = "n/a" if "truth-not-applicable" in properties else mark
    return outcomes


def _summary(terminalreporter, outcomes):
    write = terminalreporter.write_line
    found = interpreters.find()
    everything = scenarios.scenarios()
    ran = {name for name, _ in outcomes}
    columns = [interpreter for interpreter in found if interpreter.name in ran]
    for interpreter in columns:
        for scenario in everything:
            if not scenario.applies(interpreter):
                outcomes.setdefault((interpreter.name, scenario.name), "n/a")
    terminalreporter.section("truth: version x scenario")
    for number, interpreter in enumerate(columns, 1):
        write(f"  {number:2} = {interpreter.name} ({interpreter.kind})")
    write("%-32s" % "" + "".join("%5d" % number for number in range(1, len(columns) + 1)))
    for scenario in everything:
        cells = [outcomes.get((interpreter.name, scenario.name), "-") for interpreter in columns]
        if set(cells) - {"-", "n/a"}:
            write("%-32s" % scenario.name + "".join("%5s" % cell for cell in cells))
    counts = collections.Counter(outcomes.values())
    write("truth: " + ", ".join(f"{counts[mark]} {mark}" for mark in ("ok", "FAIL", "n/a", "skip")))
    absent = interpreters.missing(found)
    if os.environ.get("EXUVIA_ONE_OF_EACH"):
        write("one interpreter of each version and kind, as asked for (EXUVIA_ONE_OF_EACH)")
    write(f"interpreters not found: {len(absent)}" + (": " + ", ".join(absent) if absent else ""))
    if any(name.endswith(("debug", "free-threaded", "jit")) or name in ("2.7 release", "3.14 release", "3.15 release")
           for name in absent):
        write("  (tests/lib/setup-interpreters.sh fetches what this machine does not have)")


def pytest_terminal_summary(terminalreporter):
    # With pytest-xdist only the controlling process has all results.
    if os.environ.get("PYTEST_XDIST_WORKER"):
        return
    outcomes = _outcomes(terminalreporter)
    if outcomes:
        _summary(terminalreporter, outcomes)
