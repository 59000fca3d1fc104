# SPDX-License-Identifier: Apache-2.0
"""Is a chain of native frames of a live process possible? Every return address is behind a call, and a direct call leads
to the function that the frame inside of it runs. Read from the process and its files, without the tool's help."""

import bisect
import functools
import os
import struct

PT_GNU_EH_FRAME = 0x6474e550
TAIL_CALLS = 3  # one after the other
PLT_ENTRY = 16  # bytes


@functools.cache
def functions(path):
    """Where the functions of an ELF file start that have unwinding information, by its table of them, sorted."""
    with open(path, "rb") as file:
        data = file.read()
    offset, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    for number in range(count):
        kind, _, at, address = struct.unpack_from("<IIQQ", data, offset + number * size)
        if kind == PT_GNU_EH_FRAME and data[at:at + 4] == bytes((1, 0x1b, 3, 0x3b)):
            entries = struct.unpack_from("<I", data, at + 8)[0]
            table = struct.unpack_from(f"<{2 * entries}i", data, at + 12)
            return [address + start for start in table[::2]]
    return []


class Process:
    def __init__(self, pid):
        self.memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
        self.maps = []
        with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
            for line in file:
                addresses, prot, _, _, _, *path = line.split(maxsplit=5)
                start, end = (int(part, 16) for part in addresses.split("-"))
                self.maps.append((start, end, prot, path[0].strip() if path else ""))

    def __enter__(self):
        return self

    def __exit__(self, *details):
        os.close(self.memory)

    def read(self, address, size):
        return os.pread(self.memory, size, address)

    def function(self, address):
        """(file, start of the function in the process), by the file's table; None without one."""
        place = next((part for part in self.maps if part[0] <= address < part[1]), None)
        if not place or not place[3].startswith("/"):
            return None
        base = min(part[0] for part in self.maps if part[3] == place[3])
        starts = functions(place[3])
        number = bisect.bisect_right(starts, address - base)
        return (place[3], base + starts[number - 1]) if number else None

    def call_target(self, return_address):
        """Where the direct call before it goes, which may be an entry of a PLT; None for other calls."""
        code = self.read(return_address - 5, 5)
        return return_address + struct.unpack("<i", code[1:])[0] if code[0] == 0xe8 else None

    def behind_linkage(self, target):
        """Where code at `target` leads that is an entry of a procedure linkage table; else `target`."""
        code = self.read(target, 16).removeprefix(b"\xf3\x0f\x1e\xfa")
        at = target + 16 - len(code)
        if code[:2] in (b"\xff\x25", b"\xf2\xff"):
            at += code[0] == 0xf2
            code = code[code[0] == 0xf2:]
            slot = at + 6 + struct.unpack("<i", code[2:6])[0]
            if any(part[0] <= slot < part[1] for part in self.maps):
                return struct.unpack("<Q", self.read(slot, 8))[0]
        return target

    def leads_to(self, start, end, depth=0):
        """
        May the function end with a jump to the other one, through a PLT or through others that end likewise (operator
        delete(void *, size_t) of libstdc++ is a jump to another, and that one to free)? Any indirect jump may.
        """
        path, _ = self.function(start)
        base = min(part[0] for part in self.maps if part[3] == path)
        starts = functions(path)
        number = bisect.bisect_right(starts, start - base)
        code = self.read(start, (starts[number] if number < len(starts) else start - base + 4096) - (start - base))
        for at in range(len(code) - 5):
            if code[at] == 0xff and code[at + 1] >> 3 & 7 == 4:
                return True
            if code[at] == 0xe9 or (at and code[at - 1] == 0x0f and code[at] & 0xf0 == 0x80):
                to = start + at + 5 + struct.unpack_from("<i", code, at + 1)[0]
                if any(part[0] <= to < to + 16 <= part[1] for part in self.maps):
                    to = self.behind_linkage(to)
                called = self.function(to)
                if called == end:
                    return True
                # From its start on: a tail call. In the function itself, or what only looks like a jump, is none.
                if called and called[1] == to != start and depth < TAIL_CALLS and self.leads_to(to, end, depth + 1):
                    return True
        return False

    def is_return_address(self, address):
        code = self.read(address - 7, 7)
        return code[2] == 0xe8 or any(
            code[7 - size] == 0xff and code[8 - size] >> 3 & 7 == 2 for size in range(2, 8))

    def impossible(self, thread):
        """What is wrong with the native frames of a thread of a report with --native-all; gaps are no calls."""
        problems, callee = [], None
        for frame in thread["frames"]:
            if frame["kind"] == "gap":
                callee = None
            if frame["kind"] != "native" or frame["inlined"]:
                continue
            pc = int(frame["pc"], 16)
            if callee is not None and not frame["signal"]:
                direct = self.call_target(pc)
                target = direct and self.behind_linkage(direct)
                runs = self.function(callee)
                called = target and self.function(target)
                if not self.is_return_address(pc):
                    problems.append(f"{frame['pc']} is behind no call")
                elif runs and os.path.basename(runs[0]).startswith("ld-"):
                    pass  # the first call through a procedure linkage table goes to the loader
                elif target != direct and direct <= callee < direct + PLT_ENTRY:
                    pass  # it has not left the table yet
                # Only where a function of the table is called from its start on can anything be said.
                elif called and runs and called[1] == target and called != runs and not self.leads_to(target, runs):
                    problems.append(f"{frame['pc']} calls {target:#x}, and not what runs at {callee:#x} in {runs[0]}")
            callee = None if frame["signal"] else pc
        return problems
