# SPDX-License-Identifier: Apache-2.0
"""--debuginfod: what a server has is used, within a time limit; and never without the option."""

import contextlib
import ctypes
import os
import pathlib
import re
import resource
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from lib import report

PROGRAM = """
#include <stdlib.h>
static volatile int depth;
__attribute__((noinline)) static int the_deepest(int n) { if (n) abort(); return depth; }
__attribute__((noinline)) static int in_the_middle(int n) { return the_deepest(n + 1) + 1; }
int main(int argc, char **argv) { (void)argv; return in_the_middle(argc) + 1; }
"""
WANTED = [("the_deepest", 4), ("in_the_middle", 5), ("main", 6)]


def _missing():
    if not shutil.which("debuginfod"):
        return "the debuginfod server is not installed"
    try:
        ctypes.CDLL("libdebuginfod.so.1")
    except OSError:
        return "libdebuginfod.so.1 is not installed"
    return None


pytestmark = [pytest.mark.usefixtures("kernel_leaves_cores"),
              pytest.mark.skipif(bool(_missing()), reason=f"NOT TESTED: {_missing()} (tools/setup.sh check installs it)")]


@pytest.fixture(scope="module")
def death(tmp_path_factory):
    """A directory with the core of a stripped program, the program, and what a server can offer in `store`."""
    folder = tmp_path_factory.mktemp("debuginfod")
    (folder / "store").mkdir()
    (folder / "program.c").write_text(PROGRAM)
    program, debug = folder / "program", folder / "store" / "program.debug"

    def run(*command, **options):
        return subprocess.run(list(map(str, command)), cwd=folder, **options)

    compile = [os.environ.get("CC", "gcc"), "-g", "-O1", "-fno-optimize-sibling-calls", "program.c"]
    run(*compile, "-Wl,--build-id", "-o", program, check=True)
    run(*compile, "-Wl,--build-id=0x" + "5a" * 20, "-o", "other-build", check=True)
    run("objcopy", "--only-keep-debug", program, debug, check=True)
    run("strip", "--strip-all", program, check=True)

    def allow_cores():
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        pathlib.Path("/proc/self/coredump_filter").write_text("0x33")

    run(program, preexec_fn=allow_cores)
    (core,) = folder.glob("core*")
    core.rename(folder / "the.core")
    shutil.copy2(program, folder / "store" / "executable")
    return folder


def _build_id(file):
    notes = subprocess.run(["readelf", "-n", file], capture_output=True, text=True, check=True).stdout
    return re.search(r"Build ID: ([0-9a-f]+)", notes).group(1)


