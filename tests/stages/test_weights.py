"""A model is published only if its tensors are those of the model that its training started from."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from gsr_rl.stages.models import publish

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
LAYERS = [f"model.layers.{layer}.self_attn.{part}_proj.weight" for layer in range(2) for part in "qkvo"]
INV_FREQ = [f"model.layers.{layer}.self_attn.rotary_emb.inv_freq" for layer in range(2)]


def model(folder: Path, *shards: Sequence[str], tied: bool = False, architecture: str = "LlamaForCausalLM") -> Path:
    """A model's folder with one file of weights, or with several and their index."""
    folder.mkdir(parents=True)
    kind = {"LlamaForCausalLM": "llama", "Qwen3NextForCausalLM": "qwen3_next"}[architecture]
    config = {"model_type": kind, "architectures": [architecture], "tie_word_embeddings": tied}
    (folder / "config.json").write_text(json.dumps(config))
    names = ["model.safetensors"] if len(shards) == 1 else [f"model-{i}.safetensors" for i in range(len(shards))]
    for file, shard in zip(names, shards, strict=True):
        save_file({name: np.zeros(1, dtype=np.float32) for name in shard}, folder / file)
    if len(shards) > 1:
        index = {name: file for file, shard in zip(names, shards, strict=True) for name in shard}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    return folder


def published(tmp_path: Path, start: Path | str) -> bool:
    """Whether the checkpoint that `model` made in `tmp_path` is published."""
    publish(tmp_path / "checkpoint", "huggingface", tmp_path / "model", str(start))
    return (tmp_path / "model" / "config.json").is_file()


def test_the_same_names_are_published_however_they_are_spread_over_files(tmp_path: Path) -> None:
    start = model(tmp_path / "start", [EMBEDDING, *LAYERS[:3]], [*LAYERS[3:], HEAD])
    model(tmp_path / "checkpoint" / "huggingface", [HEAD, EMBEDDING, *LAYERS])
    assert published(tmp_path, start)


def test_the_start_may_hold_other_files_of_weights(tmp_path: Path) -> None:
    """Some repositories hold the weights a second time, under the names of another library."""
    start = model(tmp_path / "start", [EMBEDDING], [HEAD, *LAYERS])
    save_file({"tok_embeddings.weight": np.zeros(1)}, start / "consolidated.safetensors")
    model(tmp_path / "checkpoint" / "huggingface", [EMBEDDING, HEAD, *LAYERS])
    assert published(tmp_path, start)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        # verl's save of a model with adapters
        (
            [f"base_model.model.{name}" for name in (EMBEDDING, HEAD)],
            "(missing: lm_head.weight, model.embed_tokens.weight; unknown: base_model.model.lm_head.weight, "
            "base_model.model.model.embed_tokens.weight)",
        ),
        ([EMBEDDING], "(missing: lm_head.weight)"),
        ([EMBEDDING, HEAD, *LAYERS], f"(unknown: {', '.join(sorted(LAYERS)[:3])} and 5 more)"),
        ([], "(missing: lm_head.weight, model.embed_tokens.weight)"),
    ],
)
def test_a_difference_is_named_and_nothing_is_published(tmp_path: Path, names: list[str], said: str) -> None:
    start = model(tmp_path / "start", [EMBEDDING, HEAD])
    trained = model(tmp_path / "checkpoint" / "huggingface", names)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "older").touch()
    with pytest.raises(SystemExit) as error:
        published(tmp_path, start)
    assert str(error.value) == f"gsr-rl: {trained}: its tensors are not those of {start} {said}; nothing is published"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "model", "start"]
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["older"]


def test_a_shard_that_is_missing_is_a_difference(tmp_path: Path) -> None:
    start = model(tmp_path / "start", [EMBEDDING, HEAD])
    trained = model(tmp_path / "checkpoint" / "huggingface", [EMBEDDING], [HEAD])
    (trained / "model-1.safetensors").unlink()
    with pytest.raises(SystemExit, match=r"missing: lm_head\.weight"):
        published(tmp_path, start)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("start_has_a_head", [True, False])
def test_a_head_that_is_tied_to_the_embedding_may_be_left_out(
    tmp_path: Path, tied: bool, start_has_a_head: bool
) -> None:
    both = [[EMBEDDING, HEAD], [EMBEDDING]]
    start = model(tmp_path / "start", both[not start_has_a_head], tied=tied)
    model(tmp_path / "checkpoint" / "huggingface", both[start_has_a_head], tied=tied)
    if tied:
        assert published(tmp_path, start)
    else:
        with pytest.raises(SystemExit, match=r"lm_head\.weight"):
            published(tmp_path, start)


def test_tensors_that_transformers_does_not_load_may_be_missing(tmp_path: Path) -> None:
    start = model(tmp_path / "old", [EMBEDDING, HEAD, *INV_FREQ])
    model(tmp_path / "checkpoint" / "huggingface", [EMBEDDING, HEAD])
    assert published(tmp_path, start)
    start = model(tmp_path / "start", [EMBEDDING, HEAD, "mtp.fc.weight"], architecture="Qwen3NextForCausalLM")
    model(tmp_path / "other" / "huggingface", [EMBEDDING, HEAD], architecture="Qwen3NextForCausalLM")
    publish(tmp_path / "other", "huggingface", tmp_path / "model", str(start))
    with pytest.raises(SystemExit, match=r"missing: mtp\.fc\.weight"):
        published(tmp_path, start)  # to Llama the name means nothing


def test_a_start_without_safetensors_is_not_compared_and_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model(tmp_path / "checkpoint" / "huggingface", [EMBEDDING, HEAD])
    assert published(tmp_path, "nobody/has-this-in-the-cache")
    assert "nobody/has-this-in-the-cache has no safetensors here" in capsys.readouterr().out


def test_a_start_of_the_hub_is_read_from_the_hub_s_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "hub" / "models--some--model"
    model(repository / "snapshots" / ("0" * 40), [EMBEDDING, HEAD])
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    model(tmp_path / "checkpoint" / "huggingface", [EMBEDDING])
    with pytest.raises(SystemExit, match="not those of some/model"):
        published(tmp_path, "some/model")
