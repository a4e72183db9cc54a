"""Many requests to the servers of one model: pulled as they are needed, done in any order, given back in theirs."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from tqdm import tqdm

from gsr_rl.errors import UsageError
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.requests import Answer, Request, Tally
from gsr_rl.generation.servers import Endpoints, without_text
from gsr_rl.settings.served import Served

T = TypeVar("T")
R = TypeVar("R")
Ask = Callable[[Request], Awaitable[Answer]]

# Of what runs at a time, beyond the slots there are: what has failed waits without one.
SPARE = 2
LINES_S = 30.0  # between two lines of progress where there is no terminal


class ForAll(Protocol):
    """What `for_all` does, however it is done."""

    def __call__(
        self,
        served: Served,
        journal: Journal,
        items: Iterable[T],
        work: Callable[[Ask, T], Awaitable[R]],
        *,
        what: str,
        total: int | None = None,
    ) -> list[R]: ...


def for_all(
    served: Served,
    journal: Journal,
    items: Iterable[T],
    work: Callable[[Ask, T], Awaitable[R]],
    *,
    what: str,
    total: int | None = None,
) -> list[R]:
    """`work(ask, item)` for every item, many at a time; their results in the order of the items.

    `work` asks the model as often as it likes, one request after another or several at once; what was answered is in
    the journal, so that it should return little. Items are taken from `items` when there is room for them.

    Raises:
        UsageError: a server refuses a request, no answer has a text, or a request failed time and again; what was
            answered is in the journal.
    """
    return asyncio.run(_for_all(served, journal, items, work, what, total))


async def _for_all(
    served: Served,
    journal: Journal,
    items: Iterable[T],
    work: Callable[[Ask, T], Awaitable[R]],
    what: str,
    total: int | None,
) -> list[R]:
    results: list[Any] = []
    progress = Progress(what, total, served)
    room = asyncio.Semaphore(SPARE * served.concurrency * max(1, len(served.urls)))

    async def one(position: int, item: T, endpoints: Endpoints) -> None:
        async def ask(request: Request) -> Answer:
            answer = await endpoints.ask(request)
            progress.show(endpoints)
            return answer

        try:
            results[position] = await work(ask, item)
            progress.advance(endpoints)
        finally:
            room.release()

    with progress:
        async with Endpoints(served, journal, progress.say) as endpoints:
            try:
                async with asyncio.TaskGroup() as group:
                    for position, item in enumerate(items):
                        await room.acquire()
                        results.append(None)
                        group.create_task(one(position, item, endpoints))
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None
    if endpoints.given_up:
        raise UsageError(
            f"{what}: {len(endpoints.given_up)} requests failed time and again, one at {endpoints.given_up[0]}; "
            "mend the server; the same command asks for these alone"
        )
    if endpoints.answered == endpoints.blank > 0:
        raise UsageError(without_text(served, ", ".join(served.urls), journal))
    return results


def usage(journal: Journal, models: Sequence[Served]) -> dict[str, dict[str, float]]:
    """Tokens, and dollars where there is a price, of all answers in the journal, by model."""
    used: dict[str, dict[str, float]] = {}
    for row in journal.rows():
        figures = used.setdefault(row["model"], {"answers": 0, "tokens in": 0, "tokens out": 0})
        figures["answers"] += 1
        figures["tokens in"] += row["prompt_tokens"]
        figures["tokens out"] += row["tokens"]
    for served in models:
        figures = used.get(str(served.model), {})
        cost = served.cost(int(figures["tokens in"]), int(figures["tokens out"])) if figures else None
        if cost is not None:
            figures["dollars"] = round(cost, 2)
    return used


class Progress:
    """A bar in a terminal, else a line now and then: rate, time left, tokens, cost and failures."""

    def __init__(self, what: str, total: int | None, served: Served) -> None:
        self._served = served
        self._in_terminal = sys.stderr.isatty()
        self._every = 0.5 if self._in_terminal else LINES_S
        self._started = self._shown = time.monotonic()
        self._bar: Any = tqdm(
            desc=f"gsr-rl {what}",
            total=total,
            unit="",
            file=sys.stderr if self._in_terminal else _Lines(),
            mininterval=self._every,
            miniters=1,
            bar_format=None
            if self._in_terminal
            else "{desc}: {n_fmt} of {total_fmt}, {elapsed}<{remaining}, {rate_fmt}{postfix}",
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def say(self, line: str) -> None:
        """Print a line without breaking the bar."""
        self._bar.clear()
        print(f"gsr-rl: {line}", file=sys.stderr, flush=True)

    def show(self, tally: Tally) -> None:
        """Tell of an answer, if that was not done for a while: items may take long."""
        if time.monotonic() - self._shown >= self._every:
            self._tell(tally)
            self._bar.refresh()

    def advance(self, tally: Tally, items: int = 1) -> None:
        """Tell of items that are done."""
        self._tell(tally)
        self._bar.update(items)

    def _tell(self, tally: Tally) -> None:
        self._shown = time.monotonic()
        seconds = max(self._shown - self._started, 1e-3)
        cost = self._served.cost(tally.prompt_tokens, tally.tokens)
        parts = [f"{tally.answered / seconds:,.1f} requests/s", f"{tally.tokens / seconds:,.0f} tokens/s"]
        parts += [f"{tally.prompt_tokens:,} tokens in", f"{tally.tokens:,} out"]
        parts += [] if cost is None else [f"${cost:.2f}"]
        parts += [f"{tally.failed:,} failures"] if tally.failed else []
        self._bar.set_postfix_str(", ".join(parts), refresh=False)


class _Lines:
    """Takes what tqdm writes over and over into one line, and prints each as a line of its own."""

    def write(self, text: str) -> None:
        if text.strip():
            print(text.strip(), file=sys.stderr, flush=True)

    def flush(self) -> None:
        pass
