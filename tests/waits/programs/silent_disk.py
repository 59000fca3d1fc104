# SPDX-License-Identifier: Apache-2.0
# Threads that wait for a file system (FUSE) whose server does not answer, in a call and because of a page, and one in a
# call whose arguments say nothing. Arguments: a directory to mount it at. Prints what each of them does, and its tid.
import ctypes
import mmap
import os
import signal
import struct
import sys
import threading
import time

place = sys.argv[1]
c = ctypes.CDLL(None, use_errno=True)
INIT, LOOKUP, GETATTR, OPEN, READ, FLUSH, STATFS = 26, 1, 3, 14, 15, 25, 17
DIRECTORY, FILE = 0o40755, 0o100644


def attributes(inode):
    """struct fuse_attr"""
    times = (0,) * 6
    return struct.pack('<6Q9I4x', inode, 1 << 20, 2048, *times[:3], *times[:3],
                       DIRECTORY if inode == 1 else FILE, 1, 0, 0, 0, 4096)


def serve(fd):
    """All but what is read of the file."""
    while True:
        request = os.read(fd, 1 << 20)
        _, code, unique, node = struct.unpack_from('<IIQQ', request)
        status, answer = 0, b''
        if code == INIT:
            answer = struct.pack('<IIIIHHIIHHI28x', 7, 31, 1 << 16, 0, 16, 12, 1 << 16, 1, 16, 0, 0)
        elif code == LOOKUP:
            inode = 2 if request[40:].startswith(b'read') else 3
            answer = struct.pack('<QQQQII', inode, 0, 3600, 3600, 0, 0) + attributes(inode)
        elif code == GETATTR:
            answer = struct.pack('<QII', 3600, 0, 0) + attributes(node)
        elif code == OPEN:
            answer = struct.pack('<QII', 1, 0, 0)
        elif code == READ or code == 36:  # an interruption
            continue
        elif code != FLUSH:
            status = -38
        os.write(fd, struct.pack('<IiQ', 16 + len(answer), status, unique) + answer)


def mount():
    """Served by a child, with which it ends."""
    fd = os.open('/dev/fuse', os.O_RDWR)
    options = 'fd=%d,rootmode=40000,user_id=0,group_id=0' % fd
    if c.mount(b'silent', place.encode(), b'fuse', 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), 'mount')
    if os.fork() == 0:
        signal.alarm(120)
        serve(fd)
    os.close(fd)


def read():
    os.pread(os.open(os.path.join(place, 'read'), os.O_RDONLY), 1, 0)


def touch():
    """A page of the file, without the GIL."""
    c.mmap.restype = ctypes.c_void_p
    c.mmap.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long
    fd = os.open(os.path.join(place, 'touch'), os.O_RDONLY)
    address = c.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, fd, 8192)
    c.memchr.argtypes = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
    c.memchr(address, 1, 1)


def wait_for_several():
    """futex_waitv(2)"""
    word = ctypes.c_uint32(0)
    waiter = struct.pack('<QQII', 0, ctypes.addressof(word), 2, 0)
    c.syscall(449, waiter, 1, 0, None, 0)


def begin(name, function):
    tids = []

    def run():
        tids.append(threading.get_native_id())
        function()
    threading.Thread(target=run, name=name, daemon=True).start()
    while not tids:
        time.sleep(0.01)
    print(name, tids[0])


signal.alarm(120)
mount()
begin('several', wait_for_several)
begin('read', read)
begin('touch', touch)
sys.stdout.flush()
time.sleep(120)
