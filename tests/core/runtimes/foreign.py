# SPDX-License-Identifier: Apache-2.0
# A thread state that another thread runs than the one that made it: foreign.py WHAT
#
#     spins   the main thread made the subinterpreter, another thread runs it, and computes there
#     sleeps  the same, but it sleeps there, and the main thread computes
#     ended   as that, and the thread that made the subinterpreter has ended
#     own     the main thread made it and runs it, beside a thread that sleeps
#     swaps   two threads each run the subinterpreter that the other one has made
#
# What runs where is written to the standard output when it is so: "TID NAME FUNCTION,FUNCTION", outermost first, and
# "GIL TID" of the thread that computes.
import ctypes
import os
import sys
import threading
import time

try:
    import _xxsubinterpreters as interpreters  # 3.8 to 3.12
    run = interpreters.run_string
except ImportError:
    import _interpreters as interpreters
    run = getattr(interpreters, 'exec')

# The threading module of the subinterpreter has names of its own.
SCRIPT = '''
import os, threading, time
def inside():
    deeper()
def deeper():
    os.write(1, %r)
    os.write(%d, b'x')
    %s
inside()
'''
ready, write_ready = os.pipe()
resting = threading.Event()


def line(functions, computes=False):
    tid = ctypes.CDLL(None).syscall(178 if os.uname()[4] == 'aarch64' else 186)
    text = '%d %s %s\n' % (tid, threading.current_thread().name, functions)
    return (text + ('GIL %d\n' % tid if computes else '')).encode()


def enter(interpreter, computes):
    # Up to 3.11 one that computes there does not give the GIL to threads of this interpreter: those come to rest first.
    if computes:
        resting.wait()
    time.sleep(0.2)
    code = 'while True: pass' if computes else 'time.sleep(1000)'
    run(interpreter, SCRIPT % (line('enter,inside,deeper', computes), write_ready, code))


def rest():
    os.write(1, line('rest'))
    resting.set()
    time.sleep(1000)


def start(name, target, *arguments):
    threading.Thread(target=target, name=name, args=arguments, daemon=True).start()


def work():
    """Compute, when the others have come to where they stay."""
    os.read(ready, 1)
    time.sleep(0.1)
    os.write(1, line('work', True))
    while True:
        pass


def make(result, number):
    result[number] = interpreters.create()


def swap(made, number):
    make(made, number)
    while None in made:
        time.sleep(0.01)
    enter(made[1 - number], False)


def main(what):
    made = [None, None]
    if what == 'ended':
        maker = threading.Thread(target=make, args=(made, 0))
        maker.start()
        maker.join()
    elif what != 'swaps':
        make(made, 0)
    if what == 'spins':
        start('spinner', enter, made[0], True)
        rest()
    elif what == 'own':
        start('rests', rest)
        enter(made[0], True)
    elif what == 'swaps':
        start('left', swap, made, 0)
        start('right', swap, made, 1)
        rest()
    else:
        start('sleeper', enter, made[0], False)
        work()


main(sys.argv[1])
