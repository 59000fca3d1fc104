# SPDX-License-Identifier: Apache-2.0
# Death by every signal that leaves a core, real and sent.
# arguments: SIGABRT SIGSEGV SIGSEGV-read SIGSEGV-write SIGSEGV-string_at
# arguments: SIGBUS SIGBUS-mmap SIGFPE SIGQUIT SIGILL SIGTRAP
import sys

import record


class Victim(object):
    def end(self):
        record.die(sys.argv[1])


def main():
    Victim().end()


main()
