"""The `teach:` section."""

import pytest
from composed import changed, composed

from gsr_rl.errors import UsageError
from gsr_rl.settings.teach import Llm, Teach


def test_the_recipes_sections_can_be_read() -> None:
    settings = changed(composed("quickstart_cpu"), "teach.problems=256")
    teach = settings.teach
    assert (teach.teacher, teach.pool_size(settings.gsr.k), teach.problems) == ("oracle", 4, 256)
    assert teach.teacher_prompts(settings.gsr) == settings.gsr.prompts


def test_the_share_of_refinement_in_sft_is_that_of_the_loss_unless_the_recipe_says_otherwise() -> None:
    settings = changed(composed("gsr_qwen2_5_7b"), "gsr.refine_weight=0.25")
    assert settings.teach.refine_weight == 0.25
    settings = changed(composed("gsr_qwen2_5_7b"), "gsr.refine_weight=0.25", "teach.refine_weight=0.75")
    assert (settings.teach.refine_weight, settings.gsr.refine_weight) == (0.75, 0.25)


def test_the_teacher_s_prompts_are_the_student_s_with_changes() -> None:
    settings = changed(composed("quickstart_cpu"), "teach.prompts.system=Teach.")
    prompts = settings.teach.teacher_prompts(settings.gsr)
    assert prompts.system == "Teach."
    assert prompts.direct == settings.gsr.prompts.direct


def test_the_parameters_of_a_request_are_those_that_are_set() -> None:
    llm = Llm(temperature=None, top_p=0.9, top_k=20, max_tokens=5, extra_body={"stop": ["x"]})
    assert llm.parameters == {"top_p": 0.9, "top_k": 20, "max_tokens": 5, "stop": ["x"]}


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["teach.teacher=llm"], "teach.llm.model=None: must be the name of a model at teach.llm.urls"),
        (["teach.teacher=qwen"], "teach.teacher=qwen: must be one of oracle, llm"),
        (["teach.pool=3"], "teach.pool=3: must be at least gsr.k=4"),
        (["teach.tries=0"], "teach.tries=0: must be at least 1"),
        (["teach.tries=2", "teach.llm.temperature=0"], "teach.llm.temperature=0: must be above 0 with teach.tries=2"),
        (["teach.llm.top_p=2"], "teach.llm.top_p=2: must be above 0 and at most 1"),
        (["teach.refine_weight=1.5"], "teach.refine_weight=1.5: must be from 0 to 1"),
        (["teach.keep=right"], "teach.keep=right: must be one of correct, all"),
        (["teach.student.urls=[host:80]", "teach.student.model=m"], "teach.student.urls=host:80: must be base URLs"),
        (["teach.llm.concurrency=many"], "teach.llm.concurrency='many': must be a whole number"),
        (["teach.prompts.drect=x"], "teach.prompts.drect: no such key; did you mean teach.prompts.direct?"),
        (["teach.prompts.direct=x"], "teach.prompts.direct='x': must be a template with {problem} in it"),
        (["teach.prompts.direct=5"], "teach.prompts.direct=5: must be text"),
    ],
)
def test_sections_that_cannot_be_used(overrides: list[str], line: str) -> None:
    settings = composed("quickstart_cpu")
    with pytest.raises(UsageError) as raised:
        changed(settings, *overrides)
    assert str(raised.value).startswith(line)


@pytest.mark.parametrize(
    ("pool", "sets", "line"),
    [
        (3, 1, "teach.pool=3: must be at least gsr.k=4"),
        (4, 2, "teach.sets_per_problem=2: must be from 1 to 1, the sets of 4 among 4"),
        (6, 16, "teach.sets_per_problem=16: must be from 1 to 15, the sets of 4 among 6"),
        (6, 0, "teach.sets_per_problem=0: must be from 1 to 15"),
    ],
)
def test_sets_that_cannot_be_drawn(pool: int, sets: int, line: str) -> None:
    settings = composed("quickstart_cpu")
    assert changed(settings, "teach.pool=6", "teach.sets_per_problem=15").teach.pool_size(4) == 6
    with pytest.raises(UsageError) as raised:
        changed(settings, f"teach.pool={pool}", f"teach.sets_per_problem={sets}")
    assert str(raised.value).startswith(line)


def test_without_a_pool_a_problem_has_k_candidates() -> None:
    assert (Teach().pool_size(5), Teach(pool=7).pool_size(5)) == (5, 7)
