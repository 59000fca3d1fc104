# One thread with as many native frames as the second argument says, all in one function of a library that calls itself.
import ctypes
import sys
import threading


def run():
    library = ctypes.CDLL(sys.argv[1])
    library.inlines.argtypes = [ctypes.c_long]
    library.inlines(int(sys.argv[2]))


threading.stack_size(256 << 20)
thread = threading.Thread(target=run)
thread.start()
thread.join()
