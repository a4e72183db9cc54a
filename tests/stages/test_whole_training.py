"""A training does all its steps, and its end is kept: resumed at the end of an epoch, with too few epochs, unsaved."""

from pathlib import Path

import pytest

from gsr_rl.errors import UsageError
from gsr_rl.settings.compose import load_settings
from gsr_rl.settings.two_stage import check_checkpoints
from gsr_rl.stages.models import check_last_step
from gsr_rl.stages.sft import start_a_new_epoch


@pytest.mark.parametrize(("step", "kept"), [(2, False), (3, True), (4, False)])
def test_at_the_end_of_an_epoch_the_loader_starts_anew(tmp_path: Path, step: int, kept: bool) -> None:
    checkpoint = tmp_path / f"global_step_{step}"
    checkpoint.mkdir()
    (checkpoint / "data_0.pt").touch()
    (checkpoint / "model_world_size_1_rank_0.pt").touch()
    start_a_new_epoch(checkpoint, per_epoch=2)
    assert (checkpoint / "data_0.pt").exists() == kept
    assert (checkpoint / "model_world_size_1_rank_0.pt").exists()


def test_a_first_start_has_no_checkpoint() -> None:
    start_a_new_epoch(None, per_epoch=2)


def test_a_training_that_ended_early_is_an_error(tmp_path: Path) -> None:
    check_last_step("sft", tmp_path / "global_step_6", 6)
    with pytest.raises(SystemExit, match="gsr-rl sft: ended after step 4 of 6"):
        check_last_step("sft", tmp_path / "global_step_4", 6)
    with pytest.raises(SystemExit, match="ended after step 0 of 6"):
        check_last_step("train", None, 6)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("trainer.save_freq=-1", "trainer.save_freq=-1: must be at least 1"),
        ("actor_rollout_ref.actor.checkpoint.save_contents=[model]", "actor.checkpoint.save_contents=['model']: must"),
        ("sft.checkpoint.save_contents=[model,extra]", "sft.checkpoint.save_contents=['model', 'extra']: must be"),
    ],
)
def test_a_training_that_would_keep_nothing_is_refused(override: str, said: str) -> None:
    settings = load_settings("quickstart_cpu", [override])
    with pytest.raises(UsageError) as error:
        check_checkpoints(settings.verl, settings.sft)
    assert said in str(error.value)
