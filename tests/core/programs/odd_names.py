# -*- coding: utf-8 -*-
# SPDX-License-Identifier: Apache-2.0
# File, function and thread names that are legal and hostile.
import sys
import time

import record

SOURCE = 'def f(then):\n    then()\n'
NAMES = ['a\nb.py', '"quoted" \'twice\'.py', 'back\\slash.py', 'tab\tbell\x07escape\x1b[31m.py', '\x7f\x01.py', ' ', '',
         '\r\n', '<angle> & "amp".py', '{"json": null}.py', 'x' * 5000 + '.py', '%s%n%d.py', '\xd0\xa4.py',
         '\xe2\x80\xae\xe2\x80\x8b.py']
if sys.version_info[0] > 2:
    NAMES = [name.encode('latin-1').decode('utf-8') for name in NAMES]
    NAMES += ['\udc80.py', 'high \ud800 alone.py', '\udfff\ud800', '\udcff\U0001f40d.py', '\ud83d',
              '\u2028\u2029\ufeff.py', '\U0010ffff\uffff.py', 'é' * 5000, '字' * 5000, '🐍' * 5000, '\x80\x9f.py']


def exec_in(name, then):
    namespace = {}
    code = compile(SOURCE, name, 'exec')
    if hasattr(code, 'replace') and name:
        # The function's own name is as odd as its file's.
        inner = [constant for constant in code.co_consts if hasattr(constant, 'co_code')][0]
        names = {'co_name': name}
        if hasattr(inner, 'co_qualname'):
            names['co_qualname'] = 'q' + name
        constants = tuple(inner.replace(**names) if constant is inner else constant for constant in code.co_consts)
        code = code.replace(co_consts=constants)
    exec(code, namespace)
    namespace['f'](then)


def chain(last):
    for name in NAMES:
        last = (lambda name, last: lambda: exec_in(name, last))(name, last)
    return last


def block():
    time.sleep(1000)


PLAIN = sys.version_info < (3, 14)
for name in NAMES:
    # From 3.14 the kernel is told the name too, and not all of these can be encoded for it.
    thread = record.start(block, name if PLAIN else 'plain')
    thread.name = name if PLAIN else thread.name
    if not PLAIN:
        thread._name = name
chain(record.die)()
