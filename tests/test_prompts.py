"""The prompts, fitting candidates into the refinement prompt's budget, and token ids, with a real tokenizer."""

import hashlib
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig
from rollout import Request, make_config, make_row, run_loop
from tiny import tiny_tokenizer

from gsr_rl.errors import UsageError
from gsr_rl.prompts import (
    PromptSet,
    PromptTooLong,
    encode_prompt,
    fair_share,
    final_text,
    fit_refine_prompt,
    problem_of,
    shown_order,
    shuffled_order,
)
from gsr_rl.verl_plugin.sft_dataset import encode_row

MARK = "[cut off]"
PROMPTS = PromptSet(direct="{problem}", refine="P: {problem}\n{candidates}\nBetter:", candidate="({index}) {text}")
TINY = tiny_tokenizer()  # hypothesis takes no fixtures


# Templates


def test_the_default_direct_prompt() -> None:
    prompt = PromptSet().direct_prompt("What is $\\frac{1}{2}$?")
    assert prompt.startswith("What is $\\frac{1}{2}$?\n\n")
    assert prompt.endswith("within \\boxed{}.")


def test_the_default_refinement_prompt_says_what_is_asked() -> None:
    prompt = PromptSet().refine_prompt("2 + 3?", ["it is 5", "it is 6"])
    assert "Any, all or none of them may be right." in prompt
    assert "Problem:\n2 + 3?" in prompt
    assert "Candidate solution 1:\nit is 5\n\nCandidate solution 2:\nit is 6" in prompt
    assert prompt.endswith("within \\boxed{}.")


def test_other_braces_stand_for_themselves() -> None:
    prompts = PromptSet(direct="\\frac{1}{2} {x} {{problem}} {candidates} {}")
    assert prompts.direct_prompt("P") == "\\frac{1}{2} {x} {P} {candidates} {}"


def test_a_value_is_never_searched_for_fields() -> None:
    problem = "Is {candidates} or {problem} a set, \\1?"
    prompt = PROMPTS.refine_prompt(problem, ["{problem} {index} {text}", "\\g<0>"])
    assert prompt == f"P: {problem}\n(1) {{problem}} {{index}} {{text}}\n\n(2) \\g<0>\nBetter:"


@pytest.mark.parametrize(
    ("name", "template", "missing"),
    [
        ("direct", "no field", "{problem}"),
        ("refine", "{candidates}", "{problem}"),
        ("refine", "{problem}", "{candidates}"),
        ("candidate", "{index}", "{text}"),
    ],
)
def test_a_template_without_its_field_is_refused(name: str, template: str, missing: str) -> None:
    wanted = rf"gsr\.prompts\.{name}='.*': must be a template with {re.escape(missing)} in it"
    with pytest.raises(UsageError, match=wanted):
        PromptSet.of({name: template}, "gsr.prompts")


def test_the_system_message_is_there_where_there_is_one() -> None:
    assert PromptSet().messages("hi") == [{"role": "user", "content": "hi"}]
    system = PromptSet(system="Solve.").messages("hi")
    assert system == [{"role": "system", "content": "Solve."}, {"role": "user", "content": "hi"}]


def test_messages_of_both_stages() -> None:
    prompts = PromptSet(system="Solve.", direct="{problem}", refine="P: {problem}\n{candidates}", candidate="{text}")
    assert prompts.direct_messages("2 + 3?") == prompts.messages("2 + 3?")
    assert prompts.refine_messages("2 + 3?", ["5", "6"]) == prompts.messages("P: 2 + 3?\n5\n\n6")


def test_another_system_message() -> None:
    prompts = PromptSet(system="Solve.", direct="Q: {problem}")
    assert prompts.with_system(None) == prompts
    assert prompts.with_system("Be brief.") == PromptSet(system="Be brief.", direct="Q: {problem}")


# The problem of a row

SYSTEM, USER, OTHER = ({"role": role, "content": role} for role in ("system", "user", "assistant"))


@pytest.mark.parametrize(
    ("messages", "problem", "system"),
    [
        ([USER], "user", None),
        ([SYSTEM, USER], "user", "system"),
        ([USER | {"content": "an example"}, OTHER, USER], "user", None),
        ([USER, OTHER], "user", None),
        ([USER, SYSTEM], "user", "system"),
        ([SYSTEM | {"content": "earlier"}, SYSTEM, USER], "user", "system"),
        ([SYSTEM | {"content": ""}, {"role": "system", "content": None}, USER], "user", None),
        ((USER | {"name": "x"},), "user", None),
        ([USER | {"content": ""}], "", None),
    ],
)
def test_the_problem_is_the_last_user_message(messages: Any, problem: str, system: str | None) -> None:
    assert problem_of(messages) == (problem, system)


