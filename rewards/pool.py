"""Processes for what sympy must decide, each with a deadline and a memory limit that nothing outlives.

A worker that passes its processor time, its wall-clock deadline or its memory is killed and replaced; the others go on.
The workers are forked by one helper process that has loaded sympy (`rewards.worker`), started by its own command line:
neither fork (the trainer has threads) nor multiprocessing's spawn and forkserver (they import the main module again,
and are forbidden in daemonic processes) would do in a Ray actor. Linux only.
"""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from typing import Literal

Judgement = Literal["same", "different", "unreadable", "timeout"]
_HELPER_STARTS_IN = 120.0  # seconds; on an idle machine it takes about 1


class Pool:
    """At most `size` worker processes, started when first needed; safe to use from any number of threads.

    `asked` counts the questions, `restarts` the workers that passed a limit and were replaced.
    """

    def __init__(
        self, size: int = 2, cpu_seconds: float = 1.5, wall_seconds: float = 8.0, memory_bytes: int = 1 << 30
    ) -> None:
        self.limits = (cpu_seconds, memory_bytes)
        self.wall_seconds = wall_seconds
        self.asked = self.restarts = self._reported = 0
        self._size = size
        self.forget()

    def judge(self, a: str, b: str) -> Judgement:
        """Whether two tidied answers are the same mathematics; with an empty `b`, whether `a` can be read at all.

        Raises:
            OSError: the helper process does not start, or dies.
        """
        with self._free:
            worker = self._take()
            answer = worker.ask(a, b, self.wall_seconds)
            with self._lock:
                self.asked += 1
                if answer == "timeout":
                    self.restarts += 1
                else:
                    self._idle.append(worker)
        return answer

    def warm_up(self) -> None:
        """Start the helper and one worker now rather than at the first question."""
        self.judge("1", "1")

    def close(self) -> None:
        """End all processes. The pool starts them again if it is used again."""
        with self._lock:
            for worker in self._idle:
                worker.kill()
            self._idle.clear()
            if self._helper is not None:
                self._helper.close()
            self._helper = None

    def forget(self) -> None:
        """Drop all processes without ending them: in a fork, they are the parent's."""
        self._free = threading.Semaphore(self._size)
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._helper: _Helper | None = None

    def new_restarts(self) -> int:
        """Restarts since the last call: summed over all calls, each counts once."""
        with self._lock:
            new, self._reported = self.restarts - self._reported, self.restarts
        return new

    def _take(self) -> "_Worker":
        with self._lock:
            if self._idle:
                return self._idle.pop()
            if self._helper is None or not self._helper.is_alive():
                self._helper = _Helper()
            return self._helper.fork(*self.limits)


class _Helper:
    """The process that forks workers."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        # the same modules as here, however they came to be importable
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "rewards.worker", str(theirs.fileno())],
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._control.settimeout(_HELPER_STARTS_IN)
        if self._control.recv(1) != b"+":
            raise OSError("rewards: the helper process of the pool ended at its start; its stderr says why")

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def fork(self, cpu_seconds: float, memory_bytes: int) -> "_Worker":
        ours, theirs = socket.socketpair()
        with theirs:
            message = json.dumps([cpu_seconds, memory_bytes]).encode()
            socket.send_fds(self._control, [message], [theirs.fileno()])
        return _Worker(Connection(ours.detach()))

    def close(self) -> None:
        self._control.close()
        self._process.wait()


class _Worker:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        if not connection.poll(_HELPER_STARTS_IN):
            raise OSError("rewards: a worker process of the pool does not start")
        self._pid: int = json.loads(connection.recv_bytes())

    def ask(self, a: str, b: str, wall_seconds: float) -> Judgement:
        """The worker's answer, or "timeout" if it came to its end, of itself or by our hand."""
        try:
            self._connection.send_bytes(json.dumps([a, b]).encode())
            if self._connection.poll(wall_seconds):
                answer: Judgement = json.loads(self._connection.recv_bytes())
                return answer
        except (EOFError, OSError):
            pass
        self.kill()
        return "timeout"

    def kill(self) -> None:
        # An open connection means a living process: its pid is still its own.
        if not self._connection.closed:
            try:
                if not self._connection.poll(0):
                    os.kill(self._pid, signal.SIGKILL)
            except (EOFError, OSError):
                pass
            self._connection.close()


shared = Pool()
os.register_at_fork(after_in_child=shared.forget)
atexit.register(shared.close)
