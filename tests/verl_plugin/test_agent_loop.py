"""The two-stage rollout of one prompt, with a scripted LLM server and a real tokenizer."""

import asyncio
from typing import Any

import pytest
from rollout import (
    TRAINING,
    Request,
    ScriptedClient,
    make_config,
    make_judge,
    make_loop,
    make_row,
    make_worker,
    run_loop,
)

from gsr_rl.episode import Response
from gsr_rl.errors import UsageError
from gsr_rl.prompts import PromptTooLong, encode_prompt
from gsr_rl.settings.gsr import Gsr
from gsr_rl.verl_plugin.agent_loop import RolloutContext, is_correct
from gsr_rl.verl_plugin.plain import plain
from gsr_rl.verl_plugin.sft_dataset import encode_row

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


def stages(outputs: list[Any]) -> list[str]:
    return [output.extra_fields["stage"] for output in outputs]


def test_k_candidates_then_m_refinements_that_saw_them(tokenizer: Any) -> None:
    outputs, client = run_loop(tokenizer, in_turn("one \\boxed{1}", "two \\boxed{2}", "five \\boxed{5}"))
    assert stages(outputs) == ["candidate"] * 3 + ["refinement"] * 2
    assert (len(client.candidates), len(client.refinements)) == (3, 2)
    seen = [output.extra_fields["shown"] for output in outputs[:3]]
    assert sorted(seen) == ["five \\boxed{5}", "one \\boxed{1}", "two \\boxed{2}"]
    listed = "\n".join(f"({i}) {text}" for i, text in enumerate(seen, start=1))
    for request in client.refinements:
        assert f"Problem again: 2 + 3?\n{listed}\nBetter:" in request.text
    rewards = {output.extra_fields["shown"]: output.reward_score for output in outputs[:3]}
    assert rewards == {"one \\boxed{1}": 0.0, "two \\boxed{2}": 0.0, "five \\boxed{5}": 1.0}
    assert [output.reward_score for output in outputs[3:]] == [1.0, 1.0]


def test_a_row_holds_what_was_sent_and_what_came_back(tokenizer: Any) -> None:
    outputs, client = run_loop(tokenizer, right)
    sent = [request.prompt_ids for request in client.candidates + client.refinements]
    assert [output.prompt_ids for output in outputs] == sent
    ids = tokenizer.encode(RIGHT, add_special_tokens=False)
    for output in outputs:
        assert output.response_ids == ids
        assert output.response_mask == [1] * len(ids)
        assert output.response_logprobs == [-0.5] * len(ids)
        assert (output.extra_fields["min_global_steps"], output.extra_fields["max_global_steps"]) == (7, 7)
        assert output.extra_fields["response"] == Response(RIGHT, "5", True, False, len(ids))


@pytest.mark.parametrize("thinking", [False, True])
def test_prompt_ids_are_those_of_sft(request: pytest.FixtureRequest, thinking: bool) -> None:
    tokenizer = request.getfixturevalue("thinking_tokenizer" if thinking else "tokenizer")
    # Behind a template that opens the thought, a target that has no thought closes the thought first.
    rolled_out = f"</think>\n\n{RIGHT}" if thinking else RIGHT

    async def reply(_: Request) -> str:
        return rolled_out

    outputs, _ = run_loop(tokenizer, reply)
    prompts = Gsr.of(plain(make_config().gsr), "gsr").prompts
    texts = [prompts.direct_prompt("2 + 3?"), prompts.refine_prompt("2 + 3?", [RIGHT] * 3)]
    for output, text in zip((outputs[0], outputs[-1]), texts, strict=True):
        assert output.prompt_ids == encode_prompt(tokenizer, prompts.messages(text))
        assert output.prompt_ids == encode_row(tokenizer, prompts, text, RIGHT, {})[0]
    sft_response = encode_row(tokenizer, prompts, texts[0], RIGHT, {})[1]
    assert sft_response == [*outputs[0].response_ids, tokenizer.eos_token_id]


MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "an example?"},
    {"role": "assistant", "content": "its answer"},
    {"role": "user", "content": "2 + 3?"},
    {"role": "assistant", "content": "I begin:"},
]


