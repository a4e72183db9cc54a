"""How a response ends: by an end token or by its length limit, in its answer or still in its thought."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from gsr_rl.prompts import Tokenizer

OPENING, CLOSING = "<think>", "</think>"
_TAIL = 16  # tokens at the end of a prompt that hold a thought's opening tag, if it has one


def end_tokens(tokenizer: Tokenizer, model: str | None = None) -> frozenset[int]:
    """The tokens with which a response may end: the tokenizer's end of sequence, and those of `generation_config`.

    Args:
        model: folder or hub name; None to take the tokenizer's alone.
    """
    own: Any = tokenizer.eos_token_id  # pyright: ignore[reportAttributeAccessIssue]
    return frozenset({own} - {None}) | (_configured_ends(model) if model else frozenset())


@cache
def _configured_ends(model: str) -> frozenset[int]:
    try:
        if Path(model).is_dir():
            ends: Any = json.loads((Path(model) / "generation_config.json").read_text()).get("eos_token_id")
        else:
            from transformers import GenerationConfig

            ends = GenerationConfig.from_pretrained(model).eos_token_id
    except (OSError, ValueError):  # a model need not have the file
        return frozenset()
    return frozenset(ends if isinstance(ends, list) else [ends]) - {None}


def opens_thought(tokenizer: Tokenizer, prompt_ids: Sequence[int]) -> bool:
    """Whether a prompt, by its chat template, ends within a thought that it has opened itself."""
    return tokenizer.decode(list(prompt_ids[-_TAIL:]), skip_special_tokens=False).rstrip().endswith(OPENING)


def is_in_thought(text: str, opened: bool) -> bool:
    """Whether a response that was cut off was still thinking.

    Args:
        opened: whether the prompt had opened the thought (`opens_thought`).
    """
    return CLOSING not in text and (opened or text.lstrip().startswith(OPENING))


def closed_thought(text: str) -> str:
    """A response that `is_in_thought`, its tags completed: all of it is thought, and nothing after it is said."""
    return f"{OPENING}\n{text.strip().removeprefix(OPENING).strip()}\n{CLOSING}\n\n"


def in_opened_thought(response: str) -> str:
    """A response as it follows a prompt that has opened the thought: without a tag of its own, or with no thought."""
    thinking = response.lstrip()
    if thinking.startswith(OPENING):
        return thinking.removeprefix(OPENING).lstrip("\n")
    return response if CLOSING in response else f"{CLOSING}\n\n{response}"