def _answers(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.addheaders = [("User-Agent", "probe")]
    try:
        with opener.open(url, timeout=10) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, url, log):
        self.url, self.log = url, log

    def requests(self):
        """What it was asked for, except by this file's own `_answers`."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if " GET /buildid/" in line]
        return [line for line in lines if "UA:probe " not in line]


@contextlib.contextmanager
def _serving(folder, log, wanted):
    port = _free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DEBUGINFOD_")}
    with open(log, "wb") as stream:
        server = subprocess.Popen(["debuginfod", "-v", "-d", ":memory:", "-p", str(port), "-F", str(folder)],
                                  stdout=stream, stderr=stream, stdin=subprocess.DEVNULL, env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            if all(_answers(f"{url}/buildid/{wanted}/{kind}") for kind in ("debuginfo", "executable")):
                break
            assert server.poll() is None, log.read_text(errors="replace")
            time.sleep(0.1)
        else:
            pytest.fail("the debuginfod server does not offer its files:\n" + log.read_text(errors="replace")[-3000:])
        yield Server(url, log)
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture
def server(death, tmp_path):
    with _serving(death / "store", tmp_path / "server.log", _build_id(death / "program")) as server:
        yield server


def _explain(death, tmp_path, *options, prefix=(), **environment):
    """(report, frames of the program as (function, line), seconds)"""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DEBUGINFOD_CACHE_PATH": str(tmp_path / "cache"),
                   **environment}
    started = time.monotonic()
    result = subprocess.run([*prefix, report.exuvia(), "core", "--json", *options, str(death / "the.core")], env=environment,
                            capture_output=True, timeout=60)
    seconds = time.monotonic() - started
    assert result.returncode == 2, result.stderr  # there is no Python in it
    explanation = report.json.loads(result.stdout)
    report.validate(explanation)
    (thread,) = explanation["threads"]
    frames = [(frame.get("function"), frame.get("line")) for frame in thread["frames"]
              if frame["kind"] == "native" and _is_program(explanation, frame)]
    return explanation, frames, seconds


def _is_program(explanation, frame):
    module = frame.get("module")
    path = explanation["modules"][module]["path"] if isinstance(module, int) else module
    return bool(path) and path.endswith("/program")


def _codes(explanation):
    return [diagnostic["code"] for diagnostic in explanation["diagnostics"]]


def test_debug_information_comes_from_the_server(death, server, tmp_path):
    explanation, frames, _ = _explain(death, tmp_path, "--debuginfod", DEBUGINFOD_URLS=server.url)
    assert [frame for frame in frames if frame[0] != "_start"][:3] == WANTED
    assert any(f"/buildid/{_build_id(death / 'program')}/debuginfo" in line for line in server.requests())
    assert not [code for code in _codes(explanation) if code.startswith("debuginfod")]


def test_a_missing_program_comes_from_the_server(death, server, tmp_path):
    program, away = death / "program", death / "away"
    program.rename(away)
    try:
        explanation, frames, _ = _explain(death, tmp_path, "--debuginfod", DEBUGINFOD_URLS=server.url)
    finally:
        away.rename(program)
    assert frames[:3] == WANTED
    assert any("/executable" in line for line in server.requests())
    (module,) = [module for module in explanation["modules"] if (module["path"] or "").endswith("/program")]
    assert module["file"] == "matched"


def test_without_the_option_nothing_is_asked(death, server, tmp_path):
    for options in ([], ["--native-all"], ["--python-only"], ["--sysroot=/nonexistent"]):
        explanation, frames, _ = _explain(death, tmp_path, *options, DEBUGINFOD_URLS=server.url)
        assert not {"the_deepest", "in_the_middle"} & {function for function, _ in frames}
        assert not [code for code in _codes(explanation) if code.startswith("debuginfod")]
    assert server.requests() == []
    assert not (tmp_path / "cache").exists()


@pytest.mark.skipif(not shutil.which("strace"), reason="NOT TESTED: strace is not installed")
@pytest.mark.parametrize("options", [["--native-all"], ["--native-all", "--debuginfod"]])
def test_only_with_the_option_there_is_a_socket(death, tmp_path, options):
    log = tmp_path / "strace.log"
    # Leaks cannot be looked for in a traced process.
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DEBUGINFOD_CACHE_PATH": str(tmp_path / "cache"),
                   "DEBUGINFOD_URLS": f"http://127.0.0.1:{_free_port()}", "ASAN_OPTIONS": "detect_leaks=0"}
    subprocess.run(["strace", "-f", "-e", "trace=%network", "-o", log, report.exuvia(), "core", *options,
                    death / "the.core"], env=environment, capture_output=True, timeout=60)
    assert "+++ exited with 2 +++" in log.read_text()
    assert bool(re.search(r"\b(socket|connect|sendto)\(", log.read_text())) == ("--debuginfod" in options)


@pytest.mark.parametrize("urls", [{}, {"DEBUGINFOD_URLS": ""}, {"DEBUGINFOD_URLS": "  "}])
def test_without_servers_a_diagnostic_says_so_once(death, tmp_path, urls):
    explanation, _, _ = _explain(death, tmp_path, "--debuginfod", **urls)
    assert _codes(explanation).count("debuginfod-unusable") == 1


def test_a_server_that_refuses_is_named_once(death, tmp_path):
    explanation, _, seconds = _explain(death, tmp_path, "--debuginfod",
                                       DEBUGINFOD_URLS=f"http://127.0.0.1:{_free_port()}")
    assert _codes(explanation).count("debuginfod-failed") == 1
    assert seconds < 10


def test_a_server_that_never_answers_costs_no_more_than_the_limit(death, tmp_path):
    with socket.create_server(("127.0.0.1", 0), backlog=64) as mute:
        url = "http://127.0.0.1:%d" % mute.getsockname()[1]
        explanation, frames, seconds = _explain(death, tmp_path, "--debuginfod", DEBUGINFOD_URLS=url,
                                                DEBUGINFOD_MAXTIME="3")
    assert _codes(explanation).count("debuginfod-late") == 1
    assert 2 < seconds < 6
    assert frames and "the_deepest" not in dict(frames)


def test_a_file_of_another_build_is_not_used(death, tmp_path):
    """A server, or whoever filled the cache, is believed no more than any other source of files."""
    folder = tmp_path / "cache" / _build_id(death / "program")
    folder.mkdir(parents=True)
    shutil.copyfile(death / "other-build", folder / "debuginfo")
    _, frames, _ = _explain(death, tmp_path, "--debuginfod", DEBUGINFOD_URLS=f"http://127.0.0.1:{_free_port()}")
    assert frames and not {"the_deepest", "in_the_middle"} & {function for function, _ in frames}


def _library():
    """The file that the dynamic linker takes for the library."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        return next(line.split()[-1] for line in maps if "/libdebuginfod" in line)


def _with_library(file):
    """The beginning of a command that sees another file in the library's place; nobody else does."""
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    return [*namespace, "sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"', str(file), _library()]


@pytest.mark.parametrize("source, message", [
    (None, "libdebuginfod.so.1 is not installed"),
    ("void *debuginfod_begin(void) { return 0; }", "libdebuginfod.so.1 is another one than expected"),
    ("void *debuginfod_begin(void) { return 0; } void debuginfod_end(void) {} int debuginfod_find_debuginfo;"
     "int debuginfod_find_executable; void debuginfod_set_progressfn(void) {}", "libdebuginfod.so.1 does not start"),
], ids=["missing", "other", "broken"])
def test_a_library_that_cannot_be_used_costs_only_what_it_would_have_brought(death, tmp_path, source, message):
    library = tmp_path / "library"
    library.write_bytes(b"")
    if source:
        (tmp_path / "library.c").write_text(source)
        subprocess.run([os.environ.get("CC", "gcc"), "-shared", "-fPIC", "-o", library, tmp_path / "library.c"],
                       check=True)
    prefix = _with_library(library)
    if subprocess.run([*prefix, "true"], capture_output=True).returncode != 0:
        pytest.skip("NOT TESTED: this user may not mount a file over another one")
    url = f"http://127.0.0.1:{_free_port()}"
    explanation, frames, _ = _explain(death, tmp_path, "--debuginfod", prefix=prefix, DEBUGINFOD_URLS=url)
    said = [entry["message"] for entry in explanation["diagnostics"] if entry["code"].startswith("debuginfod")]
    assert said == ["debuginfod servers are not asked: " + message]
    assert frames == _explain(death, tmp_path, DEBUGINFOD_URLS=url)[1]
