"""The work of `for_all` by an engine that takes many requests at once: rounds of all that is owed, until nothing is."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from gsr_rl.errors import UsageError
from gsr_rl.generation.generate import Ask, Progress
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.requests import Answer, Request, Tally
from gsr_rl.generation.servers import answer_in, without_text
from gsr_rl.settings.served import Served

T = TypeVar("T")
R = TypeVar("R")
# Answers to requests of a model, by their keys, as they come in: in any order, some perhaps twice. A text says why a
# request has none.
Sample = Callable[[Served, Sequence[Request]], Iterator[Sequence[tuple[str, Answer | str]]]]

AT_WORK = 256  # items at a time; what they do between requests is done in threads


class _Owed(Exception):
    """An answer that is not in the journal yet."""


def in_rounds(
    sample: Sample,
    served: Served,
    journal: Journal,
    items: Iterable[T],
    work: Callable[[Ask, T], Awaitable[R]],
    *,
    what: str,
    total: int | None = None,
) -> list[R]:
    """See `for_all`. An item whose work asks for what is not in the journal waits for the next round, and begins anew.

    All requests of a round are in memory at a time.

    Raises:
        UsageError: no answer has a text, or requests have none; what was answered is in the journal.
    """
    results: dict[int, R] = {}
    left = list(enumerate(items))
    tally = Tally()
    while True:
        owed: dict[str, Request] = {}
        left = asyncio.run(_attempt(journal, left, work, owed, results))
        if not left:
            return [results[position] for position in range(len(results))]
        _round(sample, served, journal, owed, what, tally)


async def _attempt(
    journal: Journal,
    items: Sequence[tuple[int, T]],
    work: Callable[[Ask, T], Awaitable[R]],
    owed: dict[str, Request],
    results: dict[int, R],
) -> list[tuple[int, T]]:
    """The items that could not be done with what is in the journal; what they lack goes into `owed`."""
    waiting: list[tuple[int, T]] = []
    room = asyncio.Semaphore(AT_WORK)

    async def ask(request: Request) -> Answer:
        if request.key not in journal:
            owed[request.key] = request
            raise _Owed
        return answer_in(journal, request.key)

    async def one(position: int, item: T) -> None:
        try:
            results[position] = await work(ask, item)
        except _Owed:
            waiting.append((position, item))
        finally:
            room.release()

    try:
        async with asyncio.TaskGroup() as group:
            for position, item in items:
                await room.acquire()
                group.create_task(one(position, item))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return waiting


def _round(sample: Sample, served: Served, journal: Journal, owed: dict[str, Request], what: str, tally: Tally) -> None:
    """Put the answers to all that is owed into the journal."""
    failures: dict[str, str] = {}
    with Progress(what, len(owed), served) as progress:
        for answers in sample(served, list(owed.values())):
            # One that is there already comes from a block that was tried again.
            new = {key: answer for key, answer in answers if key not in journal}
            came = {key: answer for key, answer in new.items() if isinstance(answer, Answer)}
            failures |= {key: answer for key, answer in new.items() if isinstance(answer, str)}
            journal.write([(key, owed[key].row(answer)) for key, answer in came.items()])
            journal.sync()
            for answer in came.values():
                tally.add(answer)
            tally.failed = len(failures)
            progress.advance(tally, len(came))
    missing = [key for key in owed if key not in journal]
    if missing:
        reason = failures.get(missing[0], "no answer came")
        raise UsageError(
            f"{what}: {len(missing)} requests to {served.model} failed, one with: {reason}; "
            "the same command asks for these alone"
        )
    if tally.answered == tally.blank:
        raise UsageError(without_text(served, "teach.engine=ray", journal))
