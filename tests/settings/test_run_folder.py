import json
from pathlib import Path

import pytest

from gsr_rl.errors import UsageError
from gsr_rl.settings.run_folder import RunFolder, publish


def test_usage_adds_seconds_and_keeps_the_most_memory(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    for wall_s, peak_rss_gb in ((10.0, 3.0), (20.5, 5.0), (1.0, 4.0)):
        folder.add_usage(wall_s, peak_rss_gb)
    assert json.loads(folder.usage.read_text()) == {"wall_s": 31.5, "peak_rss_gb": 5.0}
    assert list(folder.root.iterdir()) == [folder.usage]


def test_a_published_model_replaces_the_one_before(tmp_path: Path) -> None:
    checkpoint, target = tmp_path / "checkpoint", tmp_path / "model"
    (checkpoint / "huggingface").mkdir(parents=True)
    config = {"model_type": "llama", "attn_implementation": "packed_sdpa"}
    (checkpoint / "huggingface" / "config.json").write_text(json.dumps(config))
    target.mkdir()
    (target / "stale").write_text("")
    publish(checkpoint, "huggingface", target)
    # transformers has no packed_sdpa
    assert json.loads((target / "config.json").read_text()) == {"model_type": "llama"}
    assert [one.name for one in target.iterdir()] == ["config.json"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["checkpoint", "model"]


def test_a_checkpoint_without_a_model_is_refused_and_nothing_lost(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "config.json").write_text("{}")
    (tmp_path / "checkpoint" / "huggingface").mkdir(parents=True)
    for checkpoint in (tmp_path / "checkpoint", None):
        with pytest.raises(UsageError, match="hf_model"):
            publish(checkpoint, "huggingface", target)
    assert (target / "config.json").is_file()


def test_the_latest_checkpoint_is_the_one_that_was_written_whole(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    checkpoints = folder.checkpoints("train")
    assert folder.latest_checkpoint("train") is None
    for step in (3, 6):
        (checkpoints / f"global_step_{step}").mkdir(parents=True)
    assert folder.latest_checkpoint("train") is None  # killed while the first was written
    tracker = checkpoints / "latest_checkpointed_iteration.txt"
    tracker.write_text("3")  # and while the second was
    assert folder.latest_checkpoint("train") == checkpoints / "global_step_3"
    for torn in ("", "9"):
        tracker.write_text(torn)
        with pytest.raises(UsageError, match=r"there are: global_step_3, global_step_6; write the number of a whole"):
            folder.latest_checkpoint("train")
