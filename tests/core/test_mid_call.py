# SPDX-License-Identifier: Apache-2.0
"""3.10 to 3.12: a process that is stopped while the eval loop enters or leaves a call has a CFrame that does not go with
its frames. Such a moment cannot be chosen: it is made, by changing a core of another one.
"""

import pathlib
import re
import struct

import pytest

from lib import interpreters, report, scenarios

OFFSETS = pathlib.Path(__file__).resolve().parent.parent.parent / "offsets"
SCENARIO = next(scenario for scenario in scenarios.scenarios() if scenario.name == "mid_call")
FOUND = [item for item in interpreters.find() if (3, 10) <= item.version < (3, 13) and item.kind == "release"]
PT_LOAD = 1


def offset(interpreter, field):
    text = (OFFSETS / f"cpython_{interpreter.minor.replace('.', '_')}.c").read_text(encoding="utf-8")
    return int(re.search(rf"\.{field} = {{(\d+), 8,", text).group(1))


class Memory:
    """The memory in a core of this machine, by address."""

    def __init__(self, core):
        self.core, self.bytes = core, bytearray(core.read_bytes())
        start, = struct.unpack_from("<Q", self.bytes, 32)
        count, = struct.unpack_from("<H", self.bytes, 56)
        self.segments = [struct.unpack_from("<IIQQQQQQ", self.bytes, start + 56 * i) for i in range(count)]

    def _place(self, address):
        for kind, _, file_offset, start, _, size, _, _ in self.segments:
            if kind == PT_LOAD and start <= address < start + size:
                return file_offset + address - start
        raise AssertionError(f"{address:#x} is not in the core")

    def word(self, address):
        return struct.unpack_from("<Q", self.bytes, self._place(address))[0]

    def change(self, address, value):
        struct.pack_into("<Q", self.bytes, self._place(address), value)
        self.core.write_bytes(self.bytes)


def crashed(result):
    return next(thread for thread in result["threads"] if thread["crashed"])


def names(frames):
    return [frame["function"] for frame in frames if frame["kind"] == "python"]


def leftover(memory, interpreter, cframe, what):
    """What the CFrame leads to, of a call that has not told its frame yet."""
    if what in ("nothing", "an earlier frame"):
        previous, current = offset(interpreter, "cframe_previous"), offset(interpreter, "cframe_current_frame")
        return 1 if what == "nothing" else memory.word(memory.word(cframe + previous) + current)
    frame = (cframe - 8192) & ~15  # of the dead part of the stack
    for word in range(frame, frame + 128, 8):
        memory.change(word, 0)
    memory.change(frame + offset(interpreter, "iframe_previous"), frame if what == "a ring" else 0x446)
    return frame


@pytest.mark.parametrize("what", ["nothing", "an earlier frame", "a ring", "no address"])
@pytest.mark.parametrize("interpreter", [pytest.param(item, id=item.name) for item in FOUND if item.version >= (3, 11)])
def test_a_call_that_has_not_told_its_frame_yet_is_left_out(interpreter, what, kernel_leaves_cores):
    with scenarios.death(interpreter, SCENARIO) as death:
        memory = Memory(death.core)
        cframe = memory.word(int((death.directory / "tstate").read_text()) + offset(interpreter, "tstate_cframe"))
        memory.change(cframe + offset(interpreter, "cframe_current_frame"),
                      leftover(memory, interpreter, cframe, what))
        status, result, _ = report.run(death.core, "--native-all", merged=True)
    frames = crashed(result)["frames"]
    assert names(frames) == ["outer", "<module>"]
    assert status == 1
    assert [entry["code"] for entry in result["diagnostics"] if entry["incomplete"]] == ["call-not-begun"]
    # No frame is missing, and the eval loop of the innermost call is there, like the one that runs the others.
    evals = [frame["eval"] for frame in frames if frame["kind"] == "native"]
    assert not any(frame["kind"] == "gap" for frame in frames) and any(evals)


@pytest.mark.parametrize("interpreter", [pytest.param(item, id=item.name) for item in FOUND if item.version < (3, 11)])
def test_a_call_that_has_lost_its_marker_shifts_no_other(interpreter, kernel_leaves_cores):
    with scenarios.death(interpreter, SCENARIO) as death:
        whole = crashed(report.run(death.core, "--native-all", merged=True)[1])["frames"]
        memory = Memory(death.core)
        place = int((death.directory / "tstate").read_text()) + offset(interpreter, "tstate_cframe")
        memory.change(place, memory.word(memory.word(place) + offset(interpreter, "cframe_previous")))
        status, result, _ = report.run(death.core, "--native-all", merged=True)
    frames = crashed(result)["frames"]
    assert report.compare_threads(death.truth, result) == []
    assert status == 1
    assert [entry["code"] for entry in result["diagnostics"] if entry["incomplete"]] == ["merge-incomplete"]

    def outside(frames):
        """From the second Python frame on: what is not concerned."""
        second = [i for i, frame in enumerate(frames) if frame["kind"] == "python"][1]
        return [(frame["kind"], frame["function"], frame.get("pc")) for frame in frames[second:]]

    assert outside(frames) == outside(whole)
