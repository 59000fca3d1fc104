# SPDX-License-Identifier: Apache-2.0
# A process and its descendants, for test_tree.py: each writes its process id to a file of its name.
# Roles: parent; leaf NAME; chain LENGTH; many COUNT; breed.
import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
ME = os.path.abspath(sys.argv[0])
signal.alarm(600)


def say(name):
    with open(name + '.new', 'w') as out:
        out.write(str(os.getpid()))
    os.rename(name + '.new', name + '.pid')


def await_file(name):
    while not os.path.exists(name):
        time.sleep(0.002)


def leaf(name):
    """The name is in a frame of its own, to be found in the report."""
    say(name)
    time.sleep(3600)


def forked():
    leaf('forked')


def of_multiprocessing():
    leaf('multiprocessing')


def fork(function, *arguments):
    pid = os.fork()
    if pid == 0:
        # Of hundreds none stays behind, whoever kills the first.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, 9)
        try:
            function(*arguments)
        finally:
            os._exit(1)
    return pid


def chain(length):
    say('chain%d' % length)
    if length > 1:
        fork(chain, length - 1)
    time.sleep(3600)


def one_of_many(number):
    leaf('many%d' % number)


def parent():
    subprocess.Popen([sys.executable, ME, 'leaf', 'subprocess'])
    # A chroot has no programs but Python.
    if os.path.exists('/bin/sh'):
        subprocess.Popen(['/bin/sh', '-c', '"$0" "$@"; true', sys.executable, ME, 'leaf', 'shell'])
        await_file('shell.pid')
    fork(forked)
    if hasattr(multiprocessing, 'get_context'):
        multiprocessing.get_context('fork').Process(target=of_multiprocessing).start()
    else:
        multiprocessing.Process(target=of_multiprocessing).start()
    zombie = os.fork()
    if zombie == 0:
        os._exit(3)
    with open('zombie', 'w') as out:
        out.write(str(zombie))
    for name in ('subprocess', 'forked', 'multiprocessing'):
        await_file(name + '.pid')
    leaf('parent')


def breed():
    """Children that end soon, all the time, until the file "stop" is there. Ends with status 6 if all were well."""
    say('breed')
    right, children = True, []
    while not os.path.exists('stop'):
        while len(children) < 4:
            children.append(fork(short, len(children)))
        pid, status = os.wait()
        children.remove(pid)
        right = right and os.WIFEXITED(status) and os.WEXITSTATUS(status) == 9
    for pid in children:
        os.waitpid(pid, 0)
    os._exit(6 if right else 1)


def short(number):
    time.sleep(0.05 * number)
    os._exit(9)


role, arguments = sys.argv[1], sys.argv[2:]
if role == 'leaf':
    leaf(arguments[0])
elif role == 'chain':
    chain(int(arguments[0]))
elif role == 'many':
    for number in range(int(arguments[0])):
        fork(one_of_many, number)
    leaf('many')
else:
    {'parent': parent, 'breed': breed}[role]()
