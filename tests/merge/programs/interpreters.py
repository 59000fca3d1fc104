# SPDX-License-Identifier: Apache-2.0
# One interpreter runs another on the same thread, between known functions; the inner one may run a third.
# arguments: one two
import functools
import os
import sys

import extensions
import record
from extensions import mark, through

SCRIPT = '''
import sys
sys.path.insert(0, %r)
import record

def py_key(item):
    record.die('SIGABRT', %r)

def py_inside():
    sorted([1], key=py_key)

py_inside()
'''
THIRD = '''
import sys
sys.path.insert(0, %r)
import record
try:
    import _interpreters
    create, run = _interpreters.create, getattr(_interpreters, 'exec')
except ImportError:
    import _xxsubinterpreters
    create, run = _xxsubinterpreters.create, _xxsubinterpreters.run_string

other = create()

def py_enter(outer, text):
    return outer(), run(other, text)

def py_between(item):
    text = 'pass'
    for step in (0, 1):
        frames = py_enter(record.outer, text)[0] + %r
        text = %r %% (%r, frames)

sorted([1], key=py_between)
'''


def find():
    try:
        import _interpreters
        identifier = _interpreters.create()
        execute = getattr(_interpreters, 'exec')  # a keyword of 2.7
        return functools.partial(execute, identifier)
    except ImportError:
        pass
    try:
        import _xxsubinterpreters
        identifier = _xxsubinterpreters.create()
        return functools.partial(_xxsubinterpreters.run_string, identifier)
    except ImportError:
        pass
    try:
        import _testcapi
        return _testcapi.run_in_subinterp
    except (ImportError, AttributeError):
        record.not_applicable('no module that makes subinterpreters')


def py_main(number):
    with mark('py_main'):
        run = find()
        if sys.argv[1] == 'two':
            try:
                import _interpreters  # noqa: F401
            except ImportError:
                record.not_applicable('only one level of subinterpreters can be made here')
        frames, text = [], 'pass'
        for step in (0, 1):
            frames = enter(run, text)[0]
            directory = os.path.dirname(os.path.abspath(record.__file__))
            if sys.argv[1] == 'one':
                text = SCRIPT % (directory, frames)
                extensions.write(['py_inside', 'py_key'])
            else:
                text = THIRD % (directory, frames, SCRIPT, directory)
                extensions.write(['py_between', 'py_enter', 'py_inside', 'py_key'])


def enter(run, text):
    return record.outer(), run(text)


through('exv_a', py_main)
