# SPDX-License-Identifier: Apache-2.0
"""Write down what every thread is doing and what it waits for, then hang.

Runs on Python 2.7 and 3.6 and later, beside record.py, which writes truth.json. What this file adds goes to waits.json:
for each thread that says so, the kind of its wait, the object, its type and who holds it; and the deadlocks, as lists
of thread ids, with those that a time limit ends.
"""
import ctypes
import json
import os
import signal
import sys
import threading
import time

import record

_folder = os.path.dirname(os.path.abspath(__file__))
_deadlocks = []
_timed = []
_uncertain = []
_said = []
_waits = {}
_beyond = []
_tids = {}
_passed = set()

# Whatever happens to the test, nothing is left behind.
signal.alarm(600)


def library(kind=ctypes.CDLL):
    """The C part. With ctypes.PyDLL its functions are called with the GIL held."""
    return kind(os.path.join(_folder, 'libhang.so'))


def start(function, name, *arguments):
    """Start a daemon thread."""
    return record.start(_run, name, (function, name) + arguments)


def _run(function, name, *arguments):
    _tids[name] = record.native_id()
    function(*arguments)


def adopt(name):
    """Called in a thread that somebody else started."""
    _tids[name] = record._tids[record.get_ident()] = record.native_id()


def passed(name):
    """Say that a thread has come to a certain point."""
    _passed.add(name)


def after(*names):
    """Wait until others have passed their points."""
    while not _passed.issuperset(names):
        time.sleep(0.001)


def tid(name):
    """The kernel's id of the thread of a name. MainThread is the one that hangs last."""
    if name == 'MainThread':
        return record.native_id()
    while name not in _tids:
        time.sleep(0.001)
    return _tids[name]


def waits(name, kind, thing=None, owner=None, **more):
    """The truth of one thread. `thing` is the object; `owner` is the name of a thread, for what records its owner or is
    a result. A plain Lock records nobody: `taken` is who took it (or a list of names), `kept` those of them who ran
    nothing since that could have released it."""
    entry = dict(more, kind=kind, object=None, type=None, owner=None)
    for key in ('taken', 'kept'):
        takers = entry.get(key) or []
        entry[key] = [tid(taker) for taker in ([takers] if isinstance(takers, str) else takers)]
    if thing is not None:
        entry['object'] = id(thing)
        entry['type'] = thing.__class__.__name__
    if owner is not None:
        entry['owner'] = tid(owner)
    _waits[str(tid(name) if isinstance(name, str) else name)] = entry


def deadlock(*names, **more):
    """`timed`: it ends when a time limit passes. `says`: what its sentence has, for those that are no circles. `certain` (the default): nothing but what is recorded, or that no thread
    of the process can run, makes it one."""
    _deadlocks.append([tid(name) if isinstance(name, str) else name for name in names])
    if more.get('timed'):
        _timed.append(_deadlocks[-1])
    if 'says' in more:
        _said.append([_deadlocks[-1], more['says']])
    if not more.get('certain', True):
        _uncertain.append(_deadlocks[-1])


def beyond(function, line):
    """The hanging call itself runs a Python function, which stays in this line."""
    code = function.__code__
    _beyond.append([code.co_filename, code.co_name, getattr(code, 'co_qualname', None), line, 'any', 'any', 'any'])


def hang(action=time.sleep, arguments=(3600,)):
    """Write everything down and hang in the action."""
    record._actions = lambda how: (action, arguments)
    write()
    record.die('hang')


def write():
    """Write down what threads wait for."""
    with open('waits.json', 'w') as out:
        json.dump({'waits': _waits, 'deadlocks': _deadlocks, 'timed': _timed, 'uncertain': _uncertain, 'said': _said,
                   'beyond': _beyond}, out)
