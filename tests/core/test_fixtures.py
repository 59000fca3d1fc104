# SPDX-License-Identifier: Apache-2.0
"""What exuvia says of the stored cores of fixtures/ is what is stored beside them, byte for byte.

Nothing of this machine is looked at: each core is alone, with an empty directory as the root of its files, and once more
with the binaries that are stored with it, if there are any. EXUVIA_UPDATE_GOLDEN=1 stores what is said now.

record.json is what the program itself wrote down as the last thing before it died: the stored reports are true.
"""

import difflib
import json
import lzma
import os
import re
import subprocess

import pytest

from lib import report

FIXTURES = report.ROOT / "fixtures"
NAMES = sorted(path.parent.name for path in FIXTURES.glob("*/core.xz"))
UPDATE = os.environ.get("EXUVIA_UPDATE_GOLDEN") == "1"
CASES = [(name, view) for name in NAMES for view in ("alone", "merged")
         if view == "alone" or (FIXTURES / name / "root").is_dir()]
RECORDED = sorted(path.parent.name for path in FIXTURES.glob("*/record.json"))
# Their native stacks cannot be whole: code without unwinding information lies between their frames. The rule of the
# merge is that of what is left of them.
BROKEN = {"3.9-no-cfi": None, "3.11-musl": "stack-address", "3.13-no-cfi": None}


def unpack(name, view, folder):
    """The core as `folder`/core and its root as `folder`/root: relative names, which are the same everywhere."""
    stored = FIXTURES / name
    (folder / "root").mkdir()
    (folder / "core").write_bytes(lzma.decompress((stored / "core.xz").read_bytes()))
    if view == "merged":
        for source in (stored / "root").rglob("*.xz"):
            target = folder / source.relative_to(stored).with_suffix("")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(lzma.decompress(source.read_bytes()))


def explain(folder, *options):
    """(exit status, what it said)"""
    command = [report.exuvia(), "core", "--color=never", "--sysroot=root", *options, "core"]
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=120)
    assert not result.stderr, result.stderr.decode(errors="replace")
    return result.returncode, result.stdout.decode("utf-8")


def compare(name, file, said):
    path = FIXTURES / name / file
    if UPDATE:
        path.write_text(said, encoding="utf-8")
    assert path.exists(), f"{path} is not there: EXUVIA_UPDATE_GOLDEN=1 writes it"
    expected = path.read_text(encoding="utf-8")
    if said != expected:
        lines = difflib.unified_diff(expected.splitlines(), said.splitlines(), f"fixtures/{name}/{file}", "exuvia", "", "", 2, "")
        pytest.fail("\n".join(line[:400] for line in lines), pytrace=False)


def test_there_are_fixtures():
    assert len(NAMES) >= 8
    assert set(BROKEN) <= set(RECORDED)


@pytest.mark.parametrize("name, view", CASES, ids=["-".join(case) for case in CASES])
def test_the_report_of_a_stored_core_is_the_stored_report(name, view, tmp_path):
    unpack(name, view, tmp_path)
    text_status, text = explain(tmp_path)
    json_status, data = explain(tmp_path, "--json", "--native-all")
    report.validate(json.loads(data))
    # Every release has its own version, and the reports are the same.
    data = re.sub(r'^(  "tool": .*"version": )"[^"]*"', r'\1"..."', data, count=1, flags=re.M)
    compare(name, view + ".txt", text)
    compare(name, view + ".json", data)
    # Without its binaries the native stacks of a core cannot be whole, and the report has to say so.
    assert text_status == json_status == (0 if view == "merged" and name not in BROKEN else 1)


@pytest.mark.parametrize("name", [name for name, view in CASES if view == "merged" and name not in BROKEN])
def test_every_stack_of_a_core_with_its_binaries_is_whole_and_merged_by_stack_address(name, tmp_path):
    unpack(name, "merged", tmp_path)
    answer = json.loads(explain(tmp_path, "--json")[1])
    rule = "frame-pointer" if answer["python"]["version"].startswith("2.") else "stack-address"
    for thread in answer["threads"]:
        assert thread["native_complete"] and thread["frames_complete"], thread["tid"]
        assert thread["merged_by"] == rule, thread["tid"]
        assert not any(frame["kind"] == "gap" for frame in thread["frames"]), thread["tid"]


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_stacks_that_cannot_be_whole_say_where_frames_are_missing(name, tmp_path):
    unpack(name, "merged", tmp_path)
    answer = json.loads(explain(tmp_path, "--json")[1])
    assert len(answer["threads"]) == 3
    for thread in answer["threads"]:
        assert not thread["native_complete"] and thread["merged_by"] == BROKEN[name], thread["tid"]
        kinds = [frame["kind"] for frame in thread["frames"]]
        # What a thread does innermost is C code, and the gap is between that and the Python code that called it.
        assert kinds.index("native") < kinds.index("gap") < kinds.index("python"), thread["tid"]
        assert kinds.count("gap") == 1, thread["tid"]
        said = {entry["code"] for entry in answer["diagnostics"] if entry["tid"] == thread["tid"]}
        assert ("native-gap" if BROKEN[name] else "merge-incomplete") in said, thread["tid"]


def test_behind_the_gap_of_musl_every_run_of_python_frames_is_at_its_eval_loop(tmp_path):
    unpack("3.11-musl", "merged", tmp_path)
    for thread in json.loads(explain(tmp_path, "--json", "--native-all")[1])["threads"]:
        frames = thread["frames"]
        after = [frames[i + 1] for i, frame in enumerate(frames) if frame["kind"] == "python" and frame["entry"]]
        assert len(after) >= 3 and all(frame.get("eval") for frame in after), thread["tid"]
        assert sum(bool(frame.get("eval")) for frame in frames) == len(after), thread["tid"]


@pytest.mark.parametrize("name, view", [case for case in CASES if case[0] in RECORDED],
                         ids=["-".join(case) for case in CASES if case[0] in RECORDED])
def test_the_stored_report_equals_what_the_program_wrote_down(name, view):
    record = json.loads((FIXTURES / name / "record.json").read_text(encoding="utf-8"))
    answer = json.loads((FIXTURES / name / (view + ".json")).read_text(encoding="utf-8"))
    problems = report.compare_threads(record, answer)
    python, process = answer["python"], answer["process"]
    for what, want, got in (("pid", record["pid"], process["pid"]), ("signal", record["how"], answer["crash"]["name"]),
                            ("version", record["version"], [int(part) for part in python["version"].split(".")])):
        if want != got:
            problems.append(f"{what}: {want!r} is true, the report says {got!r}")
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.mark.parametrize("name", NAMES)
def test_python_frames_do_not_depend_on_the_binaries(name, tmp_path):
    """The frames that the core alone gives are those of a merged report, and those without unwinding."""
    views = []
    for view in [view for other, view in CASES if other == name]:
        folder = tmp_path / view
        folder.mkdir()
        unpack(name, view, folder)
        for options in ([], ["--python-only"], ["--native-all"]):
            answer = json.loads(explain(folder, "--json", *options)[1])
            views.append({thread["tid"]: [frame for frame in thread["frames"] if frame["kind"] == "python"]
                          for thread in answer["threads"]})
    assert all(view == views[0] for view in views)


def test_the_fixtures_are_small():
    sizes = {path: path.stat().st_size for path in FIXTURES.rglob("*") if path.is_file()}
    assert not [str(path) for path, size in sizes.items() if path.name == "core.xz" and size > 512 * 1024]
    assert sum(sizes.values()) <= 8 * 1024 * 1024