@pytest.mark.parametrize("messages", [[], [SYSTEM, OTHER], None, "user", 7, ["user"], [{"content": "user"}]])
def test_a_row_without_a_user_message_is_refused(messages: Any) -> None:
    with pytest.raises(UsageError, match="'prompt' holds no text in a user message"):
        problem_of(messages)


@pytest.mark.parametrize("content", [None, 5, [{"type": "text", "text": "2 + 3?"}]])
def test_a_message_that_is_no_text_is_refused(content: Any) -> None:
    with pytest.raises(UsageError, match="'prompt' holds no text in a user message"):
        problem_of([USER, {"role": "user", "content": content}])
    if content is not None:
        with pytest.raises(UsageError, match="'prompt' holds a system message that is no text"):
            problem_of([USER, {"role": "system", "content": content}])


@pytest.mark.parametrize(("thinking", "ending"), [(False, "assistant\n"), (True, "assistant\n<think>\n")])
def test_a_prompt_ends_with_the_generation_prompt(request: pytest.FixtureRequest, thinking: bool, ending: str) -> None:
    tokenizer = request.getfixturevalue("thinking_tokenizer" if thinking else "tokenizer")
    ids = encode_prompt(tokenizer, PROMPTS.messages("2 + 3?"))
    assert all(isinstance(token_id, int) for token_id in ids)
    assert tokenizer.decode(ids) == f"<|im_start|>user\n2 + 3?<|im_end|>\n<|im_start|>{ending}"


# What the refiner gets to see


@pytest.mark.parametrize(
    ("response", "shown"),
    [
        ("plain", "plain"),
        ("  spaces \n", "spaces"),
        ("<think>\nlong thought\n</think>\n\nso 5", "so 5"),
        ("thought that the prompt opened</think>so 5", "so 5"),
        ("one</think>two</think>three", "three"),
        ("<think>never ended", "<think>never ended"),
        ("all thought</think>", ""),
        ("", ""),
    ],
)
def test_what_stands_before_the_last_closing_think_tag_is_dropped(response: str, shown: str) -> None:
    assert final_text(response) == shown


def test_the_order_is_a_permutation_determined_by_its_key() -> None:
    orders = {shuffled_order(4, 0, step, "row", "order").__repr__() for step in range(200)}
    assert len(orders) == 24  # every permutation of four turns up
    assert sorted(shuffled_order(7, "a")) == list(range(7))
    assert shuffled_order(7, "a", 1) == shuffled_order(7, "a", 1)
    assert shuffled_order(1, "a") == [0]


def test_the_order_is_the_same_in_another_process() -> None:
    code = "from gsr_rl.prompts import shuffled_order; print(shuffled_order(9, 3, 1, 'id-7', 'order'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(shuffled_order(9, 3, 1, "id-7", "order"))


def test_the_shown_order_is_that_of_all_runs_so_far() -> None:
    assert shown_order(6, 7, "p0") == shown_order(6, 7, "p0", 0) == [0, 2, 5, 3, 1, 4]
    assert shown_order(6, 7, "p0", 1) == [0, 3, 2, 4, 1, 5]
    assert shown_order(6, 7, "p0", 5) == [2, 3, 0, 4, 5, 1]
    # The key, written out: journals hold answers to prompts in these orders.
    assert shown_order(6, 7, "p0") == shuffled_order(6, 7, "eval", "p0", "order")
    assert shown_order(6, 7, "p0", 5) == shuffled_order(6, 7, "eval", "p0", "order", 5)


# Sharing a budget


@pytest.mark.parametrize(
    ("lengths", "budget", "granted"),
    [
        ([5, 5], 10, [5, 5]),
        ([100, 100], 50, [25, 25]),
        ([10, 100, 100], 110, [10, 50, 50]),
        ([100, 3, 50], 60, [29, 3, 28]),
        ([7, 7, 7], 8, [2, 3, 3]),
        ([4, 4], 0, [0, 0]),
        ([4, 4], -3, [0, 0]),
        ([], 5, []),
    ],
)
def test_shares_worked_out_by_hand(lengths: list[int], budget: int, granted: list[int]) -> None:
    assert sorted(fair_share(lengths, budget)) == sorted(granted)
    assert sum(fair_share(lengths, budget)) <= max(budget, 0)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(0, 14))
