# -*- coding: utf-8 -*-
# SPDX-License-Identifier: Apache-2.0
# Names in many scripts: Latin-1, Cyrillic, CJK, beyond the BMP; as functions, classes, files and threads.
# since: 3.6 (identifiers are ASCII)
import time

import record


def функция(потом):
    потом()


def café(then):
    then()


class Класс:
    def метод(self, then):
        then()

    class 内部:
        def 方法(self, then):
            then()


def 函数(then):
    then()


def 𐍈𐍉(then):
    then()


def mixé_и_字_𝒳(then):
    x = 'é и 字 𝒳 🐍'; then(); y = '🐍'


def exec_in(file, then):
    namespace = {}
    exec(compile('def ƒ(then):\n    "🐍"; then()', file, 'exec'), namespace)
    namespace['ƒ'](then)


def chain(last):
    for file in ('/tmp/файл.py', '/tmp/é.py', '/tmp/ÿ\xa0.py', '文件.py', '🐍.py', 'a🐍é字.py'):
        last = (lambda file, last: lambda: exec_in(file, last))(file, last)
    for name in (функция, café, Класс().метод, Класс.内部().方法, 函数, 𐍈𐍉, mixé_и_字_𝒳):
        last = (lambda name, last: lambda: name(last))(name, last)
    return last


def block():
    time.sleep(1000)


for name in ('поток', 'thread é', 'スレッド', '🧵', ''):
    record.start(chain(block), name)
chain(record.die)()
