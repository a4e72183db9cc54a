"""`generation.backend=ray`: answers, what we rely on in Ray and vLLM, and the real thing on a Ray of one node."""

import inspect
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import psutil
import pytest
from composed import changed, composed
from tiny import save_tiny_model

from data_prep.rows import read_sft_rows
from gsr_rl.generation import ray_engine
from gsr_rl.generation.requests import Answer, Request
from gsr_rl.settings.served import Served

REQUEST = Request("direct", "m", [{"role": "user", "content": "1 + 1?"}], {"max_tokens": 3})


@pytest.mark.parametrize(
    ("tokens", "cut_off"),
    # Token 2 ends a response. The request allows 3 tokens, and prompt and response together may have 10.
    [([5, 6, 7], True), ([5, 6, 2], False), ([5, 2], False), ([5, 6], False), ([], False)],
)
def test_a_response_is_cut_off_if_it_is_full_without_an_end(tokens: list[int], cut_off: bool) -> None:
    row = {"generated_text": "<think>hm</think>two", "generated_tokens": tokens, "num_input_tokens": 4}
    answer = ray_engine._answer(row, REQUEST, {"max_model_len": 10}, {2, None})
    assert answer == Answer("two", "hm", cut_off, 4, len(tokens))


def test_a_response_that_fills_the_context_is_cut_off() -> None:
    row = {"generated_text": "t", "generated_tokens": [5, 6], "num_input_tokens": 8}
    assert ray_engine._answer(row, REQUEST, {"max_model_len": 10}, {2}) == Answer("t", "", True, 8, 2)


def test_why_a_request_has_no_answer() -> None:
    assert ray_engine._answer({ray_engine.ERROR: "ValueError: too long"}, REQUEST, {}, {2}) == "ValueError: too long"


def test_the_arguments_of_an_engine_and_its_gpus() -> None:
    settings = composed("quickstart_cpu")
    engine = {"max_model_len": 100, "tensor_parallel_size": 2, "seed": None}
    served = Served(model="m", engine={"pipeline_parallel_size": 3, "max_model_len": 200})
    replicas = ray_engine.RayReplicas(settings, served, engine)
    # What is null is left to vLLM.
    assert replicas.arguments == {"max_model_len": 200, "tensor_parallel_size": 2, "pipeline_parallel_size": 3}
    assert replicas.size == 6
    assert ray_engine.RayReplicas(settings, Served(model="m"), {"tensor_parallel_size": None}).size == 1


def test_the_number_of_replicas_is_that_of_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[bool, int | None, int]] = []
    monkeypatch.setattr(ray_engine, "check_replicas", lambda *arguments: asked.append(arguments) or 5)
    settings = changed(composed("quickstart_cpu"), "generation.replicas=3")
    assert ray_engine.RayReplicas(settings, Served(model="m"), {"tensor_parallel_size": 2}).count() == 5
    assert asked == [(True, 3, 2)]


# --- what we rely on in Ray and vLLM ----------------------------------------------------------------------------------


def test_ray_data_takes_the_settings_and_gives_the_columns() -> None:
    from ray.data.llm import vLLMEngineProcessorConfig
    from ray.llm._internal.batch.stages.vllm_engine_stage import vLLMEngineWrapper, vLLMOutputData

    settings = {
        *("model_source", "engine_kwargs", "chat_template_stage", "tokenize_stage", "detokenize_stage", "batch_size"),
        *("max_concurrent_batches", "concurrency", "should_continue_on_error", "log_engine_metrics"),
        "placement_group_config",
    }
    assert settings <= set(vLLMEngineProcessorConfig.model_fields)
    assert {"generated_text", "generated_tokens", "num_input_tokens"} <= set(vLLMOutputData.model_fields)
    assert 'row.pop("tokenized_prompt")' in inspect.getsource(vLLMEngineWrapper._prepare_llm_request)
    assert ray_engine.ERROR in inspect.getsource(inspect.getmodule(vLLMEngineWrapper))  # pyright: ignore[reportArgumentType]


