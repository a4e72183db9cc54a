"""What the plugin relies on in verl 0.9.1: signatures, attributes, keys, behaviour. A new verl fails here first."""

import asyncio
import copy
import importlib.metadata
import inspect
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hydra
import numpy as np
import pytest
import torch
import verl.trainer.ppo.v1.agent_loop_tq as verl_worker
from omegaconf import DictConfig, OmegaConf
from rollout import MemoryQueue, make_config, make_row, make_worker, run_loop
from stub_engine import make_training_worker
from tensordict import TensorDict
from verl import DataProto
from verl.experimental.agent_loop.agent_loop import (
    AgentLoopBase,
    AgentLoopManager,
    AgentLoopOutput,
    AgentLoopWorker,
    DictConfigWrap,
    ToolListWrap,
    get_trajectory_info,
)
from verl.trainer.main_ppo import TaskRunnerV1, run_ppo
from verl.trainer.ppo.utils import Role
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ, AgentLoopWorkerTQ
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer, ReplayBufferAsync
from verl.trainer.ppo.v1.trainer_base import PPOTrainer, get_trainer_cls
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils import tensordict_utils as tu
from verl.utils.dataset.rl_dataset import RLHFDataset
from verl.utils.debug.metrics import calculate_debug_metrics
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead
from verl.workers.engine_workers import ActorRolloutRefWorker, TrainingWorker
from verl.workers.rollout.llm_server import LLMServerClient
from verl.workers.rollout.replica import TokenOutput
from verl.workers.rollout.vllm_rollout.vllm_async_server import vLLMHttpServer

from data_prep.rows import write_rl_rows
from gsr_rl.episode import Problem
from gsr_rl.settings.recipes import recipes_dir
from gsr_rl.verl_plugin.actor import GsrActorRolloutRefWorker, GsrTrainingWorker
from gsr_rl.verl_plugin.agent_loop import GsrAgentLoop
from gsr_rl.verl_plugin.launch import GsrTaskRunner
from gsr_rl.verl_plugin.shared_prefix import SharedPrefixEngine
from gsr_rl.verl_plugin.sync_guard import CORRELATION, check_correlation
from gsr_rl.verl_plugin.trainer import GsrTrainer
from gsr_rl.verl_plugin.worker import GsrAgentLoopManager, GsrAgentLoopWorker

PlainWorker = AgentLoopWorkerTQ.__ray_metadata__.modified_class
PlainRunner = TaskRunnerV1.__ray_metadata__.modified_class


def test_the_version_is_the_one_that_all_this_holds_for() -> None:
    assert importlib.metadata.version("verl") == "0.9.1"


def parameters_of(function: Any) -> list[str]:
    """Names of the parameters, without the parameter that Ray adds to an actor's methods."""
    return [name for name in inspect.signature(function).parameters if name != "_ray_trace_ctx"]


# What we override


@pytest.mark.parametrize(
    ("ours", "stock"),
    [
        (GsrTrainer, PPOTrainerSync),
        (GsrAgentLoopWorker, PlainWorker),
        (GsrAgentLoopManager, AgentLoopManagerTQ),
        (GsrTrainingWorker, TrainingWorker),
        (GsrActorRolloutRefWorker, ActorRolloutRefWorker),
        (GsrTaskRunner, PlainRunner),
        (SharedPrefixEngine, FSDPEngineWithLMHead),
    ],
)
def test_what_we_override_is_there_and_takes_the_same_arguments(ours: type, stock: type) -> None:
    assert issubclass(ours, stock)
    for name, method in vars(ours).items():
        if not inspect.isfunction(method) or not hasattr(stock, name):
            continue
        taken = parameters_of(method)
        if "kwargs" not in taken:
            wanted = parameters_of(getattr(stock, name))
            assert taken[: len(wanted)] == wanted, name


