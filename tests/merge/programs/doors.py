# SPDX-License-Identifier: Apache-2.0
# Python called by C called by Python: each door of the interpreter, between known native functions on both sides.
# arguments: plain lt key max re reduce map filter partial ctypes nested qsort getattr iter property call exec eval
# arguments: class import generator yield_from del next sum all
import ctypes
import functools
import os
import re
import sys

import extensions
import record
from extensions import mark, through


def py_last(number):
    with mark('py_last'):
        extensions.die()


def py_inner(*arguments):
    with mark('py_inner'):
        return through('exv_b', py_last)


class Item(object):
    def __lt__(self, other):
        with mark('__lt__'):
            return bool(py_inner())

    def __getattr__(self, name):
        with mark('__getattr__'):
            return py_inner()

    def __iter__(self):
        return self

    def __next__(self):
        with mark('__next__'):
            return py_inner()

    def next(self):
        with mark('next'):
            return py_inner()

    @property
    def value(self):
        with mark('value'):
            return py_inner()

    def __call__(self, *arguments, **keywords):
        with mark('__call__'):
            return py_inner()


class Dying(object):
    def __del__(self):
        with mark('__del__'):
            py_inner()


class Making(type):
    def __new__(cls, name, bases, namespace):
        with mark('__new__'):
            return py_inner()


def py_generator():
    with mark('py_generator'):
        yield py_inner()


def by_nested():
    def py_first(number):
        with mark('py_first'):
            return through('exv_large', py_second)

    def py_second(number):
        with mark('py_second'):
            return through('exv_dynamic', py_inner, 7)
    return through('exv_deep', py_first, 3, 4)


def by_qsort():
    def py_compare(left, right):
        with mark('py_compare'):
            py_inner()
        return 0
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    array = (ctypes.c_int * 2)(2, 1)
    ctypes.CDLL(None).qsort(array, 2, ctypes.sizeof(ctypes.c_int), kind(py_compare))


def by_import():
    with open('imported.py', 'w') as file:
        file.write('import __main__\n__main__.py_inner()\n')
    sys.path.insert(0, os.getcwd())
    import imported  # noqa: F401


def by_del():
    holder = [Dying()]
    api = ctypes.PyDLL(None)
    number = ctypes.c_void_p(id(holder[0]))
    api.Py_IncRef(number)
    del holder[:]
    drop = ctypes.PyDLL(os.path.join(extensions.DIRECTORY, 'libexv.so')).exv_drop
    drop(ctypes.cast(api.Py_DecRef, ctypes.c_void_p), number)


DOORS = {
    'plain': lambda: py_inner(),
    'lt': lambda: sorted([Item(), Item()]),
    'key': lambda: sorted([1], key=py_inner),
    'max': lambda: max([1, 2], key=py_inner),
    're': lambda: re.sub('a', py_inner, 'bab'),
    'reduce': lambda: functools.reduce(py_inner, [1, 2]),
    'map': lambda: list(map(py_inner, [1])),
    'filter': lambda: list(filter(py_inner, [1])),
    'partial': lambda: functools.partial(py_inner, 1)(),
    'ctypes': lambda: through('exv_a', py_inner),
    'nested': by_nested,
    'qsort': by_qsort,
    'getattr': lambda: getattr(Item(), 'missing'),
    'iter': lambda: list(Item()),
    'next': lambda: next(Item()),
    'property': lambda: Item().value,
    'call': lambda: Item()(1, *[2], **{'three': 3}),
    'exec': lambda: eval(compile('py_inner()\n', 'text', 'exec')),
    'eval': lambda: eval('py_inner()'),
    'class': lambda: Making('Made', (), {}),
    'import': by_import,
    'generator': lambda: next(py_generator()),
    'sum': lambda: sum(py_generator()),
    'yield_from': lambda: sum(item for item in py_generator()),
    'del': by_del,
}


def py_every(names):
    """Through all doors at once that do not need anything of their own."""
    with mark('py_every'):
        if not names:
            return py_inner()
        return sorted([1], key=lambda item: through('exv_a', lambda number: py_every(names[1:])))


DOORS['all'] = lambda: py_every(list(range(5)))


def py_middle(number):
    with mark('py_middle'):
        DOORS[sys.argv[1]]()


def py_outer():
    with mark('py_outer'):
        through('exv_a', py_middle)


py_outer()
