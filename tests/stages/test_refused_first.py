"""What every command refuses before it writes or starts anything: old run folders, old keys, and what cannot work."""

import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from composed import changed, composed

import gsr_rl.settings.compose
from gsr_rl import cli
from gsr_rl.errors import UsageError
from gsr_rl.settings.recipes import recipes_dir
from gsr_rl.settings.settings import Settings
from gsr_rl.stages import chain, platform, preflight


@pytest.fixture
def overrides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Overrides that every command gets in addition. The recipe is composed once for all tests."""
    added = [f"run_dir={tmp_path / 'run'}"]

    def load_settings(recipe: str, given: list[str]) -> Settings:
        return changed(composed(recipe), *added, *given)

    monkeypatch.setattr(gsr_rl.settings.compose, "load_settings", load_settings)
    return added


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line with which a command is refused."""
    assert cli.main(arguments) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("gsr-rl")]
    return line


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


# --- run folders of an older version ----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [[stage] for stage in cli.STAGES] + [["run", "--dry-run"]], ids=" ".join)
def test_a_run_folder_of_an_older_version_is_refused_by_every_stage(
    tmp_path: Path, overrides: list[str], command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "run"
    (run_dir / "data").mkdir(parents=True)
    (run_dir / "run.json").write_text('{"gsr.k": "4", "recipe": "quickstart_cpu"}')
    (run_dir / "data" / "train.jsonl").write_text("")
    before = contents(run_dir)
    stage, *flags = command
    assert refused(capsys, stage, "recipe=quickstart_cpu", *flags) == (
        f"gsr-rl: run_dir={run_dir}: another version of gsr-rl wrote it (layout 1, here 2); "
        "choose another run_dir, or remove this one"
    )
    assert contents(run_dir) == before


# --- keys that have moved ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("benchmarks=[aime24]", "benchmarks: this key has moved; write eval.benchmarks"),
        ("+tokenizer=x", "tokenizer: this key has moved; write eval.tokenizer"),
        ("eval.engine.max_num_seqs=8", "eval.engine: this key has moved; write generation.engine"),
        (
            "teach.engine=ray",
            "teach.engine: this key has moved; write generation.backend (process or server for local)",
        ),
    ],
)
def test_an_old_key_on_the_command_line(capsys: pytest.CaptureFixture[str], override: str, said: str) -> None:
    assert refused(capsys, "eval", "recipe=quickstart_cpu", override).startswith(f"gsr-rl: {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("benchmarks: null", "benchmarks: this key has moved; write eval.benchmarks"),
        ("eval: {engine: {max_num_seqs: 8}}", "eval.engine: this key has moved; write generation.engine"),
        ("problems: {people: [3]}", "problems.people: this key has moved; write problems.knights_knaves.people"),
    ],
)
def test_an_old_key_in_a_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "recipe.yaml").write_text(f"defaults: [/base, /cpu, /puzzle, _self_]\n{text}\n")
    assert refused(capsys, "run", f"recipe={folder}") == f"gsr-rl: {folder}/recipe.yaml: {said}"
    # or in a file beside it
    shutil.move(folder / "recipe.yaml", folder / "common.yaml")
    (folder / "recipe.yaml").write_text("defaults: [common, _self_]\n")
    if "null" not in text:
        assert refused(capsys, "run", f"recipe={folder}") == f"gsr-rl: {said}"


def test_every_recipe_is_free_of_old_keys() -> None:
    text = "".join(path.read_text() for path in recipes_dir().rglob("*.yaml"))
    assert "\nbenchmarks:" not in text and "\ntokenizer:" not in text


# --- what cannot work -------------------------------------------------------------------------------------------------

ABSENT = "problems.source=absent.jsonl"
SHORT = "actor_rollout_ref.rollout.prompt_length=60"
NOBODY = ["teach.teacher=llm", "teach.llm.model=m", "teach.llm.urls=[http://127.0.0.1:1/v1]", "teach.llm.retry_s=0.01"]
CUDA = ["trainer.device=cuda"]
FLASH = "override_config.attn_implementation=flash_attention_2"
BOTH = [f"sft.model.{FLASH}", f"actor_rollout_ref.model.{FLASH}"]
ACTOR = "actor_rollout_ref.actor"
SHARE = "ulysses_sequence_parallel_size=2"
SHARED = [*BOTH, "trainer.n_gpus_per_node=2", "sft.trainer.n_gpus_per_node=2"]
REWARD = "reward.custom_reward_function.name=nobody"