def test_each_override_has_something_to_override() -> None:
    hooks = {
        GsrTrainer: "_init_resource_pool_mgr _build_replay_buffer on_init_end on_sample_end on_step_end "
        "_compute_old_log_prob _step_once _get_required_batch_multiple _balance_batch _update_actor _compute_metrics "
        "_val_metrics_update",
        GsrAgentLoopWorker: "_run_agent_loop _agent_loop_postprocess",
        GsrTrainingWorker: "set_loss_fn train_mini_batch",
        GsrAgentLoop: "run",
        GsrTaskRunner: "run",
        SharedPrefixEngine: "initialize forward_backward_batch prepare_model_inputs prepare_model_outputs",
    }
    for ours, names in hooks.items():
        for name in names.split():
            assert name in vars(ours) and hasattr(ours.__base__, name), f"{ours.__name__}.{name}"


# The trainer


def test_ours_behaves_as_the_stock_synchronous_trainer(quickstart: DictConfig) -> None:
    assert get_trainer_cls("gsr") is GsrTrainer
    ours = GsrTrainer(copy.deepcopy(quickstart))
    stock_config = copy.deepcopy(quickstart)
    stock_config.trainer.v1.trainer_mode = "sync"
    stock = PPOTrainerSync(stock_config)
    assert ours.trainer_mode == stock.trainer_mode == "sync"
    assert type(ours.replay_buffer) is type(stock.replay_buffer) is ReplayBuffer
    for name in ("parameter_sync_step", "use_critic", "use_reference_policy", "use_teacher_policy"):
        assert getattr(ours, name) == getattr(stock, name), name
    buffers = [
        {key: value for key, value in vars(trainer.replay_buffer).items() if key not in ("refill_fn", "poll_interval")}
        for trainer in (ours, stock)
    ]
    assert buffers[0] == buffers[1]
    assert (ours.replay_buffer.poll_interval, stock.replay_buffer.poll_interval) == (0.25, 2.0)
    assert "time.sleep(self.poll_interval)" in inspect.getsource(ReplayBuffer._wait_for_next_poll)
    assert (
        ours.num_mini_batches
        == quickstart.data.train_batch_size // quickstart.actor_rollout_ref.actor.ppo_mini_batch_size
    )


def test_under_another_name_verl_would_take_its_asynchronous_paths(quickstart: DictConfig) -> None:
    trainer = PPOTrainerSync(copy.deepcopy(quickstart))
    assert trainer.trainer_mode == "gsr"
    assert type(trainer.replay_buffer) is ReplayBufferAsync


def test_the_trainer_s_attributes_that_we_use_are_set_by_verl() -> None:
    source = inspect.getsource(PPOTrainer)
    for name in (
        "role_worker_mapping",
        "checkpoint_manager",
        "actor_rollout_wg",
        "replay_buffer",
        "reward_loop_manager",
    ):
        assert re.search(rf"self\.{name}(: \S+)? = ", source), name
    for name in ("self.tokenizer = ", "self.global_steps", "def get_llm_client(self", "_dispatch_info[role]"):
        assert name in source, name
    assert {"ActorRollout", "ActorRolloutRef"} <= set(Role.__members__)


def test_the_entry_takes_a_task_runner_of_ours() -> None:
    assert "task_runner_class" in inspect.signature(run_ppo).parameters
    assert parameters_of(PlainRunner.run) == ["self", "config"]


# The actor's worker


def test_the_actor_s_worker_class_can_be_replaced() -> None:
    assert ActorRolloutRefWorker.actor_worker_cls is TrainingWorker
    assert "self.actor_worker_cls(" in inspect.getsource(ActorRolloutRefWorker)
    assert "self.actor.train_mini_batch(" in inspect.getsource(ActorRolloutRefWorker)


