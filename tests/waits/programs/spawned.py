# SPDX-License-Identifier: Apache-2.0
# A parent that waits for the child's lock of multiprocessing, and a child that waits for the parent's, or for what that
# never writes. Arguments: how the child is started, which class the locks are of, and "lock" or "pipe". Prints both
# process ids.
import multiprocessing
import os
import signal
import sys


def child(first, second, ready, pipe):
    signal.alarm(600)
    second.acquire()
    ready.send(os.getpid())
    if pipe:
        pipe.recv()
    else:
        first.acquire()


def parent():
    signal.alarm(600)
    context = multiprocessing.get_context(sys.argv[1])
    first, second = (getattr(context, sys.argv[2])() for _ in range(2))
    receives, sends = context.Pipe(False)
    pipe = context.Pipe(False) if sys.argv[3] == 'pipe' else [None]
    first.acquire()
    context.Process(target=child, args=(first, second, sends, pipe[0])).start()
    print(os.getpid(), receives.recv())
    sys.stdout.flush()
    second.acquire()


if __name__ == '__main__':
    parent()
