"""Slots of several servers: who may be asked next, and who is set aside for a while because it keeps failing."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

FAILURES = 10  # in a row, after which a server is set aside
LONGEST_PAUSE_S = 300.0


class Slots:
    """`each` slots of every URL. A slot that is free goes to whoever waits, so that a faster server gets more.

    Args:
        pause_s: a quarter of the first pause of a server that is set aside; each further one in a row is twice as long.
        say: prints a line.
    """

    def __init__(self, urls: Sequence[str], each: int, pause_s: float, say: Callable[[str], None]) -> None:
        self.pause_s, self.say = pause_s, say
        self.free: asyncio.Queue[Server] = asyncio.Queue()
        self.servers = [Server(url, self) for url in urls]
        for _ in range(each):
            for server in self.servers:
                self.free.put_nowait(server)

    @asynccontextmanager
    async def one(self) -> AsyncIterator["Server"]:
        """A slot, for as long as the block lasts."""
        while (server := await self.free.get()).aside:
            server.withheld += 1
        try:
            yield server
        finally:
            server.give_back()

    def close(self) -> None:
        for server in self.servers:
            server.stop_waiting()


class Server:
    """One server. While it is set aside its slots are withheld; after a pause one of them tries it again, and when that
    goes well the others follow."""

    def __init__(self, url: str, slots: Slots) -> None:
        self.url = url
        self.aside = False
        self.withheld = 0
        self._slots = slots
        self._failures = self._pauses = 0  # in a row
        self._timer: asyncio.TimerHandle | None = None

    def give_back(self) -> None:
        if self._pauses:
            self.withheld += 1
        else:
            self._slots.free.put_nowait(self)

    def succeeded(self) -> None:
        self._failures = 0
        if self._pauses:
            self._pauses, self.aside = 0, False
            self.stop_waiting()
            self._slots.say(f"{self.url}: answers again")
            for _ in range(self.withheld):
                self._slots.free.put_nowait(self)
            self.withheld = 0

    def failed(self, reason: str, retry_after: float = 0.0) -> None:
        """Note a failure; after too many in a row set the server aside, for `retry_after` seconds at least."""
        self._failures += 1
        if self._failures < FAILURES or self.aside:
            return
        self.aside = True
        self._pauses += 1
        pause = min(self._slots.pause_s * 2 ** (self._pauses + 1), LONGEST_PAUSE_S) * random.uniform(0.5, 1)
        pause = max(pause, retry_after)
        others = [one for one in self._slots.servers if not one.aside]
        then = "the others go on" if others else "it is the last one, so that all wait"
        self._slots.say(f"{self.url}: fails ({reason}); set aside for {pause:.1f} s, {then}")
        self._timer = asyncio.get_running_loop().call_later(pause, self._try_again)

    def stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _try_again(self) -> None:
        self.aside = False
        if self.withheld:
            self.withheld -= 1
            self._slots.free.put_nowait(self)
