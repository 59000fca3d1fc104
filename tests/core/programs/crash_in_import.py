# SPDX-License-Identifier: Apache-2.0
# Death while modules are being imported by modules: importlib's own frames are on the stack.
import os
import sys
import threading

import record

SOURCES = {
    'outer_package/__init__.py': 'from . import middle\n',
    'outer_package/middle.py': 'import time\nclass Body(object):\n    import outer_package.deep.leaf as leaf\n',
    'outer_package/deep/__init__.py': 'value = __import__("plain_module")\n',
    'outer_package/deep/leaf.py': '',
    'plain_module.py': '"""Doc."""\nimport record\n\ndef run():\n    return record.die()\n\nrun()\n',
    'waits.py': 'import time\n\ntime.sleep(1000)\n',
}
for name, text in SOURCES.items():
    if os.path.dirname(name) and not os.path.isdir(os.path.dirname(name)):
        os.makedirs(os.path.dirname(name))
    with open(name, 'w') as file:
        file.write(text)
sys.path.insert(0, os.getcwd())
if sys.version_info[0] > 2:
    # 2.7 has one import lock for all modules.
    record.start(__import__, 'imports', ('waits',))
    record.settle()
import outer_package
