"""Worker processes for the comparisons that need sympy; each has a deadline and a memory limit.

A worker that passes its limit of processor time or memory is killed and replaced, and its comparison is a "timeout".
The others go on. A worker that only passes its wall-clock limit may have been kept waiting by a busy machine. So it is
replaced too, but its comparison is tried again alone, with more patience, before it is a timeout.

One helper process, which has loaded sympy, forks the workers (`rewards.pool_worker`). It is started as a command of its
own, since the other ways fail in a Ray actor: a fork of the trainer is unsafe (it has threads), and multiprocessing's
spawn and forkserver import the main module again and are forbidden in daemonic processes. Linux only.
"""

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Literal

Judgement = Literal["same", "different", "unreadable", "timeout"]
_START_SECONDS = 120.0  # deadline for the start of a process; an idle machine needs about 1 second


class Pool:
    """At most `size` worker processes, started when first needed. Any number of threads may use one pool.

    `questions` counts the calls of `judge`. `restarts` counts the workers that passed a limit and were replaced. `late`
    counts the comparisons that passed their wall-clock limit and were tried again.
    """

    def __init__(
        self,
        size: int = 2,
        cpu_seconds: float = 1.5,
        wall_seconds: float = 8.0,
        memory_bytes: int = 1 << 30,
        patience: float = 120.0,
    ) -> None:
        """Set the limits of one question.

        Args:
            size: number of workers.
            cpu_seconds: processor time of a worker.
            wall_seconds: wall-clock time until the comparison is tried again alone.
            memory_bytes: memory of a worker, beyond what it has at its start.
            patience: wall-clock time of the second attempt, in seconds.
        """
        self.limits = (cpu_seconds, memory_bytes)
        self.wall_seconds, self.patience = wall_seconds, patience
        self.questions = self.restarts = self.late = self._reported = self._reported_late = 0
        self._size = size
        self.forget()

    def judge(self, a: str, b: str) -> Judgement:
        """Judge whether two tidied answers are the same mathematics; with an empty `b`, whether `a` can be read at all.

        Raises:
            OSError: the helper process does not start, or has died.
        """
        with self._free:
            answer = self._ask(a, b, self.wall_seconds)
        tried_again = answer == "late"
        if tried_again:
            with self._alone():
                answer = self._ask(a, b, self.patience)
        with self._lock:
            self.questions += 1
            self.late += tried_again
        return "timeout" if answer == "late" else answer

    def _ask(self, a: str, b: str, wall_seconds: float) -> "Judgement | Literal['late']":
        """Ask a worker. The caller holds a place of the pool."""
        worker = self._take()
        answer = worker.ask(a, b, wall_seconds)
        with self._lock:
            if answer in ("timeout", "late"):
                self.restarts += 1
            else:
                self._idle.append(worker)
        return answer

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold all places of the pool, so that no other comparison of this process runs."""
        with self._only, contextlib.ExitStack() as places:
            for _ in range(self._size):
                places.enter_context(self._free)
            yield

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
        """Drop all processes without ending them. A forked child calls this, since the processes are its parent's."""
        self._free = threading.Semaphore(self._size)
        self._only = threading.Lock()  # held by the thread that wants to be alone
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._helper: _Helper | None = None

    def new_restarts(self) -> int:
        """Return the restarts since the last call, so that the sum over all calls counts each restart once."""
        with self._lock:
            new, self._reported = self.restarts - self._reported, self.restarts
        return new

    def new_late(self) -> int:
        """Return the comparisons tried again since the last call, counted as `new_restarts` counts restarts."""
        with self._lock:
            new, self._reported_late = self.late - self._reported_late, self.late
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
        # The helper must find the same modules as this process, whatever made them importable here.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "rewards.pool_worker", str(theirs.fileno())],
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._control.settimeout(_START_SECONDS)
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
        if not connection.poll(_START_SECONDS):
            raise OSError("rewards: a worker process of the pool does not start")
        self._pid: int = json.loads(connection.recv_bytes())

    def ask(self, a: str, b: str, wall_seconds: float) -> "Judgement | Literal['late']":
        """Return the worker's answer, "timeout" if a limit ended it, or "late" without an answer in time."""
        late = False
        try:
            self._connection.send_bytes(json.dumps([a, b]).encode())
            if self._connection.poll(wall_seconds):
                answer: Judgement = json.loads(self._connection.recv_bytes())
                return answer
            late = True
        except (EOFError, OSError):
            pass
        self.kill()
        return "late" if late else "timeout"

    def kill(self) -> None:
        # While the connection is open the process lives, so its pid belongs to no other process.
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