def test_the_problem_is_the_last_user_message_and_a_row_s_system_message_replaces_the_recipe_s(tokenizer: Any) -> None:
    outputs, client = run_loop(tokenizer, right, row=make_row(raw_prompt=MESSAGES))
    own = Gsr.of(plain(make_config().gsr), "gsr").prompts.with_system("Be brief.")
    wanted = [own.direct_messages("2 + 3?")] * 3 + [own.refine_messages("2 + 3?", [RIGHT] * 3)] * 2
    ids = [encode_prompt(tokenizer, messages) for messages in wanted]
    assert [output.prompt_ids for output in outputs] == ids
    assert [request.prompt_ids for request in client.requests] == ids
    for request in client.requests:
        assert request.text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n")
        assert "Solve." not in request.text and "example" not in request.text and "I begin" not in request.text


def test_a_row_without_a_user_message_is_an_error(tokenizer: Any) -> None:
    with pytest.raises(UsageError, match="'prompt' holds no text in a user message"):
        run_loop(tokenizer, right, row=make_row(raw_prompt=[{"role": "assistant", "content": "2 + 3?"}]))


def test_there_is_no_barrier_between_prompts(tokenizer: Any) -> None:
    held, refining = asyncio.Event(), asyncio.Event()
    order: list[str] = []

    async def reply(request: Request) -> str:
        if "problem A" in request.text and not request.is_refinement and "held" not in order:
            order.append("held")
            await held.wait()
            order.append("released")
        if "problem B" in request.text and request.is_refinement:
            order.append("B refines")
            refining.set()
        return RIGHT

    async def run() -> None:
        client = ScriptedClient(tokenizer, reply)
        loop = make_loop(tokenizer, client, make_config())
        context = RolloutContext(False, 1, make_judge(tokenizer))
        rows = [make_row(problem=f"problem {name}", uid=name, index=i) for i, name in enumerate("AB")]
        a, b = (asyncio.create_task(loop.run(dict(TRAINING), context=context, **row)) for row in rows)
        await asyncio.wait_for(refining.wait(), 30)
        assert not any("problem A" in request.text for request in client.refinements)
        assert len(await b) == 5
        held.set()
        assert len(await a) == 5

    asyncio.run(run())
    assert order == ["held", "B refines", "B refines", "released"]


def test_training_has_one_sampling_and_a_token_limit_by_stage(tokenizer: Any) -> None:
    _, client = run_loop(tokenizer, right)
    assert [request.sampling for request in client.candidates] == [TRAINING | {"max_tokens": 40}] * 3
    assert [request.sampling for request in client.refinements] == [TRAINING | {"max_tokens": 60}] * 2


def test_validation_has_a_sampling_by_stage_and_refines_every_set(tokenizer: Any) -> None:
    sampling = {"candidate": {"temperature": 0.6, "top_p": 0.9}, "refinement": {"temperature": 0.3, "top_k": 20}}
    config = make_config(refine_weight=0.0, validation={"m": 1} | sampling)
    outputs, client = run_loop(tokenizer, right, config, validate=True)
    assert stages(outputs) == ["candidate"] * 3 + ["refinement"]
    direct = {"temperature": 0.6, "top_p": 0.9, "top_k": -1, "max_tokens": 40}
    assert [request.sampling for request in client.candidates] == [TRAINING | direct] * 3
    refine = {"temperature": 0.3, "top_p": 1.0, "top_k": 20, "max_tokens": 60}
    assert [request.sampling for request in client.refinements] == [TRAINING | refine]


def test_without_a_refinement_weight_nothing_is_refined(tokenizer: Any) -> None:
    outputs, client = run_loop(tokenizer, wrong, make_config(refine_weight=0.0))
    assert stages(outputs) == ["candidate"] * 3
    assert client.refinements == []


@pytest.mark.parametrize(
    ("candidates", "refined"),
    [((RIGHT, RIGHT, WRONG), False), ((RIGHT, WRONG, WRONG), True), (("no idea",) * 3, True)],
)
def test_hard_first_refines_the_sets_whose_majority_is_wrong(
    tokenizer: Any, candidates: tuple[str, ...], refined: bool
) -> None:
    config = make_config(selection="hard_first", easy_probability=0.0)
    outputs, client = run_loop(tokenizer, in_turn(*candidates), config)
    assert bool(client.refinements) == refined
    assert len(outputs) == (5 if refined else 3)


