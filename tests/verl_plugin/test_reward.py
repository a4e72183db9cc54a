"""The reward function that a recipe configures judges both stages, in verl's reward loop and outside of it."""

import asyncio
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf
from rollout import TRAINING, Handle, MemoryQueue, ScriptedClient, make_row, make_worker
from verl import DataProto
from verl.trainer.ppo.reward import get_custom_reward_fn, load_reward_manager

from gsr_rl.episode import Problem
from gsr_rl.settings.compose import load_settings
from gsr_rl.verl_plugin.reward import is_correct, load_judge


@pytest.fixture
def swapped(tmp_path: Path) -> DictConfig:
    """A reward function of a user, which likes long responses."""
    path = tmp_path / "mine.py"
    path.write_text(
        "def score(data_source, solution_str, ground_truth, extra_info=None, bonus=0.0, **_):\n"
        "    assert (data_source, ground_truth) == ('sums', '5'), (data_source, ground_truth)\n"
        "    if 'fail' in solution_str:\n"
        "        raise ValueError(solution_str)\n"
        "    return {'score': len(solution_str) + bonus, 'acc': float(len(solution_str) > 3)}\n"
        "async def later(data_source, solution_str, ground_truth, extra_info=None, **_):\n"
        "    return float(extra_info['id'] in solution_str)\n"
    )
    return OmegaConf.create({"reward": {"custom_reward_function": {"path": str(path), "name": "score"}}})


def test_our_reward_is_loaded_by_verl_s_own_function(quickstart: DictConfig) -> None:
    score = get_custom_reward_fn(quickstart)
    assert score is not None
    right, wrong = (score("sums", f"so \\boxed{{{n}}}", "5", {"id": "1"}) for n in (5, 6))
    assert (right["score"], right["acc"], wrong["score"]) == (1.0, 1.0, 0.0)
    assert "reward" not in right  # verl's validation has a column of that name


@pytest.mark.parametrize(
    ("result", "correct"),
    [(1.0, True), (0.5, False), (True, True), ({"score": 1.0}, True), ({"score": 1.0, "acc": 0.0}, False)],
)
def test_correct_is_acc_or_else_the_score_above_one_half(result: Any, correct: bool) -> None:
    assert is_correct(result) is correct


def test_the_judge_outside_of_verl_uses_the_configured_function(swapped: DictConfig) -> None:
    problem = Problem(id="p0", dataset="sums", problem="2 + 3?", gold="5")

    def judge_by(name: str) -> Callable[[Problem, str], bool]:
        function = f"reward.custom_reward_function.path={swapped.reward.custom_reward_function.path}"
        return load_judge(load_settings("quickstart_cpu", [function, f"reward.custom_reward_function.name={name}"]))

    judge = load_judge(load_settings("quickstart_cpu"))
    assert (judge(problem, "\\boxed{5}"), judge(problem, "\\boxed{6}")) == (True, False)
    judge = judge_by("score")
    assert (judge(problem, "long"), judge(problem, "no"), judge(problem, "fail, long")) == (True, False, False)
    judge = judge_by("later")
    assert (judge(problem, "it says p0"), judge(problem, "it says p1")) == (True, False)


def test_both_stages_are_judged_by_the_configured_function(
    tokenizer: Any, quickstart: DictConfig, swapped: DictConfig, queue: MemoryQueue
) -> None:
    config = copy.deepcopy(quickstart)
    config.reward.custom_reward_function = {**swapped.reward.custom_reward_function, "reward_kwargs": {"bonus": 0.5}}
    manager = load_reward_manager(config, tokenizer)

    async def reply(request: Any) -> str:
        return "longer" if request.is_refinement else "no"

    class RealHandle(Handle):
        """verl's reward manager itself, without the Ray actor around it."""

        def __init__(self) -> None:
            async def remote(data: DataProto) -> dict[str, Any]:
                return await manager.run_single(data)

            self.compute_score = type("Method", (), {"remote": staticmethod(remote)})()

    async def run() -> None:
        worker: Any = make_worker(tokenizer, ScriptedClient(tokenizer, reply))
        manager.loop = asyncio.get_running_loop()
        worker.reward_loop_worker_handles = [RealHandle()]
        trajectory = {"step": 7, "sample_index": 0, "rollout_n": 0, "validate": False}
        await worker._run_agent_loop(dict(TRAINING), trajectory, agent_name="gsr", trace=False, **make_row())

    asyncio.run(run())
    (put,) = queue.puts
    assert [tag["reward"] for tag in put.tags] == [2.5] * 3 + [6.5] * 2
    assert [tag["correct"] for tag in put.tags] == [False] * 3 + [True] * 2
