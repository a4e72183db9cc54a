"""Tokenizers of models, and prompts that have to fit."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny import tiny_tokenizer

from gsr_rl.errors import UsageError
from gsr_rl.generation.tokenizers import MIN_CANDIDATE_TOKENS, check_prompts, load_tokenizer
from gsr_rl.prompts import encode_prompt
from gsr_rl.settings.gsr import Gsr


def saved(folder: Path, **changes: Any) -> Path:
    tokenizer = tiny_tokenizer()
    for name, value in changes.items():
        setattr(tokenizer, name, value)
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return folder


def test_a_folder_with_a_tokenizer(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(saved(tmp_path / "model")))
    messages = [{"role": "user", "content": "1 + 1?"}]
    assert encode_prompt(tokenizer, messages) == encode_prompt(tiny_tokenizer(), messages)


def test_models_that_cannot_be_used(tmp_path: Path) -> None:
    without_template = saved(tmp_path / "base", chat_template=None)
    without_end = saved(tmp_path / "endless", eos_token=None)
    (tmp_path / "empty").mkdir()
    for model, line in {
        without_template: f"model {without_template}: its tokenizer has no chat template; use an instruct model",
        without_end: f"model {without_end}: its tokenizer has no end-of-sequence token; set eos_token",
        tmp_path / "empty": f"model={tmp_path}/empty: must be a Hugging Face folder with a config.json",
        tmp_path / "none": f"model={tmp_path}/none: must be a Hugging Face folder with a config.json",
        "/nowhere/at/all": "model /nowhere/at/all: cannot be read (",
    }.items():
        with pytest.raises(UsageError) as raised:
            load_tokenizer(str(model))
        assert str(raised.value).startswith(line) and "\n" not in str(raised.value)


def test_prompts_must_fit(tokenizer: Any) -> None:
    gsr = Gsr(k=3)
    frame = len(encode_prompt(tokenizer, gsr.prompts.refine_messages("1 + 1?", [""] * 3)))
    needed = frame + 3 * MIN_CANDIDATE_TOKENS
    check_prompts(gsr, tokenizer, needed, {}, ["1 + 1?"])
    with pytest.raises(UsageError) as raised:
        check_prompts(gsr, tokenizer, needed - 1, {}, ["1 + 1?"])
    assert str(raised.value) == (
        f"actor_rollout_ref.rollout.prompt_length={needed - 1}: must be at least {needed} "
        f"(prompt and {MIN_CANDIDATE_TOKENS} tokens of each of 3 candidates for the problem '1 + 1?')"
    )
    with pytest.raises(UsageError, match="of each of 4 candidates"):  # the largest set of a sweep
        check_prompts(gsr, tokenizer, needed, {}, ["1 + 1?"], 4)


def test_a_problem_that_is_longer_than_the_frame_is_named(tokenizer: Any) -> None:
    problem = "word " * 200
    with pytest.raises(UsageError, match=r"must be at least \d+ .* for the problem 'word word "):
        check_prompts(Gsr(), tokenizer, 400, {}, ["1 + 1?", problem])