def test_easy_sets_go_on_with_their_probability(tokenizer: Any) -> None:
    config = make_config(selection="hard_first", easy_probability=0.5)
    refined = [bool(run_loop(tokenizer, right, config, make_row(index=i))[1].refinements) for i in range(40)]
    assert 8 <= sum(refined) <= 32  # outside of it: one seed in 20,000
    again = [bool(run_loop(tokenizer, right, config, make_row(index=i))[1].refinements) for i in range(40)]
    assert again == refined


def test_the_order_of_candidates_depends_on_row_step_and_seed_alone(tokenizer: Any) -> None:
    def shown(uid: str = "aaaa", step: int = 7, index: int = 0, seed: int = 0) -> tuple[str, ...]:
        texts = [f"\\boxed{{{i}}}" for i in range(6)]
        config = make_config(k=6, seed=seed)
        outputs, _ = run_loop(tokenizer, in_turn(*texts), config, make_row(uid=uid, index=index), step=step)
        return tuple(output.extra_fields["shown"] for output in outputs[:6])

    assert shown() == shown(uid="another")  # verl draws a new uid at every step
    others = {shown(), *(shown(step=i) for i in range(1, 4)), *(shown(index=i) for i in range(1, 4)), shown(seed=1)}
    assert len(others) > 5


def test_an_empty_response_becomes_one_end_of_sequence_token(tokenizer: Any) -> None:
    async def silent(request: Request) -> str:
        return ""

    outputs, _ = run_loop(tokenizer, silent)
    assert len(outputs) == 5
    for output in outputs:
        assert output.response_ids == [tokenizer.eos_token_id]
        assert (output.response_mask, output.response_logprobs) == ([1], [0.0])
        assert output.reward_score == 0.0
        assert output.extra_fields["response"] == Response("", None, False, False, 0)


def test_a_response_at_its_limit_is_cut_off_and_shown_so(tokenizer: Any) -> None:
    async def reply(request: Request) -> str:
        return "words " * 40 if not request.is_refinement else RIGHT + tokenizer.eos_token

    outputs, client = run_loop(tokenizer, reply)
    assert [output.extra_fields["response"].cut_off for output in outputs] == [True] * 3 + [False] * 2
    assert all(len(output.response_ids) == 40 for output in outputs[:3])
    assert client.refinements[0].text.count("[cut off]") == 3


@pytest.mark.parametrize(
    ("validate", "score_cut_off", "rewards"),
    [(False, False, [0.0] * 3 + [1.0] * 2), (False, True, [1.0] * 5), (True, False, [1.0] * 4)],
)
def test_a_right_response_that_does_not_end_scores_0_in_training(
    tokenizer: Any, validate: bool, score_cut_off: bool, rewards: list[float]
) -> None:
    async def reply(request: Request) -> str:
        return RIGHT + (tokenizer.eos_token if request.is_refinement else " and so on" * 40)

    outputs, _ = run_loop(tokenizer, reply, make_config(score_cut_off=score_cut_off), validate=validate)
    assert [output.reward_score for output in outputs] == rewards
    responses = [output.extra_fields["response"] for output in outputs]
    assert [(response.cut_off, response.correct) for response in responses[:3]] == [(True, True)] * 3
    assert [(response.cut_off, response.correct) for response in responses[3:]] == [(False, True)] * (len(rewards) - 3)


def test_a_penalty_of_a_response_that_does_not_end_stays(tokenizer: Any) -> None:
    async def endless(request: Request) -> str:
        return "and so on " * 60

    async def judge(output: Any, row: Any) -> None:
        output.reward_score = -1.0

    client = ScriptedClient(tokenizer, endless)
    loop = make_loop(tokenizer, client, make_config())
    outputs = asyncio.run(loop.run(dict(TRAINING), context=RolloutContext(False, 1, judge), **make_row()))
    assert [output.reward_score for output in outputs] == [-1.0] * 5


def test_ending_exactly_at_the_limit_is_not_cut_off(tokenizer: Any) -> None:
    text = RIGHT + tokenizer.eos_token

    async def reply(request: Request) -> str:
        return text

    config = make_config(candidate_tokens=len(tokenizer.encode(text)))
    outputs, _ = run_loop(tokenizer, reply, config)
    response = outputs[0].extra_fields["response"]
    assert (response.cut_off, response.correct, response.text) == (False, True, RIGHT)


