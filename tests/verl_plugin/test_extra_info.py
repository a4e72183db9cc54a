"""A reward function gets the same of a problem in the rollout, in `eval` and in `teach`; and gives its own answers."""

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig
from rollout import TRAINING, MemoryQueue, ScriptedClient, make_config, make_loop, make_row, make_worker, run_loop
from verl.trainer.ppo.reward import load_reward_manager

from data_prep.extra_info import rollout_problem
from gsr_rl.episode import Response, Verdict
from gsr_rl.verl_plugin.agent_loop import RolloutContext
from gsr_rl.verl_plugin.reward import RewardJudge, verdict
from gsr_rl.verl_plugin.worker import to_episode

VERLS_OWN = {"stage", "min_global_steps", "max_global_steps", "response", "shown"}  # of the rollout alone


def test_rollout_and_judge_hand_over_the_same(tokenizer: Any, quickstart: DictConfig, queue: MemoryQueue) -> None:
    seen: list[dict[str, Any]] = []

    def score(data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None, **_: Any) -> float:
        seen.append({key: value for key, value in extra_info.items() if key not in VERLS_OWN})
        return 1.0

    manager: Any = load_reward_manager(quickstart, tokenizer)
    manager.compute_score, manager.is_async_reward_score = score, False

    async def reply(request: Any) -> str:
        return "long enough"

    async def run(row: dict[str, Any]) -> None:
        worker: Any = make_worker(tokenizer, ScriptedClient(tokenizer, reply), make_config(k=2, m=2))
        manager.loop = asyncio.get_running_loop()

        async def remote(data: Any) -> Any:
            return await manager.run_single(data)

        worker.reward_loop_worker_handles = [
            type("Handle", (), {"compute_score": type("Method", (), {"remote": staticmethod(remote)})()})()
        ]
        trajectory = {"step": 7, "sample_index": 0, "rollout_n": 0, "validate": False}
        await worker._run_agent_loop(dict(TRAINING), trajectory, agent_name="gsr", trace=False, **row)

    for own in ({"id": "a", "index": 3, "level": "hard"}, {"index": None}, {}):
        row = make_row(extra_info=own, index=own.get("index", 0))
        asyncio.run(run(row))
        RewardJudge(score)(rollout_problem(row), "long enough")
        assert len(seen) == 5 and all(info == seen[0] for info in seen) and seen[0]["id"], own
        seen.clear()


def test_an_answer_of_the_reward_function_s_own() -> None:
    assert verdict({"score": 1.0}) is True
    assert verdict({"acc": 0.0, "answer": 7}) == Verdict(False, "7")
    assert verdict({"score": 1.0, "answer": None}) == Verdict(True, None)
    assert Response.of("\\boxed{5}", Verdict(True, "five")) == Response("\\boxed{5}", "five", True)
    judge = RewardJudge(lambda *_: {"score": 1.0, "answer": "42"})
    assert judge(rollout_problem(make_row()), "whatever") == Verdict(True, "42")


def test_a_problem_of_an_episode_is_known_by_its_name() -> None:
    seen: list[dict[str, Any]] = []
    problem = rollout_problem(make_row(extra_info={"id": "p0", "level": "hard"}))
    judge = RewardJudge(lambda *given: seen.append(given[3]) or 1.0, [problem])
    assert judge(replace(problem, extra_info={}), "x") is True
    assert seen[0]["level"] == "hard" and seen[0]["id"] == "p0"


def test_a_judge_without_a_score_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    judge = RewardJudge(lambda *_: {"answer": "42"})
    assert [judge(rollout_problem(make_row()), "x") for _ in range(2)] == [False, False]
    assert judge.failed == 2 and "failure 2" in caplog.text


def test_the_rollout_takes_the_reward_function_s_answer(tokenizer: Any) -> None:
    def score(data: Any) -> dict[str, Any]:
        return {"reward_score": 1.0, "reward_extra_info": {"score": 1.0, "answer": "mine"}}

    async def reply(request: Any) -> str:
        return "no box at all"

    worker = make_worker(tokenizer, score=score)
    loop = make_loop(tokenizer, ScriptedClient(tokenizer, reply), make_config())
    row = make_row()
    outputs = asyncio.run(loop.run(dict(TRAINING), context=RolloutContext(True, 1, worker._judge), **row))
    episode = to_episode(outputs, row)
    assert {response.answer for response in episode.candidates + episode.refinements} == {"mine"}


@pytest.mark.parametrize("where", ["no index", "one index in several files"])
def test_every_problem_has_draws_of_its_own(tokenizer: Any, where: str) -> None:
    config = make_config(k=8)

    def numbering() -> Any:
        count = itertools.count()

        async def numbered(request: Any) -> str:
            return f"number {next(count)}"

        return numbered

    orders = set()
    for number in range(8):
        own = {} if where == "no index" else {"id": f"file {number}, row 0", "index": 0}
        row = make_row(problem=f"{number} + 3?", index=0, extra_info=own)
        outputs, _ = run_loop(tokenizer, numbering(), config, row)
        orders.add(tuple(output.extra_fields["shown"] for output in outputs[:8]))
    assert len(orders) == 8


def test_a_thought_that_the_template_opened_and_the_limit_cut_off(thinking_tokenizer: Any) -> None:
    async def reply(request: Any) -> str:
        return "perhaps \\boxed{5}, and so on" + " and so on" * 40

    outputs, client = run_loop(thinking_tokenizer, reply, validate=True)
    responses = [output.extra_fields["response"] for output in outputs]
    assert all((response.answer, response.correct, response.cut_off) == (None, False, True) for response in responses)
    assert [output.reward_score for output in outputs] == [0.0] * 4
    for request in client.refinements:
        assert "\\boxed{5}" not in request.text and "(1) [cut off]\n(2) [cut off]" in request.text


def test_any_end_token_of_the_model_is_an_end(tokenizer: Any, tmp_path: Path) -> None:
    text = "so \\boxed{5}<|endoftext|>"

    async def reply(request: Any) -> str:
        return text

    length = len(tokenizer.encode(text))
    for ends, cut_off in (([tokenizer.pad_token_id, tokenizer.eos_token_id], False), ([tokenizer.eos_token_id], True)):
        folder = tmp_path / str(cut_off)
        folder.mkdir()
        (folder / "generation_config.json").write_text(f'{{"eos_token_id": {ends}}}')
        config = make_config(candidate_tokens=length)
        config.actor_rollout_ref.model = {"path": str(folder)}
        outputs, _ = run_loop(tokenizer, reply, config)
        assert outputs[0].extra_fields["response"].cut_off is cut_off
