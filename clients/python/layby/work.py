"""work(): one handler function, several threads. Owns the threads and how they end together.

Must never know polls, leases or sockets.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from layby.consumer import Consumer
from layby.message import Message

Handler = Callable[[Message], object]


def work(consumer: Consumer, handler: Handler, jobs: int) -> None:
    """Until the consumer stops. With one job the handler runs in the calling thread."""
    if jobs < 1:
        raise ValueError("jobs is at least 1")
    if jobs == 1:
        _serve(consumer, handler)
        return
    _Crew(consumer, handler, jobs).run()


def _serve(consumer: Consumer, handler: Handler) -> None:
    hand = consumer.new_hand()
    while True:
        try:
            message = consumer.next_message(hand)
        except StopIteration:
            return
        with message:
            handler(message)


class _Crew:
    """The first exception that a thread lets through ends all and is raised again by `run`."""

    def __init__(self, consumer: Consumer, handler: Handler, jobs: int) -> None:
        self._consumer = consumer
        self._handler = handler
        self._failure: BaseException | None = None
        self._left = jobs
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=self._serve, name=f"layby-work-{number}", daemon=True)
            for number in range(jobs)
        ]

    def run(self) -> None:
        for thread in self._threads:
            thread.start()
        try:
            self._done.wait()
        finally:
            self._consumer.stop()
            for thread in self._threads:
                thread.join()
        if self._failure is not None:
            raise self._failure

    def _serve(self) -> None:
        try:
            _serve(self._consumer, self._handler)
        except BaseException as error:
            self._failure = self._failure or error
            self._consumer.stop()
        finally:
            with self._lock:
                self._left -= 1
                if not self._left:
                    self._done.set()
