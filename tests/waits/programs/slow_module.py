# SPDX-License-Identifier: Apache-2.0
# Imported by imports.py, never to the end.
import hang

hang.after('holder has the lock')
hang.passed('in the module')
with hang.lock:
    pass
