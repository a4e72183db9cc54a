"""The backend for engines that take many requests at once: rounds of all pending requests, until none is pending."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from gsr_rl.errors import UsageError
from gsr_rl.generation.generate import Job
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.progress import Progress
from gsr_rl.generation.requests import Answer, Request, Tally
from gsr_rl.generation.servers import answer_in, without_text
from gsr_rl.settings.served import Served

T = TypeVar("T")
R = TypeVar("R")
# Batches of (request's key, its answer), in any order, some perhaps twice. A text instead of an answer says why the
# request has none.
Sample = Callable[[Sequence[Request]], Iterator[Sequence[tuple[str, Answer | str]]]]

AT_WORK = 256  # items in flight; the work between their requests is done in threads


class _Pending(Exception):
    """An answer that is not in the journal yet."""


def in_rounds(sample: Sample, served: Served, journal: Journal, job: Job[T, R]) -> list[R]:
    """See `Backend`. An item that asks for an answer outside the journal waits for the next round, and starts anew.

    All requests of a round are in memory at once.
    """
    results: dict[int, R] = {}
    left = list(enumerate(job.items))
    tally = Tally()
    while True:
        pending: dict[str, Request] = {}
        left = asyncio.run(_attempt(journal, left, job, pending, results))
        if not left:
            return [results[position] for position in range(len(results))]
        _round(sample, served, journal, pending, job.what, tally)


async def _attempt(
    journal: Journal,
    items: Sequence[tuple[int, T]],
    job: Job[T, R],
    pending: dict[str, Request],
    results: dict[int, R],
) -> list[tuple[int, T]]:
    """Do what the journal allows; returns the items that lack an answer, and puts their requests into `pending`."""
    waiting: list[tuple[int, T]] = []
    room = asyncio.Semaphore(AT_WORK)

    async def ask(request: Request) -> Answer:
        if request.key not in journal:
            pending[request.key] = request
            raise _Pending
        return answer_in(journal, request.key)

    async def do(position: int, item: T) -> None:
        try:
            results[position] = await job.work(ask, item)
        except _Pending:
            waiting.append((position, item))
        finally:
            room.release()

    try:
        async with asyncio.TaskGroup() as group:
            for position, item in items:
                await room.acquire()
                group.create_task(do(position, item))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    # An item ends with its first pending request. Requests that it makes at the same time belong to this round too.
    while unfinished := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(unfinished)
    return waiting


def _round(
    sample: Sample, served: Served, journal: Journal, pending: dict[str, Request], what: str, tally: Tally
) -> None:
    """Put the answers to all pending requests into the journal."""
    failures: dict[str, str] = {}
    with Progress(what, len(pending), served, tally) as progress:
        for answers in sample(list(pending.values())):
            # An answer may come twice, from a block that Ray tried again.
            new = {key: answer for key, answer in answers if key not in journal}
            answered = {key: answer for key, answer in new.items() if isinstance(answer, Answer)}
            failures |= {key: answer for key, answer in new.items() if isinstance(answer, str)}
            journal.write([(key, pending[key].row(answer)) for key, answer in answered.items()])
            journal.sync()
            for answer in answered.values():
                tally.add(answer)
            tally.failed = len(failures)
            progress.advance(tally, len(answered))
    missing = [key for key in pending if key not in journal]
    if missing:
        reason = failures.get(missing[0], "no answer came")
        raise UsageError(
            f"{what}: {len(missing)} requests to {served.model} failed, one of them with: {reason}; "
            "the same command asks for these requests alone"
        )
    if tally.answered == tally.blank:
        raise UsageError(without_text(str(served.model), "vLLM", journal))
