# SPDX-License-Identifier: Apache-2.0
# Code that ran often before it died: specialized, and compiled where there is a JIT.
import record


def leaf(number, die):
    if number == 69999:
        die()
    return number + 1


class Holder(object):
    def __init__(self):
        self.value = 0

    def step(self, number):
        self.value = leaf(number, record.die)


def loop():
    holder = Holder()
    total = 0
    for number in range(70000):
        holder.step(number)
        total += holder.value * 2 \
            + number
    return total


def generate():
    for _ in range(1):
        yield loop()


def main():
    for _ in generate():
        pass


main()
