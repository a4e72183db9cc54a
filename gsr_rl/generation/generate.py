"""What a backend does, and the backend for servers: many requests in flight, results in the order of the items."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from gsr_rl.errors import UsageError
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.progress import Progress
from gsr_rl.generation.requests import Answer, Request
from gsr_rl.generation.servers import Servers, answer_in, without_text
from gsr_rl.settings.served import Served

T = TypeVar("T")
R = TypeVar("R")
Ask = Callable[[Request], Awaitable[Answer]]

# Items in flight per slot. Failed requests wait without holding a slot, so more items than slots may run.
SPARE = 2


@dataclass(frozen=True)
class Job(Generic[T, R]):
    """Work on many items, each of which asks one model any number of times.

    Args:
        what: name of the job in progress and errors.
        items: taken one by one, when there is room for another.
        work: `work(ask, item)` asks in sequence or at once. All answers are in the journal, so that a result can be
            small. A backend may call it again for an item: with the same answers it must make the same requests.
        total: number of items, where it is known.
    """

    what: str
    items: Iterable[T]
    work: Callable[[Ask, T], Awaitable[R]]
    total: int | None = None


class Backend(Protocol):
    """Whoever answers a model's requests: servers, an engine in this process, or replicas on a Ray cluster."""

    def __call__(self, journal: Journal, job: Job[T, R]) -> list[R]:
        """The results of `job`, in the order of its items.

        An answer that is in the journal is not asked for again; each new answer is in the journal before it is used.

        Raises:
            UsageError: a request is refused, no answer has a text, or a request failed time and again. What was
                answered is in the journal.
        """
        ...


def ask_servers(served: Served, journal: Journal, job: Job[T, R]) -> list[R]:
    """The backend for the servers at `served.urls`; see `Backend`."""
    return asyncio.run(_ask_servers(served, journal, job))


async def _ask_servers(served: Served, journal: Journal, job: Job[T, R]) -> list[R]:
    results: dict[int, R] = {}
    progress = Progress(job.what, job.total, served)
    room = asyncio.Semaphore(SPARE * served.concurrency * max(1, len(served.urls)))

    async def do(position: int, item: T, servers: Servers) -> None:
        async def ask(request: Request) -> Answer:
            answer = await servers.ask(request)
            progress.show(servers.tally)
            return answer

        try:
            results[position] = await job.work(ask, item)
            progress.advance(servers.tally)
        finally:
            room.release()

    with progress:
        async with Servers(served, journal, progress.say) as servers:
            try:
                async with asyncio.TaskGroup() as group:
                    for position, item in enumerate(job.items):
                        await room.acquire()
                        group.create_task(do(position, item, servers))
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None
    if servers.given_up:
        raise UsageError(
            f"{job.what}: {len(servers.given_up)} requests failed time and again, one of them at "
            f"{servers.given_up[0]}; fix the server; the same command asks for these requests alone"
        )
    if servers.tally.answered == servers.tally.blank > 0:
        raise UsageError(without_text(str(served.model), ", ".join(served.urls), journal))
    return [results[position] for position in range(len(results))]


def from_journal(journal: Journal) -> Ask:
    """Answers from the journal alone; KeyError for an answer that is not there."""

    async def ask(request: Request) -> Answer:
        return answer_in(journal, request.key)

    return ask


def usage(journal: Journal, models: Mapping[str, Served]) -> dict[str, dict[str, float]]:
    """Tokens, and dollars where there is a price, of all answers in the journal, by the model's name."""
    used: dict[str, dict[str, float]] = {}
    for row in journal.rows():
        if "prompt_tokens" not in row:  # not an answer
            continue
        figures = used.setdefault(row["model"], {"answers": 0, "tokens in": 0, "tokens out": 0})
        figures["answers"] += 1
        figures["tokens in"] += row["prompt_tokens"]
        figures["tokens out"] += row["tokens"]
    for name, served in models.items():
        figures: dict[str, Any] = used.get(name, {})
        cost = served.cost(int(figures["tokens in"]), int(figures["tokens out"])) if figures else None
        if cost is not None:
            figures["dollars"] = round(cost, 2)
    return used
