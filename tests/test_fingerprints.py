"""Fingerprints: of large weights by blocks, of data by all of it, of hub names by their commit."""

from pathlib import Path

import huggingface_hub
import pytest

from gsr_rl.errors import UsageError
from gsr_rl.fingerprints import BLOCK, fingerprint, model_fingerprint


def test_large_weights_are_known_by_blocks_and_data_by_all_of_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    content = bytearray(10 * BLOCK)
    file.write_bytes(content)
    whole, sampled = fingerprint(file), fingerprint(file, sampled=True)
    content[3 * BLOCK] = 1  # between the sampled blocks
    file.write_bytes(content)
    assert fingerprint(file) != whole
    assert fingerprint(file, sampled=True) == sampled
    content[-1] = 1
    file.write_bytes(content)
    assert fingerprint(file, sampled=True) != sampled


def test_a_copy_has_the_fingerprint_of_its_model_and_a_tokenizer_counts(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"weights")
        (tmp_path / name / "tokenizer.json").write_text("{}")
    first = model_fingerprint(str(tmp_path / "a"))
    assert model_fingerprint(str(tmp_path / "b")) == first
    (tmp_path / "b" / "README.md").write_text("text")
    assert model_fingerprint(str(tmp_path / "b")) == first
    (tmp_path / "b" / "tokenizer.json").write_text("[]")
    assert model_fingerprint(str(tmp_path / "b")) != first


def test_a_model_on_the_hub_is_known_by_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    def downloaded(model: str, file: str, revision: str | None) -> str:
        assert (model, file) == ("org/toy", "config.json")
        return f"/cache/models--org--toy/snapshots/{revision or 'c0ffee'}/config.json"

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", downloaded)
    assert model_fingerprint("org/toy") == "org/toy at commit c0ffee"
    assert model_fingerprint("org/toy", "1234") == "org/toy at commit 1234"


def test_a_model_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> str:
        raise OSError("404 Client Error\nmore")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", missing)
    with pytest.raises(UsageError) as raised:
        model_fingerprint("org/toy")
    hint = "give a Hugging Face folder or hub name"
    assert str(raised.value) == f"model org/toy: cannot be read (404 Client Error); {hint}"


def test_the_path_of_a_file_in_the_hubs_cache_names_its_commit(tmp_path: Path) -> None:
    """Without a network the answer comes from the cache, whose layout we rely on."""
    repository = tmp_path / "models--org--toy"
    snapshot = repository / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c0ffee")
    path = huggingface_hub.hf_hub_download("org/toy", "config.json", cache_dir=tmp_path, local_files_only=True)
    assert Path(path).parent.name == "c0ffee"
