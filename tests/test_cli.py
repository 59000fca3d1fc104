# SPDX-License-Identifier: Apache-2.0
"""The command line: options, usage errors, exit statuses, and what is no core."""

import copy
import json
import os
import pathlib
import pty
import re
import signal
import subprocess

import jsonschema
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXUVIA = os.environ.get("EXUVIA") or str(ROOT / "build" / "release" / "exuvia")
SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
GOLDEN = sorted((ROOT / "tests" / "data").glob("*.json"))

COMPLETE, PARTIAL, NOTHING, USAGE, IOERR = 0, 1, 2, 64, 74


def exuvia(*arguments, **options):
    """(exit status, standard output, standard error)."""
    result = subprocess.run([EXUVIA, *map(os.fspath, arguments)], capture_output=True, timeout=20,
                            stdin=subprocess.DEVNULL, **options)
    return result.returncode, result.stdout.decode(), result.stderr.decode()


def assert_prefixed(errors):
    """Who said it; the last line of a usage error is GNU's."""
    assert errors.endswith("\n")
    lines = errors.splitlines()
    if lines[-1].startswith("Try 'exuvia ") and lines[-1].endswith("--help' for more information."):
        lines.pop()
    for line in lines:
        assert line.startswith("exuvia: "), errors


# ---- help and version ----

@pytest.mark.parametrize("arguments", [["--version"], ["-V"], ["version"], ["core", "--version"]])
def test_the_version_is_printed(arguments):
    status, output, errors = exuvia(*arguments)
    assert (status, errors) == (COMPLETE, "")
    assert re.fullmatch(r"exuvia \d+\.\d+\.\d+\n", output)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"]])
def test_help_names_every_command_option_and_exit_status(arguments):
    status, output, errors = exuvia(*arguments)
    assert (status, errors) == (COMPLETE, "")
    for word in ("core CORE", "version", "help", "--json", "--python-only", "--native-all", "--sysroot=DIR",
                 "--search=DIR", "--debuginfod", "--max-frames=N", "--max-threads=N", "--color", "-q", "-v", "--help", "--version", "64", "74"):
        assert word in output


@pytest.mark.parametrize("arguments", [["help", "core"], ["core", "--help"], ["--help", "core"], ["core", "x", "-h"]])
def test_a_command_has_its_own_help(arguments):
    status, output, errors = exuvia(*arguments)
    assert (status, errors) == (COMPLETE, "")
    assert output.startswith("Usage: exuvia core [OPTION]... CORE [EXECUTABLE]\n")


def test_help_fits_a_terminal():
    for arguments in (["--help"], ["help", "core"]):
        assert max(map(len, exuvia(*arguments)[1].splitlines())) < 80


# ---- files that are not there ----

def test_directories_that_cannot_be_looked_into_are_said(tmp_path):
    (tmp_path / "file").touch()
    status, _, errors = exuvia("core", "--sysroot=gone", "--search", "file", "--search=.", "missing", cwd=tmp_path)
    assert status == NOTHING
    assert errors.splitlines()[:2] == ["exuvia: --sysroot=gone: No such file or directory",
                                       "exuvia: --search=file: Not a directory"]
    assert errors.count("\n") == 3 and "missing" in errors


# ---- usage errors ----

@pytest.mark.parametrize("arguments, said", [
    ([], "missing command"),
    (["nonsense"], "unknown command 'nonsense'"),
    (["core"], "missing operand CORE"),
    (["core", "a", "b", "c"], "extra operand 'c'"),
    (["version", "x"], "extra operand 'x'"),
    (["help", "nonsense"], "no such command"),
    (["core", "--nonsense", "a"], "unknown option '--nonsense'"),
    (["core", "-x", "a"], "unknown option '-x'"),
    (["core", "-qx", "a"], "unknown option '-x'"),
    (["core", "--js", "a"], "did you mean '--json'?"),
    (["core", "--json=yes", "a"], "--json doesn't allow an argument"),
    (["core", "a", "--sysroot"], "--sysroot requires an argument"),
    (["core", "a", "--sysroot="], "the argument of --sysroot is empty"),
    (["core", "a", "--max-frames=ten"], "invalid number 'ten' for option --max-frames"),
    (["core", "a", "--max-frames=-1"], "invalid number"),
    (["core", "a", "--max-frames="], "is empty"),
    (["core", "a", "--max-threads=18446744073709551616"], "invalid number"),
    (["attach", "1", "--watch=1", "--count=0"], "invalid number '0' for option --count: at least 1"),
    (["attach", "1", "--count=00"], "invalid number '00' for option --count: at least 1"),
    (["attach", "1", "--count=2"], "--count requires --watch"),
    (["core", "a", "--color=blue"], "invalid argument 'blue' for option --color"),
    (["core", "a", "--python-only", "--native-all"], "--python-only and --native-all are mutually exclusive"),
    (["core", "a", "--native-all=yes"], "--native-all doesn't allow an argument"),
    (["version", "--json"], "has no option --json"),
    (["help", "--native-all"], "has no option --native-all"),
])
def test_wrong_usage_is_said_and_is_status_64(arguments, said):
    status, output, errors = exuvia(*arguments)
    assert (status, output) == (USAGE, "")
    assert said in errors
    assert_prefixed(errors)
    assert len(errors.splitlines()) == 2


