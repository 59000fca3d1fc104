# SPDX-License-Identifier: Apache-2.0
# Fifty levels of Python and C in turn.
import extensions
from extensions import mark, through

NAMES = ['exv_a', 'exv_b', 'exv_large', 'exv_dynamic']


def py_level(number):
    with mark('py_level'):
        py_step(number)


def py_step(number):
    with mark('py_step'):
        if number == 50:
            extensions.die()
        elif number % 7 == 3:
            py_level(number + 1)
        elif number % 7 == 5:
            through('exv_deep', lambda _: py_level(number + 1), number, number % 5)
        else:
            through(NAMES[number % 4], lambda _: py_level(number + 1), number)


py_level(0)
