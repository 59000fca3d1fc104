# SPDX-License-Identifier: Apache-2.0
# Waits for a lock inside of sorted(), which calls list.sort(), inside of list.sort(): built-in functions whose C code has
# no symbol in stripped builds. Writes down how Python calls them.
import json
import os
import threading

lock = threading.Lock()
acquire = lock.acquire
acquire()


def wait(item):
    lock.acquire()


def inner(item):
    sorted([item], key=wait)


def outer():
    [2].sort(key=inner)


record = {
    "pid": os.getpid(),
    "functions": ["<built-in method sort of list>", "<built-in function sorted>", "<built-in method sort of list>",
                  "<built-in method acquire of %s>" % (type(lock).__module__ + "." + type(lock).__name__)],
}
with open("new.json", "w") as file:
    json.dump(record, file)
os.rename("new.json", "truth.json")
outer()
