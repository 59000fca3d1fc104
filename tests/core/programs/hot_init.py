# SPDX-License-Identifier: Apache-2.0
# An __init__ that is called so often that the interpreter calls it without the type's own code: between it and its
# caller lies a frame of the interpreter's own then (3.13 and later), which no traceback shows.
import record


class Outer(object):
    def __init__(self, stop):
        self.inner = Inner(stop)


class Inner(object):
    def __init__(self, stop):
        if stop:
            record.die()


def main():
    for number in range(3000):
        Outer(number == 2999)


main()
