# SPDX-License-Identifier: Apache-2.0
"""A process that works, with threads that come and go, and can prove at its end that nobody disturbed it."""

import codecs
import contextlib
import json
import mmap
import os
import pathlib
import select
import signal
import struct
import subprocess
import time

from lib import hanging, report, scenarios

ROUNDS = 127


class Living:
    def __init__(self, process, directory):
        self.process, self.directory, self.sent = process, directory, {}
        with open(directory / "shared", "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 512)
        self.ready = json.loads((directory / "ready").read_bytes())
        self.pid = self.ready["pid"]

    def counter(self, number):
        return struct.unpack_from("<i", self.memory, number * 4)[0]

    def send(self, number):
        """Send a signal. Those that do not queue are sent when the one before has arrived."""
        if number < 32 and not self.arrived(number):
            return False
        os.kill(self.pid, number)
        self.sent[number] = self.sent.get(number, 0) + 1
        return True

    def arrived(self, number):
        return self.counter(number) == self.sent.get(number, 0)

    def progresses(self, timeout=10):
        """Does the main thread work on?"""
        before, deadline = self.counter(ROUNDS), time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.counter(ROUNDS) > before + 1:
                return True
            time.sleep(0.005)
        return False

    def unharmed(self):
        """Why it is not what it was, or None: no thread is traced or stopped, and it works on."""
        deadline = time.monotonic() + 5
        while True:
            threads = hanging.status(self.pid, "State", "TracerPid")
            bad = {tid: fields for tid, fields in threads.items() if fields[0][0] in "tTD" or fields[1] != "0"}
            if not bad:
                break
            if time.monotonic() > deadline:
                return f"threads are not let go: {bad}"
            time.sleep(0.002)
        return None if self.progresses() else "it does not go on"

    def finish(self):
        """Let it end, and give the problems that it found."""
        deadline = time.monotonic() + 10
        while not all(map(self.arrived, self.sent)) and time.monotonic() < deadline:
            time.sleep(0.005)
        problems = [f"signal {number}: {count} sent, {self.counter(number)} arrived"
                    for number, count in self.sent.items() if self.counter(number) != count]
        (self.directory / "stop").touch()
        status = self.process.wait(timeout=60)
        if status != 0:
            return problems + [f"it ended with status {status}"]
        result = json.loads((self.directory / "result.json").read_bytes())
        if result["checksum"] != checksum(result["rounds"]):
            problems.append(f"its checksum is wrong after {result['rounds']} rounds")
        if result["descriptors"] != self.ready["descriptors"]:
            problems.append(f"it had {self.ready['descriptors']} descriptors and has {result['descriptors']}")
        if result["threads"] != 1:
            problems.append(f"{result['threads']} threads are left")
        return problems


def compute(number):
    total = number
    for step in range(300):
        total = (total * 31 + step) & 0xFFFFFFFF
    return total


def checksum(rounds):
    """What programs/come_and_go.py must come to."""
    results, total = [compute(number) for number in range(6)], 0
    for _ in range(rounds):
        for result in results:
            total = (total * 33 + result) & 0xFFFFFFFF
    return total


def _await(path, process, timeout=30):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists() and path.stat().st_size > 0:
            return
        time.sleep(0.01)
    output = (path.parent / "output.txt").read_text(encoding="utf-8", errors="replace")
    raise AssertionError(f"the program does not get ready, status {process.poll()}\n{output}")


@contextlib.contextmanager
def living(interpreter):
    with scenarios.workspace(interpreter) as (outside, inside):
        process = hanging.launch(interpreter, "come_and_go", None, outside, inside)
        try:
            _await(pathlib.Path(outside) / "ready", process)
            yield Living(process, outside)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
            hanging.end(process)


def await_files(directory, names, process, timeout=30):
    deadline = time.monotonic() + timeout
    missing = [directory / name for name in names]
    while missing:
        missing = [path for path in missing if not path.exists()]
        if missing and (process.poll() is not None or time.monotonic() > deadline):
            output = (directory / "output.txt").read_text(encoding="utf-8", errors="replace")
            raise AssertionError(f"the program does not get ready, status {process.poll()}\n{output}")
        time.sleep(0.005)


@contextlib.contextmanager
def program(interpreter, name, *arguments, wrapper=(), owner=None):
    """(process, its directory) of a program that is no hanging one."""
    with scenarios.workspace(interpreter) as (outside, inside):
        if owner is not None:
            os.chown(outside, owner, owner)
        process = hanging.launch(interpreter, name, arguments, outside, inside, None, wrapper)
        try:
            yield process, pathlib.Path(outside)
        finally:
            hanging.end(process)


@contextlib.contextmanager
def watching(*arguments):
    """exuvia, whose output is read while it runs."""
    tool = subprocess.Popen([report.exuvia(), "attach", *map(str, arguments)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)
    try:
        yield tool
    finally:
        tool.kill()
        tool.wait()
        tool.stdout.close()
        tool.stderr.close()


def reports(tool, timeout=30):
    """The reports of a tool that watches, each as soon as it is complete."""
    text, decoder, descriptor = "", json.JSONDecoder(), tool.stdout.fileno()
    characters = codecs.getincrementaldecoder("utf-8")()
    deadline = time.monotonic() + timeout
    while True:
        ready, _, _ = select.select([descriptor], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"no report within {timeout} seconds"
        piece = os.read(descriptor, 1 << 16)
        text += characters.decode(piece, final=not piece)
        while text.strip():
            try:
                document, end = decoder.raw_decode(text.lstrip())
            except ValueError:
                assert piece, f"the output ends within a report: {text[-80:]!r}"
                break
            text = text.lstrip()[end:]
            report.validate(document)
            yield document
        if not piece:
            return
