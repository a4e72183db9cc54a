"""Servers of one language model: requests are spread over them; each server has its slots, failures and pauses."""

import asyncio
import random
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import openai
from aiohttp import ClientConnectorError, ClientError
from openai import AsyncOpenAI, DefaultAioHttpClient

from gsr_rl.errors import UsageError
from gsr_rl.generation.journal import Appender, Journal
from gsr_rl.generation.requests import Answer, Request, Tally
from gsr_rl.generation.slots import Slots
from gsr_rl.settings.served import Served

CONNECT_S = 10.0
START_TRIES = 8  # a server may fail now and then; after this many tries it counts as one that does not answer
REQUEST_TRIES = 20  # most tries of a request by servers that take requests
BLANK_TRIES = 3  # an answer without text may be the server's fault, or be all that the model has to say
LONGEST_RETRY_S = 60.0
LONGEST_WAIT_S = 600.0  # most that a server can make a request wait by its Retry-After
LONG_WAIT_S = 10.0  # a wait that is worth a line
FIRST_ANSWERS = 32  # if none of them has a text, something is set up wrongly


class Failure(Exception):
    """A request failed in a way that a retry may fix.

    `away`: the server cannot be reached or takes no requests; the failure is the server's, not this request's.
    `retry_after`: seconds that the server asked to wait, at most LONGEST_WAIT_S.
    """

    def __init__(self, reason: str, away: bool = False, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.away, self.retry_after = away, retry_after


class Servers:
    """The servers of one model, within one event loop.

    No server has more than `concurrency` requests in flight. A slot is free again only when its answer is in the
    journal, so that whatever ends the process, no more requests than slots are asked twice.

    Args:
        say: prints a line.
    """

    def __init__(self, served: Served, journal: Journal, say: Callable[[str], None]) -> None:
        self.served, self.journal, self.tally = served, journal, Tally()
        self.slots = Slots(served.urls, served.concurrency, served.retry_s, say)
        self.given_up: list[str] = []
        self._say = say
        self._waiting_until: dict[str, float] = {}
        self._appender = Appender(journal)
        self._running: dict[str, asyncio.Event] = {}
        self._clients = {url: _client(served, url) for url in served.urls}

    async def __aenter__(self) -> "Servers":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.slots.close()
        for client in self._clients.values():
            await client.close()

    async def ask(self, request: Request) -> Answer:
        """The journal's answer to `request`, or else a new answer, which is in the journal when this returns.

        While servers are away the request is retried without limit. A request that fails time and again while servers
        take requests is given up: its answer is empty and not in the journal, and its failure is in `given_up`.

        Raises:
            UsageError: a server refuses the request, or none of the first answers has a text.
        """
        while request.key in self._running:  # the same request is in flight already
            await self._running[request.key].wait()
        if request.key in self.journal:
            return answer_in(self.journal, request.key)
        done = self._running[request.key] = asyncio.Event()
        try:
            return await self._fetch(request)
        finally:
            del self._running[request.key]
            done.set()

    async def _fetch(self, request: Request) -> Answer:
        tries = blanks = 0
        while True:
            answered = self.tally.answered
            async with self.slots.take() as slot:
                try:
                    answer = await self._post(slot.url, request)
                except Failure as failure:
                    self.tally.failed += 1
                    slot.failed(str(failure), failure.retry_after)
                    tries += not failure.away or self.tally.answered > answered
                    reason, pause = f"{slot.url}: {failure}", max(failure.retry_after, self._backoff(tries))
                    self._say_wait(slot.url, failure)
                else:
                    slot.succeeded()
                    reason, pause = "", 0.0
                    blanks += not answer.text and not answer.cut_off
                    if answer.text or answer.cut_off or blanks == BLANK_TRIES:
                        await self._keep(request, answer, slot.url)
                        return answer
            if tries == REQUEST_TRIES:
                self.given_up.append(reason)
                return Answer("")
            await asyncio.sleep(pause)

    def _say_wait(self, url: str, failure: Failure) -> None:
        """Say that a server makes requests wait long, once for each such wait of the server."""
        now = time.monotonic()
        if failure.retry_after >= LONG_WAIT_S and now >= self._waiting_until.get(url, 0.0):
            self._waiting_until[url] = now + failure.retry_after
            self._say(f"{url}: asks to wait ({failure}); its requests wait for {failure.retry_after:.0f} s")

    def _backoff(self, tries: int) -> float:
        """Seconds, drawn at random, so that requests that failed together do not come back together."""
        return min(self.served.retry_s * 2 ** max(tries - 1, 0), LONGEST_RETRY_S) * random.uniform(0.5, 1)

    async def _keep(self, request: Request, answer: Answer, url: str) -> None:
        await self._appender.append(request.key, request.row(answer))
        self.tally.add(answer)
        if self.tally.blank == self.tally.answered == FIRST_ANSWERS:
            raise UsageError(without_text(str(self.served.model), url, self.journal))

    async def _post(self, url: str, request: Request) -> Answer:
        try:
            async with asyncio.timeout(self.served.timeout_s):
                return request.read(await self._clients[url].post(request.path, cast_to=bytes, body=request.body()))
        except openai.APIStatusError as error:
            raise _refusal(self.served, url, error) from None
        except TimeoutError:
            raise Failure(f"no answer within {self.served.timeout_s:g} s") from None
        except (openai.APIConnectionError, ClientError, OSError, ValueError) as error:
            raise _failure(error) from None


def check_servers(served: Served, key: str) -> None:
    """Whether every server answers and has the model.

    Args:
        key: name of the section in the recipe, for the error.

    Raises:
        UsageError: names the URL, what it serves, and what to do.
    """

    async def check() -> None:
        await asyncio.gather(*(_check(served, url, key) for url in served.urls))

    asyncio.run(check())


async def _check(served: Served, url: str, key: str) -> None:
    async with _client(served, url) as client:
        tries = 0
        while True:
            try:
                models = await _models(client, served, url)
                break
            except Failure as failure:
                tries += 1
                if tries == START_TRIES:
                    hint = f"start the server, or fix {key}.urls"
                    raise UsageError(f"{url}: does not answer ({failure}); {hint}") from None
            await asyncio.sleep(served.retry_s * random.uniform(0.5, 1))
    if served.model not in models:
        there = ", ".join(models) or "nothing"
        raise UsageError(f"{url}: does not serve '{served.model}', but {there}; set {key}.model")


async def _models(client: AsyncOpenAI, served: Served, url: str) -> list[str]:
    try:
        async with asyncio.timeout(CONNECT_S):
            listed: Any = await client.get("/models", cast_to=object)
        return [str(model["id"]) for model in listed["data"]]
    except openai.APIStatusError as error:
        raise _refusal(served, url, error) from None
    except TimeoutError:
        raise Failure(f"not within {CONNECT_S:g} s", away=True) from None
    except (openai.APIConnectionError, ClientError, OSError, ValueError, KeyError, TypeError) as error:
        raise _failure(error) from None


def _client(served: Served, url: str) -> AsyncOpenAI:
    return AsyncOpenAI(
        base_url=url.rstrip("/"),
        api_key=served.api_key or "none",
        max_retries=0,
        timeout=openai.Timeout(None, connect=CONNECT_S),
        http_client=DefaultAioHttpClient(),
    )


def _failure(error: BaseException) -> Failure:
    """The connection did not come about, was dropped, or brought something else than a completion."""
    while error.__cause__ is not None:  # openai wraps httpx, which wraps aiohttp
        error = error.__cause__
    return Failure(_one_line(error) or type(error).__name__, isinstance(error, ClientConnectorError))


def _refusal(served: Served, url: str, error: openai.APIStatusError) -> Exception:
    """A failure that may be retried, or the user's mistake."""
    said = error.body.get("message") if isinstance(error.body, dict) else error.message
    reason = f"{error.status_code} {_one_line(said)}"
    if served.api_key:  # servers may quote it
        reason = reason.replace(served.api_key, "***")
    if error.status_code in (408, 429) or error.status_code >= 500:
        retry_after = min(_seconds(error.response.headers.get("retry-after")), LONGEST_WAIT_S)
        return Failure(reason, error.status_code in (429, 502, 503, 504), retry_after)
    hints = {
        401: f"put the right key into the variable {served.api_key_env}",
        403: f"put a key that may do this into the variable {served.api_key_env}",
        404: "give the base URL, which usually ends in /v1, and a model that is served there",
    }
    return UsageError(f"{url}: {reason}; {hints.get(error.status_code, 'fix the request or the server')}")


def answer_in(journal: Journal, key: str) -> Answer:
    """The answer that the journal holds under `key`; KeyError if it holds none."""
    row: dict[str, Any] = journal[key]
    texts, replaced = (row["text"], row["thinking"]), row.get("replaced", 0)
    return Answer(*texts, row["cut_off"], row["prompt_tokens"], row["tokens"], replaced)


def without_text(model: str, where: str, journal: Journal) -> str:
    """The error that no answer of a model has a text."""
    return (
        f"{where}: no answer of {model} has a text; raise its max_tokens if it is still thinking there, "
        f"or fix the server, and remove {journal.path}"
    )


def _one_line(text: object) -> str:
    return " ".join(str(text).split())[:300]


def _seconds(retry_after: str | None) -> float:
    """A Retry-After header, in seconds or as a date, as seconds from now."""
    try:
        seconds = float(retry_after or 0)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(str(retry_after)).timestamp() - time.time()
        except ValueError:
            return 0.0
    return max(0.0, seconds) if seconds == seconds else 0.0  # NaN is no number of seconds
