# SPDX-License-Identifier: Apache-2.0
# Line numbers above 65,535, and jumps of that size inside one function, forwards and backwards.
import record

GAPS = ((70000, 0, 0, 0), (0, 70000, 3, 70000), (1000000, 300, 300, 300), (5, 127, 128, 129), (254, 255, 256, 257),
        (32767, 32768, 65535, 65536), (0, 1, 2, 3))


def chain(last):
    for before, gap, second, third in GAPS:
        source = ('\n' * before + 'def f(then, x=1):\n    x = [\n' + '\n' * gap + '      x,' + '\n' * second +
                  '      then(),\n' + '\n' * third + '      x]\n')
        namespace = {}
        exec(compile(source, 'high.py', 'exec'), namespace)
        last = (lambda function, last: lambda: function(last))(namespace['f'], last)
    return last


chain(record.die)()
