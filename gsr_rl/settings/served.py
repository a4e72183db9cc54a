"""A language model, the servers that have it, and where models without servers run."""

import os
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from gsr_rl.section import Section, require_field


class Generation(Section):
    """Where models without URLs run outside of training: in `teach` and `eval`."""

    backend: Literal["process", "server", "ray"] = "process"
    """`process`: vLLM's engine in this process. `server`: `vllm serve` on this machine, which for instance spreads a \
model over several GPUs by `data_parallel_size`. `ray`: replicas over the nodes of a Ray cluster \
(`ray_kwargs.ray_init.address`, with `run_dir` on a disk that all nodes share). A reward model always runs by \
`server`."""
    replicas: int | None = Field(default=None, ge=1)
    """Replicas of a model with `generation.backend=ray`; null for as many as the GPUs allow, on CPUs one a node."""
    engine: dict[str, Any] = {}
    """Arguments of the vLLM engine, such as `tensor_parallel_size`, on top of those that follow from \
`actor_rollout_ref.rollout`."""


class Served(Section):
    """A language model and how it is reached: by OpenAI-compatible servers, or without `urls` by a backend of ours."""

    urls: list[str] = []
    """Base URLs of OpenAI-compatible servers of the model, such as `http://host:8000/v1`; empty: the model runs by \
`generation.backend`."""
    model: str | None = None
    """Name of the model at `urls`; without `urls` a folder or hub name."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key of the API."""
    concurrency: int = Field(default=64, ge=1, le=1000)
    """Most requests in flight to each server. A model without URLs ignores it: there a quarter more requests than the \
engine's `max_num_seqs` are in flight."""
    timeout_s: float = Field(default=1800.0, gt=0)
    """Limit of one request, in seconds."""
    retry_s: float = Field(default=1.0, gt=0)
    """First pause before a retry, in seconds; it doubles up to a minute."""
    price_in: float | None = Field(default=None, ge=0)
    """Dollars per million prompt tokens, for the cost in progress and summary."""
    price_out: float | None = Field(default=None, ge=0)
    """Dollars per million generated tokens."""
    extra_body: dict[str, Any] = {}
    """Further parameters of every request, such as `chat_template_kwargs`."""
    engine: dict[str, Any] = {}
    """Arguments of the vLLM engine where the model runs here, on top of `generation.engine`."""

    @model_validator(mode="after")
    def _check_urls(self) -> Self:
        for url in self.urls:
            parts = urlsplit(url)
            is_base_url = parts.scheme in ("http", "https") and bool(parts.hostname)
            require_field(is_base_url, "urls", url, "base URLs such as http://host:8000/v1")
            # The URL is not shown, since there is a password in it.
            hint = "without user and password; put the key into the variable that api_key_env names"
            require_field(parts.username is None and parts.password is None, "urls", "...", hint)
        require_field(bool(self.model) or not self.urls, "model", self.model, "set beside urls")
        return self

    @property
    def api_key(self) -> str:
        """The key from the environment; empty, since servers of one's own need none. It is never written or printed."""
        return os.environ.get(self.api_key_env, "").strip()

    def cost(self, prompt_tokens: int, tokens: int) -> float | None:
        """Dollars for these tokens; None where a price is missing."""
        if self.price_in is None or self.price_out is None:
            return None
        return (prompt_tokens * self.price_in + tokens * self.price_out) / 1e6
