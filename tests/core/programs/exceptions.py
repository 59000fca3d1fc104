# SPDX-License-Identifier: Apache-2.0
# Death while exceptions are being handled and made.
import sys

import record


class Failure(Exception):
    def __init__(self, *arguments):
        if arguments:
            record.die()
        super(Failure, self).__init__(*arguments)


class Manager(object):
    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        try:
            raise TypeError('second')
        except TypeError:
            raise Failure('third')


def fails():
    raise ValueError('first')


def handles():
    with Manager():
        try:
            fails()
        except ValueError:
            raise
        finally:
            x = 1


def outer():
    try:
        handles()
    except KeyError:
        pass


outer()