@pytest.mark.parametrize(
    ("sizes", "steps"),
    [({"num_mini_batch": 3}, 3), ({"mini_batch_size": 2}, 6), ({"mini_batch_size": 2, "num_mini_batch": 3}, 6)],
)
def test_stock_takes_the_size_first_and_then_the_number_of_mini_batches(sizes: dict[str, int], steps: int) -> None:
    worker, engine = make_training_worker(TrainingWorker)
    data = TensorDict({"row": torch.arange(12)}, batch_size=[12])
    tu.assign_non_tensor(data, **sizes)
    tu.assign_non_tensor_data(data, "dataloader_kwargs", {"shuffle": False})
    worker.train_mini_batch(data)
    assert len(engine.batches) == steps
    # in the order in which they were dealt
    assert torch.cat([batch["row"] for batch in engine.batches]).tolist() == list(range(12))


# The rollout


def test_verl_builds_our_loop_from_the_recipe_s_registry(tokenizer: Any) -> None:
    config = make_config()
    (entry,) = OmegaConf.load(recipes_dir() / "agent_loop.yaml")
    assert entry.name == "gsr"
    loop = hydra.utils.instantiate(  # as AgentLoopWorker._run_agent_loop does
        config=entry,
        trainer_config=DictConfigWrap(config=config),
        server_manager=None,
        tokenizer=tokenizer,
        processor=None,
        hf_model_type="llama",
        dataset_cls=RLHFDataset,
        data_config=DictConfigWrap(config.data),
        tools=ToolListWrap([]),
    )
    assert isinstance(loop, GsrAgentLoop)
    assert (loop.gsr.k, loop.tokenizer, loop.rollout_config.prompt_length) == (3, tokenizer, 512)
    wanted = {"trainer_config", "server_manager", "tokenizer", "processor", "dataset_cls", "data_config"}
    assert wanted <= set(inspect.signature(AgentLoopBase.__init__).parameters)


def test_the_server_client_s_call() -> None:
    parameters = inspect.signature(LLMServerClient.generate).parameters
    assert list(parameters)[1:4] == ["request_id", "prompt_ids", "sampling_params"]
    assert "kwargs" in parameters  # takes `priority`, and hands it on to vLLM
    assert inspect.signature(vLLMHttpServer.generate).parameters["priority"].default == 0
    # Requests with one id go to one replica, and vLLM gets an id of its own for each.
    client = SimpleNamespace(config=OmegaConf.create({"actor_rollout_ref": {"rollout": {"full_determinism": False}}}))
    assert LLMServerClient._vllm_request_id(client, "shared") != "shared"
    assert {"token_ids", "log_probs", "extra_fields"} <= set(TokenOutput.model_fields)
    wanted = {"prompt_ids", "response_ids", "response_mask", "response_logprobs", "reward_score", "extra_fields"}
    assert wanted | {"num_turns", "metrics"} <= set(AgentLoopOutput.model_fields)


def test_what_a_trajectory_says_of_itself() -> None:
    (info,) = asyncio.run(get_trajectory_info(4, [0], True))
    assert (info["step"], info["validate"]) == (4, True)


def test_the_manager_makes_our_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AgentLoopManager, "__init__", lambda self: None)
    manager = GsrAgentLoopManager()
    assert manager.agent_loop_workers_class.__ray_metadata__.modified_class is GsrAgentLoopWorker
    assert "self.agent_loop_workers_class" in inspect.getsource(AgentLoopManager)


