"""Slots of several servers: which server is asked next, and which is suspended because it keeps failing."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

FAILURES = 10  # in a row; after these a server is suspended
LONGEST_PAUSE_S = 300.0


class Slots:
    """`each` slots per URL. A free slot goes to whoever waits, so that a faster server gets more requests.

    Args:
        pause_s: a quarter of a suspended server's first pause; each further pause in a row is twice as long.
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
    async def take(self) -> AsyncIterator["Server"]:
        """A slot, for as long as the block lasts."""
        while (server := await self.free.get()).suspended:
            server.withheld += 1
        try:
            yield server
        finally:
            server.give_back()

    def close(self) -> None:
        """Cancel all pauses."""
        for server in self.servers:
            server.stop_waiting()


class Server:
    """One server. While it is suspended its slots are withheld. After a pause one slot tries the server again; if that
    succeeds, the other slots follow."""

    def __init__(self, url: str, slots: Slots) -> None:
        self.url = url
        self.suspended = False
        self.withheld = 0
        self._slots = slots
        self._failures = self._pauses = 0  # in a row
        self._timer: asyncio.TimerHandle | None = None

    def give_back(self) -> None:
        """Free a slot, or withhold it until the server has answered again."""
        if self._pauses:
            self.withheld += 1
        else:
            self._slots.free.put_nowait(self)

    def succeeded(self) -> None:
        """Note an answer; a suspended server gets its slots back."""
        self._failures = 0
        if self._pauses:
            self._pauses, self.suspended = 0, False
            self.stop_waiting()
            self._slots.say(f"{self.url}: answers again")
            for _ in range(self.withheld):
                self._slots.free.put_nowait(self)
            self.withheld = 0

    def failed(self, reason: str, retry_after: float = 0.0) -> None:
        """Note a failure; after too many in a row suspend the server, for `retry_after` seconds at least."""
        self._failures += 1
        if self._failures < FAILURES or self.suspended:
            return
        self.suspended = True
        self._pauses += 1
        pause = min(self._slots.pause_s * 2 ** (self._pauses + 1), LONGEST_PAUSE_S) * random.uniform(0.5, 1)
        pause = max(pause, retry_after)
        others = [server for server in self._slots.servers if not server.suspended]
        then = "the other servers go on" if others else "no other server is left, so all requests wait"
        self._slots.say(f"{self.url}: fails ({reason}); suspended for {pause:.1f} s, {then}")
        self._timer = asyncio.get_running_loop().call_later(pause, self._try_again)

    def stop_waiting(self) -> None:
        """Cancel the pause."""
        if self._timer is not None:
            self._timer.cancel()

    def _try_again(self) -> None:
        self.suspended = False
        if self.withheld:
            self.withheld -= 1
            self._slots.free.put_nowait(self)
