# One thread, one C function inside itself as often as the argument says: a chain of nested filter iterators. The
# innermost iterator calls os.abort.
import os
import sys
import threading


def run(depth):
    chain = iter(os.abort, None)
    for i in range(depth):
        chain = filter(None, chain)
    next(chain)


threading.stack_size(128 << 20)
thread = threading.Thread(target=run, args=(int(sys.argv[1]),))
thread.start()
thread.join()
