"""One request to a language model and its answer as plain data, after the OpenAI API."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

Message = dict[str, str]

# Reasons of servers for an end that the model chose: OpenAI, vLLM, SGLang, TGI, Anthropic, Mistral.
_NATURAL_ENDS = frozenset(
    ["stop", "eos", "eos_token", "stop_sequence", "stop_string", "end_turn", "tool_calls", "function_call"]
)
_NO_TEXT = re.compile("[\ud800-\udfff\0]")


@dataclass(frozen=True)
class Request:
    """A request for one response of `model` to chat messages, or to the token ids of a prompt.

    Args:
        kind: purpose of the response. With `index` it tells apart requests that are otherwise equal, such as K
            candidates.
        prompt: chat messages, or token ids for a server that takes them (vLLM's does).
        parameters: parameters of the API, such as temperature and max_tokens.
        run_seed: seed of the run, so that another run gets other answers.
    """

    kind: str
    model: str
    prompt: Sequence[Message] | Sequence[int]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    index: int = 0
    run_seed: int = 0

    @cached_property
    def key(self) -> str:
        """A hash of all that the answer depends on: the same key, the same answer."""
        content = [self.kind, self.model, self.prompt, self.parameters, self.index, self.run_seed]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def seed(self) -> int:
        """Seed of the sampling: 31 bits that the key determines."""
        return int(self.key[:8], 16) >> 1

    @property
    def path(self) -> str:
        """Path of the API below the base URL."""
        return "/completions" if self.is_tokens else "/chat/completions"

    def body(self) -> dict[str, Any]:
        """The request's JSON."""
        prompt = {"prompt" if self.is_tokens else "messages": self.prompt}
        return {"model": self.model, **prompt, **self.parameters, "seed": self.seed}

    def row(self, answer: "Answer") -> dict[str, Any]:
        """What the journal keeps of `answer`, besides the key."""
        row = {"kind": self.kind, "model": self.model, **asdict(answer)}
        if not answer.replaced:  # as it nearly always is
            del row["replaced"]
        return row

    def read(self, body: bytes) -> "Answer":
        """The answer in a response's body; raises what `read_answer` does."""
        return read_answer(body)

    @property
    def is_tokens(self) -> bool:
        """Whether the prompt is token ids."""
        return bool(self.prompt) and isinstance(self.prompt[0], int)


@dataclass(frozen=True)
class Answer:
    """A model's response: its text, apart from the `thinking` before it, and its length.

    `cut_off` means that the token limit ended it, or anything else but the model itself. Token counts are 0 where the
    server tells none. `replaced` counts characters that are no text, which a replacement character stands for.
    """

    text: str
    thinking: str = ""
    cut_off: bool = False
    prompt_tokens: int = 0
    tokens: int = 0
    replaced: int = 0

    @property
    def whole(self) -> str:
        """Thinking and text as a model without a reasoning parser writes them."""
        return f"<think>\n{self.thinking}\n</think>\n\n{self.text}" if self.thinking else self.text


@dataclass
class Tally:
    """What has come back: answers, blank ones, ones with characters that were replaced, failed requests, and tokens."""

    answered: int = 0
    blank: int = 0
    replaced: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    tokens: int = 0

    def add(self, answer: Answer) -> None:
        """Count an answer."""
        self.answered += 1
        self.blank += not answer.text
        self.replaced += answer.replaced > 0
        self.prompt_tokens += answer.prompt_tokens
        self.tokens += answer.tokens


def read_answer(body: bytes) -> Answer:
    """The first choice of a response's body. The text that follows a prompt of token ids is taken as it stands.

    Raises:
        ValueError: it is not JSON, or holds no choice; says which.
    """
    if not body:
        raise ValueError("an empty body")
    try:
        completion = json.loads(body)
        choice = completion["choices"][0]
        message = choice["message"] if "message" in choice else {"content": choice["text"]}
        content, thought = _parts(message.get("content"))
        # Servers that separate the thinking use either name.
        thinking = "".join(_parts(message.get("reasoning_content") or message.get("reasoning"))) or thought
        if not thinking and "message" in choice:
            thinking, content = split_thinking(content)
        usage = completion.get("usage") or {}
        prompt_tokens, tokens = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
        return _answer(content, thinking, _is_cut_off(choice), prompt_tokens, tokens)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise ValueError(f"a body that is no completion: {body[:60]!r}") from None


def _parts(content: Any) -> tuple[str, str]:
    """(text, thinking) of a message's content: a text, or a list of parts, each of which is the one or the other."""
    if content is None or isinstance(content, str):
        return content or "", ""
    if not isinstance(content, list):
        raise TypeError
    text = thinking = ""
    for part in content:
        kind = part.get("type", "text")
        said = "".join(_parts(part.get(kind, part.get("text"))))
        if "thinking" in kind or "reasoning" in kind:
            thinking += said
        else:
            text += said
    return text, thinking


def _is_cut_off(choice: Mapping[str, Any]) -> bool:
    """Whether anything but the model itself ended it. A server that tells no reason is taken by its word."""
    if "finish_reason" not in choice:
        return False
    reason = choice["finish_reason"]
    if isinstance(reason, Mapping):
        reason = reason.get("type")
    return not (isinstance(reason, str) and reason.lower() in _NATURAL_ENDS)


def _answer(text: str, thinking: str, cut_off: bool, prompt_tokens: int, tokens: int) -> Answer:
    """The answer, with what is no text replaced: half surrogate pairs, which nothing encodes, and NUL."""
    (text, n), (thinking, m) = (_NO_TEXT.subn("\ufffd", part) for part in (text, thinking))
    return Answer(text, thinking, cut_off, prompt_tokens, tokens, n + m)


def split_thinking(text: str) -> tuple[str, str]:
    """(thinking, the text after it) of a text with think tags; a thought without an end is thinking to the last word.

    Chat templates of thinking models may open the thought themselves, so that the first tag can be missing.
    """
    thinking, tag, rest = text.rpartition("</think>")
    if not tag and text.lstrip().startswith("<think>"):
        thinking, rest = text, ""
    return thinking.strip().removeprefix("<think>").strip(), rest.strip() if thinking else rest


def answer_of(request: Request, text: str, cut_off: bool, prompt_tokens: int, tokens: int) -> Answer:
    """An engine's answer as a server gives it: thinking is split off if the prompt is chat messages."""
    thinking, rest = ("", text) if request.is_tokens else split_thinking(text)
    return _answer(rest, thinking, cut_off, prompt_tokens, tokens)
