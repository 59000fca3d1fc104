# SPDX-License-Identifier: Apache-2.0
# Generators that delegate.
# since: 3.6 (no yield from)
import record


class Iterable:
    def __iter__(self):
        return self

    def __next__(self):
        record.die()


def inner():
    yield 1
    yield from Iterable()


def middle():
    result = yield from inner()
    return result


class Tree:
    def walk(self):
        yield from middle()


for value in Tree().walk():
    pass
