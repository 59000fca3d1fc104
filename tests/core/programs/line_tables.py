# SPDX-License-Identifier: Apache-2.0
# Line tables of every shape: generated functions with random gaps, wide statements, long code and extended arguments.
# arguments: 1 2 3
import sys

import record

state = int(sys.argv[1])


def number(limit):
    """A generator of its own: the same programs on every version."""
    global state
    state = (state * 1103515245 + 12345) % 2147483648
    return (state >> 12) % limit


def blank():
    return '\n' * (0, 0, 0, 1, 5, 130, 260, 1000)[number(8)]


def filler(indent):
    kind = number(8)
    if kind == 0:
        return indent + 'a = [' + ','.join(str(1000 + number(100000)) for _ in range(number(400))) + ']\n'
    if kind == 1:
        return indent + 'a = (\n' + blank() + indent + ' a,\n' + blank() + indent + ' a)\n'
    if kind == 2:
        return indent + 'if a is None:\n' + blank() + indent + '  a = 1\n' + indent + 'else: a = 2\n'
    if kind == 3:
        return indent + 'for i in range(2):\n' + indent + '  a = i; b = a\n' + blank()
    if kind == 4:
        return indent + 'try:\n' + indent + '  a = 1\n' + blank() + indent + 'except Exception: a = 2\n'
    if kind == 5:
        return ''.join(indent + 'name_%d = %d\n' % (number(1000), i) for i in range(number(300)))
    if kind == 6:
        return indent + 'a = "' + 'x' * number(600) + '"; a = 1\n'
    return blank() + '\n'


def call(indent, target):
    kind = number(10)
    text = target + '()'
    if kind == 0:
        return indent + text + '\n'
    if kind == 1:
        return indent + 'a = [1,\n' + blank() + indent + ' ' + text + ',\n' + blank() + indent + ' 2]\n'
    if kind == 2:
        return indent + 'try:\n' + blank() + indent + '  ' + text + '\n' + indent + 'finally:\n' + indent + '  pass\n'
    if kind == 3:
        return (indent + 'for i in [1]:\n' + blank() + indent + '  if i:\n' + filler(indent + '    ') +
                indent + '    b = 1; ' + text + '\n')
    if kind == 4:
        return (indent + 'a = {1: 2,\n' + blank() + indent + '  3: (lambda: (\n' + blank() +
                indent + '     ' + text + '))()}\n')
    if kind == 5:
        return indent + 'while ' + blank().replace('\n', '\\\n') + text + ': break\n'
    if kind == 6:
        return indent + 'a = ' + '(1 + ' * 30 + text + ')' * 30 + '\n'
    if kind == 7:
        return (indent + 'try:\n' + indent + '  raise ValueError()\n' + indent + 'except ValueError:\n' + blank() +
                indent + '  ' + text + '\n')
    if kind == 8:
        return (indent + 'a = [' + text + '\n' + blank() + indent + ' for x in [1] for y in\n' + blank() +
                indent + ' [2]]\n')
    return indent + 'a = b = None; a = ' + ' ' * number(300) + text + ' if not a else 5\n'


def function(index):
    indent = '  '
    return ('def f%d(a=None, b=None):\n' % index + ''.join(filler(indent) for _ in range(number(5))) +
            call(indent, 'f%d' % (index + 1) if index < 79 else 'die') +
            ''.join(filler(indent) for _ in range(number(3))) + blank())


namespace = {'die': record.die}
exec(compile(''.join(function(index) for index in range(80)), 'generated.py', 'exec'), namespace)
namespace['f0']()
