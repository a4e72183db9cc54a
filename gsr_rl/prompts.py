"""The two prompts of GSR, and fitting candidates into the refinement prompt's token budget.

Prompts are data: a recipe replaces any of them under `gsr.prompts`. The paper's own wording is not public. The default
follows its pipeline figure ("summarize candidates and generate a superior solution") and the instruction that any, all
or none of the candidates may be right (AggLM, arXiv 2509.06870).
"""

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Self

from pydantic import model_validator

from gsr_rl.errors import UsageError
from gsr_rl.section import Section, require_field

DIRECT = "{problem}\n\nReason step by step, and put your final answer within \\boxed{}."

REFINE = """\
Here is a problem and some candidate solutions to it. Any, all or none of them may be right.

Problem:
{problem}

{candidates}

Check the candidates against each other and against the problem, keep what is right, mend what is wrong, and try \
another way if none is right. Then write your own, better solution, and put your final answer within \\boxed{}."""

CANDIDATE = "Candidate solution {index}:\n{text}"


class Tokenizer(Protocol):
    """The methods that this package uses of a Hugging Face tokenizer."""

    def apply_chat_template(self, conversation: list[dict[str, str]], **kwargs: Any) -> Any:
        """Token ids of a conversation, or its text with `tokenize=False`."""
        ...

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Token ids of a text."""
        ...

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool) -> str:
        """The text of token ids."""
        ...


class PromptTooLong(Exception):
    """The prompt exceeds its token budget even without any text of the candidates."""


class RowPrompt(NamedTuple):
    """What a training row's chat messages say: the problem, and the row's own system message if it has one."""

    problem: str
    system: str | None


def problem_of(messages: Any) -> RowPrompt:
    """The problem in the `prompt` (`raw_prompt`) of a verl row: the text of its last user message.

    The last system message with a text is kept beside it; other messages do not count. This is the one rule for the
    check of a file before a run, for the rollout and for the episodes that a validation writes.

    Args:
        messages: chat messages, each a mapping with `role` and `content`. Anything else holds no problem.

    Raises:
        UsageError: there is no user message, or the last one, or a system message, is no text. The error names the
            column alone; the caller adds file and row.
    """
    problems = _contents(messages, "user")
    if not problems or not isinstance(problems[-1], str):
        raise UsageError("'prompt' holds no text in a user message; fill it in or drop the row")
    systems = [content for content in _contents(messages, "system") if content not in (None, "")]
    if systems and not isinstance(systems[-1], str):
        raise UsageError("'prompt' holds a system message that is no text; write text or drop the message")
    return RowPrompt(problems[-1], systems[-1] if systems else None)


def _contents(messages: Any, role: str) -> list[Any]:
    known = [message for message in messages if isinstance(message, Mapping)] if isinstance(messages, Iterable) else []
    return [message.get("content") for message in known if message.get("role") == role]


class PromptSet(Section):
    """Templates of both stages. A field such as `{problem}` is filled in; other braces stand for themselves.

    A field's value is never searched for fields again.
    """

    direct: str = DIRECT
    """Template of the direct prompt; field `{problem}`."""
    refine: str = REFINE
    """Template of the refinement prompt; fields `{problem}`, `{candidates}`."""
    candidate: str = CANDIDATE
    """Template of one candidate; fields `{index}`, `{text}`."""
    separator: str = "\n\n"
    """Text between two candidates."""
    cut_off_mark: str = "[cut off]"
    """Text that stands where a candidate's text is missing."""
    system: str = ""
    """System message; empty for none. In the rollout, a training row's own system message takes its place."""

    @model_validator(mode="after")
    def _check_fields(self) -> Self:
        wanted = {"direct": ["problem"], "refine": ["problem", "candidates"], "candidate": ["text"]}
        for name, fields in wanted.items():
            template: str = getattr(self, name)
            for field in fields:
                require_field(f"{{{field}}}" in template, name, repr(template), f"a template with {{{field}}} in it")
        return self

    def direct_prompt(self, problem: str) -> str:
        """The user's message that asks for a candidate, as text."""
        return _fill(self.direct, problem=problem)

    def refine_prompt(self, problem: str, candidates: Sequence[str]) -> str:
        """The user's message that asks for a refinement of `candidates`, as text. Candidates are numbered from 1."""
        shown = [_fill(self.candidate, index=str(i), text=text) for i, text in enumerate(candidates, start=1)]
        return _fill(self.refine, problem=problem, candidates=self.separator.join(shown))

    def messages(self, prompt: str) -> list[dict[str, str]]:
        """Chat messages: the system message, if there is one, and `prompt` as the user's."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": prompt}]

    def direct_messages(self, problem: str) -> list[dict[str, str]]:
        """Chat messages that ask for a candidate."""
        return self.messages(self.direct_prompt(problem))

    def refine_messages(self, problem: str, candidates: Sequence[str]) -> list[dict[str, str]]:
        """Chat messages that ask for a refinement of `candidates`."""
        return self.messages(self.refine_prompt(problem, candidates))

    def with_system(self, system: str | None) -> "PromptSet":
        """These templates with another system message; `None` leaves them as they are."""
        return self if system is None else self.model_copy(update={"system": system})


def _fill(template: str, **values: str) -> str:
    pattern = "|".join(values)
    return re.sub(rf"\{{({pattern})\}}", lambda match: values[match[1]], template)


def encode_prompt(tokenizer: Tokenizer, messages: list[dict[str, str]], **chat_kwargs: Any) -> list[int]:
    """Token ids of a prompt, the generation prompt included. SFT, RL and evaluation all get their ids from here.

    Args:
        chat_kwargs: more arguments of the chat template (`data.apply_chat_template_kwargs`).
    """
    ids = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=False, **chat_kwargs
    )
    return list(ids)


def final_text(response: str, closing_tag: str = "</think>") -> str:
    """The part of a response that a reader sees: the text after its last closing think tag, else all of it."""
    return response.rpartition(closing_tag)[2].strip()


def shuffled_order(n: int, *key: object) -> list[int]:
    """A permutation of range(n) that depends on the key alone, not on timing or process."""
    order = list(range(n))
    random.Random(repr(key)).shuffle(order)
    return order


def shown_order(k: int, seed: int, problem_id: str, repeat: int = 0) -> list[int]:
    """The order in which a refiner sees the k candidates of a problem outside of training; a permutation of range(k).

    `teach` and `eval` both use it, so that with the same seed they show one candidate set in the same order. Repeat 0
    adds nothing to the key, and so has the order of a run without repeats: the orders, and with them the prompts and
    the answers in journals, stay those of runs from before there were repeats.

    Args:
        seed: `gsr.seed`.
        repeat: number of the repeat, or of the set drawn for the problem, from 0.
    """
    return shuffled_order(k, seed, "eval", problem_id, "order", *([repeat] if repeat else []))


def fair_share(lengths: Sequence[int], budget: int) -> list[int]:
    """Tokens granted to each text: short texts get all of theirs, long ones an equal cap.

    Args:
        lengths: tokens of each text.
        budget: tokens in total; a negative one counts as 0.

    Returns:
        One number per text, together at most `budget`. The shares are max-min fair: the smallest is as large as it
        can be, then the next smallest, and so on.
    """
    granted = [0] * len(lengths)
    left = max(budget, 0)
    by_length = sorted(range(len(lengths)), key=lambda i: lengths[i])
    for position, i in enumerate(by_length):
        granted[i] = min(lengths[i], left // (len(lengths) - position))
        left -= granted[i]
    return granted


def fit_refine_prompt(
    prompts: PromptSet,
    problem: str,
    candidates: Sequence[tuple[str, bool]],
    tokenizer: Tokenizer,
    max_tokens: int,
    chat_kwargs: Mapping[str, Any] | None = None,
) -> tuple[list[int], list[str]]:
    """Refinement prompt of at most `max_tokens` tokens.

    Args:
        candidates: (response, was it cut off at its token limit?) for each candidate, in the order to be shown.
        max_tokens: budget for the whole prompt, chat template included.
        chat_kwargs: more arguments of the chat template.

    Returns:
        The prompt's token ids, and each candidate's text as shown. That is the final text, or its last part where the
        budget is too small for all of it (the answer stands at the end). A mark stands wherever text is missing.

    Raises:
        PromptTooLong: problem and frame alone do not fit. The problem itself is never cut.
    """
    texts = [f"{final_text(text)} {prompts.cut_off_mark}" if cut else final_text(text) for text, cut in candidates]

    def encode(shown: Sequence[str]) -> list[int]:
        return encode_prompt(tokenizer, prompts.refine_messages(problem, shown), **(chat_kwargs or {}))

    ids = encode(texts)
    if len(ids) <= max_tokens:
        return ids, texts

    text_ids = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    nothing = [prompts.cut_off_mark] * len(texts)
    frame_ids = encode(nothing)
    if len(frame_ids) > max_tokens:
        raise PromptTooLong(
            f"problem and frame take {len(frame_ids)} tokens, the refinement prompt may have {max_tokens}"
        )
    budget = max_tokens - len(frame_ids)
    while budget > 0:
        granted = fair_share([len(candidate_ids) for candidate_ids in text_ids], budget)
        shown = [
            text if grant >= len(candidate_ids) else _tail(tokenizer, candidate_ids, grant, prompts.cut_off_mark)
            for text, candidate_ids, grant in zip(texts, text_ids, granted, strict=True)
        ]
        ids = encode(shown)
        if len(ids) <= max_tokens:
            return ids, shown
        # Tokens do not add up exactly across a join: take off what is too much and share again.
        budget -= len(ids) - max_tokens
    return frame_ids, nothing


def _tail(tokenizer: Tokenizer, ids: list[int], n: int, mark: str) -> str:
    return f"{mark} {tokenizer.decode(ids[-n:], skip_special_tokens=True).strip()}" if n > 0 else mark
