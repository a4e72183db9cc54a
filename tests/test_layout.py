import json
from pathlib import Path

import pytest

from gsr_rl.errors import UsageError
from gsr_rl.stages.layout import RunFolder, publish


def test_usage_adds_seconds_and_keeps_the_most_memory(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    for wall_s, peak_rss_gb in ((10.0, 3.0), (20.5, 5.0), (1.0, 4.0)):
        folder.add_usage(wall_s, peak_rss_gb)
    assert json.loads(folder.usage.read_text()) == {"wall_s": 31.5, "peak_rss_gb": 5.0}
    assert list(folder.root.iterdir()) == [folder.usage]


def test_a_published_model_replaces_the_one_before(tmp_path: Path) -> None:
    source, target = tmp_path / "checkpoint", tmp_path / "model"
    source.mkdir()
    (source / "config.json").write_text("{}")
    target.mkdir()
    (target / "stale").write_text("")
    publish(source, target)
    assert [one.name for one in target.iterdir()] == ["config.json"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["checkpoint", "model"]


def test_a_checkpoint_without_a_model_is_refused_and_nothing_lost(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "config.json").write_text("{}")
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(UsageError, match="hf_model"):
        publish(tmp_path / "checkpoint", target)
    assert (target / "config.json").is_file()
