"""The chain on real parts: a tiny model with random weights through verl, Ray and vLLM on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from offline_wandb import read_run
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import save_tiny_model

from gsr_rl.episode import read_episodes
from gsr_rl.metrics.gap import summarize

K, M, PROMPTS = 3, 2, 4

RECIPE = """
defaults: [/base, /cpu, _self_]
base_model: {model}
run_dir: {run_dir}
problems: {{source: pair_sums, train: 16, dev: 4, held_out: 4}}
teach: {{problems: 8}}
gsr:
  k: {k}
  m: {m}
  candidate_tokens: 12
  refinement_tokens: 16
  score_cut_off: true  # random weights never end
  # Random weights leave a distribution that is nearly flat, where rounding weighs more than in a trained model.
  sync_guard: {{min_correlation: 0.9}}
sft:
  data: {{train_batch_size: 4, max_length: 1024}}
  optim: {{lr: 1.0e-3}}
  trainer: {{total_training_steps: 2}}
data: {{train_batch_size: {prompts}, max_prompt_length: 256, max_response_length: 16}}
actor_rollout_ref:
  actor:
    ppo_mini_batch_size: 2
    ppo_max_token_len_per_gpu: 2048
    optim: {{lr: 1.0e-3}}
  rollout: {{prompt_length: 900, response_length: 16, max_num_seqs: 16}}
reward:
  custom_reward_function: {{path: {reward}, name: spread}}
trainer:
  logger: [console, file, wandb, tensorboard]
  total_training_steps: 2
  total_epochs: 9
  save_freq: 1
  test_freq: 2
"""

# Half of all responses are right, whatever their text, and no two of a group get the same reward.
REWARD = """
import zlib

