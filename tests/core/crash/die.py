# SPDX-License-Identifier: Apache-2.0
"""Die of a fault, where a signal handler may see it first: die.py LIBRARY FAULT HANDLER THREAD. Writes down beforehand in
which thread, and at which address."""
import ctypes
import json
import mmap
import os
import sys
import threading
import time

library = ctypes.PyDLL(sys.argv[1])
fault, handler, where = sys.argv[2:5]


def short_file():
    """A page that is mapped beyond the end of its file."""
    with open('short', 'wb+') as file:
        file.write(b'x' * 8192)
        file.flush()
        pages = mmap.mmap(file.fileno(), 8192)
        file.truncate(100)
    globals()['kept'] = pages
    return ctypes.addressof(ctypes.c_char.from_buffer(pages)) + 4096


ADDRESSES = {'read': 0x10, 'write': 0x18, 'execute': 0x12340, 'noncanonical': 0xdead000000000000, 'short_file': None}


def die():
    if 'altstack' in handler:
        library.exv_alternate_stack()
    address = ADDRESSES.get(fault, 0)
    if address is None:
        address = short_file()
    with open('truth.json', 'w') as file:
        json.dump({'pid': os.getpid(), 'tid': library.exv_tid(), 'address': address}, file)
    name = {'noncanonical': 'read', 'short_file': 'read'}.get(fault, fault)
    getattr(library, 'exv_' + name)(ctypes.c_uint64(address))


def main():
    if 'faulthandler' in handler:
        import faulthandler
        faulthandler.enable(file=open(os.devnull, 'w'))
    if not handler.startswith(('none', 'faulthandler')):
        library.exv_handle(handler.split('-')[0].encode())
    if where == 'main':
        die()
    thread = threading.Thread(target=die)
    thread.daemon = True
    thread.start()
    time.sleep(60)


main()
