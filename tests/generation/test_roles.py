"""A model's part in a run: its name, how it is asked, which backend answers, and which weights it had."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from composed import changed, composed
from tiny import tiny_tokenizer

from gsr_rl import fingerprints
from gsr_rl.errors import UsageError
from gsr_rl.generation import roles
from gsr_rl.generation.engine import Engine
from gsr_rl.generation.generate import ask_servers
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.ray_engine import RayReplicas
from gsr_rl.generation.roles import Role, access_to, backend_of, claim_weights, role_of, short_name
from gsr_rl.generation.rounds import in_rounds
from gsr_rl.settings.served import Served
from gsr_rl.settings.settings import Settings

REMOTE = Served(urls=["http://a:1/v1"], model="org/toy", concurrency=3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The part of a model that is read before it runs: its tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_tokenizer().save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return folder


def settings(*overrides: str) -> Settings:
    return changed(composed("quickstart_cpu"), *overrides)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "Qwen2.5-7B-Instruct"),
        ("gpt 4: mini", "gpt-4-mini"),
        ("toy", "toy"),
        ("{folder}/train/model", "train-model"),
        ("{folder}/train/model/", "train-model"),
        ("{folder}/no/such/folder", "folder"),
    ],
)
def test_names_of_models_in_files(tmp_path: Path, model: str, name: str) -> None:
    (tmp_path / "train" / "model").mkdir(parents=True)
    assert short_name(model.format(folder=tmp_path)) == name


def test_a_short_name_of_a_folder_does_not_depend_on_where_the_run_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "train")
    assert short_name("model") == short_name("./model") == "train-model"


# --- the role ---------------------------------------------------------------------------------------------------------


def test_a_model_at_a_url_has_its_own_name_and_concurrency() -> None:
    role = role_of(settings(), "eval.server", REMOTE)
    assert role == Role("eval.server", REMOTE, "org/toy")
    assert role.is_remote


@pytest.mark.parametrize(
    ("overrides", "engine", "concurrency"),
    [
        ([], {}, 160),  # recipes/cpu.yaml: max_num_seqs=128
        (["actor_rollout_ref.rollout.max_num_seqs=8"], {}, 10),
        (["generation.engine.max_num_seqs=40"], {}, 50),
        (["generation.engine.max_num_seqs=40"], {"max_num_seqs": 4}, 5),
        (["generation.engine.max_num_seqs=4000"], {}, 1000),
    ],
)
def test_a_model_that_runs_here_gets_a_quarter_more_requests_than_its_engine_takes(
    overrides: list[str], engine: dict[str, Any], concurrency: int
) -> None:
    role = role_of(settings(*overrides), "eval.server", Served(model="org/toy", concurrency=3, engine=engine))
    assert (role.name, role.served.concurrency, role.is_remote) == ("toy", concurrency, False)


# --- how it is asked --------------------------------------------------------------------------------------------------

CHAT = ["data.apply_chat_template_kwargs.enable_thinking=false", "gsr.candidate_tokens=5", "gsr.refinement_tokens=7"]


def test_a_model_at_a_url_gets_messages_and_the_arguments_of_its_template(model: Path) -> None:
    served = REMOTE.model_copy(update={"extra_body": {"stop": ["x"]}})
    role = role_of(settings(), "eval.server", served)
    access = access_to(settings(*CHAT), role)
    assert (access.name, access.by_tokens, access.tokenizer, access.max_tokens) == ("org/toy", False, None, 256)
    common = {"temperature": 1.0, "top_p": 1.0, "chat_template_kwargs": {"enable_thinking": False}, "stop": ["x"]}
    assert access.candidate == {**common, "max_tokens": 5}
    assert access.refinement == {**common, "max_tokens": 7}
    assert access_to(settings(*CHAT), role, str(model)).tokenizer is not None


def test_a_model_that_runs_here_gets_token_ids_of_its_own_tokenizer(model: Path) -> None:
    role = role_of(settings(), "eval.server", Served(model=str(model)))
    access = access_to(settings(*CHAT, "gsr.validation.refinement.top_k=3"), role)
    assert access.by_tokens and access.tokenizer is not None
    assert access.candidate == {"temperature": 1.0, "top_p": 1.0, "max_tokens": 5}
    assert access.refinement == {"temperature": 1.0, "top_p": 1.0, "top_k": 3, "max_tokens": 7}
    assert access.chat_kwargs == {"enable_thinking": False}


# --- which backend answers --------------------------------------------------------------------------------------------


@pytest.fixture
def served_here(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Served, Mapping[str, Any], Path]]:
    """Where a model would be served here, its arguments; it is then at http://here/v1."""
    started: list[tuple[Served, Mapping[str, Any], Path]] = []

    @contextmanager
    def at_urls(served: Served, engine: Mapping[str, Any], log: Path) -> Iterator[Served]:
        if served.urls:
            yield served
            return
        started.append((served, dict(engine), log))
        yield served.model_copy(update={"urls": ["http://here/v1"]})

    monkeypatch.setattr(roles, "at_urls", at_urls)
    return started


