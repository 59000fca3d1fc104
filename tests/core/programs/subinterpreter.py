# SPDX-License-Identifier: Apache-2.0
# A subinterpreter, entered from this one on the same thread, dies.
import functools
import os
import sys

import record

SCRIPT = '''
import sys
sys.path.insert(0, %r)
import record

def inside():
    class Inner(object):
        def run(self):
            record.die('SIGABRT', %r)
    Inner().run()

inside()
'''
DIRECTORY = os.path.dirname(os.path.abspath(record.__file__))


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


def main(run):
    frames = []
    for step in (0, 1):
        # The same call twice: it first notes where it is, and then enters with that.
        text = SCRIPT % (DIRECTORY, frames) if step else 'pass'
        frames = enter(run, text)[0]


def enter(run, text):
    return record.outer(), run(text)


main(find())
