"""A wire between two processes that can be cut and made slow: a small TCP proxy in threads."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable


class Wire:
    """Listens at `port` and hands everything on to `target` on this machine. `cut()` ends all connections and refuses new
    ones, `slow` are seconds before each piece is handed on, `mend()` makes it whole again."""

    def __init__(self, port: int, target: int) -> None:
        self.port, self.target, self.slow, self.whole = port, target, 0.0, True
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """No connection gets through from now on."""
        self.whole = False
        for one in list(self._open):
            close(one)

    def mend(self) -> None:
        """Everything gets through, at once."""
        self.whole, self.slow = True, 0.0

    def close(self) -> None:
        """Take the wire away."""
        self.cut()
        close(self._listener)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        try:
            if not self.whole:
                raise OSError
            far = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            far.settimeout(None)
        except OSError:
            close(near)
            return
        self._open |= {near, far}
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._hand_on, args=(source, sink), daemon=True).start()

    def _hand_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                if self.slow:
                    time.sleep(self.slow)
                sink.sendall(piece)
        for one in (source, sink):
            self._open.discard(one)
            close(one)


def close(one: socket.socket) -> None:
    """Close a socket, at both ends of whoever waits at it."""
    for ending in (lambda: one.shutdown(socket.SHUT_RDWR), one.close):
        quietly(ending)


def quietly(act: Callable[[], object]) -> None:
    """Do it; that it is done already is no fault."""
    with contextlib.suppress(OSError):
        act()
