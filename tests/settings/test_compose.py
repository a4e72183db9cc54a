"""From a recipe's name to one configuration: overrides, folders of one's own, misspelt keys."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationKeyError

from gsr_rl.errors import UsageError
from gsr_rl.settings.compose import load_recipe, rl_config, sft_config
from gsr_rl.settings.cpu_dtype import fast_dtype
from gsr_rl.settings.gsr import GsrConfig
from gsr_rl.settings.recipes import recipe_names, recipes_dir


def refused(error: pytest.ExceptionInfo[UsageError], *parts: str) -> None:
    """One line that holds all of `parts`."""
    line = str(error.value)
    assert "\n" not in line
    for part in parts:
        assert part in line, line


def test_a_recipe_is_composed_over_the_base_with_overrides_on_top() -> None:
    config = load_recipe("quickstart_cpu", ["gsr.k=3", "actor_rollout_ref.actor.optim.lr=1e-7", "run_dir=elsewhere"])
    assert config.recipe == "quickstart_cpu"
    assert config.gsr.k == 3
    assert config.actor_rollout_ref.actor.optim.lr == 1e-7
    assert config.data.train_files == "elsewhere/data/train.parquet"
    assert config.gsr.score_cut_off == GsrConfig().score_cut_off  # of the defaults
    assert config.trainer.v1.trainer_mode == "gsr"
    assert Path(config.actor_rollout_ref.rollout.agent.agent_loop_config_path).is_file()


def test_a_recipe_for_the_cpu_computes_in_the_dtype_that_this_one_is_fast_in() -> None:
    for overrides, rollout in ([], fast_dtype()), (["actor_rollout_ref.rollout.dtype=float16"], "float16"):
        config = load_recipe("quickstart_cpu", overrides)
        written: Any = OmegaConf.to_container(config, resolve=False)  # verl's processes cannot resolve it
        assert written["actor_rollout_ref"]["rollout"]["dtype"] == rollout
        actor = written["actor_rollout_ref"]["actor"]["fsdp_config"]
        assert actor["mixed_precision"] == written["sft"]["engine"]["mixed_precision"] == {"param_dtype": fast_dtype()}
    config = load_recipe("gsr_qwen2_5_7b")
    assert config.actor_rollout_ref.rollout.dtype == "bfloat16"
    assert "mixed_precision" not in config.actor_rollout_ref.actor.fsdp_config


def test_the_two_trainers_get_configurations_of_their_own() -> None:
    config = load_recipe("quickstart_cpu")
    rl, sft = rl_config(config), sft_config(config)
    assert "sft" not in rl and "gsr" in rl
    assert sft.data.max_length == config.sft.data.max_length
    assert "actor_rollout_ref" not in sft
    # verl's SFT keys refer to each other from their own root
    resolved: Any = OmegaConf.to_container(sft, resolve=True)
    assert resolved["checkpoint"]["load_contents"] == config.sft.checkpoint.save_contents
    with pytest.raises(InterpolationKeyError):
        OmegaConf.to_container(config, resolve=True)


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("gsr.refine_wieght=0.3", "refine_wieght"),
        ("actor_rollout_ref.rollout.temprature=1", "temprature"),
        ("nonsense=1", "nonsense"),
        ("gsr.k", "gsr.k"),
        ("gsr.k=[1", "gsr.k=[1"),
    ],
)
def test_unknown_keys_and_unreadable_values_on_the_command_line(override: str, part: str) -> None:
    with pytest.raises(UsageError) as error:
        load_recipe("quickstart_cpu", [override])
    refused(error, part)


def own_recipe(folder: Path, text: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "recipe.yaml").write_text("defaults:\n  - /base\n  - /cpu\n  - _self_\n\nbase_model: m\n" + text)
    return str(folder)


def test_a_folder_of_one_s_own_is_a_recipe(tmp_path: Path) -> None:
    own = own_recipe(tmp_path / "mine", "problems: {source: pair_sums}\ngsr: {k: 6, m: 3}\n")
    config = load_recipe(own, ["gsr.m=4"])
    assert (config.recipe, config.gsr.k, config.gsr.m) == ("mine", 6, 4)
    assert config.run_dir == "outputs/mine"
    assert config.trainer.device == "cpu"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("gsr: {refine_wieght: 0.3}\n", ["gsr.refine_wieght: no such key", "did you mean gsr.refine_weight?"]),
        ("trainr: {device: cpu}\n", ["trainr: no such key", "did you mean trainer?"]),
        (
            "actor_rollout_ref: {rollout: {tempreature: 1}}\n",
            [
                "actor_rollout_ref.rollout.tempreature: no such key",
                "did you mean actor_rollout_ref.rollout.temperature?",
            ],
        ),
        ("sft: {optim: {learning: 1}}\n", ["sft.optim.learning: no such key"]),
    ],
)
def test_misspelt_keys_in_a_recipe_s_file(tmp_path: Path, text: str, parts: list[str]) -> None:
    own = own_recipe(tmp_path / "mine", text)
    with pytest.raises(UsageError) as error:
        load_recipe(own)
    refused(error, str(Path(own) / "recipe.yaml"), *parts)


def test_free_sections_of_verl_s_take_any_key(tmp_path: Path) -> None:
    own = own_recipe(tmp_path / "mine", "actor_rollout_ref: {model: {override_config: {rope_theta: 1.0}}}\n")
    assert load_recipe(own).actor_rollout_ref.model.override_config.rope_theta == 1.0


def test_a_recipe_that_cannot_be_read_names_its_file(tmp_path: Path) -> None:
    own = own_recipe(tmp_path / "mine", "gsr: [1\n")
    with pytest.raises(UsageError) as error:
        load_recipe(own)
    refused(error, "recipe.yaml")


@pytest.mark.parametrize("name", ["quickstart", "no/such/folder"])
def test_a_recipe_that_does_not_exist_names_those_that_do(name: str) -> None:
    with pytest.raises(UsageError) as error:
        load_recipe(name)
    refused(error, f"recipe={name}", "quickstart_cpu")


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_composes(name: str) -> None:
    assert load_recipe(name).recipe == name
    assert (recipes_dir() / name / "recipe.yaml").is_file()
