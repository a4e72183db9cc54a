"""The two prompts of GSR, and fitting candidates into the refinement prompt's token budget.

Prompts are data: a recipe replaces any of them under `gsr.prompts`. The paper's own wording is not public; what the
default says follows its pipeline figure ("summarize candidates and generate a superior solution") and the instruction
that any, all or none of the candidates may be right (AggLM, arXiv 2509.06870).
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gsr_rl.errors import UsageError

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
    """What is needed of a Hugging Face tokenizer."""

    def apply_chat_template(self, conversation: list[dict[str, str]], **kwargs: Any) -> Any: ...
    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...
    def decode(self, token_ids: list[int], *, skip_special_tokens: bool) -> str: ...


class PromptTooLong(Exception):
    """The problem and the frame around the candidates alone exceed the token budget."""


@dataclass(frozen=True)
class PromptSet:
    """Templates of both stages. Fields: `{problem}`; `{candidates}` in `refine`; `{index}`, `{text}` in `candidate`.

    Other braces stand for themselves, and a field's value is never searched for fields again.
    """

    direct: str = DIRECT
    refine: str = REFINE
    candidate: str = CANDIDATE
    separator: str = "\n\n"
    cut_off_mark: str = "[cut off]"
    system: str = ""

    def __post_init__(self) -> None:
        wanted = {"direct": ["problem"], "refine": ["problem", "candidates"], "candidate": ["text"]}
        for name, fields in wanted.items():
            for field in fields:
                if f"{{{field}}}" not in getattr(self, name):
                    raise UsageError(f"gsr.prompts.{name}: the field {{{field}}} is missing; put it into the template")

    def direct_prompt(self, problem: str) -> str:
        return _fill(self.direct, problem=problem)

    def refine_prompt(self, problem: str, candidates: Sequence[str]) -> str:
        shown = [_fill(self.candidate, index=str(i), text=text) for i, text in enumerate(candidates, start=1)]
        return _fill(self.refine, problem=problem, candidates=self.separator.join(shown))

    def messages(self, prompt: str) -> list[dict[str, str]]:
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": prompt}]


def _fill(template: str, **values: str) -> str:
    pattern = "|".join(values)
    return re.sub(rf"\{{({pattern})\}}", lambda match: values[match[1]], template)


def encode_prompt(tokenizer: Tokenizer, messages: list[dict[str, str]], **chat_kwargs: Any) -> list[int]:
    """Token ids of a prompt, the generation prompt included: the one place where SFT, RL and evaluation get them."""
    ids = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=False, **chat_kwargs
    )
    return list(ids)


def final_text(response: str, closing_tag: str = "</think>") -> str:
    """What a reader gets to see of a response: the text after the last closing think tag, if there is one."""
    return response.rpartition(closing_tag)[2].strip()


def shuffled_order(n: int, *key: object) -> list[int]:
    """A permutation of range(n) that depends on the key alone, not on timing or process."""
    order = list(range(n))
    random.Random(repr(key)).shuffle(order)
    return order


def fair_share(lengths: Sequence[int], budget: int) -> list[int]:
    """Tokens granted to each text: all of a short one, an equal cap for the long ones, `budget` in total at most."""
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
        candidates: (response, was it cut off at its token limit?) of each candidate, in the order to be shown.

    Returns:
        The prompt's token ids, and each candidate's text as shown: the final text, without its beginning where the
        budget asks for that (the answer stands at the end), marked wherever something is missing.

    Raises:
        PromptTooLong: problem and frame alone do not fit. The problem itself is never cut.
    """
    texts = [f"{final_text(text)} {prompts.cut_off_mark}" if cut else final_text(text) for text, cut in candidates]

    def encode(shown: Sequence[str]) -> list[int]:
        messages = prompts.messages(prompts.refine_prompt(problem, shown))
        return encode_prompt(tokenizer, messages, **(chat_kwargs or {}))

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
        granted = fair_share([len(one) for one in text_ids], budget)
        shown = [
            text if grant >= len(one) else _tail(tokenizer, one, grant, prompts.cut_off_mark)
            for text, one, grant in zip(texts, text_ids, granted, strict=True)
        ]
        ids = encode(shown)
        if len(ids) <= max_tokens:
            return ids, shown
        # Tokens do not add up exactly across a join: give back what is over and share again.
        budget -= len(ids) - max_tokens
    return frame_ids, nothing


def _tail(tokenizer: Tokenizer, ids: list[int], n: int, mark: str) -> str:
    return f"{mark} {tokenizer.decode(ids[-n:], skip_special_tokens=True).strip()}" if n > 0 else mark
