# SPDX-License-Identifier: Apache-2.0
# Never at rest, in many ways, for test_anywhere.py: Python calls C that calls Python, exceptions, generators, objects
# that go away, code that is compiled. Who calls whom, directly or through C, stands in CALLS there.
import functools
import gc
import json
import re
import threading


def numbers(count):
    for number in range(count):
        yield number


def key(number):
    return -number


class Thing(object):
    def __init__(self, value):
        self.value = value

    def __lt__(self, other):
        return self.value < other.value

    def __del__(self):
        gone(self)

    def __getattr__(self, name):
        return key(len(name))

    @property
    def double(self):
        return self.value * 2


def gone(thing):
    return thing.value


def fail(depth):
    try:
        if depth == 0:
            raise ValueError(depth)
        fail(depth - 1)
    finally:
        key(depth)


def upper(match):
    return match.group(1).upper()


def caught():
    try:
        fail(5)
    except ValueError:
        return key(0)


def work():
    ordered = sorted(numbers(50), key=key)
    things = sorted(map(Thing, numbers(20)))
    text = json.dumps({'a': ordered, 'b': list(map(key, ordered)), 'c': things[0].missing, 'd': things[1].double})
    re.sub(r'(\w+)', upper, text[:100])
    caught()
    sum(map(functools.partial(key), filter(None, numbers(30))))
    eval('key(3)', globals())
    type('Made', (Thing,), {'again': key})(1)
    '%s %r' % (things[0].value, text)
    gc.collect(0)


def loop():
    while True:
        work()


for _ in range(2):
    thread = threading.Thread(target=loop)
    thread.daemon = True
    thread.start()
with open('ready', 'w') as out:
    out.write('ready')
loop()
