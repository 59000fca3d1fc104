# SPDX-License-Identifier: Apache-2.0
# Caught while it starts a thread.
import extensions
from extensions import mark, through


def py_clone(number):
    with mark('py_clone'):
        extensions.crash(extensions.load('libexv_damage.so').exv_clone, (1,), ['exv_clone'])


through('exv_a', py_clone)
