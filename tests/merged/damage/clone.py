# SPDX-License-Identifier: Apache-2.0
# Caught while it starts a thread.
import landmarks
from landmarks import mark, through


def py_clone(number):
    with mark('py_clone'):
        landmarks.crash(landmarks.load('libexv_damage.so').exv_clone, (1,), ['exv_clone'])


through('exv_a', py_clone)
