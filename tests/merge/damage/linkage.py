# SPDX-License-Identifier: Apache-2.0
# A call of another library's function dies on the way there, in the linkage table.
import extensions
from extensions import mark, through


def py_linkage(number):
    with mark('py_linkage'):
        extensions.crash(extensions.load('libexv_damage.so').exv_linkage, (1,), ['exv_linkage'])


through('exv_a', py_linkage)
