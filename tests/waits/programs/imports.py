# SPDX-License-Identifier: Apache-2.0
# A thread imports a module whose top level waits for a lock; the thread that holds the lock imports the same module.
import sys
import threading

import hang

lock = threading.Lock()
hang.lock = lock


def importer():
    import slow_module


def holder():
    with lock:
        hang.passed('holder has the lock')
        hang.after('in the module')
        import slow_module


hang.start(importer, 'imports')
hang.start(holder, 'holds')
hang.waits('imports', 'lock', lock, taken='holds')
hang.after('in the module')
module_lock = None
if sys.version_info >= (3,):
    import _frozen_importlib
    # The module's lock is there as soon as the first importer has made it.
    module_lock = _frozen_importlib._module_locks['slow_module']()
hang.waits('holds', 'import-lock', module_lock, 'imports')
# All threads sleep until another one wakes them: nobody can release the lock, whoever has it.
hang.deadlock('imports', 'holds')
hang.waits('MainThread', 'lock', lock, taken='holds')
hang.hang(lock.acquire, ())
