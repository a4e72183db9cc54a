"""Fingerprints of files and models: the same contents, the same fingerprint, wherever they lie."""

import hashlib
from pathlib import Path

from gsr_rl.errors import UsageError

BLOCK = 1 << 20  # bytes that are read at once; of weights at the start, in the middle and at the end
_WEIGHTS = (".safetensors", ".bin")


def model_fingerprint(model: str, revision: str | None = None) -> str:
    """A fingerprint of the files of a model's folder; for a hub name the commit that is used.

    Args:
        revision: branch, tag or commit on the hub; None for the main branch.

    Raises:
        UsageError: the hub does not have the model.
    """
    folder = Path(model)
    if not folder.is_dir():
        return f"{model} at commit {hub_commit(model, revision)}"
    files = sorted(path for path in folder.iterdir() if path.suffix in (*_WEIGHTS, ".json", ".jinja"))
    return hashlib.sha256(
        "".join(f"{path.name} {fingerprint(path, sampled=path.suffix in _WEIGHTS)}\n" for path in files).encode()
    ).hexdigest()[:16]


def hub_commit(model: str, revision: str | None) -> str:
    """The commit of a model on the hub, or without a network the commit in the hub's local cache."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(model, "config.json", revision=revision)).parent.name
    except Exception as error:  # the hub raises many kinds
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(f"model {model}: cannot be read ({reason}); give a Hugging Face folder or hub name") from None


def fingerprint(path: Path, sampled: bool = False) -> str:
    """A fingerprint of a file: its size and a hash of its contents, or `sampled` of three blocks, as of weights."""
    size = path.stat().st_size
    content = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        starts = [0, size // 2, size - BLOCK] if sampled and size > 3 * BLOCK else range(0, size, BLOCK)
        for start in starts:
            file.seek(start)
            content.update(file.read(BLOCK))
    return content.hexdigest()[:16]
