# SPDX-License-Identifier: Apache-2.0
# Coroutines mid-await, asynchronous generators, comprehensions and context managers, on a running event loop.
# since: 3.6 (no async def)
import asyncio
import sys

import record


class Manager:
    async def __aenter__(self):
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *details):
        await leaf()


class Awaitable:
    def __await__(self):
        yield
        return record.die()


async def leaf():
    await asyncio.sleep(0.001)
    return await Awaitable()


async def stream():
    yield 1
    async with Manager():
        yield 2
    yield 3


async def gather(items):
    return [item async for item in items
            if item]


async def other():
    await asyncio.sleep(1000)


async def main():
    tasks = [asyncio.ensure_future(other()) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.gather(
        gather(stream()),
        *tasks)


def background():
    loop = asyncio.new_event_loop()
    loop.run_until_complete(other())


record.start(background, 'background loop')
loop = asyncio.new_event_loop()
if sys.version_info < (3, 10):
    asyncio.set_event_loop(loop)
loop.run_until_complete(main())
