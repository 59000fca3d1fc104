# SPDX-License-Identifier: Apache-2.0
# A parent and a child that wait for each other, and some that only look like it: which of them is the first argument. The
# second one is a directory; others are both ends of a pipe that it was given.
import ctypes
import mmap
import multiprocessing
import os
import select
import signal
import socket
import struct
import sys
import threading
import time

how, directory = sys.argv[1:3]
given = [int(fd) for fd in sys.argv[3:]]
there, back, ready = os.pipe(), os.pipe(), os.pipe()
signal.alarm(600)
c = ctypes.CDLL(None)
memory = mmap.mmap(-1, 4096)
mutex = ctypes.byref(ctypes.c_char.from_buffer(memory))
attributes = ctypes.create_string_buffer(64)
c.pthread_mutexattr_init(attributes)
c.pthread_mutexattr_setpshared(attributes, 1)
c.pthread_mutex_init(mutex, attributes)
ends = socket.socketpair()
locks = multiprocessing.Lock(), multiprocessing.Lock()
if how == 'has a handler':
    signal.signal(signal.SIGTERM, lambda *_: None)


def connect(family, address):
    """Both ends of a connection, of which the first was opened by connect(2), always with IPv4."""
    listener = socket.socket(family)
    listener.bind((address, 0))
    listener.listen(1)
    client = socket.create_connection(('127.0.0.1', listener.getsockname()[1]))
    return client, listener.accept()[0]


tcp = connect(socket.AF_INET, '127.0.0.1')
mapped = connect(socket.AF_INET6, '::ffff:127.0.0.1')
fifos = [os.path.join(directory, 'parent reads'), os.path.join(directory, 'child reads')]
for fifo in fifos:
    os.mkfifo(fifo)
    os.link(fifo, fifo + ', by another name')


def read(fd):
    return lambda: os.read(fd, 1)


def read_own():
    new = os.pipe()
    os.read(new[0], 1)


def read_given():
    """It has the other end itself, and whoever started it."""
    os.read(given[0], 1)
    print('read')
    sys.stdout.flush()
    sleep()


def sleep_without_what_was_given():
    for fd in given:
        os.close(fd)
    sleep()


def write_much(fd):
    def write():
        while True:
            os.write(fd, b'x' * 4096)
    return write


def poll(*fds):
    poller = select.poll()
    for fd in fds:
        poller.register(fd, select.POLLIN)
    return poller.poll


def poll_for_room():
    os.set_blocking(there[1], False)
    try:
        while True:
            os.write(there[1], b'x' * 4096)
    except BlockingIOError:
        poller = select.poll()
        poller.register(there[1], select.POLLOUT)
        poller.poll()


def sleep_with_the_end_to_read():
    os.close(there[1])
    sleep()


def read_with_limit():
    ends[1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', 3600, 0))
    ends[1].recv(1)


def write_with_limit(end):
    """The other end has to take what is written within an hour."""
    def write():
        tcp[end].setsockopt(socket.IPPROTO_TCP, 18, 3600000)  # TCP_USER_TIMEOUT
        write_much(tcp[end].fileno())()
    return write


def read_half_closed():
    tcp[0].shutdown(socket.SHUT_WR)
    tcp[0].recv(1)


def open_fifos(number, name=''):
    """One to read from and one to write to, when the other process has opened both, too."""
    own = os.open(fifos[number] + name, os.O_RDONLY | os.O_NONBLOCK)
    other = os.open(fifos[1 - number] + name, os.O_WRONLY)
    try:
        while not os.read(own, 1):  # nobody can write to it yet
            time.sleep(0.01)
    except BlockingIOError:
        os.set_blocking(own, True)
    return own, other


def read_fifo(number, name='', keep=True):
    def read():
        own = open_fifos(number, name)[0]
        while not keep and os.path.exists(fifos[0]):
            time.sleep(0.01)
        os.read(own, 1)
    return read


def remove_fifos():
    opened = open_fifos(0)
    for number in 1, 0:
        os.unlink(fifos[number] + ', by another name')
        os.unlink(fifos[number])
    os.read(opened[0], 1)


def sleep_with_fifos():
    opened = open_fifos(1)
    sleep()
    return opened


def lock_mutex():
    c.pthread_mutex_lock(mutex)


def lock_mutex_with_limit():
    c.pthread_mutex_timedlock(mutex, struct.pack('ll', int(time.time()) + 3600, 0))


def acquire(number):
    return lambda: locks[number].acquire()


def acquire_for_a_while():
    locks[1].acquire(True, 3600)


def sleep():
    time.sleep(3600)


def read_with_a_file_on_its_way():
    """To where nobody receives it, for what can be seen."""
    ends[0].sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack('i', back[1]))])
    os.read(back[0], 1)


