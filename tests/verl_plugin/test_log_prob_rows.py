"""Which rows the pass of old log-probs takes, through a real TransferQueue, and what later steps find."""

from typing import Any

import pytest
from queued import advantages, compute_log_probs, lengths_of, make_trainer, store, together, update

import gsr_rl.verl_plugin.trainer as trainer_module
from gsr_rl.metrics.logged import CORRELATION

pytestmark = pytest.mark.usefixtures("transfer_queue")


@pytest.fixture
def no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_module, "GUARD_ROWS", 0)
    monkeypatch.setattr(trainer_module, "check_correlation", lambda *_: 1.0)


@pytest.mark.usefixtures("no_guard")
def test_old_log_probs_are_those_of_rows_that_may_have_an_advantage(tokenizer: Any) -> None:
    right, mixed = store(tokenizer, [1, 1, 1, 1], [1, 0]), store(tokenizer, [0, 1, 0, 0], [0, 0])
    trainer = make_trainer(tokenizer, mini_batches=2)
    batch = trainer._balance_batch(together(right, mixed), {})
    received, _ = compute_log_probs(trainer, batch)
    wanted = {*right.keys[4:], *mixed.keys[:4]}
    assert set(received) == wanted and len(received) == 6
    assert "compute_loss" not in batch.extra_info  # verl's, for that pass alone
    rows = advantages(trainer, batch)
    assert {key for key, (advantage, _) in rows.items() if advantage} == wanted
    assert [rows[key][1] for key in right.keys] == [2, 3, 4, 5, 6, 7]
    data, metrics = update(trainer, batch)
    assert sorted(lengths_of(data)) == [2, 3, 4, 5, 6, 7]
    assert [len(row) for row in data["old_log_probs"].unbind()] == lengths_of(data)
    assert metrics["gsr/train/rows_left_out"] == 6


@pytest.mark.usefixtures("no_guard")
def test_rows_that_fill_up_an_update_have_old_log_probs(tokenizer: Any) -> None:
    # A group of three with a signal; of the others the shortest, of 2 tokens, would fill the update.
    trainer = make_trainer(tokenizer, mini_batches=2)
    batch = trainer._balance_batch(store(tokenizer, [1, 1, 1, 1], [1, 0, 0]), {})
    received, _ = compute_log_probs(trainer, batch)
    data, _ = update(trainer, batch)
    assert len(received) == len(data) == 4
    assert "old_log_probs" in data


def test_the_guard_compares_rows_of_an_idle_step(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_module, "GUARD_ROWS", 3)
    monkeypatch.setattr(trainer_module, "check_correlation", lambda metrics, *_: metrics[CORRELATION])
    trainer = make_trainer(tokenizer, mini_batches=2)
    batch = trainer._balance_batch(store(tokenizer, [1, 1, 1, 1], [0, 0]), {})
    received, metrics = compute_log_probs(trainer, batch)
    assert len(received) == 4 and CORRELATION in metrics
    assert set(advantages(trainer, batch)) == set(batch.keys)


@pytest.mark.usefixtures("no_guard")
@pytest.mark.parametrize(
    "algorithm",
    [
        {"adv_estimator": "gpg"},
        {"rollout_correction": {"rollout_is": "token"}},
        {"rollout_correction": {"rollout_rs": "token_k1"}},
    ],
)
def test_all_rows_have_old_log_probs_where_they_may_count(tokenizer: Any, algorithm: dict[str, Any]) -> None:
    trainer = make_trainer(tokenizer, mini_batches=2)
    trainer.config.algorithm.update(algorithm)
    batch = trainer._balance_batch(store(tokenizer, [1, 1, 1, 1], [1, 0]), {})
    received, _ = compute_log_probs(trainer, batch)
    assert sorted(received) == sorted(batch.keys)
