"""The W&B table of a validation, read back from an offline run."""

import json
from pathlib import Path

import pytest
import wandb
from offline_wandb import read_run

from gsr_rl.episode import Episode, Response
from gsr_rl.verl_plugin.episode_table import log_episodes

RIGHT, WRONG = Response("so \\boxed{2}", "2", True), Response("so \\boxed{3}", "3", False)
EPISODES = [
    Episode("a", "toy", "1+1?", "2", (RIGHT, WRONG, RIGHT), (WRONG,)),
    Episode("b", "toy", "2?", "2", (RIGHT, WRONG, Response("hm", None, False)), (RIGHT,)),
]


def test_rows_and_columns_of_an_offline_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")
    with wandb.init(project="gsr-rl", dir=str(tmp_path), mode="offline", config={"gsr": {"k": 3}}) as run:
        wandb.log({"gsr/train/all_wrong": 0.5}, step=1)
        log_episodes(EPISODES, step=2)
        wandb.log({"gsr/val/toy/maj@3": 0.75}, step=2)  # as verl does next
        folder = Path(run.dir)
    wandb.teardown()  # its service writes the rest of the file
    config, history, summary = read_run(tmp_path)
    assert config["gsr"] == {"k": 3}
    assert history[1]["gsr/train/all_wrong"] == 0.5
    # One step has both.
    assert history[2]["gsr/val/toy/maj@3"] == summary["gsr/val/toy/maj@3"] == 0.75
    assert history[2]["gsr/val/episodes/nrows"] == 2
    (file,) = folder.rglob("*.table.json")
    assert file.relative_to(folder).as_posix() == history[2]["gsr/val/episodes/path"]
    table = json.loads(file.read_text())
    assert table["columns"] == [
        *("dataset", "id", "problem", "gold"),
        *("candidate 1", "candidate 1 verdict", "candidate 2", "candidate 2 verdict"),
        *("candidate 3", "candidate 3 verdict", "majority answer", "majority score"),
        *("refinement 1", "refinement 1 verdict"),
    ]
    right, wrong = ["so \\boxed{2}", "right"], ["so \\boxed{3}", "wrong"]
    assert table["data"] == [
        ["toy", "a", "1+1?", "2", *right, *wrong, *right, "2", 1, *wrong],
        ["toy", "b", "2?", "2", *right, *wrong, "hm", "wrong", "2 | 3", 0.5, *right],
    ]


def test_nothing_without_a_run() -> None:
    assert wandb.run is None
    log_episodes(EPISODES, step=0)
