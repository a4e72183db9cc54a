"""Slots of servers that fail and recover, on a clock that jumps to the next timer."""

import asyncio
import heapq
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from gsr_rl.generation.slots import FAILURES, Server, Slots


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only when everything waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        timers: Any = self._scheduled  # pyright: ignore[reportAttributeAccessIssue]
        if not self._ready and timers:  # pyright: ignore[reportAttributeAccessIssue]
            self.now = max(self.now, heapq.nsmallest(1, timers)[0].when())
        super()._run_once()  # pyright: ignore[reportAttributeAccessIssue]


def run(main: Coroutine[Any, Any, Any]) -> Any:
    loop = JumpingLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: high)


async def fail(slots: Slots, times: int) -> None:
    for _ in range(times):
        async with slots.take() as server:
            server.failed("500")


def test_slots_alternate_and_never_run_out() -> None:
    async def main() -> list[str]:
        slots = Slots(["a", "b"], 2, 1.0, print)
        taken: list[str] = []
        for _ in range(3):
            async with slots.take() as first, slots.take() as second, slots.take() as third, slots.take() as fourth:
                taken += [first.url, second.url, third.url, fourth.url]
                assert slots.free.empty()
        return taken

    taken = run(main())
    assert sorted(taken[:4]) == ["a", "a", "b", "b"]
    assert taken.count("a") == taken.count("b") == 6


def test_a_server_that_fails_is_suspended_and_its_work_goes_to_the_other() -> None:
    said: list[str] = []

    async def main() -> list[tuple[float, str]]:
        slots = Slots(["bad", "good"], 3, 1.0, said.append)
        taken: list[tuple[float, str]] = []
        for _ in range(100):
            async with slots.take() as server:
                taken.append((asyncio.get_running_loop().time(), server.url))
                server.failed("503") if server.url == "bad" else server.succeeded()
            await asyncio.sleep(1.0)
        assert slots.servers[0].withheld + sum(1 for server in slots.free._queue if server.url == "bad") == 3  # pyright: ignore
        return taken

    taken = run(main())
    tried = [at for at, url in taken if url == "bad"]
    # The servers take turns for the first 20 seconds, until ten failures. Then there is a try after pauses of 4, 8, 16
    # and 32 seconds, each at the next turn: a second later at most, or two if a good slot is before it in the queue.
    assert len(tried[:FAILURES]) == 10 and tried[FAILURES - 1] < 20
    gaps = [later - earlier for earlier, later in zip(tried[FAILURES - 1 :], tried[FAILURES:], strict=False)]
    assert len(gaps) >= 3
    for gap, pause in zip(gaps, [4, 8, 16, 32, 64], strict=False):
        assert pause <= gap <= pause + 4
    assert said[0] == "bad: fails (503); suspended for 4.0 s, the other servers go on"


def test_when_a_server_answers_again_all_its_slots_are_back() -> None:
    said: list[str] = []

    async def main() -> None:
        slots = Slots(["only"], 4, 1.0, said.append)
        await fail(slots, FAILURES)
        (server,) = slots.servers
        assert server.suspended
        async with slots.take() as probe:
            assert asyncio.get_running_loop().time() == 4.0
            assert slots.free.empty() and server.withheld == 3
            probe.succeeded()
        async with slots.take(), slots.take(), slots.take(), slots.take():
            assert slots.free.empty()
        await fail(slots, FAILURES - 1)  # the count started again
        assert not server.suspended

    run(main())
    assert said == [
        "only: fails (500); suspended for 4.0 s, no other server is left, so all requests wait",
        "only: answers again",
    ]


def test_an_answer_to_a_request_in_flight_brings_the_server_back_at_once() -> None:
    async def main() -> None:
        slots = Slots(["only"], 2, 1.0, print)
        async with slots.take() as slow:
            await fail(slots, FAILURES)
            assert slow.suspended
            slow.succeeded()
        async with slots.take(), slots.take():
            assert asyncio.get_running_loop().time() == 0.0
        slots.close()

    run(main())


def test_a_server_that_asks_for_time_gets_it_and_no_pause_is_longer_than_five_minutes() -> None:
    said: list[str] = []

    async def main() -> Server:
        slots = Slots(["only"], 1, 1.0, said.append)
        for _ in range(FAILURES):
            async with slots.take() as server:
                server.failed("429", retry_after=1000.0)
        await fail(slots, 12)
        return slots.servers[0]

    run(main())
    pauses = [line.partition("suspended for ")[2].partition(" s")[0] for line in said]
    assert pauses[:3] == ["1000.0", "8.0", "16.0"]
    assert pauses[-1] == "300.0"
