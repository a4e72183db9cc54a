"""A reward model's score of a response, by the pooling API of vLLM's server (its docs: "Reward Usages")."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gsr_rl.errors import UsageError
from gsr_rl.generation.requests import Answer, Request
from gsr_rl.prompts import PromptSet, final_text
from gsr_rl.settings.served import Served


@dataclass(frozen=True)
class ScoreRequest(Request):
    """A request for the score of a conversation that ends with a response. The score is the text of the answer.

    It is the raw score. A sigmoid would round the best scores to 1. A conversation that is too long for the model is
    cut.
    """

    @property
    def path(self) -> str:
        """Path of the API below the server's root."""
        return "/pooling"

    def body(self) -> dict[str, Any]:
        """The request's JSON."""
        fixed = {"use_activation": False, "truncate_prompt_tokens": -1}
        return {"model": self.model, "messages": self.prompt, **fixed, **self.parameters}

    def read(self, body: bytes) -> Answer:
        """The answer whose text is the score."""
        return Answer(repr(read_score(self.model, body)))


def read_score(model: str, body: bytes) -> float:
    """The score in a response's body: the number of the sequence, or the number of its last token.

    Raises:
        ValueError: it is no response of the pooling API.
        UsageError: the model gives more than one number for a response, or a number that is not finite.
    """
    try:
        data = json.loads(body)["data"][0]["data"]
        last = data[-1] if isinstance(data[-1], list) else data
        numbers = [float(number) for number in last]
    except (ValueError, KeyError, IndexError, TypeError):
        raise ValueError(f"a body that is no score: {body[:60]!r}") from None
    if len(numbers) != 1:
        raise UsageError(f"{model}: gives {len(numbers)} numbers for a response; use a reward model that gives one")
    if not math.isfinite(numbers[0]):
        raise UsageError(f"{model}: gives {numbers[0]} for a response; serve it with another dtype, such as float32")
    return numbers[0]


@dataclass(frozen=True)
class Scorer:
    """A reward model. It sees the direct prompt of a problem and the final text of a response, and no system message,
    which some chat templates refuse."""

    model: str
    prompts: PromptSet
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def request(self, problem: str, response: str) -> ScoreRequest:
        """The request for the score of a response."""
        said = {"user": self.prompts.direct_prompt(problem), "assistant": final_text(response)}
        return ScoreRequest(
            "score", self.model, [{"role": role, "content": text} for role, text in said.items()], self.parameters
        )


def at_root(served: Served) -> Served:
    """The servers with URLs without /v1, where the pooling API is."""
    return served.model_copy(update={"urls": [url.rstrip("/").removesuffix("/v1") for url in served.urls]})
