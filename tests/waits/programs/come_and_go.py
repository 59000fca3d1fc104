# SPDX-License-Identifier: Apache-2.0
# Threads that compute come and go, until the file "stop" is there; then what was computed is written down, for
# test_robust.py.
# The file "shared" holds 128 counters of 4 bytes: of each signal, and last of the rounds.
import ctypes
import json
import mmap
import os
import signal
import threading
import time

import hang

SIGNALS = (signal.SIGUSR1, signal.SIGCONT, signal.SIGUSR2)
with open('shared', 'w+b') as file:
    file.write(b'\0' * 512)
    file.flush()
    memory = mmap.mmap(file.fileno(), 512)
shared = (ctypes.c_int * 128).from_buffer(memory)
library = hang.library()
# The first that a program may use: glibc keeps two.
for number in SIGNALS + (35,):
    library.hang_count_signal(int(number), shared)


def work(number, results):
    results[number] = compute(number, 300)


def compute(number, steps):
    total = number
    for step in range(steps):
        total = (total * 31 + step) & 0xffffffff
    return total


def pause():
    time.sleep(0.0005)


def nested(number, results):
    inner = threading.Thread(target=work, args=(number, results), name='inner')
    inner.start()
    inner.join()


def main():
    checksum = 0
    while not os.path.exists('stop'):
        results = {}
        threads = [threading.Thread(target=(work, nested)[number % 2], args=(number, results)) for number in range(6)]
        threads.append(threading.Thread(target=pause))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number in range(6):
            checksum = (checksum * 33 + results[number]) & 0xffffffff
        shared[127] += 1
    with open('result.json', 'w') as out:
        json.dump({'rounds': shared[127], 'checksum': checksum, 'threads': threading.active_count(),
                   'descriptors': len(os.listdir('/proc/self/fd'))}, out)


with open('ready', 'w') as out:
    json.dump({'pid': os.getpid(), 'descriptors': len(os.listdir('/proc/self/fd'))}, out)
main()
