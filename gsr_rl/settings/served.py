"""A language model and the servers that have it."""

import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gsr_rl.errors import require


@dataclass(frozen=True)
class Served:
    """A language model and the OpenAI-compatible servers that have it: the keys of `teach.student` and `teach.llm`.

    Without `urls`, `model` is a folder or hub name that `vllm serve` is started for, with `engine` as its arguments.
    Prices are per million tokens. `extra_body` goes into every request as it is.
    """

    urls: list[str]
    model: str | None
    api_key_env: str
    concurrency: int
    timeout_s: float
    retry_s: float
    price_in: float | None
    price_out: float | None
    extra_body: dict[str, Any]
    engine: dict[str, Any]

    def check(self, key: str) -> None:
        """UsageError, naming the key below `key`, where a value cannot be used."""
        require(bool(self.model) or not self.urls, f"{key}.model", self.model, f"set beside {key}.urls")
        require(1 <= self.concurrency <= 1000, f"{key}.concurrency", self.concurrency, "from 1 to 1000 requests")
        require(self.timeout_s > 0, f"{key}.timeout_s", self.timeout_s, "above 0 seconds")
        require(self.retry_s > 0, f"{key}.retry_s", self.retry_s, "above 0 seconds")
        for name in ("price_in", "price_out"):
            price = getattr(self, name)
            require(price is None or price >= 0, f"{key}.{name}", price, "null, or from 0")
        for url in self.urls:
            parts = urlsplit(str(url))
            mend = "base URLs such as http://host:8000/v1"
            require(parts.scheme in ("http", "https") and bool(parts.hostname), f"{key}.urls", url, mend)
            # Not shown, since there is a password in it.
            mend = f"without user and password; put the key into the variable that {key}.api_key_env names"
            require(parts.username is None and parts.password is None, f"{key}.urls", "...", mend)

    @property
    def api_key(self) -> str:
        """From the environment; empty, since servers of one's own need none. It is never written or printed."""
        return os.environ.get(self.api_key_env, "").strip()

    def cost(self, prompt_tokens: int, tokens: int) -> float | None:
        """Of so many tokens; None where a price is missing."""
        if self.price_in is None or self.price_out is None:
            return None
        return (prompt_tokens * self.price_in + tokens * self.price_out) / 1e6