def test_an_engine_that_dies_ends_its_process_and_ray_starts_another() -> None:
    from ray.llm._internal.batch.stages.vllm_engine_stage import vLLMEngineStageUDF
    from ray.llm._internal.common.errors import VLLM_FATAL_ERRORS
    from vllm.v1.engine.exceptions import EngineDeadError

    assert EngineDeadError in VLLM_FATAL_ERRORS
    assert "os._exit(1)" in inspect.getsource(vLLMEngineStageUDF._generate_with_error_handling)


def test_vllm_has_the_arguments_of_the_recipes_engine() -> None:
    from vllm import AsyncEngineArgs

    arguments = composed("quickstart_cpu").engine_arguments(100)
    assert set(arguments) <= {argument.name for argument in fields(AsyncEngineArgs)}


# --- the real thing ---------------------------------------------------------------------------------------------------

BACKENDS = ("process", "server", "ray")
RECIPE = """
defaults: [/base, /cpu, _self_]
base_model: {model}
problems: {{source: pair_sums, train: 16, dev: 2, held_out: 2}}
teach: {{keep: all, student: {{model: {model}, concurrency: 8}}}}
gsr: {{k: 3, m: 2, candidate_tokens: 64, refinement_tokens: 16}}
sft: {{data: {{train_batch_size: 4, max_length: 1024}}}}
data: {{train_batch_size: 4, max_prompt_length: 256, max_response_length: 64}}
actor_rollout_ref:
  actor: {{ppo_mini_batch_size: 2, ppo_max_token_len_per_gpu: 2048}}
  rollout: {{prompt_length: 900, response_length: 64, max_num_seqs: 8, dtype: float32}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray")
    save_tiny_model(folder / "model")
    (folder / "tiny").mkdir()
    (folder / "tiny" / "recipe.yaml").write_text(RECIPE.format(model=folder / "model"))
    return folder


def gsr_rl(folder: Path, stage: str, *overrides: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "gsr_rl.cli", stage, f"recipe={folder}/tiny", *overrides]
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, env=environment, **pipes)


def done(process: "subprocess.Popen[str]") -> str:
    out, _ = process.communicate(timeout=1800)
    assert process.returncode == 0, out[-4000:]
    return out


def engine_of(process: "subprocess.Popen[str]") -> psutil.Process | None:
    """The process in which vLLM computes, below a replica."""
    names = {child: child.name() for child in psutil.Process(process.pid).children(recursive=True)}
    return next((child for child, name in names.items() if name.startswith("VLLM::EngineCor")), None)


def answers(journal: Path) -> set[str]:
    """The keys of the answers in a journal; its other rows tell which weights gave them."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return {row["key"] for row in map(json.loads, lines) if "text" in row}


def test_all_backends_send_the_same_requests_and_a_replica_may_die(folder: Path) -> None:
    done(gsr_rl(folder, "data", f"run_dir={folder}/{BACKENDS[0]}"))
    for backend in BACKENDS[1:]:
        shutil.copytree(folder / BACKENDS[0], folder / backend)
    for backend in ("process", "server"):
        done(gsr_rl(folder, "teach", f"run_dir={folder}/{backend}", f"generation.backend={backend}"))
    with tempfile.TemporaryDirectory(prefix="ray-") as short:  # sockets have short names
        overrides = ["generation.backend=ray", "generation.replicas=1", f"+ray_kwargs.ray_init._temp_dir={short}"]
        process = gsr_rl(folder, "teach", f"run_dir={folder}/ray", *overrides)
        journal = folder / "ray" / "teach" / "answers.jsonl"
        while len(answers(journal)) == 0 and process.poll() is None:
            time.sleep(0.05)
        assert len(answers(journal)) < 16 * 3  # in the middle of the candidates
        engine = engine_of(process)
        assert engine is not None
        engine.kill()
        done(process)
    keys = [answers(folder / backend / "teach" / "answers.jsonl") for backend in BACKENDS]
    assert keys[0] == keys[1] == keys[2] and len(keys[0]) == 16 * 3
    # A server and Ray draw from one random stream for each request; the engine in the process has one stream for all.
    rows = [read_sft_rows(folder / backend / "teach" / "train.parquet") for backend in BACKENDS]
    assert rows[1] == rows[2] and len(rows[1]) > 16 and len(rows[0]) > 16
