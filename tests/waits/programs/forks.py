# SPDX-License-Identifier: Apache-2.0
# Forks children and collects their statuses until a file exists; ends with status 6 when all were right; run by
# test_robust.py.
import os
import sys
import threading
import time

thread = threading.Thread(target=time.sleep, args=(1000,))
thread.daemon = True
thread.start()
number = right = 0
while not os.path.exists(sys.argv[1]):
    pid = os.fork()
    if pid == 0:
        os._exit(number % 100)
    _, status = os.waitpid(pid, 0)
    right += os.WIFEXITED(status) and os.WEXITSTATUS(status) == number % 100
    number += 1
os._exit(6 if right == number else 1)
