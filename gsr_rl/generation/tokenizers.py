"""Tokenizers of models, and whether prompts fit."""

import heapq
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from gsr_rl.errors import UsageError, require
from gsr_rl.plain_text import encode_text
from gsr_rl.prompts import Tokenizer, encode_prompt
from gsr_rl.settings.gsr import Gsr

# Tokens of itself that each candidate must be able to show in the refinement prompt.
MIN_CANDIDATE_TOKENS = 16


def load_tokenizer(model: str) -> Tokenizer:
    """The tokenizer of a model folder or hub name.

    Raises:
        UsageError: no such model, or its tokenizer has no chat template or no end-of-sequence token.
    """
    from transformers import AutoTokenizer

    if ("/" in model and Path(model).parent.is_dir()) or Path(model).exists():
        require(Path(model, "config.json").is_file(), "model", model, "a Hugging Face folder with a config.json")
    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except Exception as error:  # transformers and the hub raise many kinds
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(f"model {model}: cannot be read ({reason}); give a Hugging Face folder or hub name") from None
    if not tokenizer.chat_template:
        raise UsageError(f"model {model}: its tokenizer has no chat template; use an instruct model, or add a template")
    if tokenizer.eos_token_id is None:
        raise UsageError(f"model {model}: its tokenizer has no end-of-sequence token; set eos_token")
    return tokenizer


def longest_problems(tokenizer: Tokenizer, problems: Iterable[str], n: int = 8) -> list[str]:
    """The `n` problems with the most tokens, the longest first; equal texts count once.

    Their lengths in characters say little: a formula takes more tokens than prose, and other scripts far more.
    """
    return heapq.nlargest(n, dict.fromkeys(problems), key=lambda text: len(encode_text(tokenizer, text)))


def check_prompts(
    gsr: Gsr,
    tokenizer: Tokenizer,
    prompt_length: int,
    chat_kwargs: dict[str, Any],
    problems: Sequence[str],
    k: int | None = None,
) -> None:
    """Both prompts of each problem must fit, with some room for each of `k` (by default `gsr.k`) candidates.

    Raises:
        UsageError: a problem does not fit; names the key, and the tokens that it needs.
    """
    prompts, key, k = gsr.prompts, "actor_rollout_ref.rollout.prompt_length", k or gsr.k
    for problem in problems:
        frame = len(encode_prompt(tokenizer, prompts.refine_messages(problem, [""] * k), **chat_kwargs))
        direct = len(encode_prompt(tokenizer, prompts.direct_messages(problem), **chat_kwargs))
        needed = max(direct, frame + k * MIN_CANDIDATE_TOKENS)
        about = f" for the problem {problem[:40]!r}" if problem else ""
        hint = f"at least {needed} (prompt and {MIN_CANDIDATE_TOKENS} tokens of each of {k} candidates{about})"
        require(prompt_length >= needed, key, prompt_length, hint)
