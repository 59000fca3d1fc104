# SPDX-License-Identifier: Apache-2.0
# Death while the main module is being torn down.
import record


class Last(object):
    def __init__(self, die):
        self.die = die

    def __del__(self):
        self.die()


record.NAMELESS.append(True)
kept = Last(record.die)
