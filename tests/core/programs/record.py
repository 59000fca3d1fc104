# SPDX-License-Identifier: Apache-2.0
"""Write down what every thread is doing, then die at once.

Runs on Python 2.7 and 3.6 and later.  A program arranges its threads and its stack and calls ``die()``: the truth goes
to ``truth.json`` in the current directory, and the process ends by the signal that was asked for, in the calling
thread, with every frame where the truth says that it is.

The truth: ``threads`` holds for each thread of ``sys._current_frames()`` its kernel id, its name, and ``frames``, most
recent call first, as indexes into ``table``, whose entries are [file, function, qualname, line, end line, column, end
column]; what a version does not know is None.
"""
import json
import os
import signal
import sys
import threading
import time

_tids = {}
_outer_frames = []
_positions = {}
NAMELESS = []  # filled by programs whose thread names can no longer be found by anybody


try:
    get_ident = threading.get_ident
except AttributeError:
    from thread import get_ident

if hasattr(threading, 'get_native_id'):
    native_id = threading.get_native_id
else:
    import ctypes
    _libc = ctypes.CDLL(None)

    def native_id():
        return _libc.syscall(178 if os.uname()[4] == 'aarch64' else 186)


_tids[get_ident()] = native_id()


def _run(target, arguments):
    _tids[get_ident()] = native_id()
    target(*arguments)


def start(target, name=None, arguments=()):
    """Start a daemon thread whose kernel id will be known."""
    thread = threading.Thread(target=_run, name=name, args=(target, arguments))
    thread.daemon = True
    thread.start()
    return thread


def _signature():
    """What the other threads are doing, cheaply: their innermost frames."""
    me = get_ident()
    result = []
    for ident, frame in sys._current_frames().items():
        if ident != me:
            depth = 0
            while frame is not None and depth < 6:
                result.append((ident, id(frame.f_code), frame.f_lasti, depth))
                frame = frame.f_back
                depth += 1
    result.sort()
    return result


def settle(samples=4, pause=0.012):
    """Wait until every other thread has stopped moving."""
    previous, same = None, 0
    me = get_ident()
    for _ in range(3000):
        current = _signature()
        waiting = [thread for thread in threading.enumerate() if thread.daemon and thread.ident not in _tids]
        started = all(thread.ident == me for thread in waiting)
        same = same + 1 if current == previous and started else 0
        if same >= samples:
            return
        previous = current
        time.sleep(pause)
    raise RuntimeError('the threads do not come to rest')