LOG = Path("logs/model.log")


@pytest.mark.parametrize("backend", ["process", "server", "ray"])
def test_a_model_at_a_url_is_asked_there_whatever_the_backend(backend: str, served_here: list[Any]) -> None:
    recipe = settings(f"generation.backend={backend}")
    with backend_of(recipe, role_of(recipe, "eval.server", REMOTE), 300, LOG) as asked:
        assert isinstance(asked, partial) and asked.func is ask_servers
        assert asked.args == (REMOTE,)
    assert served_here == []


def test_a_model_in_this_process() -> None:
    recipe = settings("generation.engine.seed=4")
    role = role_of(recipe, "eval.server", Served(model="folder", engine={"enforce_eager": False}))
    with backend_of(recipe, role, 300, LOG) as asked:
        assert isinstance(asked, partial) and asked.func is in_rounds
        sample, served = asked.args
        engine = sample.__self__
        assert isinstance(engine, Engine) and sample == engine.sample and served == role.served
        assert (engine.model, engine._llm) == ("folder", None)  # nothing is loaded before the first request
        assert engine.arguments == {**recipe.engine_arguments(300), "seed": 4, "enforce_eager": False}


def test_a_model_by_a_server_on_this_machine(served_here: list[Any]) -> None:
    recipe = settings("generation.backend=server")
    role = role_of(recipe, "eval.server", Served(model="org/toy"))
    with backend_of(recipe, role, 300, LOG) as asked:
        assert isinstance(asked, partial) and asked.func is ask_servers
        (served,) = asked.args
        assert served.urls == ["http://here/v1"] and served.concurrency == role.served.concurrency == 160
    # The server knows the model by the name in requests.
    assert served_here == [(role.served, {**recipe.engine_arguments(300), "served_model_name": "toy"}, LOG)]


def test_a_model_on_a_ray_cluster() -> None:
    recipe = settings("generation.backend=ray")
    role = role_of(recipe, "eval.server", Served(model="folder"))
    with backend_of(recipe, role, 300, LOG) as asked:
        assert isinstance(asked, partial) and asked.func is in_rounds
        sample, served = asked.args
        assert sample.__self__ == RayReplicas(recipe, role.served, recipe.engine_arguments(300))
        assert served == role.served


@pytest.mark.parametrize("backend", ["process", "server", "ray"])
def test_scores_always_come_from_a_server(backend: str, served_here: list[Any]) -> None:
    recipe = settings(f"generation.backend={backend}")
    role = role_of(recipe, "eval.reward_model", Served(model="rm", engine={"runner": "pooling"}))
    with backend_of(recipe, role, 300, LOG, pooling=True) as asked:
        assert isinstance(asked, partial) and asked.func is ask_servers
        assert asked.args[0].urls == ["http://here"]  # the pooling API is beside /v1
    assert len(served_here) == 1
    role = role_of(recipe, "eval.reward_model", REMOTE)
    with backend_of(recipe, role, 300, LOG, pooling=True) as asked:
        assert isinstance(asked, partial) and asked.args[0].urls == ["http://a:1"]
    assert len(served_here) == 1


# --- which weights answered -------------------------------------------------------------------------------------------


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    folder = tmp_path / "train" / "model"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"trained")
    (folder / "config.json").write_text("{}")
    return folder


def claim(path: Path, *claimed: Role) -> int:
    """Open a journal, claim it, and count its rows."""
    with Journal(path) as journal:
        claim_weights(journal, claimed)
        return len(journal)


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "hub_commit", lambda model, revision: revision or "c0ffee")


