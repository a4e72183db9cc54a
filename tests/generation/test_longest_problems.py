"""The check before a run finds the longest problems by their tokens."""

from typing import Any

import pytest

from gsr_rl.errors import UsageError
from gsr_rl.generation.tokenizers import check_prompts, longest_problems
from gsr_rl.prompts import PromptSet
from gsr_rl.settings.gsr import Gsr


def test_the_longest_problem_by_tokens_is_not_that_by_characters(tokenizer: Any) -> None:
    prose = [f"Reason step by step, and put your final answer within {i} " * 4 for i in range(9)]
    dense = "\u4f60\u597d" * 60  # 120 characters, each of which takes three tokens
    assert len(dense) < min(map(len, prose))
    assert longest_problems(tokenizer, [*prose, dense, dense], n=2)[0] == dense
    assert longest_problems(tokenizer, [dense, dense]) == [dense]
    gsr = Gsr(k=2, prompts=PromptSet())
    with pytest.raises(UsageError, match=r"rollout\.prompt_length=500: must be at least .* for the problem '\u4f60"):
        check_prompts(gsr, tokenizer, 500, {}, longest_problems(tokenizer, [*prose, dense]))