def test_a_core_without_the_command_is_met_with_the_command(tmp_path):
    core = tmp_path / "core.1"
    core.touch()
    status, _, errors = exuvia(core)
    assert status == USAGE
    assert f"is it 'exuvia core {core}'?" in errors


def test_messages_escape_control_characters(tmp_path):
    status, _, errors = exuvia("core", tmp_path / "new\nline \x1b[31m \u202e \u0444")
    assert status == NOTHING
    assert "new\\x0aline \\x1b[31m \\xe2\\x80\\xae \u0444" in errors
    assert errors.count("\n") == 1


# ---- option syntax, seen by what is not opened ----

@pytest.mark.parametrize("arguments", [
    ["core", "missing", "--json"], ["core", "--json", "missing"], ["--json", "core", "missing"],
    ["core", "--json", "--", "missing"], ["core", "missing", "exe", "--json"],
    ["core", "--sysroot=/x", "missing", "--search", "/a", "--search=/b", "--json"],
    ["core", "--sysroot", "--", "missing", "--json"],
    ["core", "-qv", "missing", "--json", "--python-only", "--max-frames=0", "--max-threads", "5", "--color"],
    ["core", "--native-all", "missing", "--json"],
    ["core", "missing", "--color=always", "--color=never", "--color=auto", "--json"],
])
def test_options_stand_anywhere(arguments, tmp_path):
    status, output, errors = exuvia(*arguments, cwd=tmp_path)
    assert status == NOTHING
    assert json.loads(output)["source"]["path"] == "missing"
    assert "missing" in errors
    assert_prefixed(errors)


def test_after_two_dashes_everything_is_an_operand(tmp_path):
    status, output, errors = exuvia("core", "--", "--json", cwd=tmp_path)
    assert (status, output) == (NOTHING, "")
    assert errors.startswith("exuvia: --json: ")


# ---- what is no core ----

def no_cores(directory):
    (directory / "empty").touch()
    (directory / "text").write_text("Traceback (most recent call last):\n")
    (directory / "directory").mkdir()
    os.mkfifo(directory / "fifo")
    return [directory / name for name in ("missing", "empty", "text", "directory", "fifo")] + [
        pathlib.Path(EXUVIA), pathlib.Path("/dev/null"), pathlib.Path("/dev/zero")]


def test_what_is_no_core_is_status_2_and_one_line(tmp_path):
    for path in no_cores(tmp_path):
        status, output, errors = exuvia("core", path)
        assert (status, output) == (NOTHING, ""), path
        assert errors.startswith(f"exuvia: {path}: ") and errors.count("\n") == 1, errors


def test_what_is_no_core_is_still_a_json_report(tmp_path):
    for path in no_cores(tmp_path):
        status, output, errors = exuvia("core", path, "--json")
        assert status == NOTHING, path
        report = json.loads(output)
        jsonschema.validate(report, SCHEMA)
        assert report["python"] is None and report["threads"] == []
        assert [diagnostic for diagnostic in report["diagnostics"] if diagnostic["incomplete"]], path
        assert errors.startswith(f"exuvia: {path}: ") and errors.count("\n") == 1, errors


def test_a_path_that_is_not_utf8_gives_valid_json(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9"
    result = subprocess.run([EXUVIA.encode(), b"core", b"--json", path], capture_output=True, timeout=20)
    report = json.loads(result.stdout.decode("utf-8"))
    assert os.fsencode(report["source"]["path"]) == path
    assert b"caf\\xe9" in result.stderr


# ---- the output ----

@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["core", "missing", "--json"]])
def test_output_that_cannot_be_written_is_status_74(arguments):
    with open("/dev/full", "wb") as full:
        result = subprocess.run([EXUVIA, *arguments], stdout=full, stderr=subprocess.PIPE, timeout=20)
    assert result.returncode == IOERR
    assert b"exuvia: cannot write to standard output: No space left on device\n" in result.stderr


def test_closed_standard_output_is_status_74():
    result = subprocess.run(["sh", "-c", '"$0" --help >&-', EXUVIA], stderr=subprocess.PIPE, timeout=20)
    assert result.returncode == IOERR
    assert b"cannot write to standard output" in result.stderr


@pytest.mark.parametrize("restored, expected", [(True, -signal.SIGPIPE), (False, IOERR)])
def test_a_reader_that_went_away_ends_it_as_its_parent_wants(restored, expected):
    """SIGPIPE is left as it was inherited: `exuvia ... | head` ends quietly."""
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run([EXUVIA, "--help"], stdout=writing, stderr=subprocess.PIPE, timeout=20,
                            restore_signals=restored)
    os.close(writing)
    assert result.returncode == expected
    assert (result.stderr == b"") == restored


# ---- colour, with the core of a small program that is not Python ----

