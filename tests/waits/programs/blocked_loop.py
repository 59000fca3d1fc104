# SPDX-License-Identifier: Apache-2.0
# Part of together.py that Python 2.7 cannot read: event loops.
import asyncio

import hang


async def call(lock):
    with lock:
        pass


async def main(lock):
    await asyncio.gather(call(lock), asyncio.sleep(3600))


async def idle():
    await asyncio.get_event_loop().create_future()


def run(coroutine, loop=None):
    (loop or asyncio.new_event_loop()).run_until_complete(coroutine)


def start(lock):
    hang.start(run, 'blocked loop', main(lock))
    hang.waits('blocked loop', 'lock', lock, taken='keeps')
    loop = asyncio.new_event_loop()
    hang.start(run, 'idle loop', idle(), loop)
    hang.waits('idle loop', 'event-loop', loop, calls=['epoll_wait', 'epoll_pwait'], file=['epoll'],
               says=['no task of event loop', 'epoll_wait'])
