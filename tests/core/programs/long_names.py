# SPDX-License-Identifier: Apache-2.0
# Names of thousands of characters.
import time

import record

SOURCE = '''
def {0}(then):
    class {1}(object):
        def {2}(self):
            then()
    {1}().{2}()
'''


def chain(last):
    for length in (1, 255, 256, 1023, 1024, 4096, 5000, 20000):
        namespace = {}
        name = 'f' * length
        exec(compile(SOURCE.format(name, 'C' * length, 'm' * length), 'd' * length + '.py', 'exec'), namespace)
        last = (lambda function, last: lambda: function(last))(namespace[name], last)
    return last


def block():
    time.sleep(1000)


record.start(chain(block), 'n' * 5000)
chain(record.die)()
