"""The paths of a run, and what is in them."""

import json
from pathlib import Path

import pytest

from gsr_rl.errors import UsageError
from gsr_rl.settings.run_folder import RunFolder


def test_usage_adds_seconds_and_keeps_the_most_memory(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    for wall_s, peak_rss_gb in ((10.0, 3.0), (20.5, 5.0), (1.0, 4.0)):
        folder.add_usage(wall_s, peak_rss_gb)
    assert json.loads(folder.usage.read_text()) == {"wall_s": 31.5, "peak_rss_gb": 5.0}
    assert list(folder.root.iterdir()) == [folder.usage]


def test_the_latest_checkpoint_is_the_last_that_was_written_whole(tmp_path: Path) -> None:
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
