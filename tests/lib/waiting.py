# SPDX-License-Identifier: Apache-2.0
"""Compare what a report says that threads wait for with what the program wrote down before it hung."""

import copy

from lib import report


def hung_truth(hanging, crashed=False):
    """The record with what only the hanging call adds. In a core that was forced, the main thread got the signal."""
    truth = copy.deepcopy(hanging.truth)
    for thread in truth["threads"]:
        if thread["me"] and hanging.waits and hanging.waits["beyond"]:
            start = len(truth["table"])
            truth["table"].extend(hanging.waits["beyond"])
            thread["frames"] = list(range(start, len(truth["table"]))) + thread["frames"]
        thread["me"] = crashed and thread["tid"] == truth["pid"]
    return truth


def compare_process(hanging, result, interpreter, live):
    problems = []

    def check(what, want, got):
        if want != got:
            problems.append(f"{what}: {want!r} is true, the report says {got!r}")

    python = result["python"] or {}
    number = ".".join(map(str, hanging.truth["version"]))
    check("kind", "live" if live else "core", result["source"]["kind"])
    check("pid", hanging.pid, result["process"]["pid"])
    check("version", number, (python.get("version") or "")[: len(number)])
    check("debug", hanging.truth["debug"], python.get("debug"))
    check("free_threaded", hanging.truth["free_threaded"], python.get("free_threaded"))
    check("crash", live, result["crash"] is None)
    return problems


def _address(value):
    return None if value is None else int(value, 16)


def _last_word(name):
    return None if name is None else name.rsplit(".", 1)[-1]


# What people call the types: the names that they are made by.
HOW_TAKEN = {"with": "`with`", "acquire": "acquire()", "exit-stack": "ExitStack", "count": "acquire()"}
COMMON_NAMES = {"lock": "Lock", "_RLock": "RLock", "_Condition": "Condition", "_Event": "Event",
                "_Semaphore": "Semaphore", "_BoundedSemaphore": "BoundedSemaphore"}


def _object(truth, wait):
    """The object: its address and type, where the program knows one; a system call has none."""
    want = truth["object"] or truth.get("address")
    told = wait["object"] or {}
    if want is None:
        if wait["object"] and truth["kind"] in ("system-call", "child", "running"):
            yield f"object {told}, there is none"
        return
    if _address(told.get("address")) not in [want, *truth.get("also", [])]:
        yield f"object {told.get('address')}, {want:#x} is true"
    types = [truth["type"], COMMON_NAMES.get(truth["type"]), *truth.get("types", [])]
    if truth["type"] and _last_word(told.get("type")) not in types:
        yield f"type {told.get('type')}, {truth['type']} is true"


def _owner(truth, wait, names):
    """Its owner: exactly where one is provable, and never an invented one."""
    want = truth["owner"] or truth.get("holder")
    told = wait["owner"]
    if truth.get("gone"):
        # The owner may be told by what it was, but must not be one of this process's threads.
        if told and told["tid"] in names:
            yield f"owner {told}, who is innocent: the owner is of the parent"
        return
    if (told or {}).get("tid") != want:
        yield f"owner {told}, {want} is true"
    elif told and names.get(want) and told["thread"] != names[want]:
        yield f"owner called {told['thread']!r}, its name is {names[want]!r}"
    if told and not told["evidence"]:
        yield "an owner without evidence"


def _takers(truth, wait, names):
    """Who took it, as far as frames tell; `kept`: without anything run since that could have released it."""
    told = [(taker["tid"], taker["thread"]) for taker in wait["taken_by"]]
    want = [(tid, names.get(tid)) for tid in truth["taken"]]
    if sorted(told) != sorted(want):
        yield f"taken by {told}, {want} is true"
    kept = [taker["tid"] for taker in wait["taken_by"] if taker["kept"]]
    if sorted(kept) != sorted(truth["kept"]):
        yield f"kept by {kept}, {truth['kept']} is true"
    if not all(taker["evidence"] for taker in wait["taken_by"]):
        yield "a taker without evidence"
    if wait["owner"] and wait["taken_by"]:
        yield "an owner that is known, and others who took it"
    if want and told and f"taken by {HOW_TAKEN[wait['taken_by'][0]['by']]} in " not in wait["summary"]:
        yield f"summary {wait['summary']!r} does not say who took it"


def _call(truth, wait, live, fresh):
    call = wait["system_call"] or {}
    # Once interrupted, a call with a timeout goes on as restart_syscall(2), and the kernel forgets its number.
    if "calls" in truth and call.get("name") not in truth["calls"] + ([] if fresh else ["restart_syscall"]):
        yield f"system call {call.get('name')}, one of {truth['calls']} is true"
    if "fd" in truth and call.get("fd") != truth["fd"]:
        yield f"fd {call.get('fd')}, {truth['fd']} is true"
    if live:
        for part in truth.get("file", []):
            if part not in (call.get("file") or ""):
                yield f"file {call.get('file')!r} without {part!r}"
        facts = call.get("descriptor") or {}
        for key, value in truth.get("descriptor", {}).items():
            if facts.get(key) != value:
                yield f"descriptor {facts}, {key} {value!r} is true"
    elif call.get("file") is not None or call.get("descriptor") is not None:
        yield f"file {call['file']!r} in a core: a core does not know"
    for part in truth.get("says", []) if live else []:
        if part not in wait["summary"]:
            yield f"summary {wait['summary']!r} without {part!r}"
    if "child" in truth and call.get("child") != truth["child"]:
        yield f"child {call.get('child')}, {truth['child']} is true"