def _position(code, lasti):
    """(end line, column, end column) of an instruction, in the terms of PEP 657."""
    if not hasattr(code, 'co_positions') or lasti < 0:
        return (None, None, None)
    positions = _positions.get(id(code))
    if positions is None:
        # The code object is kept, or its id could be used again.
        positions = _positions[id(code)] = (list(code.co_positions()), code)
    line, end_line, column, end_column = positions[0][lasti // 2]
    return (end_line, column, end_column)


def _entry(frame):
    code = frame.f_code
    end_line, column, end_column = _position(code, frame.f_lasti)
    return (code.co_filename, code.co_name, getattr(code, 'co_qualname', None), frame.f_lineno, end_line, column,
            end_column)


def _stack(frame):
    result = []
    while frame is not None:
        result.append(_entry(frame))
        frame = frame.f_back
    return result


def outer():
    """Remember the calling stack as the outer part of what an interpreter inside this one will record."""
    _outer_frames[:] = _stack(sys._getframe(1))
    # Whether columns of this line's call and of the call that follows on it are equal is unknown.
    _outer_frames[0] = _outer_frames[0][:4] + ('any', 'any', 'any')
    return list(_outer_frames)


def _write(how, last_frame, outer_frames):
    me = get_ident()
    _tids.setdefault(me, native_id())
    names = dict((thread.ident, thread) for thread in threading.enumerate())
    table, index, threads = [], {}, []
    stacks = dict((ident, frame) for ident, frame in sys._current_frames().items() if ident != me)
    stacks[me] = last_frame
    for ident, frame in sorted(stacks.items()):
        stack = _stack(frame)
        if ident == me:
            stack = _beyond(how) + [stack[0][:4] + _dying_position(last_frame)] + stack[1:] + outer_frames
        numbers = []
        for entry in stack:
            if entry not in index:
                index[entry] = len(table)
                table.append(entry)
            numbers.append(index[entry])
        thread = names.get(ident)
        tid = getattr(thread, 'native_id', None) or _tids.get(ident)
        if ident == me:
            tid = native_id()
        threads.append({'tid': tid, 'name': getattr(thread, 'name', None), 'me': ident == me, 'frames': numbers})
    truth = {'version': list(sys.version_info[:3]), 'pid': os.getpid(), 'how': how, 'table': table,
             'threads': threads, 'nameless': bool(NAMELESS), 'debug': hasattr(sys, 'gettotalrefcount'),
             'free_threaded': hasattr(sys, '_is_gil_enabled') and not sys._is_gil_enabled()}
    # Not open(): this also runs when the interpreter is half gone.
    data = json.dumps(truth)
    if not isinstance(data, bytes):
        data = data.encode('ascii')
    descriptor = os.open('truth.json', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    while data:
        data = data[os.write(descriptor, data):]
    os.close(descriptor)


def _dying_position(frame):
    """Where ``die`` will be when it dies: not at the call that records, but at the next one on the same line."""
    if not hasattr(frame.f_code, 'co_positions'):
        return (None, None, None)
    return (frame.f_lineno, _DYING[0], _DYING[1])


def _beyond(how):
    """The frame that the ending call itself adds: ctypes.string_at is a function of one statement."""
    if how != 'SIGSEGV-string_at':
        return []
    import ctypes
    import dis
    code = ctypes.string_at.__code__
    line = max(line for _, line in dis.findlinestarts(code) if line is not None)
    qualname = getattr(code, 'co_qualname', None)
    return [(code.co_filename, code.co_name, qualname, line, 'any', 'any', 'any')]


def _write_until_true(how, last_frame, outer_frames):
    for _ in range(100):
        settle()
        before = _signature()
        _write(how, last_frame, outer_frames)
        if _signature() == before:
            return
    raise RuntimeError('the threads do not come to rest')


def _actions(how):
    """The call that ends the process and its arguments.  None of them but string_at runs Python code."""
    if how == 'hang':
        return time.sleep, (3600,)
    if how == 'SIGABRT':
        return os.abort, ()
    if how == 'SIGSEGV-read':
        import ctypes
        return getattr, (ctypes.c_int.from_address(0), 'value')
    if how == 'SIGSEGV-write':
        import ctypes
        return ctypes.memset, (0, 0, 1)
    if how == 'SIGSEGV-string_at':
        import ctypes
        return ctypes.string_at, (0,)
    if how == 'SIGBUS-mmap':
        import mmap
        with open('truncated.bin', 'w+b') as file:
            file.write(b'x' * 8192)
            file.flush()
            memory = mmap.mmap(file.fileno(), 8192)
            file.truncate(0)
        return memory.__getitem__, (4096,)
    number = getattr(signal, how)
    if number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    if hasattr(signal, 'pthread_kill'):
        return signal.pthread_kill, (get_ident(), number)
    return os.kill, (os.getpid(), number)  # the kernel picks the main thread


def die(how='SIGABRT', outer_frames=()):
    # The tests of live processes want it to hang instead.
    how = os.environ.get('EXUVIA_HANG', how)
    action, arguments = _actions(how)
    if hasattr(sys, 'setswitchinterval'):
        sys.setswitchinterval(1000)
    # One line, so that it is right for the call that writes the truth and for the one that ends the process.
    return _write_until_true(how, sys._getframe(), [tuple(entry) for entry in outer_frames]), action(*arguments)


def _find_dying():
    with open(__file__.replace('.pyc', '.py'), 'rb') as file:
        for line in file:
            line = line.rstrip()
            if line.endswith(b'action(*arguments)'):
                return (line.rindex(b'action('), len(line))


_DYING = _find_dying()


def not_applicable(reason):
    """End the program: this interpreter cannot do what the scenario needs."""
    sys.stdout.write('n/a: ' + reason + '\n')
    sys.stdout.flush()
    os._exit(77)
