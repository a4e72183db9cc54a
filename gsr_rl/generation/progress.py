"""Progress of a job: a bar in a terminal, otherwise a line now and then."""

import sys
import time
from typing import Any

from tqdm import tqdm

from gsr_rl.generation.requests import Tally
from gsr_rl.settings.served import Served

LINES_S = 30.0  # between two lines of progress where there is no terminal


class Progress:
    """Rate, time left, tokens, cost and failures of a job.

    Args:
        before: what had come back before the job began. It counts as tokens and cost, but not for the rates.
    """

    def __init__(self, what: str, total: int | None, served: Served, before: Tally | None = None) -> None:
        self._served = served
        self._before = (before.answered, before.tokens) if before else (0, 0)
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
        """Report an answer, unless something was reported a moment ago: an item may take long."""
        if time.monotonic() - self._shown >= self._every:
            self._tell(tally)
            self._bar.refresh()

    def advance(self, tally: Tally, items: int = 1) -> None:
        """Report items that are done."""
        self._tell(tally)
        self._bar.update(items)

    def _tell(self, tally: Tally) -> None:
        self._shown = time.monotonic()
        seconds = max(self._shown - self._started, 1e-3)
        cost = self._served.cost(tally.prompt_tokens, tally.tokens)
        answered, tokens = tally.answered - self._before[0], tally.tokens - self._before[1]
        parts = [f"{answered / seconds:,.1f} requests/s", f"{tokens / seconds:,.0f} tokens/s"]
        parts += [f"{tally.prompt_tokens:,} tokens in", f"{tally.tokens:,} out"]
        parts += [] if cost is None else [f"${cost:.2f}"]
        parts += [f"{tally.failed:,} failures"] if tally.failed else []
        self._bar.set_postfix_str(", ".join(parts), refresh=False)


class _Lines:
    """tqdm writes the same line over and over; here each version becomes a line of its own."""

    def write(self, text: str) -> None:
        if text.strip():
            print(text.strip(), file=sys.stderr, flush=True)

    def flush(self) -> None:
        pass
