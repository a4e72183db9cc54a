"""The other side of the pool: a process that has sympy loaded and forks workers, and what a worker does.

Run as `python -m rewards.worker FD`. The socket FD brings one byte and a socket for each worker that is wanted. The
process has no threads, so that forking it is safe whatever the trainer's process has; a fork starts in milliseconds and
shares the memory of sympy. Both sorts of process end when the other end of their socket is closed.
"""

import json
import os
import resource
import signal
import socket
import sys
from multiprocessing.connection import Connection


def serve(control: socket.socket) -> None:
    """Fork a worker for each socket that comes; return when the other side is gone."""
    import rewards.symbolic

    rewards.symbolic.rehearse()

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trainer's business
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

    A question that takes more than `cpu_seconds` of processor time ends the process: the kernel does it, whatever the
    code is at. So does one that needs more than `memory_bytes` beyond what the process has at its start.
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
        except Exception:  # whatever sympy cannot do, it cannot compare
            answer = "unreadable"
        signal.setitimer(signal.ITIMER_PROF, 0)
        connection.send_bytes(json.dumps(answer).encode())


def _virtual_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
