"""The processes behind `rewards.pool`: a helper, which has loaded sympy and forks workers, and the workers.

`python -m rewards.pool_worker FD` starts the helper. For each new worker, the pool sends the worker's limits and a
socket through the socket FD. The helper has no threads, so it is safe to fork, whatever the trainer's process has. A
fork starts in milliseconds and shares the memory of sympy. The helper and the workers end when the other end of their
socket is closed.
"""

import json
import os
import resource
import signal
import socket
import sys
from multiprocessing.connection import Connection


def serve(control: socket.socket) -> None:
    """Fork a worker for each socket that arrives through `control`; return when its other end is closed."""
    import rewards.symbolic

    rewards.symbolic.rehearse()

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the trainer handles Ctrl-C
    control.sendall(b"+")
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 64, 1)
        if not data:
            return
        if os.fork() == 0:
            control.close()
            cpu_seconds, memory_bytes = json.loads(data)
            work(Connection(descriptors[0]), cpu_seconds, memory_bytes)
            os._exit(0)
        os.close(descriptors[0])


def work(connection: Connection, cpu_seconds: float, memory_bytes: int) -> None:
    """Answer questions `[a, b]` with "same", "different" or "unreadable" until the connection ends.

    A question that takes more than `cpu_seconds` of processor time ends the process: the kernel kills it, whatever code
    is running. A question that needs more than `memory_bytes` beyond the memory at the start ends the process too.
    """
    import rewards.symbolic

    limit = _virtual_bytes() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    connection.send_bytes(json.dumps(os.getpid()).encode())
    while True:
        try:
            a, b = json.loads(connection.recv_bytes())
        except (EOFError, OSError, MemoryError):
            return
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        try:
            answer = rewards.symbolic.judge(a, b)
        except MemoryError:
            return
        except Exception:  # what sympy fails on cannot be compared
            answer = "unreadable"
        signal.setitimer(signal.ITIMER_PROF, 0)
        connection.send_bytes(json.dumps(answer).encode())


def _virtual_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
