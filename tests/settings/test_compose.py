"""From a recipe's name to its settings: overrides, folders of one's own, misspelt and moved keys; and back to verl."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from composed import composed
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationKeyError

from gsr_rl.errors import UsageError
from gsr_rl.settings.compose import (
    MOVED,
    composed_values,
    load_settings,
    resolved_config,
    rl_config,
    save_config,
    sft_config,
)
from gsr_rl.settings.cpu_dtype import fast_dtype
from gsr_rl.settings.gsr import Gsr
from gsr_rl.settings.recipes import recipe_names, recipes_dir


def refused(error: pytest.ExceptionInfo[UsageError], *parts: str) -> None:
    """Check that the error is one line that holds all of `parts`."""
    line = str(error.value)
    assert "\n" not in line
    for part in parts:
        assert part in line, line


def test_a_recipe_is_composed_over_the_base_with_overrides_on_top() -> None:
    settings = load_settings(
        "quickstart_cpu", ["gsr.k=3", "actor_rollout_ref.actor.optim.lr=1e-7", "run_dir=elsewhere"]
    )
    config = rl_config(settings)
    assert settings.recipe == config.recipe == "quickstart_cpu"
    assert settings.gsr.k == config.gsr.k == 3
    assert config.actor_rollout_ref.actor.optim.lr == 1e-7
    assert settings.verl.data.train_files == config.data.train_files == "elsewhere/data/train.parquet"
    assert settings.gsr.score_cut_off == config.gsr.score_cut_off == Gsr().score_cut_off  # of the defaults
    assert settings.verl.trainer.v1.trainer_mode == config.trainer.v1.trainer_mode == "gsr"
    assert Path(config.actor_rollout_ref.rollout.agent.agent_loop_config_path).is_file()


def test_model_is_short_for_the_model_of_eval() -> None:
    assert load_settings("quickstart_cpu", ["model=folder"]).eval.model == "folder"


def test_a_recipe_for_the_cpu_computes_in_the_dtype_in_which_this_processor_is_fast() -> None:
    for overrides, rollout in ((), fast_dtype()), (("actor_rollout_ref.rollout.dtype=float16",), "float16"):
        settings = composed("quickstart_cpu", *overrides)
        assert settings.verl.rollout.dtype == rollout
        written: Any = OmegaConf.to_container(settings._composed, resolve=False)  # verl's processes cannot resolve it
        assert written["actor_rollout_ref"]["rollout"]["dtype"] == rollout
        actor = written["actor_rollout_ref"]["actor"]["fsdp_config"]
        assert actor["mixed_precision"] == written["sft"]["engine"]["mixed_precision"] == {"param_dtype": fast_dtype()}
    config = rl_config(composed("gsr_qwen2_5_7b"))
    assert config.actor_rollout_ref.rollout.dtype == "bfloat16"
    assert "mixed_precision" not in config.actor_rollout_ref.actor.fsdp_config


# --- verl's configurations --------------------------------------------------------------------------------------------


def test_the_two_trainers_get_configurations_of_their_own() -> None:
    settings = composed("quickstart_cpu")
    rl, sft = rl_config(settings), sft_config(settings)
    assert "sft" not in rl and "gsr" in rl
    assert sft.data.max_length == settings.sft.data.max_length
    assert "actor_rollout_ref" not in sft
    # verl's SFT keys refer to each other from their own root
    resolved: Any = OmegaConf.to_container(sft, resolve=True)
    assert resolved["checkpoint"]["load_contents"] == ["model", "optimizer", "extra", "hf_model"]
    with pytest.raises(InterpolationKeyError):
        OmegaConf.to_container(settings._composed, resolve=True)


def test_changes_are_set_before_interpolations_and_leave_the_settings_alone() -> None:
    settings = composed("quickstart_cpu")
    before = composed_values(settings)
    changes = {"data.train_batch_size": 4, "actor_rollout_ref.model.path": "m", "data.a_new_key": {"a": 1}}
    config = rl_config(settings, changes)
    assert config.actor_rollout_ref.actor.ppo_mini_batch_size == 4  # ${data.train_batch_size}
    assert (config.actor_rollout_ref.model.path, config.data.a_new_key) == ("m", {"a": 1})
    assert sft_config(settings, {"data.train_files": ["a", "b"]}).data.train_files == ["a", "b"]
    assert composed_values(settings) == before


def test_how_ray_is_started_follows_the_settings() -> None:
    settings = composed("quickstart_cpu")
    on_cluster = settings.model_copy(update={"verl": settings.verl.model_copy(update={"ray_init": {"address": "a:1"}})})
    assert rl_config(on_cluster).ray_kwargs.ray_init == {"address": "a:1"}
    assert rl_config(settings).ray_kwargs.ray_init.num_cpus == 16


def test_the_resolved_configuration_and_the_composed_values() -> None:
    settings = composed("quickstart_cpu", "run_dir=elsewhere")
    resolved = resolved_config(settings)
    assert resolved["data"]["train_files"] == "elsewhere/data/train.parquet"
    assert resolved["sft"]["checkpoint"]["load_contents"] == ["model", "optimizer", "extra", "hf_model"]
    assert Gsr.of(resolved["gsr"]) == settings.gsr
    values = composed_values(settings)
    assert values["data.train_files"] == "${run_dir}/data/train.parquet"  # as written
    assert (values["gsr.k"], values["variants"], values["eval.benchmarks"]) == ("4", "{}", "None")


def test_a_configuration_is_saved_as_yaml(tmp_path: Path) -> None:
    settings = composed("quickstart_cpu")
    text = save_config(settings, tmp_path / "deep" / "config.yaml")
    assert (tmp_path / "deep" / "config.yaml").read_text() == text
    assert OmegaConf.create(text) == settings._composed
    assert yaml.safe_load(text)["data"]["train_files"] == "${run_dir}/data/train.parquet"
    save_config(resolved_config(settings), tmp_path / "deep" / "config.yaml")
    assert yaml.safe_load((tmp_path / "deep" / "config.yaml").read_text()) == resolved_config(settings)
    save_config(sft_config(settings, {"data.train_files": ["a"]}), tmp_path / "sft.yaml")
    assert yaml.safe_load((tmp_path / "sft.yaml").read_text())["data"]["train_files"] == ["a"]


# --- keys that are unknown, missing or moved --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("gsr.refine_wieght=0.3", "gsr.refine_wieght: no such key; did you mean gsr.refine_weight?"),
        ("+gsr.refine_wieght=0.3", "gsr.refine_wieght: no such key; did you mean gsr.refine_weight?"),
        ("++eval.refiner.concurency=3", "eval.refiner.concurency: no such key; did you mean eval.refiner.concurrency?"),
        (
            "actor_rollout_ref.rollout.temprature=1",
            "actor_rollout_ref.rollout.temprature: no such key; did you mean actor_rollout_ref.rollout.temperature?",
        ),
        ("nonsense=1", "nonsense: no such key; +nonsense=... adds a key that verl's YAML does not have"),
        ("gsr.k", "gsr.k"),
        ("gsr.k=[1", "gsr.k=[1"),
        ("gsr.k=${nothing}", "Interpolation key 'nothing' not found"),
    ],
)
def test_unknown_keys_and_unreadable_values_on_the_command_line(override: str, part: str) -> None:
    with pytest.raises(UsageError) as error:
        load_settings("quickstart_cpu", [override])
    refused(error, part)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("gsr.k=four", "gsr.k='four': must be a whole number"),
        ("++variants.short={overrides: 5}", "variants.short.overrides=5: must be a list"),
        ("teach.llm.urls=[http://a/v1,7]", "teach.llm.urls.1=7: must be text"),
        ("data.train_batch_size=0", "data.train_batch_size=0: must be at least 1"),
        ("data.train_files=5", "data.train_files=5: must be a file or a list of files"),
        ("sft.data.val_files=[5]", "sft.data.val_files=[5]: must be a file or a list of files"),
        ("actor_rollout_ref.rollout.n=two", "actor_rollout_ref.rollout.n='two': must be a whole number"),
        ("sft.data.max_length=long", "sft.data.max_length='long': must be a whole number"),
        ("~trainer.device", "trainer.device: missing; set it in the recipe"),
    ],
)
def test_values_of_the_wrong_type_on_the_command_line(override: str, line: str) -> None:
    with pytest.raises(UsageError) as error:
        load_settings("quickstart_cpu", [override])
    assert str(error.value) == line


@pytest.mark.parametrize("prefix", ["", "+", "++", "~"])
@pytest.mark.parametrize("key", MOVED)
def test_a_key_that_moved_is_refused_on_the_command_line(key: str, prefix: str) -> None:
    override = f"{prefix}{key}" if prefix == "~" else f"{prefix}{key}=1"
    with pytest.raises(UsageError) as error:
        load_settings("quickstart_cpu", [override])
    assert str(error.value) == f"{key}: this key has moved; write {MOVED[key]}"


@pytest.mark.parametrize(
    "override", ["eval.engine.max_num_seqs=8", "++eval.engine.max_num_seqs=8", "++eval={engine: {max_num_seqs: 8}}"]
)
def test_keys_below_a_key_that_moved_are_refused(override: str) -> None:
    with pytest.raises(UsageError) as error:
        load_settings("quickstart_cpu", [override])
    assert str(error.value) == "eval.engine: this key has moved; write generation.engine"


def own_recipe(folder: Path, text: str, base: str = "base_model: m\n") -> str:
    folder.mkdir(exist_ok=True)
    (folder / "recipe.yaml").write_text(f"defaults:\n  - /base\n  - /cpu\n  - _self_\n\n{base}{text}")
    return str(folder)


@pytest.mark.parametrize("key", MOVED)
def test_a_key_that_moved_is_refused_in_a_recipe_s_file(tmp_path: Path, key: str) -> None:
    values: Any = 1
    for name in reversed(key.split(".")):
        values = {name: values}
    own = own_recipe(tmp_path / "mine", yaml.safe_dump(values))
    with pytest.raises(UsageError) as error:
        load_settings(own)
    path = (tmp_path / "mine" / "recipe.yaml").resolve()
    assert str(error.value) == f"{path}: {key}: this key has moved; write {MOVED[key]}"


def test_a_key_that_moved_is_refused_in_a_file_that_the_recipe_s_defaults_name(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "common.yaml").write_text("# @package _global_\nteach: {engine: ray}\n")
    text = "defaults:\n  - /base\n  - common\n  - _self_\n\nbase_model: m\nproblems: {source: pair_sums}\n"
    (tmp_path / "mine" / "recipe.yaml").write_text(text)
    with pytest.raises(UsageError) as error:
        load_settings(str(tmp_path / "mine"))
    assert str(error.value) == f"teach.engine: this key has moved; write {MOVED['teach.engine']}"


def test_a_folder_of_one_s_own_is_a_recipe(tmp_path: Path) -> None:
    own = own_recipe(tmp_path / "mine", "problems: {source: pair_sums}\ngsr: {k: 6, m: 3}\n")
    settings = load_settings(own, ["gsr.m=4"])
    assert (settings.recipe, settings.gsr.k, settings.gsr.m) == ("mine", 6, 4)
    assert settings.run_dir == "outputs/mine"
    assert settings.verl.is_on_cpu and settings.base_model == "m"


@pytest.mark.parametrize(
    ("text", "base", "line"),
    [
        ("problems: {source: pair_sums}\n", "", "base_model: missing; set it in the recipe"),
        ("", "base_model: m\n", "problems.source: missing; set it in the recipe"),
    ],
)
def test_what_a_recipe_must_say(tmp_path: Path, text: str, base: str, line: str) -> None:
    with pytest.raises(UsageError) as error:
        load_settings(own_recipe(tmp_path / "mine", text, base))
    assert str(error.value) == line


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
        load_settings(own)
    refused(error, str(Path(own) / "recipe.yaml"), *parts)


def test_a_misspelt_key_of_a_variant(tmp_path: Path) -> None:
    own = own_recipe(tmp_path / "mine", "problems: {source: pair_sums}\nvariants: {short: {overides: []}}\n")
    with pytest.raises(UsageError) as error:
        load_settings(own)
    assert str(error.value) == "variants.short.overides: no such key; did you mean variants.short.overrides?"


def test_free_sections_of_verl_s_take_any_key(tmp_path: Path) -> None:
    text = "problems: {source: pair_sums}\nactor_rollout_ref: {model: {override_config: {rope_theta: 1.0}}}\n"
    settings = load_settings(own_recipe(tmp_path / "mine", text))
    assert rl_config(settings).actor_rollout_ref.model.override_config.rope_theta == 1.0
    assert (settings.verl.model.override_config or {})["rope_theta"] == 1.0


def test_free_sections_of_ours_take_any_key() -> None:
    overrides = ["+generation.engine.a=1", "+teach.llm.extra_body.b={c: 2}", "+eval.refiner.engine.d=3"]
    settings = load_settings("quickstart_cpu", overrides)
    assert settings.generation.engine["a"] == 1
    assert (settings.teach.llm.extra_body, settings.eval.refiner.engine) == ({"b": {"c": 2}}, {"d": 3})


def test_a_recipe_that_cannot_be_read_names_its_file(tmp_path: Path) -> None:
    own = own_recipe(tmp_path / "mine", "gsr: [1\n")
    with pytest.raises(UsageError) as error:
        load_settings(own)
    refused(error, "recipe.yaml")


@pytest.mark.parametrize("name", ["quickstart", "no/such/folder"])
def test_a_recipe_that_does_not_exist_names_those_that_do(name: str) -> None:
    with pytest.raises(UsageError) as error:
        load_settings(name)
    refused(error, f"recipe={name}", "quickstart_cpu")


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_composes(name: str) -> None:
    assert composed(name).recipe == name
    assert (recipes_dir() / name / "recipe.yaml").is_file()
