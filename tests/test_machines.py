# SPDX-License-Identifier: Apache-2.0
"""Nothing above src/arch/ knows a machine: no number of one, no register, no byte of an instruction.

What a comment says of a machine is no matter. Run by pytest, and as a script, which prints every violation as FILE:LINE: WHAT.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GENERAL = "r[abcd]x|r[sd]i|r[sb]p|rip|r(8|9|1[0-5])|e[abcd]x|orig_rax|fs_base|x(8|16|17|29|30)"
KINDS = {
    "a machine's file": r'"arch/(x86_64|aarch64|machines)|\bexu_\w*(x86|aarch64)|\bEXU_X86',
    "a machine's number": r"\bEM_(X86_64|AARCH64)\b|\b(X86_64|AARCH64)\b|\bmachine [!=]= \d|= (62|183)\b|case (62|183):",
    "a machine's name": r"\b__(x86_64|aarch64|i386|amd64)__\b",
    "a register": rf"\bEXU_R[ABCDS][XPI]\b|\bEXU_RIP\b|\buser_regs_struct\b|(->|\.)({GENERAL})\b",
    # Bytes as code that looks for instructions writes them, and those of a system call.
    "an instruction": r"\b0x(e8|e9|eb|c3|c9|0f|55|90|d4000001)\b",
}
# Places in arrays and structures of the process, in the rooms that read CPython's: a word is as large as its machine's.
WORDS = {
    "a word of 8 bytes": r"[\w)\]] [-+*/%] (UINT64_C\()?(8|16|24|32|40|48)\b(?! \*| <<)|\b(UINT64_C\()?8\)? [*+] |"
                         r"[-+]= (8|16|24)\b|sizeof\(uint64_t\) \*|\* sizeof\(uint64_t\)|_read\w*\(.*, 8\)",
    "a class of ELF files": r"\bELFCLASS(32|64)\b",
}
ROOMS_OF_WORDS = ("src/python/", "src/waits/", "src/native/", "src/merge/", "src/report/")
# Bytes that are no instructions, and sizes that are no words.
DATA = {"src/python/object/str.c": ("an instruction",),  # UTF-8
        "src/waits/mutex.c": ("a word of 8 bytes",),  # glibc's and musl's structures, which it looks at with such words only
        "src/python/layout/dwarf.c": ("a word of 8 bytes",),  # bits of a byte
        "src/native/function_table.c": ("a word of 8 bytes",),  # an entry of .eh_frame_hdr
        "src/native/unwind.c": ("a class of ELF files",),  # of the machine, for libdwfl
        "src/native/jit_images.c": ("a word of 8 bytes", "a class of ELF files"),  # looks at such structures only
        "src/python/layout/debug_offsets.c": ("a word of 8 bytes",)}  # its members have 64 bits on every machine


def without_comments(text):
    """The text with every comment and string blanked, lines kept."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"'
    blank = lambda match: match.group() if match.group().startswith('"') else re.sub(r"[^\n]", " ", match.group())
    return re.sub(pattern, blank, text, flags=re.S)


def violations(root):
    """(path, line number, what) for each line above arch/ that knows a machine."""
    for file in sorted((root / "src").rglob("*")):
        path = file.relative_to(root).as_posix()
        if file.suffix not in (".c", ".h", ".def") or path.startswith("src/arch/"):
            continue
        kinds = {**KINDS, **WORDS} if path.startswith(ROOMS_OF_WORDS) else KINDS
        for number, line in enumerate(without_comments(file.read_text(encoding="utf-8")).splitlines(), 1):
            for what, pattern in kinds.items():
                if what not in DATA.get(path, ()) and re.search(pattern, line):
                    yield path, number, what


def test_no_file_above_arch_knows_a_machine():
    assert list(violations(ROOT)) == []


def test_every_kind_of_such_knowledge_is_found_with_its_line_and_comments_are_not(tmp_path):
    wrong = {
        "a machine's file": '#include "arch/x86_64_decode.h"',
        "a machine's number": "if (arch->machine == 62) return;",
        "a machine's name": "#if defined(__aarch64__)",
        "a register": "uint64_t sp = registers->rsp;",
        "an instruction": "if (code[0] == 0xe8) return;",
    }
    assert set(wrong) == set(KINDS)
    source = tmp_path / "src" / "native" / "new.c"
    source.parent.mkdir(parents=True)
    source.write_text("/* rsp,\n * 0xe8 */\n" + "".join(line + "\n" for line in wrong.values()))
    (tmp_path / "src" / "arch").mkdir()
    (tmp_path / "src" / "arch" / "x86_64.c").write_text("case 0xe8:\n")
    assert [(number, what) for _, number, what in violations(tmp_path)] == list(enumerate(wrong, 3))


def test_literal_sizes_of_words_are_found_where_structures_of_python_are_read(tmp_path):
    wrong = ["exu_py_word(py, items + 8 * i, &item);", "exu_py_word(py, node + 8, &previous);", "at += 8;",
             "address % 8 == 0", "object - 32", "values.stack + UINT64_C(8) * i", "count * sizeof(uint64_t)",
             "exu_py_word(py, table + i * 8, &value);", "exu_space_read(py->space, address, &word, 8);"]
    right = ["word << 8", "16 * 1024", "1 << 24", "enum { DEPTH_MAX = 8 };", "sizeof(uint64_t)", "x8 + y", "i + 1",
             "exu_py_at(py, items, 8)", "4 * 1024 * 1024"]
    for room, found in (("waits", list(range(1, len(wrong) + 1))), ("render", [])):
        source = tmp_path / "src" / room / "new.c"
        source.parent.mkdir(parents=True)
        source.write_text("".join(line + "\n" for line in wrong + right))
        assert [number for path, number, _ in violations(tmp_path) if path == f"src/{room}/new.c"] == found


def main(arguments):
    found = list(violations(Path(arguments[0]) if arguments else ROOT))
    for path, number, what in found:
        print(f"{path}:{number}: {what}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
