"""How a response ends: end tokens of a model, and thoughts that a limit cuts off."""

import json
from pathlib import Path
from typing import Any

import pytest

from gsr_rl.endings import closed_thought, end_tokens, is_in_thought, opens_thought
from gsr_rl.episode import Response
from gsr_rl.prompts import PromptSet, encode_prompt, final_text
from gsr_rl.verl_plugin.sft_dataset import encode_row


@pytest.mark.parametrize(("configured", "ends"), [([7, 8], {7, 8}), (9, {9}), (None, set[int]())])
def test_a_model_may_have_several_end_tokens(tmp_path: Path, tokenizer: Any, configured: Any, ends: set[int]) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": configured}))
    assert end_tokens(tokenizer, str(tmp_path)) == ends | {tokenizer.eos_token_id}


def test_a_model_without_the_file_has_its_tokenizer_s(tmp_path: Path, tokenizer: Any) -> None:
    assert end_tokens(tokenizer, str(tmp_path)) == end_tokens(tokenizer) == {tokenizer.eos_token_id}


def test_a_template_opens_a_thought(tokenizer: Any, thinking_tokenizer: Any) -> None:
    messages = [{"role": "user", "content": "Is <think> a tag? <think>"}]
    assert opens_thought(thinking_tokenizer, encode_prompt(thinking_tokenizer, messages))
    assert not opens_thought(tokenizer, encode_prompt(tokenizer, messages))


@pytest.mark.parametrize(
    ("text", "opened", "thinking"),
    [
        ("so \\boxed{5}, or", True, True),
        ("so \\boxed{5}, or", False, False),
        ("<think>so \\boxed{5}, or", False, True),
        ("hm</think>\nso \\boxed{5}", True, False),
    ],
)
def test_a_thought_without_an_end_says_nothing(text: str, opened: bool, thinking: bool) -> None:
    assert is_in_thought(text, opened) is thinking
    if thinking:
        closed = closed_thought(text)
        assert (Response.of(closed, False).answer, final_text(closed)) == (None, "")
        assert closed == "<think>\nso \\boxed{5}, or\n</think>\n\n"


@pytest.mark.parametrize(
    ("target", "trained"),
    [
        ("<think>\nhm\n</think>\n\nso 5", "<think>\nhm\n</think>\n\nso 5"),  # teach.thinking=keep
        ("so 5", "<think>\n</think>\n\nso 5"),  # a target without a thought
        ("hm\n</think>\n\nso 5", "<think>\nhm\n</think>\n\nso 5"),  # sampled from such a template
    ],
)
def test_sft_trains_one_thought_after_a_template_that_opens_it(
    tokenizer: Any, thinking_tokenizer: Any, target: str, trained: str
) -> None:
    prompt, response = encode_row(thinking_tokenizer, PromptSet(), "2 + 3?", target, {})
    text = thinking_tokenizer.decode(prompt + response)
    assert text == f"<|im_start|>user\n2 + 3?<|im_end|>\n<|im_start|>assistant\n{trained}<|im_end|>"
    _, response = encode_row(tokenizer, PromptSet(), "2 + 3?", target, {})
    assert tokenizer.decode(response) == f"{target}<|im_end|>"
