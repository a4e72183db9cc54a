"""Whether a trained model has the tensors of the model that its training started from, by name."""

import json
import re
import sys
from pathlib import Path

from safetensors import safe_open

# Older checkpoints hold it; transformers computes it.
_COMPUTED = r"rotary_emb\.inv_freq"


def check_names(trained: Path, start: str) -> None:
    """The names of all tensors in the folder `trained` are those of the model `start`.

    Otherwise whoever loads it would take random numbers for what is missing, and go on without a word. Only tied
    tensors, and tensors that transformers does not load, may differ.

    Args:
        start: folder or hub name.

    Raises:
        SystemExit: with one line that names some of the tensors.
    """
    wanted = _listed(start)
    if not wanted:
        print(f"gsr-rl: the names of the tensors are not checked: {start} has no safetensors here", flush=True)
        return
    found = _held(trained)
    if found == wanted:
        return
    ignored = _not_loaded(trained)
    missing = [name for name in sorted(wanted - found) if not ignored.search(name)]
    unknown = [name for name in sorted(found - wanted) if not ignored.search(name)]
    if missing or unknown:
        kinds = [f"{kind}: {_some(names)}" for kind, names in (("missing", missing), ("unknown", unknown)) if names]
        sys.exit(f"gsr-rl: {trained}: its tensors are not those of {start} ({'; '.join(kinds)}); nothing is published")


def _listed(model: str) -> set[str]:
    """Names of the tensors of a folder, or of a hub name in the hub's cache; none without safetensors."""
    from huggingface_hub import try_to_load_from_cache

    folder = Path(model)
    if not folder.is_dir():
        config = try_to_load_from_cache(model, "config.json")
        if not isinstance(config, str):
            return set()
        folder = Path(config).parent
    index, whole = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if index.is_file():
        return set(json.loads(index.read_text())["weight_map"])
    return _names(whole) if whole.is_file() else set()


def _held(folder: Path) -> set[str]:
    """Names of the tensors that the files of a folder hold."""
    return {name for file in folder.glob("*.safetensors") for name in _names(file)}


def _names(file: Path) -> set[str]:
    with safe_open(file, framework="numpy") as tensors:  # reads the header alone
        return set(tensors.keys())


def _not_loaded(folder: Path) -> re.Pattern[str]:
    """Names of tensors that transformers does not look for in the files of a folder."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder)
    patterns = [_COMPUTED]
    for architecture in config.architectures or []:
        kind = getattr(transformers, architecture)
        patterns += kind._keys_to_ignore_on_load_unexpected or []
        if config.get_text_config().tie_word_embeddings:
            patterns += kind._tied_weights_keys or []  # {alias: name}
    return re.compile("|".join(patterns))


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
