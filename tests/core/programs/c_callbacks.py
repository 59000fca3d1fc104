# SPDX-License-Identifier: Apache-2.0
# Python called by C called by Python, through many doors, in the dying thread and in blocked ones.
import ctypes
import functools
import re
import time

import record


class Item(object):
    def __init__(self, then):
        self.then = then

    def __lt__(self, other):
        return self.then()

    def __eq__(self, other):
        return self.then()

    __hash__ = None

    def __getattr__(self, name):
        return self.then()

    def __iter__(self):
        return self

    def __next__(self):
        return self.then()

    next = __next__

    @property
    def value(self):
        return self.then()

    def __repr__(self):
        return self.then()

    def __call__(self, *arguments, **keywords):
        return self.then()

    def __add__(self, other):
        return self.then()

    def __contains__(self, item):
        return self.then()

    def __del__(self):
        pass


COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


def by_sort(then):
    return sorted([Item(then), Item(then)])


def by_key(then):
    return sorted([1], key=lambda item: then())


def by_max(then):
    return max([1, 2],
               key=lambda item: then())


def by_regex(then):
    return re.sub('a', lambda match: then(), 'bab')


def by_reduce(then):
    return functools.reduce(lambda left, right: then(), [1, 2])


def by_map(then):
    return list(map(lambda item: then(), [1]))


def by_filter(then):
    return list(filter(lambda item: then(), [1]))


def by_partial(then):
    return functools.partial(then)()


def by_ctypes(then):
    def compare(left, right):
        then()
        return 0
    array = (ctypes.c_int * 2)(2, 1)
    ctypes.CDLL(None).qsort(array, 2, ctypes.sizeof(ctypes.c_int), COMPARE(compare))


def by_index(then):
    return [Item(then)].index(1)


def by_getattr(then):
    return getattr(Item(then), 'missing')


def by_iter(then):
    for item in Item(then):
        return item


def by_property(then):
    return Item(then).value


def by_repr(then):
    return repr([Item(then)])


def by_call(then):
    return Item(then)(1, *[2], **{'three': 3})


def by_operator(then):
    return Item(then) + 1


def by_contains(then):
    return 1 in Item(then)


def by_sum(then):
    return sum(then() for _ in [1])


DOORS = [by_sort, by_key, by_max, by_regex, by_reduce, by_map, by_filter, by_partial, by_ctypes, by_index, by_getattr,
         by_iter, by_property, by_repr, by_call, by_operator, by_contains, by_sum]


def through(doors, last):
    for door in doors:
        last = functools.partial(door, last)
    return last


def block():
    time.sleep(1000)


for first in range(len(DOORS)):
    record.start(through(DOORS[first:first + 1], block), DOORS[first].__name__)
record.start(through(DOORS, block), 'all doors')
through(DOORS, record.die)()