def test_the_thought_is_not_shown_to_the_refiner(thinking_tokenizer: Any) -> None:
    async def reply(request: Request) -> str:
        return "hidden</think>so \\boxed{5}"

    _, client = run_loop(thinking_tokenizer, reply)
    assert "hidden" not in client.refinements[0].text
    assert client.refinements[0].text.count("so \\boxed{5}") == 3


def test_a_refinement_prompt_is_fitted_and_its_problem_whole(tokenizer: Any) -> None:
    async def reply(request: Request) -> str:
        return "x" * 38 if not request.is_refinement else RIGHT

    outputs, client = run_loop(tokenizer, reply, make_config(prompt_length=130))
    assert max(len(request.prompt_ids) for request in client.refinements) <= 130
    assert "Problem again: 2 + 3?\n" in client.refinements[0].text
    shown = [output.extra_fields["shown"] for output in outputs[:3]]
    assert all(text.startswith("[cut off] x") for text in shown)


def test_a_prompt_that_cannot_fit_is_an_error_not_a_truncation(tokenizer: Any) -> None:
    with pytest.raises(PromptTooLong, match="candidate prompt of"):
        run_loop(tokenizer, right, make_config(prompt_length=10))


def test_requests_of_a_prompt_and_stage_share_an_id_and_refinements_go_first(tokenizer: Any) -> None:
    _, client = run_loop(tokenizer, right)
    ids = [{request.id for request in stage} for stage in (client.candidates, client.refinements)]
    assert [len(stage) for stage in ids] == [1, 1] and ids[0] != ids[1]
    assert [request.priority for request in client.candidates] == [0, 0, 0]
    assert [request.priority for request in client.refinements] == [-1, -1]
    config = make_config()
    config.actor_rollout_ref.rollout.scheduling_policy = "fcfs"  # under which vLLM refuses priorities
    _, client = run_loop(tokenizer, right, config)
    assert {request.priority for request in client.requests} == {0}


@pytest.mark.parametrize(("selection", "waits"), [("all", False), ("hard_first", True)])
def test_refinements_wait_for_verdicts_only_if_the_selection_looks_at_them(
    tokenizer: Any, selection: str, waits: bool
) -> None:
    events: list[str] = []
    refined = asyncio.Event()
    judged_by_rule = make_judge(tokenizer)

    async def reply(request: Request) -> str:
        events.append("refine" if request.is_refinement else "sample")
        if request.is_refinement:
            refined.set()
        return WRONG

    async def judge(output: Any, row: Any) -> None:
        if not waits:  # no verdict is there before a refinement is asked for
            await asyncio.wait_for(refined.wait(), 60)
        await judged_by_rule(output, row)
        events.append("judged")

    outputs, _ = run_loop(tokenizer, reply, make_config(selection=selection), judge=judge)
    assert events.index("refine") == (6 if waits else 3)
    assert events.count("judged") == 5
    assert [output.extra_fields["response"].correct for output in outputs] == [False] * 5


def test_one_failed_request_ends_its_siblings(tokenizer: Any) -> None:
    ended: list[bool] = []

    async def reply(request: Request) -> str:
        if len(ended) == 0:
            ended.append(True)
            raise ConnectionError("gone")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append(True)
            raise
        return RIGHT

    with pytest.raises(ExceptionGroup) as raised:
        run_loop(tokenizer, reply)
    assert raised.group_contains(ConnectionError, match="gone")
    assert len(ended) == 3


@pytest.mark.parametrize(
    ("info", "score", "correct"),
    [({"acc": 1.0}, 0.2, True), ({"acc": 0.0}, 1.0, False), ({}, 1.0, True), ({}, 0.5, False), (None, None, False)],
)
def test_correct_is_acc_or_else_the_score_above_one_half(
    tokenizer: Any, info: dict[str, float] | None, score: float | None, correct: bool
) -> None:
    output = make_worker(tokenizer)._failed_row()
    output.reward_score, output.extra_fields["reward_extra_info"] = score, info
    assert is_correct(output) is correct
