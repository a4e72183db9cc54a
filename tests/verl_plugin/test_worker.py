"""The agent-loop worker: how it stores rows, and what it does when an episode or a reward fails."""

import asyncio
import json
import math
from typing import Any

import pytest
import torch
from rollout import (
    TRAINING,
    MemoryQueue,
    Request,
    ScriptedClient,
    make_config,
    make_row,
    make_worker,
)

from gsr_rl.episode import Episode
from gsr_rl.verl_plugin.agent_loop import is_correct

RIGHT, WRONG = "so \\boxed{5}", "so \\boxed{6}"


async def right(request: Request) -> str:
    return RIGHT


async def wrong(request: Request) -> str:
    return WRONG


def in_turn(*texts: str) -> Any:
    """Candidates in the order of their requests, then right refinements."""
    left = list(texts)

    async def reply(request: Request) -> str:
        return RIGHT if request.is_refinement else left.pop(0)

    return reply


def box_is_five(data: Any) -> dict[str, Any]:
    """The reward loop's answer, by the token ids that it is given."""
    from tiny import tiny_tokenizer

    text = tiny_tokenizer().decode(data.batch["responses"][0])
    score = float("\\boxed{5}" in text)
    return {"reward_score": score, "reward_extra_info": {"acc": score}}


def run_prompt(worker: Any, validate: bool = False, **row: Any) -> None:
    """verl's own entry for a prompt."""
    prompt = {key: value for key, value in make_row(**row).items() if key != "session_id"} | {"agent_name": "gsr"}
    trajectory = {"step": 7, "sample_index": 0, "rollout_n": 0, "validate": validate}
    asyncio.run(worker._run_prompt(prompt, dict(TRAINING), trajectory))


def test_training_rows_are_sessions_of_their_own_grouped_by_stage(tokenizer: Any, queue: MemoryQueue) -> None:
    client = ScriptedClient(tokenizer, in_turn(RIGHT, WRONG, "no idea"))
    run_prompt(make_worker(tokenizer, client, score=box_is_five))
    (put,) = queue.puts
    assert (put.partition_id, queue.status) == ("train", {"aaaa": "finished"})
    assert put.keys == [f"aaaa_{i}_0" for i in range(5)]
    assert list(put.fields["uid"]) == ["aaaa:candidate"] * 3 + ["aaaa:refinement"] * 2
    assert put.fields["is_refinement"].tolist() == [0, 0, 0, 1, 1]
    assert [tag["stage"] for tag in put.tags] == ["candidate"] * 3 + ["refinement"] * 2
    assert sorted(tag["reward"] for tag in put.tags[:3]) == [0.0, 0.0, 1.0]
    assert [tag["no_answer"] for tag in put.tags].count(True) == 1
    scores = [float(row[-1]) for row in put.fields["rm_scores"].unbind()]
    assert scores == [tag["reward"] for tag in put.tags]
    assert all((tag["status"], tag["global_steps"]) == ("success", 7) for tag in put.tags)
    assert not any(name.startswith("reward/") for tag in put.tags for name in tag)  # it returns nothing but acc


def test_what_the_reward_says_is_in_the_tags(tokenizer: Any, queue: MemoryQueue) -> None:
    def says(_: Any) -> dict[str, Any]:
        info = {"score": 1.0, "acc": 1.0, "timeout": 0.0, "unparsed": 1, "note": "text", "bad": float("nan")}
        return {"reward_score": 1.0, "reward_extra_info": info}

    run_prompt(make_worker(tokenizer, ScriptedClient(tokenizer, right), score=says))
    (put,) = queue.puts
    info = [{name: value for name, value in tag.items() if name.startswith("reward/")} for tag in put.tags]
    assert info == [{"reward/timeout": 0.0, "reward/unparsed": 1.0}] * 5


def test_validation_rows_are_one_session_with_the_episode_in_its_last_row(tokenizer: Any, queue: MemoryQueue) -> None:
    client = ScriptedClient(tokenizer, in_turn(RIGHT, WRONG, "no idea"))
    config = make_config(validation={"m": 2})
    run_prompt(make_worker(tokenizer, client, config, score=box_is_five), validate=True)
    (put,) = queue.puts
    assert (put.partition_id, put.keys) == ("val", [f"aaaa_0_{i}" for i in range(5)])
    assert list(put.fields["uid"]) == ["aaaa"] * 5
    info = list(put.fields["extra_fields"])[-1]["reward_extra_info"]
    assert set(info) == {"episode", "acc"}
    assert info["acc"] == 1.0
    episode = Episode.from_dict(json.loads(info["episode"]))
    assert (episode.id, episode.dataset, episode.problem, episode.gold) == ("p0", "sums", "2 + 3?", "5")
    answers = {candidate.text: candidate.answer for candidate in episode.candidates}
    assert answers == {RIGHT: "5", WRONG: "6", "no idea": None}
    assert [refinement.correct for refinement in episode.refinements] == [True, True]
    # The candidates are in the order in which the refiner saw them.
    listed = "\n".join(f"({i}) {candidate.text}" for i, candidate in enumerate(episode.candidates, start=1))
    assert listed in client.refinements[0].text


