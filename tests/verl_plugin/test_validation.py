"""GSR's metrics in verl's validation."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from gsr_rl.episode import Episode, Response
from gsr_rl.verl_plugin.trainer import GsrTrainer


def test_validation_metrics_stand_beside_verl_s_own(quickstart: DictConfig, tmp_path: Path) -> None:
    def packed(i: int, candidates: list[bool], refinement: bool) -> str:
        responses = [Response(str(right), "5" if right else "6", right) for right in [*candidates, refinement]]
        episode = Episode(f"p{i}", "sums", "2 + 3?", "5", tuple(responses[:-1]), (responses[-1],))
        return json.dumps(episode.to_dict())

    trainer: Any = object.__new__(GsrTrainer)
    trainer.config, trainer.global_steps = copy.deepcopy(quickstart), 3
    trainer.config.trainer.validation_data_dir = str(tmp_path)
    # all right; majority right and refinement wrong; all wrong and recovered; one failed episode
    infos = {
        "reward": [1.0, 0.0, 1.0, 0.0],
        "acc": [1.0, 0.0, 1.0, 0.0],
        "episode": [
            packed(0, [True] * 3, True),
            packed(1, [True, True, False], False),
            packed(2, [False] * 3, True),
            None,
        ],
    }
    uids = [f"u{i}" for i in range(4)]
    expected = {("sums", uid): 1 for uid in uids}
    metrics = trainer._val_metrics_update(["sums"] * 4, uids, infos, [2] * 4, expected)
    assert metrics["val-core/sums/acc/mean@1"] == pytest.approx(0.5)
    for name in ("sums", "macro"):
        ours = {key.removeprefix(f"gsr/val/{name}/"): value for key, value in metrics.items() if f"/{name}/" in key}
        assert ours["pass@1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
        assert ours["pass@3"] == pytest.approx(2 / 3)
        assert ours["maj@3"] == pytest.approx(2 / 3)
        assert ours["selfref@3"] == pytest.approx(2 / 3)
        assert ours["refinement_gap"] == pytest.approx(0.0)
        assert ours["all_wrong_recovery"] == pytest.approx(1.0)
        assert (ours["right_to_wrong"], ours["wrong_to_right"]) == (pytest.approx(0.5), pytest.approx(1.0))
    assert metrics["gsr/val/sums/failed_episodes"] == 1
    assert len((tmp_path / "episodes_3.jsonl").read_text().splitlines()) == 3


def test_a_validation_in_which_everything_failed_stops_the_run(quickstart: DictConfig) -> None:
    trainer: Any = object.__new__(GsrTrainer)
    trainer.config = quickstart
    infos = {"reward": [0.0], "acc": [0.0], "episode": [None]}
    with pytest.raises(RuntimeError, match="all 1 validation episodes failed"):
        trainer._val_metrics_update(["sums"], ["u"], infos, [0], {("sums", "u"): 1})