def test_a_row_has_verl_s_fields_and_tags_and_ours(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def reply(request: Any) -> str:
        return "\\boxed{5}"

    def put_by(postprocess: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        queue = MemoryQueue()
        monkeypatch.setattr(verl_worker, "tq", queue)
        monkeypatch.setattr("gsr_rl.verl_plugin.worker.tq", queue)
        outputs, _ = run_loop(tokenizer, reply)
        asyncio.run(postprocess(make_worker(tokenizer), outputs, False, **make_row()))
        (put,) = queue.puts
        return {key: type(put.fields[key][0]) for key in put.fields.keys()}, put.tags[0]  # noqa: SIM118

    stock_fields, stock_tag = put_by(PlainWorker._agent_loop_postprocess)
    our_fields, our_tag = put_by(GsrAgentLoopWorker._agent_loop_postprocess)
    assert set(our_fields) - set(stock_fields) == {"is_refinement"}
    assert {key: our_fields[key] for key in stock_fields} == stock_fields
    assert {key: our_tag[key] for key in stock_tag} == stock_tag
    ours = {"stage", "reward", "reward_failed", "correct", "cut_off", "no_answer"}
    added = {key for key in set(our_tag) - set(stock_tag) if not key.startswith("reward/")}
    assert added == ours


def test_a_row_s_group_is_all_that_differs_in_what_verl_reads(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def reply(request: Any) -> str:
        return "\\boxed{5}"

    rows: list[Any] = []
    for postprocess in (PlainWorker._agent_loop_postprocess, GsrAgentLoopWorker._agent_loop_postprocess):
        queue = MemoryQueue()
        monkeypatch.setattr(verl_worker, "tq", queue)
        monkeypatch.setattr("gsr_rl.verl_plugin.worker.tq", queue)
        outputs, _ = run_loop(tokenizer, reply)
        asyncio.run(postprocess(make_worker(tokenizer), outputs, False, **make_row()))
        rows.append(queue.puts[0])
    stock, ours = rows
    for key in ("prompts", "responses", "response_mask", "loss_mask", "input_ids", "position_ids", "rollout_log_probs"):
        for theirs, own in zip(stock.fields[key].unbind(), ours.fields[key].unbind(), strict=True):
            assert torch.equal(theirs, own) and theirs.dtype == own.dtype, key
    assert stock.keys == [f"aaaa_0_{i}" for i in range(5)]
    assert ours.keys == [f"aaaa_{i}_0" for i in range(5)]


def test_verl_s_dataset_makes_the_rows_that_the_loop_reads(
    tokenizer: Any, quickstart: DictConfig, tmp_path: Path
) -> None:
    path = tmp_path / "train.parquet"
    write_rl_rows(path, [Problem(id="a-1", dataset="sums", problem="2 + 3?", gold="5")])
    row = RLHFDataset(str(path), tokenizer, quickstart.data)[0]
    assert row["raw_prompt"][-1]["content"] == "2 + 3?"
    assert (row["index"], row["data_source"], row["reward_model"]["ground_truth"]) == (0, "sums", "5")
    assert row["extra_info"]["id"] == "a-1"
    # A row of the queue needs at least one tensor.
    assert any(isinstance(value, torch.Tensor) for value in row.values())


def test_the_worker_s_own_steps() -> None:
    assert parameters_of(PlainWorker._agent_loop_postprocess)[1:] == ["output", "validate", "kwargs"]
    assert parameters_of(AgentLoopWorker._compute_score) == ["self", "outputs", "kwargs"]
    wanted = ["self", "sampling_params", "trajectory", "agent_name", "trace", "kwargs"]
    assert parameters_of(AgentLoopWorker._run_agent_loop) == wanted


# Metrics


def debug_metrics(rollout: torch.Tensor, actor: torch.Tensor, mask: torch.Tensor) -> dict[str, Any]:
    tensors = {"rollout_log_probs": rollout, "old_log_probs": actor, "response_mask": mask, "responses": mask}
    return calculate_debug_metrics(DataProto(batch=TensorDict(tensors, batch_size=[len(mask)])))


def test_the_guard_reads_verl_s_correlation() -> None:
    log_probs = torch.log(torch.linspace(0.1, 0.9, 8)).reshape(2, 4)
    mask = torch.ones(2, 4, dtype=torch.int64)
    assert check_correlation(debug_metrics(log_probs, log_probs, mask), 0.99, "") == pytest.approx(1.0)
    reversed_probs = log_probs.flatten().flip(0).reshape(2, 4)
    assert debug_metrics(log_probs, reversed_probs, mask)[CORRELATION] == pytest.approx(-1.0)
    assert np.isnan(debug_metrics(log_probs, log_probs, 0 * mask)[CORRELATION])
