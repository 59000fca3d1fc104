# SPDX-License-Identifier: Apache-2.0
# Death in a function registered with atexit.
import atexit

import record


class Handler(object):
    def __call__(self, *arguments, **keywords):
        self.last()

    def last(self):
        record.die()


atexit.register(Handler(), 1, key=2)
