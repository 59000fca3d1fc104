# SPDX-License-Identifier: Apache-2.0
"""Read behind the end of a mapped file: shrink.py HOW. HOW names what is done before, each with a blank. Writes down the
address, and where the file was mapped."""
import ctypes
import json
import mmap
import os
import sys

how = sys.argv[1].split()
if 'faulthandler' in how:
    import faulthandler
    faulthandler.enable(file=open(os.devnull, 'w'))
with open('data.bin', 'wb+') as data:
    data.write(b'x' * 81920)
    data.flush()
    pages = mmap.mmap(data.fileno(), 65536, offset=16384)
    data.truncate(20000)
view = ctypes.c_char.from_buffer(pages)
with open('truth.json', 'w') as file:
    json.dump({'pid': os.getpid(), 'address': ctypes.addressof(view) + 12288}, file)
if 'unlink' in how:
    os.unlink('data.bin')
assert pages[0] in (b'x', 120)
if 'slice' in how:
    pages[12288:16384]
else:
    pages[12288]
