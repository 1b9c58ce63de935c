"""A TCP proxy between clients and daemon that cuts, stalls, delays and drips, by a seed; or is far.

Owns connections and what goes wrong on them. Must never know what the bytes mean. Runs in a thread
of its own; `calm` ends all faults.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections import Counter

CHUNK = 1 << 16
CUT, STALL, DELAY, DRIP = "cut", "stall", "delay", "drip"
FAULTS = ((CUT, 0.004), (STALL, 0.008), (DELAY, 0.1), (DRIP, 0.03))
"""And how likely each is when some bytes come by."""

STALL_S = 1.0
DELAY_S = 0.05
DRIP_BYTES = 400
DRIPS = 30


class Proxy:
    """`way_s`: whatever comes by waits so long, and what comes behind it waits for it, as over a
    line that is narrow as well as far."""

    def __init__(self, upstream: int, seed: int, way_s: float = 0.0) -> None:
        self._upstream = upstream
        self._way_s = way_s
        self._chance = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._calm = False
        self.done: Counter[str] = Counter()
        self.port = 0

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10), "the proxy does not listen"

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def calm(self) -> None:
        self._calm = True

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    # ---- in its thread

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._meet, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._end_all())
        self._loop.close()

    async def _end_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            writer.close()
            return
        pumps = [
            asyncio.create_task(self._pump(reader, back)),
            asyncio.create_task(self._pump(there, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            for end in (writer, back):
                end.transport.abort()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the connection ends, by itself or by us."""
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                fault = self._drawn()
                if fault == CUT:
                    writer.write(data[: self._chance.randrange(len(data))])
                    return
                if fault == DRIP:
                    data = await self._drip(data, writer)
                elif fault:
                    most = STALL_S if fault == STALL else DELAY_S
                    await self._pause(self._chance.uniform(0, most))
                if self._way_s:
                    await self._pause(self._way_s)
                writer.write(data)
                await writer.drain()

    def _drawn(self) -> str:
        if self._calm:
            return ""
        drawn = self._chance.random()
        for fault, share in FAULTS:
            if drawn < share:
                self.done[fault] += 1
                return fault
            drawn -= share
        return ""

    async def _drip(self, data: bytes, writer: asyncio.StreamWriter) -> bytes:
        """A few bytes at a time, for a while; gives the rest."""
        for _ in range(DRIPS):
            if not data:
                break
            size = self._chance.randrange(1, DRIP_BYTES)
            writer.write(data[:size])
            await writer.drain()
            data = data[size:]
            await self._pause(self._chance.uniform(0, 0.005))
        return data

    async def _pause(self, seconds: float) -> None:
        passed = self._loop.create_future()
        timer = self._loop.call_later(seconds, passed.set_result, None)
        try:
            await passed
        finally:
            timer.cancel()
