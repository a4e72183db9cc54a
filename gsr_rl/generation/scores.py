"""What a reward model thinks of a response, by the pooling API of vLLM's server (docs: "Reward Usages")."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gsr_rl.errors import UsageError
from gsr_rl.generation.requests import Answer, Request
from gsr_rl.prompts import PromptSet, final_text
from gsr_rl.settings.served import Served


@dataclass(frozen=True)
class ScoreRequest(Request):
    """The score of a conversation that ends with a response, which the answer has as its text.

    It is the raw one, not what a sigmoid makes of it, which would round the best ones to 1. A conversation that is too
    long for the model is cut.
    """

    @property
    def path(self) -> str:
        return "/pooling"

    def body(self) -> dict[str, Any]:
        fixed = {"use_activation": False, "truncate_prompt_tokens": -1}
        return {"model": self.model, "messages": self.prompt, **fixed, **self.parameters}

    def read(self, body: bytes) -> Answer:
        return Answer(repr(read_score(self.model, body)))


def read_score(model: str, body: bytes) -> float:
    """The score in the body of a response: of a sequence's one number, or of a token's the last token's.

    Raises:
        ValueError: it is no response of the pooling API.
        UsageError: the model has more than one number for a response, or one that is not finite.
    """
    try:
        data = json.loads(body)["data"][0]["data"]
        last = data[-1] if isinstance(data[-1], list) else data
        numbers = [float(one) for one in last]
    except (ValueError, KeyError, IndexError, TypeError):
        raise ValueError(f"a body that is no score: {body[:60]!r}") from None
    if len(numbers) != 1:
        raise UsageError(f"{model}: gives {len(numbers)} numbers for a response; use a reward model that gives one")
    if not math.isfinite(numbers[0]):
        raise UsageError(f"{model}: gives {numbers[0]} for a response; serve it with another dtype, such as float32")
    return numbers[0]


@dataclass(frozen=True)
class Scorer:
    """A reward model; what it is shown of a problem is the direct prompt, without a system message, which some chat
    templates refuse, and the final text of a response."""

    model: str
    prompts: PromptSet
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def request(self, problem: str, response: str) -> ScoreRequest:
        said = {"user": self.prompts.direct_prompt(problem), "assistant": final_text(response)}
        return ScoreRequest("score", self.model, [{"role": r, "content": c} for r, c in said.items()], self.parameters)


def at_root(served: Served) -> Served:
    """The servers by the URLs above /v1, where the pooling API is."""
    return replace(served, urls=[url.rstrip("/").removesuffix("/v1") for url in served.urls])
