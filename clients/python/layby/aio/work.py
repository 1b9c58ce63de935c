"""work() for asyncio: one handler, several tasks. Owns the tasks and how they end together."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from layby.aio.consumer import Consumer
from layby.message import Message

Handler = Callable[[Message], Any]


async def work(consumer: Consumer, handler: Handler, jobs: int) -> None:
    """Until the consumer stops. What a handler lets through ends all and is raised again."""
    if jobs < 1:
        raise ValueError("jobs is at least 1")
    tasks = [asyncio.ensure_future(_serve(consumer, handler)) for _ in range(jobs)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        consumer.stop()
        await asyncio.gather(*tasks)
    except BaseException:
        consumer.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def _serve(consumer: Consumer, handler: Handler) -> None:
    hand = consumer.new_hand()
    while True:
        try:
            message = await consumer.next_message(hand)
        except StopAsyncIteration:
            return
        with message:
            result = handler(message)
            if inspect.isawaitable(result):
                await result