def spread(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    score = (zlib.crc32(solution_str.encode()) % 9973 + 1) / 9975
    return {"score": score, "acc": float(score > 0.5)}
"""


def gsr_rl(folder: Path, stage: str, *overrides: str) -> str:
    return command(stage, f"recipe={folder}/tiny", *overrides)


def command(*arguments: str) -> str:
    command = [sys.executable, "-m", "gsr_rl.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, a reward function and a recipe, and the chain run with them to the end."""
    folder = tmp_path_factory.mktemp("end-to-end")
    save_tiny_model(folder / "model")
    (folder / "reward.py").write_text(REWARD)
    (folder / "tiny").mkdir()
    names: dict[str, Any] = {"model": folder / "model", "run_dir": folder / "run", "reward": folder / "reward.py"}
    (folder / "tiny" / "recipe.yaml").write_text(RECIPE.format(**names, k=K, m=M, prompts=PROMPTS))
    gsr_rl(folder, "run", "skip_stages=[eval,report]")
    return folder


def metrics(path: Path) -> dict[int, dict[str, float]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {row["step"]: row["data"] for row in rows}


def weights(folder: Path) -> torch.Tensor:
    tensors = load_file(folder / "model.safetensors")
    return torch.cat([tensors[name].float().flatten() for name in sorted(tensors)])


def checkpoint(run: Path, step: int) -> Path:
    return run / "train" / "checkpoints" / f"global_step_{step}" / "actor" / "huggingface"


def test_sft_lowers_the_loss_and_changes_the_weights(folder: Path) -> None:
    sft = metrics(folder / "run" / "sft" / "metrics.jsonl")
    assert sft[2]["train/loss"] < sft[1]["train/loss"]
    assert not torch.equal(weights(folder / "run" / "sft" / "model"), weights(folder / "model"))


def test_a_training_that_cannot_save_ends(folder: Path) -> None:
    """A checkpoint cannot be written, as on a full disk. By itself verl 0.9.1 then waits for ever in W&B."""
    run, rows = folder / "cannot-save", folder / "run" / "teach" / "train.parquet"
    (run / "sft" / "checkpoints").mkdir(parents=True)
    for step in (1, 2):
        (run / "sft" / "checkpoints" / f"global_step_{step}").touch()  # where a folder should be
    own = [f"run_dir={run}", f"sft.model.path={folder / 'model'}", f"sft.data.train_files={rows}"]
    command = [sys.executable, "-m", "gsr_rl.cli", "sft", f"recipe={folder}/tiny", *own]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1
    assert "FileExistsError" in done.stdout + done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("gsr-rl: verl's SFT trainer ended with exit code ") and last.endswith("its log is above")
    assert not (run / "sft" / "model").exists()


@pytest.mark.parametrize("model", ["sft/model", "model"])
def test_transformers_alone_loads_a_published_model(folder: Path, model: str) -> None:
    code = "import sys, transformers; transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1])"
    command = [sys.executable, "-c", code, str(folder / "run" / model)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def test_grpo_trains_both_stages(folder: Path) -> None:
    train = metrics(folder / "run" / "train" / "metrics.jsonl")
    for step in (1, 2):
        assert train[step]["gsr/train/candidate/rows"] == PROMPTS * K
        assert train[step]["gsr/train/refinement/rows"] == PROMPTS * M
        assert train[step]["gsr/train/failed_episodes"] == 0
        assert train[step]["training/rollout_actor_probs_pearson_corr"] > 0.9
        assert train[step]["critic/advantages/max"] > 0 > train[step]["critic/advantages/min"]
        for stage in ("candidate", "refinement"):
            assert 0 < train[step][f"gsr/train/{stage}/reward"] < 1
            assert train[step][f"gsr/train/{stage}/no_signal_groups"] == 0
    before, after = checkpoint(folder / "run", 1), checkpoint(folder / "run", 2)
    assert not torch.equal(weights(before), weights(after))
    assert torch.equal(weights(after), weights(folder / "run" / "model"))


def test_validation_reports_the_gap_of_its_episodes(folder: Path) -> None:
    train = metrics(folder / "run" / "train" / "metrics.jsonl")
    for step in (0, 2):
        episodes = read_episodes(folder / "run" / "train" / "validation" / f"episodes_{step}.jsonl")
        assert len(episodes) == 4
        assert {(len(episode.candidates), len(episode.refinements)) for episode in episodes} == {(K, 1)}
        summary = summarize(episodes)["pair_sums"]
        for name in ("pass@1", f"selfref@{K}", "refinement_gap"):
            value = summary[name]  # no gap where no response has an answer, as of a model of random weights
            assert train[step].get(f"gsr/val/pair_sums/{name}") == (None if value is None else pytest.approx(value))


def test_an_offline_wandb_run_holds_configuration_curves_and_episodes(folder: Path) -> None:
    train = metrics(folder / "run" / "train" / "metrics.jsonl")
    config, history, summary = read_run(folder / "run" / "train" / "wandb")
    assert config["gsr"]["refine_weight"] == 0.5
    for step in (1, 2):
        assert history[step]["gsr/train/refinement/reward"] == pytest.approx(train[step]["gsr/train/refinement/reward"])
    assert [step for step in history if "gsr/val/episodes/path" in history[step]] == [0, 2]
    key = f"gsr/val/pair_sums/selfref@{K}"
    assert summary[key] == pytest.approx(train[2][key])
    tables = sorted((folder / "run" / "train" / "wandb").rglob("*.table.json"))
    assert len(tables) == 2  # before the first step, and after the second
    for path in tables:
        table = json.loads(path.read_text())
        assert len(table["data"]) == 4
        assert {"problem", f"candidate {K} verdict", "majority answer", "refinement 1"} <= set(table["columns"])


def test_tensorboard_holds_the_same_figures(folder: Path) -> None:
    train = metrics(folder / "run" / "train" / "metrics.jsonl")
    events = EventAccumulator(str(folder / "run" / "train" / "tensorboard")).Reload()
    for key in ("gsr/train/refinement/reward", f"gsr/val/pair_sums/selfref@{K}"):
        assert {event.step: pytest.approx(event.value) for event in events.Scalars(key)} == {
            step: row[key] for step, row in train.items() if key in row
        }


def test_resume_with_one_stage_alone(folder: Path) -> None:
    """From the checkpoint of step 1, the second step is repeated with the loss of refinements alone."""
    run = folder / "refinements-alone"
    first = folder / "run" / "train" / "checkpoints" / "global_step_1"
    gsr_rl(
        folder,
        "train",
        f"run_dir={run}",
        "gsr.refine_weight=1",
        f"data.train_files={folder}/run/data/train.parquet",
        f"data.val_files={folder}/run/data/dev.parquet",
        "trainer.resume_mode=resume_path",
        f"trainer.resume_from_path={first}",
        "trainer.val_before_train=false",
        "trainer.test_freq=-1",
    )
    train = metrics(run / "train" / "metrics.jsonl")
    assert list(train) == [2]
    assert train[2]["gsr/train/candidate/rows"] == PROMPTS * K
    assert train[2]["gsr/train/refinement/rows"] == PROMPTS * M
    resumed = weights(checkpoint(run, 2))
    assert not torch.equal(resumed, weights(checkpoint(folder / "run", 1)))
    assert not torch.equal(resumed, weights(checkpoint(folder / "run", 2)))


def test_eval_and_report(folder: Path) -> None:
    evaluation = ("eval", "eval.name=grpo", f"eval.model={folder}/run/model")
    out = gsr_rl(folder, *evaluation)
    assert "gsr-rl eval: 4 problems with their repeats, 0 of them are done already" in out
    assert ["macro", str(K), "4"] in [line.split()[:3] for line in out.splitlines()]
    path = folder / "run" / "episodes" / "grpo.jsonl"
    episodes = read_episodes(path)
    assert len(episodes) == 4
    assert all(response.n_tokens for episode in episodes for response in (*episode.candidates, *episode.refinements))
    assert json.loads(path.with_suffix(".metrics.json").read_text())["pair_sums"]["n"] == 4
    assert "4 of them are done already" in gsr_rl(folder, *evaluation)  # from the journal alone
    assert read_episodes(path) == episodes
    command("report", f"{folder}/run")
    (stage,) = json.loads((folder / "run" / "report.json").read_text())["stages"]
    figures = summarize(episodes)["pair_sums"]
    assert stage["name"] == "grpo"
    assert {key: stage[key] for key in ("n", f"maj@{K}", f"selfref@{K}")} == {
        key: figures[key] for key in ("n", f"maj@{K}", f"selfref@{K}")
    }