def test_an_episode_s_problem_is_the_row_s_last_user_message(tokenizer: Any, queue: MemoryQueue) -> None:
    messages = [{"role": "user", "content": "2 + 3?"}, {"role": "assistant", "content": "I begin:"}]
    config = make_config(validation={"m": 2})
    worker = make_worker(tokenizer, ScriptedClient(tokenizer, right), config, score=box_is_five)
    run_prompt(worker, validate=True, raw_prompt=messages)
    info = list(queue.puts[0].fields["extra_fields"])[-1]["reward_extra_info"]
    assert Episode.from_dict(json.loads(info["episode"])).problem == "2 + 3?"


@pytest.mark.parametrize("validate", [False, True])
def test_a_failed_episode_becomes_one_marked_row(tokenizer: Any, queue: MemoryQueue, validate: bool) -> None:
    worker = make_worker(tokenizer, ScriptedClient(tokenizer, right), make_config(prompt_length=10), box_is_five)
    run_prompt(worker, validate)
    (put,) = queue.puts
    assert (put.partition_id, queue.status) == ("val" if validate else "train", {"aaaa": "finished"})
    assert put.keys == ["aaaa_0_0"]
    assert put.fields["response_mask"].sum() == 0
    (extra,) = list(put.fields["extra_fields"])
    assert extra["stage"] == "failed"
    if validate:
        assert extra["reward_extra_info"] == {"episode": None, "acc": 0.0}
    else:
        assert put.tags[0]["stage"] == "failed"


@pytest.mark.parametrize("score", [math.nan, math.inf, None])
def test_a_reward_that_fails_on_a_response_is_counted_and_scores_zero(tokenizer: Any, score: float | None) -> None:
    def broken(data: Any) -> dict[str, Any]:
        if score is None:
            raise ValueError("no verdict")
        return {"reward_score": score, "reward_extra_info": {"acc": 1.0}}

    worker = make_worker(tokenizer, score=broken)
    output = worker._failed_row()
    output.reward_score = None
    asyncio.run(worker._judge(output, make_row()))
    assert (output.reward_score, output.extra_fields["reward_failed"]) == (0.0, True)
    assert not is_correct(output)


def test_a_reward_that_fails_on_one_response_leaves_the_others(tokenizer: Any, queue: MemoryQueue) -> None:
    calls = 0

    def flaky(data: Any) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ValueError("no verdict")
        return box_is_five(data)

    run_prompt(make_worker(tokenizer, ScriptedClient(tokenizer, right), score=flaky))
    (put,) = queue.puts
    assert [tag["reward_failed"] for tag in put.tags].count(True) == 1
    assert [tag["reward"] for tag in put.tags] == [float(not tag["reward_failed"]) for tag in put.tags]


def test_the_reward_loop_is_asked_for_each_response_with_its_row(tokenizer: Any, queue: MemoryQueue) -> None:
    scored: list[tuple[str, str]] = []

    def score(data: Any) -> dict[str, Any]:
        text = tokenizer.decode(data.batch["responses"][0])
        scored.append((data.non_tensor_batch["reward_model"][0]["ground_truth"], text))
        return {"reward_score": 0.25, "reward_extra_info": {"acc": 1.0}}

    run_prompt(make_worker(tokenizer, ScriptedClient(tokenizer, wrong), score=score), gold="17")
    assert scored == [("17", WRONG)] * 5
    assert [tag["reward"] for tag in queue.puts[0].tags] == [0.25] * 5
    assert all(tag["correct"] for tag in queue.puts[0].tags)  # by the function's own acc


def test_rows_hold_the_whole_sequence(tokenizer: Any, queue: MemoryQueue) -> None:
    run_prompt(make_worker(tokenizer, ScriptedClient(tokenizer, right), score=box_is_five))
    fields, tags = queue.puts[0].fields, queue.puts[0].tags
    assert len(tags) == 5
    rows = zip(*(fields[key].unbind() for key in ("prompts", "responses", "input_ids", "position_ids")), strict=True)
    for (prompt, response, ids, positions), tag in zip(rows, tags, strict=True):
        assert torch.equal(ids, torch.cat([prompt, response]))
        assert positions.tolist() == list(range(len(ids)))
        assert (tag["prompt_len"], tag["response_len"], tag["seq_len"]) == (len(prompt), len(response), len(ids))
