"""Models of the chain."""

import json
from pathlib import Path

import pytest
from composed import changed, composed

from gsr_rl.errors import UsageError
from gsr_rl.stages.models import base_model, latest_model, publish


def test_the_student_is_the_latest_model_of_the_chain(tmp_path: Path) -> None:
    settings = changed(composed("quickstart_cpu"), f"run_dir={tmp_path}", "base_model=base")
    assert base_model(settings) == latest_model(settings, "warmup") == "base"
    (tmp_path / "warmup" / "model").mkdir(parents=True)
    assert latest_model(settings, "warmup") == str(tmp_path / "warmup" / "model")
    assert latest_model(settings, "warmup", "sft") == str(tmp_path / "warmup" / "model")
    (tmp_path / "sft" / "model").mkdir(parents=True)
    assert latest_model(settings, "warmup", "sft") == str(tmp_path / "sft" / "model")
    assert base_model(settings) == "base"


def test_a_published_model_replaces_the_one_before(tmp_path: Path) -> None:
    checkpoint, target = tmp_path / "checkpoint", tmp_path / "model"
    (checkpoint / "huggingface").mkdir(parents=True)
    config = {"model_type": "llama", "attn_implementation": "packed_sdpa"}
    (checkpoint / "huggingface" / "config.json").write_text(json.dumps(config))
    target.mkdir()
    (target / "stale").write_text("")
    publish(checkpoint, "huggingface", target, str(checkpoint))  # no weights, nothing to compare
    # transformers has no packed_sdpa
    assert json.loads((target / "config.json").read_text()) == {"model_type": "llama"}
    assert [path.name for path in target.iterdir()] == ["config.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "model"]


def test_a_checkpoint_without_a_model_is_refused_and_nothing_lost(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "config.json").write_text("{}")
    (tmp_path / "checkpoint" / "huggingface").mkdir(parents=True)
    for checkpoint in (tmp_path / "checkpoint", None):
        with pytest.raises(UsageError, match="hf_model"):
            publish(checkpoint, "huggingface", target, "base")
    assert (target / "config.json").is_file()