@pytest.mark.parametrize(
    ("stages", "changes", "said"),
    [
        ("data run", [ABSENT], "problems.source=absent.jsonl: no such file or set"),
        ("data run", ["problems.decontaminate=[absent.jsonl]"], "problems.decontaminate=absent.jsonl: no such file"),
        ("warmup teach sft run", [SHORT], "actor_rollout_ref.rollout.prompt_length=60: must be at least"),
        ("warmup teach run", NOBODY, "http://127.0.0.1:1/v1: does not answer"),
        ("teach run", ["teach.student.model=/nowhere/at/all"], "model /nowhere/at/all: cannot be read"),
        ("warmup sft train run", [*CUDA, *BOTH], FLASH),
        ("warmup teach sft train eval run", [REWARD], "reward.custom_reward_function: cannot load"),
        (
            "warmup teach sft train eval run",
            ["gsr.candidate_tokens=9999"],
            "response_length=112: must be at least 9999",
        ),
        ("train run", ["actor_rollout_ref.rollout.mode=sync"], "verl refuses the configuration: Rollout mode 'sync'"),
        ("train run", ["actor_rollout_ref.actor.optim.lr=abc"], "actor_rollout_ref.actor.optim.lr='abc': must be"),
        ("warmup sft run", ["sft.optim.lr=abc"], "sft.optim.lr='abc': must be a number"),
        ("sft eval run", ["algorithm.adv_estimator=gae"], "adv_estimator=gae: must be one of grpo,"),
        ("sft run", ["sft.model.lora_rank=8"], "sft.model.lora_rank=8: must be 0"),
        ("train run", [*SHARED, f"{ACTOR}.fsdp_config.{SHARE}"], f"{ACTOR}.fsdp_config.{SHARE}: must be 1: flash-attn"),
        ("warmup sft run", [*SHARED, f"sft.engine.{SHARE}"], f"sft.engine.{SHARE}: must be 1: flash-attn"),
        ("eval", ["eval.model=/nowhere/at/all"], "model /nowhere/at/all: cannot be read"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(
    tmp_path: Path,
    overrides: list[str],
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stages: str,
    changes: list[str],
    said: str,
) -> None:
    monkeypatch.setattr(preflight, "find_spec", lambda name: None)  # no flash-attn
    monkeypatch.setattr(platform, "_has_accelerator", lambda: False)
    monkeypatch.setenv("VERL_PLATFORM", "cpu")
    if "train" in stages.split():
        rows_of_training(tmp_path, overrides)
    overrides += [f"base_model={model}", "teach.student.model=null", *changes]
    for stage in stages.split():
        before = contents(tmp_path)
        assert said in refused(capsys, stage, "recipe=quickstart_cpu"), stage
        assert contents(tmp_path) == before


@pytest.mark.parametrize("command", [[stage] for stage in cli.STAGES] + [["run", "--dry-run"]], ids=" ".join)
@pytest.mark.parametrize("folder", ["file/run", "file", "/proc/nobody/run"])
def test_a_run_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, overrides: list[str], command: list[str], folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    run_dir = tmp_path / folder
    overrides[:] = [f"run_dir={run_dir}"]
    stage, *flags = command
    line = refused(capsys, stage, "recipe=quickstart_cpu", *flags)
    assert line.startswith(f"gsr-rl: run_dir={run_dir}: cannot be written (")
    assert line.endswith("; choose another folder")
    assert list(contents(tmp_path)) == ["file"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("warmup.steps=abc", "warmup.steps='abc': must be a whole number"),
        ("warmup.steps=-5", "warmup.steps=-5: must be at least 0"),
        ("eval.split=test", "eval.split=test: must be one of train, dev, held_out"),
        ("gsr.seed=-1", "gsr.seed=-1: must be from 0 to 4294967295"),
        ("trainer.total_training_steps=0", "trainer.total_training_steps=0: must be at least 1"),
        ("trainer.n_gpus_per_node=0", "trainer.n_gpus_per_node=0: must be at least 1"),
        ("sft.trainer.total_epochs=0", "sft.trainer.total_epochs=0: must be at least 1"),
    ],
)
@pytest.mark.usefixtures("overrides")
def test_values_of_the_wrong_kind_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, said: str
) -> None:
    for command in (["data"], ["run"], ["run", "--dry-run"]):
        assert refused(capsys, *command, "recipe=quickstart_cpu", override) == f"gsr-rl: {said}"
    assert contents(tmp_path) == {}


def rows_of_training(folder: Path, overrides: list[str]) -> None:
    """Rows for `train`, which are outside of the run folder, so that `run` finds its stages undone."""
    from data_prep.pair_sums import pair_sums
    from data_prep.rows import write_rl_rows

    write_rl_rows(folder / "rows.parquet", pair_sums(4, seed=0, numbers=3, largest=9))
    overrides += [f"data.{name}_files={folder / 'rows.parquet'}" for name in ("train", "val")]


def test_a_variant_is_checked_before_the_recipe_s_own_run_starts(
    tmp_path: Path,
    overrides: list[str],
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(chain, "_command", lambda *arguments: started.append(arguments))
    monkeypatch.setattr(chain, "load_settings", gsr_rl.settings.compose.load_settings)
    overrides += [f"base_model={model}", "variants={other: {overrides: ['problems.source=absent.jsonl']}}"]
    monkeypatch.setattr(platform, "_has_accelerator", lambda: False)
    assert "problems.source=absent.jsonl: no such file" in refused(capsys, "run", "recipe=quickstart_cpu")
    assert started == [] and not (tmp_path / "run").exists()


def test_ray_without_room_is_refused_before_the_chain_starts(
    overrides: list[str], model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The chain's own models are evaluated, and sampled from in `teach`, by `generation.backend`."""

    class NoRoom:
        def __init__(self, *_: Any) -> None: ...

        def count(self) -> int:
            raise UsageError("generation.replicas=9: must be at most 2")

    monkeypatch.setattr(preflight, "RayReplicas", NoRoom)
    monkeypatch.setattr(preflight, "connected", lambda ray_init: nullcontext())
    monkeypatch.setattr(platform, "_has_accelerator", lambda: False)
    overrides += [f"base_model={model}", "generation.backend=ray", "generation.replicas=9"]
    for arguments in (["run"], ["run", "skip_stages=[teach]"], ["teach"], ["eval"]):
        assert "generation.replicas=9" in refused(capsys, *arguments, "recipe=quickstart_cpu")