def compare_wait(truth, wait, names, live, fresh):
    """Problems of one thread."""
    if wait is None:
        return ["waits_on is null"]
    if truth.get("by_stack") and not fresh and wait["kind"] == "futex":
        return []  # only its native stack tells more, and that of a thread without Python is not looked at
    if wait["kind"] not in [truth["kind"], *truth.get("kinds", [])]:
        return [f"kind {wait['kind']!r} ({wait['summary']!r}; {wait['evidence']!r}), {truth['kind']!r} is true"]
    problems = [*_object(truth, wait), *_owner(truth, wait, names), *_takers(truth, wait, names), *_call(truth, wait, live, fresh)]
    if not wait["summary"]:
        problems.append("no summary")
    return problems


def compare_waits(hanging, result, live, fresh=False):
    """Problems of all threads, and of the deadlocks. `fresh`: never interrupted before, and all stacks are shown."""
    problems = []
    names = {thread["tid"]: thread["name"] for thread in result["threads"] if thread["tid"] is not None}
    threads = {thread["tid"]: thread for thread in result["threads"]}
    for tid, truth in sorted(hanging.waits["waits"].items()):
        thread = threads.get(int(tid))
        if thread is None:
            problems.append(f"thread {tid}: not in the report")
            continue
        for problem in compare_wait(truth, thread["waits_on"], names, live, fresh):
            problems.append(f"thread {tid} ({thread['name']!r}) waits: {problem}")
    return problems + compare_deadlocks(hanging.waits["deadlocks"], hanging.waits["timed"],
                                        hanging.waits["uncertain"], hanging.waits["said"], result)


def _next_of(wait):
    """Who holds, or took, what a thread of a deadlock waits for."""
    owner = (wait or {}).get("owner")
    takers = (wait or {}).get("taken_by") or [{}]
    return owner["tid"] if owner else takers[0].get("tid") if len(takers) == 1 else None


def compare_deadlocks(truth, timed, uncertain, said, result):
    problems = []
    want = sorted(map(sorted, truth))
    got = sorted(sorted(entry["threads"]) for entry in result["deadlocks"])
    problems.extend(f"deadlock of {entry}: not in the report" for entry in want if entry not in got)
    problems.extend(f"deadlock of {entry}: in the report only" for entry in got if entry not in want)
    if len(got) != len({tuple(entry) for entry in got}):
        problems.append(f"a deadlock twice: {got}")
    threads = {thread["tid"]: thread for thread in result["threads"]}
    for entry in result["deadlocks"]:
        order = entry["threads"]
        if entry["timed"] != (sorted(order) in map(sorted, timed)):
            problems.append(f"deadlock {order}: timed is {entry['timed']}")
        if entry["certain"] == (sorted(order) in map(sorted, uncertain)):
            problems.append(f"deadlock {order}: certain is {entry['certain']}")
        if entry["certain"] != entry["sentence"].startswith(("Deadlock: ", "Deadlock until a time limit passes: ")):
            problems.append(f"deadlock {order}: certain is {entry['certain']} in {entry['sentence']!r}")
        says = [text for tids, text in said if sorted(tids) == sorted(order)]
        if says:
            problems += [f"deadlock {order}: {entry['sentence']!r}" for text in says if text not in entry["sentence"]]
            continue
        if entry["sentence"].startswith("Deadlock unless"):
            if not all(taker["kept"] for tid in order for taker in threads[tid]["waits_on"]["taken_by"]):
                problems.append(f"deadlock {order}: not all kept their locks: {entry['sentence']!r}")
        elif not entry["certain"] and "if a lock was released since" not in entry["sentence"]:
            problems.append(f"deadlock {order}: {entry['sentence']!r} does not say when it is none")
        for number, tid in enumerate(order):
            # Each waits for what the next one holds.
            owner = _next_of(threads[tid]["waits_on"])
            if owner != order[(number + 1) % len(order)]:
                problems.append(f"deadlock {order}: {tid} waits for {owner}")
            name = threads[tid]["name"]
            if name and name not in entry["sentence"]:
                problems.append(f"deadlock {order}: {name!r} is not in its sentence {entry['sentence']!r}")
    return problems


def incomplete(result, allowed=()):
    return [f"diagnostic {entry['code']}: {entry['message']}" for entry in result["diagnostics"]
            if entry.get("incomplete") and entry["code"] not in allowed]


def ends_in_compiled_code(thread):
    """Is the last native frame before the first gap in no module?"""
    for frame, outer in zip(thread["frames"], thread["frames"][1:]):
        if outer["kind"] == "gap":
            return frame["kind"] == "native" and frame["module"] is None
    return False


def problems_of(hanging, interpreter, answer, live, crashed=False, fresh=False):
    """Everything that is wrong with the answer of exuvia, (status, report, stderr)."""
    status, result, said = answer
    if result is None:
        return [f"no report, exit status {status}: {said}"]
    # In a stripped build before 3.10 no marker leads to the frame of a part that the compiler split off the eval loop.
    allowed = {"merge-incomplete"} if interpreter.root and interpreter.version < (3, 10) else set()
    # 3.14's JIT code has no unwind information, and a call on every way to its return: where that is, nothing in the code tells.
    unfollowed = []
    if interpreter.kind == "jit" and interpreter.minor == "3.14":
        allowed.add("native-gap")
        unfollowed = [thread["tid"] for thread in result["threads"] if ends_in_compiled_code(thread)]
    problems = incomplete({"diagnostics": [
        entry for entry in result["diagnostics"]
        if entry["tid"] not in unfollowed or entry["code"] not in ("native-incomplete", "merge-incomplete")]}, allowed)
    if status not in ((0, 1) if allowed else (0,)):
        problems.append(f"exit status {status}: {said}")
    problems += compare_process(hanging, result, interpreter, live)
    problems += report.compare_threads(hung_truth(hanging, crashed), result)
    if hanging.waits:
        problems += compare_waits(hanging, result, live, fresh)
    return problems