def test_shares_against_brute_force(lengths: list[int], budget: int) -> None:
    """Max-min fair: the way to share whose smallest share is largest, then the next smallest, and so on."""
    ways = itertools.product(*(range(length + 1) for length in lengths))
    best = max(sorted(way) for way in ways if sum(way) <= budget)
    assert sorted(fair_share(lengths, budget)) == best


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=16), st.integers(0, 10_000))
def test_shares_are_within_budget_fair_and_monotone(lengths: list[int], budget: int) -> None:
    granted = fair_share(lengths, budget)
    assert sum(granted) <= budget
    assert all(0 <= grant <= length for grant, length in zip(granted, lengths, strict=True))
    equal = budget // len(lengths)
    assert all(grant >= min(length, equal) for grant, length in zip(granted, lengths, strict=True))
    pairs = sorted(zip(lengths, granted, strict=True))
    assert [grant for _, grant in pairs] == sorted(granted)
    assert sum(granted) == min(budget, sum(lengths))  # nothing is left over
    more = fair_share(lengths, budget + 1)
    assert all(before <= after for before, after in zip(granted, more, strict=True))


# Fitting


def fit(candidates: list[tuple[str, bool]], max_tokens: int, problem: str = "2 + 3?") -> tuple[list[int], list[str]]:
    return fit_refine_prompt(PROMPTS, problem, candidates, TINY, max_tokens)


def test_what_fits_is_shown_whole() -> None:
    ids, shown = fit([("it is 5", False), ("thought</think> it is 6 ", False)], 200)
    assert shown == ["it is 5", "it is 6"]
    assert ids == encode_prompt(TINY, PROMPTS.messages(PROMPTS.refine_prompt("2 + 3?", shown)))


def test_what_the_limit_cut_off_is_marked_at_its_end() -> None:
    _, shown = fit([("it is probab", True), ("it is 6", False)], 200)
    assert shown == [f"it is probab {MARK}", "it is 6"]


def test_a_long_candidate_loses_its_beginning_and_a_short_one_nothing() -> None:
    long = " ".join(str(i) for i in range(300)) + " so \\boxed{5}"
    ids, shown = fit([(long, False), ("it is 6", False)], 160)
    assert len(ids) <= 160
    assert shown[1] == "it is 6"
    assert shown[0].startswith(f"{MARK} ")
    assert shown[0].endswith("298 299 so \\boxed{5}")
    assert long.endswith(shown[0].removeprefix(f"{MARK} "))


def test_a_candidate_cut_at_both_ends_is_marked_at_both() -> None:
    _, shown = fit([("x" * 300, True)], 120)
    assert shown[0].startswith(f"{MARK} x")
    assert shown[0].endswith(f"x {MARK}")


def test_the_problem_is_never_cut() -> None:
    problem = "word " * 40 + "?"
    ids, shown = fit([("y" * 100, False)] * 2, 300, problem)
    assert len(ids) <= 300
    assert f"P: {problem}\n" in TINY.decode(ids)
    assert all(text.startswith(MARK) for text in shown)


def test_a_problem_that_does_not_fit_is_an_error() -> None:
    frame = len(encode_prompt(TINY, PROMPTS.messages(PROMPTS.refine_prompt("2 + 3?", [MARK, MARK]))))
    candidates = [("so it is five " * 9, False)] * 2
    ids, shown = fit(candidates, frame)  # with nothing of the candidates
    assert (len(ids), shown) == (frame, [MARK, MARK])
    with pytest.raises(PromptTooLong, match=f"problem and frame take {frame} tokens, .* may have {frame - 1}"):
        fit(candidates, frame - 1)


def test_it_fits_with_a_thinking_template(thinking_tokenizer: Any) -> None:
    candidates = [("a thought</think>" + "z" * 300, False), ("<think>never ended " + "q" * 300, True)]
    ids, shown = fit_refine_prompt(PROMPTS, "2 + 3?", candidates, thinking_tokenizer, 150)
    text = thinking_tokenizer.decode(ids)
    assert len(ids) <= 150
    assert "a thought" not in text
    assert text.endswith("<|im_start|>assistant\n<think>\n")
    assert all(text.startswith(MARK) for text in shown) and shown[1].endswith(MARK)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=150)