@pytest.fixture(scope="module")
def core_without_python(tmp_path_factory):
    """The smallest ELF file that is a core: one PT_NOTE with one thread's NT_PRSTATUS, killed by SIGSEGV."""
    def integers(size, *values):
        return b"".join(value.to_bytes(size, "little", signed=value < 0) for value in values)

    def note(kind, data):
        return integers(4, 5, len(data), kind) + b"CORE\0\0\0\0" + data + b"\0" * (-len(data) % 4)

    prstatus = bytearray(336)
    prstatus[0:4] = integers(4, signal.SIGSEGV)
    prstatus[12:14] = integers(2, signal.SIGSEGV)
    prstatus[32:36] = integers(4, 4242)
    siginfo = integers(4, signal.SIGSEGV, 0, 1, 0) + integers(8, 0x10) + bytes(104)
    notes = note(1, bytes(prstatus)) + note(0x53494749, siginfo)
    header = (b"\x7fELF\2\1\1" + bytes(9) + integers(2, 4, 62) + integers(4, 1) + integers(8, 0, 64, 0) +
              integers(4, 0) + integers(2, 64, 56, 1, 0, 0, 0))
    program_header = integers(4, 4, 0) + integers(8, 120, 0, 0, len(notes), 0, 4)
    path = tmp_path_factory.mktemp("core") / "core"
    path.write_bytes(header + program_header + notes)
    return path


def test_a_core_without_python_shows_the_crash_and_is_status_2(core_without_python):
    status, output, errors = exuvia("core", core_without_python)
    assert status == NOTHING
    assert "SIGSEGV" in output and "Thread 4242 (crashed, no Python frames)" in output and "(native) 0x0, in ??" in output
    status, output, errors = exuvia("core", core_without_python, "--python-only")
    assert status == NOTHING
    assert "Thread 4242 (crashed)" in output and "No Python frames" in output and "(native)" not in output
    assert errors.count("\n") == 1
    status, output, errors = exuvia("core", core_without_python, "--json")
    assert status == NOTHING
    report = json.loads(output)
    jsonschema.validate(report, SCHEMA)
    assert report["python"] is None
    assert report["crash"]["name"] == "SIGSEGV" and report["crash"]["tid"] == 4242


@pytest.mark.parametrize("option, colored", [(None, False), ("--color=auto", False), ("--color=never", False),
                                             ("--color=always", True), ("--color", True)])
def test_color_on_a_pipe(core_without_python, option, colored):
    _, output, _ = exuvia("core", core_without_python, *([option] if option else []))
    assert ("\x1b[" in output) == colored


@pytest.mark.parametrize("environment, option, colored", [
    ({"TERM": "xterm"}, "--color=auto", True),
    ({"TERM": "xterm", "NO_COLOR": ""}, "--color=auto", True),
    ({"TERM": "xterm", "NO_COLOR": "1"}, "--color=auto", False),
    ({"TERM": "xterm", "NO_COLOR": "1"}, "--color=always", True),
    ({"TERM": "xterm"}, "--color=never", False),
    ({"TERM": "dumb"}, "--color=auto", False),
    ({}, "--color=auto", False),
])
def test_color_on_a_terminal(core_without_python, environment, option, colored):
    ours, terminal = pty.openpty()
    process = subprocess.Popen([EXUVIA, "core", core_without_python, option], stdout=terminal,
                               stderr=subprocess.DEVNULL, env=environment)
    os.close(terminal)
    output = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not data:
            break
        output += data
    os.close(ours)
    assert process.wait(20) == NOTHING
    assert b"SIGSEGV" in output
    assert (b"\x1b[" in output) == colored


# ---- the schema, with reports made by hand: tests/unit/test_json.c checks that they are what is written ----

VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_there_are_golden_reports():
    assert len(GOLDEN) >= 4


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_golden_reports_follow_the_schema(path):
    VALIDATOR.validate(json.loads(path.read_text(encoding="utf-8")))


def places(value, path=()):
    """The path of everything in a report."""
    if path:
        yield path
    if isinstance(value, dict):
        children = value.items()
    else:
        children = enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, path + (key,))


def parent(report, path):
    for key in path[:-1]:
        report = report[key]
    return report


def full_report():
    return json.loads((ROOT / "tests" / "data" / "full.json").read_text(encoding="utf-8"))


def test_the_schema_refuses_a_report_without_any_one_of_its_fields():
    report = full_report()
    for path in places(report):
        if isinstance(path[-1], str):
            damaged = copy.deepcopy(report)
            del parent(damaged, path)[path[-1]]
            assert not VALIDATOR.is_valid(damaged), path


def test_the_schema_refuses_any_one_field_of_another_type():
    report = full_report()
    for path in places(report):
        damaged = copy.deepcopy(report)
        parent(damaged, path)[path[-1]] = 1.5
        assert not VALIDATOR.is_valid(damaged), path


def test_the_schema_allows_fields_that_are_added():
    report = full_report()
    for path in list(places(report)):
        value = parent(report, path)[path[-1]]
        if isinstance(value, dict):
            value["added"] = 1
    report["added"] = {}
    VALIDATOR.validate(report)
