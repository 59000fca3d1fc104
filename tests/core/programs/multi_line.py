# SPDX-License-Identifier: Apache-2.0
# Statements over many lines: calls, with, try, conditions, strings, chained methods.
import contextlib

import record


@contextlib.contextmanager
def context(*arguments):
    yield arguments


class Chain(object):
    def then(self, function=None):
        if function is not None:
            function()
        return self

    def __enter__(self):
        return self

    def __exit__(self, *details):
        seventh(
            details
        )


def first(*arguments, **keywords):
    return record.die(
        'SIGABRT'
    )


def second():
    return (
        1 +
        2 *
        first(
            1,
            'two '
            'lines',
            *[
                3
            ],
            **{
                'key':
                    'value'
            }
        )
    )


def third():
    Chain() \
        .then() \
        .then(
            second
        ) \
        .then()


def fourth():
    try:
        raise ValueError(
            'x'
        )
    except (
        TypeError,
        ValueError,
    ):
        third(
        )
    finally:
        pass


def fifth():
    try:
        pass
    finally:
        if (
            True and
            fourth()
        ):
            pass


def sixth():
    with context(
        1,
        2
    ), context(
        fifth(),
        4
    ):
        pass


def seventh(details):
    values = {
        'a': 1,
        'b': """
        many
        lines
        """ + str(sixth()),
        'c': 3,
    }
    return values


def eighth():
    with Chain():
        for _ in [1,
                  2]:
            while True:
                break
        return 1


assert (
    eighth()
    is None
), 'never'