@settings(max_examples=60, deadline=None)
@given(texts, st.lists(st.tuples(texts, st.booleans()), min_size=1, max_size=4), st.integers(0, 300))
def test_any_text_fits_whole_or_marked(problem: str, candidates: list[tuple[str, bool]], room: int) -> None:
    empty = PROMPTS.messages(PROMPTS.refine_prompt(problem, [MARK] * len(candidates)))
    max_tokens = len(encode_prompt(TINY, empty)) + room
    ids, shown = fit(candidates, max_tokens, problem)
    assert len(ids) <= max_tokens
    assert ids == encode_prompt(TINY, PROMPTS.messages(PROMPTS.refine_prompt(problem, shown)))
    for text, (response, cut_off) in zip(shown, candidates, strict=True):
        whole = f"{final_text(response)} {MARK}" if cut_off else final_text(response)
        assert text in (whole, MARK) or text.startswith(f"{MARK} ")


# Token ids stay what they were: a model is asked in the words that it was trained on, and journals hold answers to
# these prompts. The fingerprints are those of commit 3a58b65. RL's changed when its draws came to belong to a problem's
# id instead of its index: candidates are shown in another order.

PROBLEM_TEXTS = ["What is 2 + 3?", "Let $x = \\frac{1}{2}$ and {y} = {problem}.\n\nFind the set {x, {y}}: é, 数?"]
CANDIDATE_SETS = [
    ["so \\boxed{5}", "<think>\nhm\n</think>\n\nIt is \\boxed{6}.", "no idea"],
    [" ".join(str(i) for i in range(200)) + " so \\boxed{5}", "it goes on and on " * 40, "{text} \\boxed{\\frac12}"],
]
CANDIDATE_TOKENS, PROMPT_LENGTH = 500, 900


def sft_ids(tokenizer: Any, prompts: PromptSet) -> list[list[int]]:
    """Prompt and response of each SFT row."""
    rows: list[list[int]] = []
    for problem in PROBLEM_TEXTS:
        texts = [prompts.direct_prompt(problem), *(prompts.refine_prompt(problem, shown) for shown in CANDIDATE_SETS)]
        for text in texts:
            prompt_ids, response_ids = encode_row(tokenizer, prompts, text, "so \\boxed{5}", {})
            rows.append(prompt_ids + response_ids)
    return rows


def rl_ids(tokenizer: Any, prompts: dict[str, str]) -> list[list[int]]:
    """Every prompt that the rollout sends, in its order: k candidates, m refinements, and so on."""
    sent: list[list[int]] = []
    for problem in PROBLEM_TEXTS:
        for candidates in CANDIDATE_SETS:
            replies = iter([*candidates, "better", "best"])

            async def reply(request: Request, replies: Iterator[str] = replies) -> str:
                return next(replies)

            config = make_config(PROMPT_LENGTH, prompts=prompts, candidate_tokens=CANDIDATE_TOKENS)
            _, client = run_loop(tokenizer, reply, config, make_row(problem=problem))
            sent += [request.prompt_ids for request in client.requests]
    return sent


def evaluation_ids(tokenizer: Any, prompts: PromptSet) -> list[list[int]]:
    """Prompts of an evaluation: the direct prompt, and the refinement prompts of two repeats."""
    asked: list[list[int]] = []
    for number, problem in enumerate(PROBLEM_TEXTS):
        asked.append(encode_prompt(tokenizer, prompts.direct_messages(problem)))
        for candidates in CANDIDATE_SETS:
            for repeat in (0, 1):
                order = shown_order(len(candidates), 7, f"p{number}", repeat)
                shown = [(candidates[i], i == 1) for i in order]
                asked.append(fit_refine_prompt(prompts, problem, shown, tokenizer, PROMPT_LENGTH)[0])
    return asked


def fingerprint(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def test_the_tokenizer_of_these_tests_is_the_same() -> None:
    """If this fails, the fingerprints below are those of another tokenizer."""
    assert fingerprint(sorted(TINY.get_vocab().items())) == "ecb4eaa132c3aeec"


@pytest.mark.parametrize(
    ("recipe", "sft", "rl", "evaluation"),
    [
        ("default", "1ec5bffda2d98052", "7ecde4f8cccea0af", "bce3b85f2d6b25be"),
        ("quickstart", "c94cc58874aaab32", "7fd95d0b733eff62", "96f4d1e17e5ab6ba"),
    ],
)
def test_token_ids_are_what_they_were(quickstart: DictConfig, recipe: str, sft: str, rl: str, evaluation: str) -> None:
    section: dict[str, Any] = {"default": {}, "quickstart": dict(quickstart.gsr.prompts)}[recipe]
    prompts = PromptSet(**section)
    assert fingerprint(sft_ids(TINY, prompts)) == sft
    assert fingerprint(rl_ids(TINY, section)) == rl
    assert fingerprint(evaluation_ids(TINY, prompts)) == evaluation