def test_the_same_weights_may_answer_again(tmp_path: Path, weights: Path) -> None:
    role = Role("eval.server", Served(model=str(weights)), "train-model")
    assert claim(tmp_path / "answers.jsonl", role) == 1
    os.utime(weights / "model.safetensors", (1, 1))
    assert claim(tmp_path / "answers.jsonl", role, role) == 1
    other = Role("eval.refiner", Served(model="org/toy"), "toy")
    assert claim(tmp_path / "answers.jsonl", role, other) == 2


def test_other_weights_of_the_same_name_are_refused(tmp_path: Path, weights: Path) -> None:
    role = Role("eval.server", Served(model=str(weights)), "train-model")
    claim(tmp_path / "answers.jsonl", role)
    (weights / "model.safetensors").write_bytes(b"trained further")
    with pytest.raises(UsageError) as raised:
        claim(tmp_path / "answers.jsonl", role)
    path = (tmp_path / "answers.jsonl").resolve()
    said = re.sub("[0-9a-f]{16}", "HASH", str(raised.value))
    assert said == (
        f"{weights}: not the model called train-model that answered here before (weights: HASH -> HASH); "
        f"remove {path}, or choose another run_dir"
    )
    # Weights in several files, too.
    (weights / "model.safetensors").write_bytes(b"trained")
    claim(tmp_path / "others.jsonl", role)
    (weights / "pytorch_model.bin").write_bytes(b"more")
    with pytest.raises(UsageError, match="not the model called train-model"):
        claim(tmp_path / "others.jsonl", role)


def test_a_model_of_the_same_name_from_elsewhere_is_refused(tmp_path: Path) -> None:
    claim(tmp_path / "answers.jsonl", Role("eval.server", Served(model="org/toy"), "toy"))
    with pytest.raises(UsageError, match=r"^other/toy: not the model called toy that answered here before"):
        claim(tmp_path / "answers.jsonl", Role("eval.server", Served(model="other/toy"), "toy"))
    remote = Role("eval.server", REMOTE.model_copy(update={"model": "toy"}), "toy")
    with pytest.raises(UsageError, match=r"^toy: not the model called toy that answered here before"):
        claim(tmp_path / "answers.jsonl", remote)


def test_another_engine_of_the_same_weights_is_refused(tmp_path: Path, weights: Path) -> None:
    def role(*overrides: str, **engine: Any) -> Role:
        return role_of(settings(*overrides), "eval.server", Served(model=str(weights), engine=engine))

    path = tmp_path / "answers.jsonl"
    assert claim(path, role("generation.engine.dtype=float32")) == 1
    # Where and how fast it runs may change.
    overrides = ["generation.engine.dtype=float32", "generation.engine.max_num_seqs=4", "gsr.seed=7"]
    assert claim(path, role(*overrides, tensor_parallel_size=2)) == 1
    with pytest.raises(UsageError, match=r"answered here before \(dtype: float32 -> bfloat16\); remove "):
        claim(path, role("generation.engine.dtype=bfloat16"))
    with pytest.raises(UsageError, match=r"answered here before \(quantization: None -> fp8\); remove "):
        claim(path, role("generation.engine.dtype=float32", quantization="fp8"))


def test_another_revision_of_the_same_name_is_refused(tmp_path: Path) -> None:
    def role(**engine: Any) -> Role:
        return role_of(settings("generation.engine.dtype=float32"), "eval.server", Served(model="a/b", engine=engine))

    claim(tmp_path / "answers.jsonl", role())
    claim(tmp_path / "answers.jsonl", role())
    with pytest.raises(UsageError, match="weights: a/b at commit c0ffee -> a/b at commit 1234"):
        claim(tmp_path / "answers.jsonl", role(revision="1234"))


def test_a_remote_model_may_move_to_other_servers(tmp_path: Path) -> None:
    claim(tmp_path / "answers.jsonl", Role("teach.llm", REMOTE, "org/toy"))
    moved = REMOTE.model_copy(update={"urls": ["http://b/v1", "http://c/v1"]})
    assert claim(tmp_path / "answers.jsonl", Role("teach.llm", moved, "org/toy")) == 1
