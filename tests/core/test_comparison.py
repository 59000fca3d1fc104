# SPDX-License-Identifier: Apache-2.0
"""The comparison itself: it accepts a report that tells the truth and notices each kind of lie."""

import copy

import pytest

from lib import report

TRUTH = {
    "pid": 10,
    "table": [["a.py", "f", "C.f", 3, 4, 8, 12], ["b.py", "<module>", "<module>", 9, "any", "any", "any"]],
    "threads": [
        {"tid": 10, "name": "MainThread", "me": True, "frames": [0, 0, 1]},
        {"tid": 11, "name": "\udc80", "me": False, "frames": [1]},
    ],
    "nameless": False,
}


def frame(entry, position=None):
    keys = ("file", "function", "qualname", "line", "end_line", "column", "end_column")
    return dict(zip(keys, entry[:4] + (position or entry[4:])), kind="python", entry=False, interpreter=0)


def honest():
    first, second = frame(TRUTH["table"][0]), frame(TRUTH["table"][1], [9, 0, 5])
    native = {"kind": "native", "function": "main"}
    thread = {"python": True, "gil": "none"}
    return {
        "threads": [
            {"tid": 10, "name": "MainThread", "crashed": True, "frames": [native, first, dict(first), second],
             **thread},
            {"tid": 11, "name": "\udc80", "crashed": False, "frames": [dict(second)], **thread},
            {"tid": 12, "name": None, "crashed": False, "frames": [native], **thread, "python": False},
        ]
    }


def test_truth_is_accepted():
    assert report.compare_threads(TRUTH, honest()) == []


def test_other_name_is_accepted_only_when_unknown_and_declared():
    lie = honest()
    lie["threads"][0]["name"] = None
    assert len(report.compare_threads(TRUTH, lie)) == 1
    assert report.compare_threads(dict(TRUTH, nameless=True), lie) == []


@pytest.mark.parametrize("key, value", [
    ("line", 4), ("line", None), ("function", "g"), ("qualname", None), ("file", "b.py"), ("column", 7),
    ("end_line", None), ("end_column", 13),
])
def test_changed_frame_is_noticed(key, value):
    lie = honest()
    lie["threads"][0]["frames"][1][key] = value
    problems = report.compare_threads(TRUTH, lie)
    assert len(problems) == 1 and "a.py" in problems[0] and "\n  +" in problems[0]


def drop_frame(threads):
    del threads[0]["frames"][2]


def add_frame(threads):
    threads[1]["frames"].append(copy.deepcopy(threads[1]["frames"][0]))


def drop_thread(threads):
    del threads[1]


def add_thread(threads):
    threads.append(dict(threads[0], tid=13))


def rename_thread(threads):
    threads[1]["name"] = "\udc81"


def blame_other_thread(threads):
    threads[1]["crashed"] = True


@pytest.mark.parametrize("change", [drop_frame, add_frame, drop_thread, add_thread, rename_thread, blame_other_thread])
def test_changed_thread_is_noticed(change):
    lie = honest()
    change(lie["threads"])
    assert len(report.compare_threads(TRUTH, lie)) == 1
