# SPDX-License-Identifier: Apache-2.0
# Generators in the middle of their work: chains, expressions, send, throw, contextmanager; others stay suspended.
import contextlib
import itertools

import record


def numbers():
    yield 1
    yield 2
    record.die()
    yield 3


def doubled(source):
    for number in source:
        yield number * 2


def receiver():
    while True:
        value = yield
        if value == 'go':
            for _ in (x for x in doubled(numbers())):
                pass


@contextlib.contextmanager
def managed():
    try:
        yield 'resource'
    finally:
        target = receiver()
        next(target)
        target.send('no')
        target.send(
            'go')


def thrower():
    try:
        yield
    except ValueError:
        with managed():
            pass


suspended = [numbers(), doubled(numbers()), thrower()]
for generator in suspended:
    next(generator)


def main():
    generator = thrower()
    next(generator)
    for _ in itertools.chain([1], (generator.throw(ValueError('x')) for _ in range(1))):
        pass


main()
