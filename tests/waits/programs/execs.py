# SPDX-License-Identifier: Apache-2.0
# Becomes itself again and again, with threads that are gone each time, until a file exists; ends with status 5; run by
# test_robust.py.
import os
import sys
import threading
import time

for _ in range(3):
    thread = threading.Thread(target=time.sleep, args=(1000,))
    thread.daemon = True
    thread.start()
if os.path.exists(sys.argv[1]):
    os._exit(5)
os.execv(sys.executable, [sys.executable, *sys.argv])
