"""The fake broker behind a real ROUTER, in a thread."""

from __future__ import annotations

import threading

import zmq

from tests.unit.client.fake_broker import FakeBroker


class Router:
    """A context manager; `broker` may be looked at while `lock` is held."""

    def __init__(self) -> None:
        self.broker = FakeBroker()
        self.lock = threading.Lock()
        self.endpoint = ""
        self._context = zmq.Context()
        self._stop = self._context.socket(zmq.PAIR)
        self._stop.bind("inproc://stop")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._ready = threading.Event()
        self._peer = b""

    def __enter__(self) -> Router:
        self._thread.start()
        self._ready.wait(5)
        return self

    def __exit__(self, *exc) -> None:
        self._stop.send(b"")
        self._thread.join()
        self._stop.close(0)
        self._context.term()

    def _serve(self) -> None:
        socket = self._context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.LINGER, 0)
        self.endpoint = f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"
        stop = self._context.socket(zmq.PAIR)
        stop.connect("inproc://stop")
        self._ready.set()
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(stop, zmq.POLLIN)
        while stop not in dict(poller.poll()):
            peer, *frames = socket.recv_multipart()
            with self.lock:
                answers = self.broker.handle(frames)
            for answer in answers:
                socket.send_multipart([peer, *answer])
        socket.close(0)
        stop.close(0)