def wait_for_child_with_mutex():
    """The child waits for it."""
    lock_mutex()
    os.write(there[1], b'x')
    wait_for_child()


def lock_mutex_after():
    c.pthread_mutex_unlock(mutex)
    os.read(there[0], 1)
    lock_mutex()


def read_beside_a_thread():
    threading.Thread(target=sleep, daemon=True).start()
    os.read(back[0], 1)


def wait_for_child():
    os.waitpid(pid, 0)


def fork_a_stranger():
    """It has everything that the others have, and is no descendant."""
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            sleep()
        os._exit(0)
    os.waitpid(child, 0)


own = os.pipe()
first, second = ends[0].fileno(), ends[1].fileno()
does = {  # the parent, the child
    'pipes': (read(back[0]), read(there[0])),
    'child reads, parent waits': (wait_for_child, read(there[0])),
    'child writes, parent waits': (wait_for_child, write_much(back[1])),
    'waits for a shared mutex': (lock_mutex, read(there[0])),
    'waits for a shared mutex for a while': (lock_mutex_with_limit, read(there[0])),
    'child waits for a shared mutex': (wait_for_child_with_mutex, lock_mutex_after),
    'reads its own': (read_own, sleep),
    'reads what it was given': (read_given, sleep_without_what_was_given),
    'a file is on its way': (read_with_a_file_on_its_way, read(there[0])),
    'somebody else has the pipe': (wait_for_child, read(there[0])),
    'has a handler': (wait_for_child, read(there[0])),
    'parent sleeps': (sleep, read(there[0])),
    'child sleeps': (wait_for_child, sleep),
    'polls pipes': (poll(back[0], own[0]), read(there[0])),
    'polls pipes for a while': (lambda: poll(back[0], own[0])(3600000), read(there[0])),
    'polls a pipe that is full': (poll_for_room, sleep_with_the_end_to_read),
    'pipes, and a thread that sleeps': (read_beside_a_thread, read(there[0])),
    'sockets': (lambda: ends[0].recv(1), read(second)),
    'polls a socket': (lambda: ends[0].recv(1), poll(second)),
    'sockets that are full': (write_much(first), write_much(second)),
    'a socket with a time limit': (lambda: ends[0].recv(1), read_with_limit),
    'a socket and a sleeper': (lambda: ends[0].recv(1), sleep),
    'somebody else has the sockets': (lambda: ends[0].recv(1), read(second)),
    'tcp': (lambda: tcp[0].recv(1), lambda: tcp[1].recv(1)),
    'tcp of both families': (lambda: mapped[0].recv(1), read(mapped[1].fileno())),
    'polls tcp': (lambda: tcp[0].recv(1), poll(tcp[1].fileno())),
    'tcp that is full': (write_much(tcp[0].fileno()), write_much(tcp[1].fileno())),
    'tcp that is full, with a time limit': (write_with_limit(0), write_much(tcp[1].fileno())),
    'tcp that is half closed': (read_half_closed, read(there[0])),
    'tcp and a sleeper': (lambda: tcp[0].recv(1), sleep),
    'somebody else has the tcp': (lambda: tcp[0].recv(1), lambda: tcp[1].recv(1)),
    'fifos': (read_fifo(0), read_fifo(1, ', by another name')),
    'fifos that are deleted': (remove_fifos, read_fifo(1, '', False)),
    'a fifo and a sleeper': (read_fifo(0), sleep_with_fifos),
    'semaphores': (acquire(1), acquire(0)),
    'a semaphore for a while': (acquire_for_a_while, acquire(0)),
    'a semaphore, and the child sleeps': (acquire(1), sleep),
    'somebody else has the semaphores': (acquire(1), acquire(0)),
}


def child():
    signal.alarm(600)
    lock_mutex()
    locks[1].acquire()
    os.write(ready[1], b'x')
    does[how][1]()


locks[0].acquire()
pid = os.fork()
if pid == 0:
    child()
if how.startswith('somebody else has'):
    fork_a_stranger()
os.read(ready[0], 1)
print(pid)
sys.stdout.flush()
does[how][0]()
