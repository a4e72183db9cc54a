"""An OpenAI-compatible server on a real socket that does as a handler says: answer, fail, hang, or cut the connection.

python tests/support/scripted_server.py [--faults 0.3] [--delay 0.05] prints its URL and serves until it is ended;
GET /stats tells what it has seen.
"""

import argparse
import asyncio
import hashlib
import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

MODEL = "toy"
FAULTS = ("500", "hang", "cut", "malformed", "empty")

Body = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


Act = Reply | Literal["hang", "cut"]
Handler = Callable[[Body], Act]


def completion(text: str | None, **message: Any) -> Reply:
    finish = message.pop("finish_reason", "stop")
    choice = {"message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    usage = {"prompt_tokens": 10, "completion_tokens": 3}
    return Reply(200, json.dumps({"choices": [choice], "usage": usage}).encode())


def error(status: int, message: str, **headers: str) -> Reply:
    return Reply(status, json.dumps({"error": {"message": message}}).encode(), headers)


def of_messages_and_seed(body: Body) -> Reply:
    """A text that depends on prompt and seed alone; its answer is a digit."""
    content = json.dumps([body.get("messages", body.get("prompt")), body["seed"]]).encode()
    digest = hashlib.sha256(content).hexdigest()
    return completion(f"{digest}\n\\boxed{{{int(digest, 16) % 10}}}")


def faulty(share: float, seed: int = 0) -> Handler:
    """A handler that fails a share of its calls, in one of five ways."""
    rng = random.Random(seed)
    acts: dict[str, Act] = {
        "500": error(500, "out of luck"),
        "hang": "hang",
        "cut": "cut",
        "malformed": Reply(200, b'{"choices": [{"mess'),
        "empty": Reply(200, b""),
    }
    return lambda body: acts[rng.choice(FAULTS)] if rng.random() < share else of_messages_and_seed(body)


class ScriptedServer:
    """Serves in a thread of its own for the length of a `with` block.

    `bodies` are the bodies of the requests for completions, in the order in which they came. `peak` is the largest
    number of requests that were in flight at once.
    """

    def __init__(self, handler: Handler = of_messages_and_seed, models: tuple[str, ...] = (MODEL,), delay: float = 0.0):
        self.handler, self.models, self.delay = handler, models, delay
        self.bodies: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.keep_bodies = True
        self.seen = self.under_way = self.peak = self.answered = 0
        self.port = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> "ScriptedServer":
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", self.port, backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
                content = await reader.readexactly(int(headers.get("content-length", 0)))
                act = await self._act(head[0].split(" ")[1], headers, content)
                if act == "hang":
                    await reader.read()  # until the client gives up
                if isinstance(act, str):
                    return
                lines = [
                    f"HTTP/1.1 {act.status} -",
                    "content-type: application/json",
                    f"content-length: {len(act.body)}",
                ]
                lines += [f"{name.replace('_', '-')}: {value}" for name, value in act.headers.items()]
                writer.write("\r\n".join([*lines, "", ""]).encode() + act.body)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _act(self, path: str, headers: dict[str, str], content: bytes) -> Act:
        if path == "/v1/models":
            return Reply(200, json.dumps({"data": [{"id": name} for name in self.models]}).encode())
        if path == "/stats":
            return Reply(200, json.dumps({"seen": self.seen, "answered": self.answered, "peak": self.peak}).encode())
        if path == "/health":
            return Reply(200, b"")
        if path not in ("/v1/chat/completions", "/v1/completions", "/pooling"):
            return error(404, f"no {path} here")
        body = json.loads(content)
        self.seen += 1
        if self.keep_bodies:
            self.bodies.append(body)
            self.headers.append(headers)
        self.under_way += 1
        self.peak = max(self.peak, self.under_way)
        try:
            if self.delay:
                await asyncio.sleep(self.delay)
            act = self.handler(body)
            self.answered += isinstance(act, Reply) and act.status == 200
            return act
        finally:
            self.under_way -= 1


def times_asked(bodies: list[Body]) -> Counter[str]:
    return Counter(json.dumps(body, sort_keys=True) for body in bodies)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--delay", type=float, default=0.0)
    options = parser.parse_args()
    server = ScriptedServer(faulty(options.faults), delay=options.delay)
    server.keep_bodies = False
    with server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
