"""Every field of every section: described, typed and bounded, by a walk over all of them."""

import copy
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest
from composed import composed
from pydantic.fields import FieldInfo

from gsr_rl.errors import UsageError
from gsr_rl.section import Section, bounds, section_of
from gsr_rl.settings.settings import Recipe
from gsr_rl.settings.variants import Variant
from gsr_rl.settings.verl import Verl, VerlSft

Fields = list[tuple[str, FieldInfo]]


def walk(section: type[Section], at: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Dotted key and field of every field of a section and of the sections in it."""
    for name, field in section.model_fields.items():
        alias: Any = field.validation_alias
        key = f"{at}{'.'.join(alias.path) if alias else name}"
        yield key, field
        if (inner := section_of(field)) is not None:
            yield from walk(inner, f"{key}.")


# A variant has a name of the user's.
OURS: Fields = [*walk(Recipe), *walk(Variant, "variants.short.")]
LEAVES: Fields = [(key, field) for key, field in OURS if section_of(field) is None]
VERL: Fields = [(key, field) for key, field in walk(Verl) if section_of(field) is None]
SFT: Fields = [(key, field) for key, field in walk(VerlSft) if section_of(field) is None]


def ids(fields: Fields) -> list[str]:
    return [key for key, _ in fields]


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    """Our keys of a recipe, with a variant."""
    settings = composed("quickstart_cpu")
    ours = settings.model_dump(include=set(Recipe.model_fields))
    return ours | {"variants": {"short": {"overrides": ["gsr.k=2"], "reuse": []}}}


@pytest.fixture(scope="module")
def verl(quickstart: Any) -> dict[str, Any]:
    """verl's keys, as they are where verl runs."""
    from omegaconf import OmegaConf

    plain: Any = OmegaConf.to_container(quickstart)
    return plain


def changed(values: dict[str, Any], key: str, value: object) -> dict[str, Any]:
    values = copy.deepcopy(values)
    *sections, name = key.split(".")
    at = values
    for section in sections:
        at = at[section]
    at[name] = value
    return values


def kinds(annotation: Any) -> set[Any]:
    """The types that an annotation is made of."""
    parts = get_args(annotation)
    return {annotation}.union(*(kinds(part) for part in parts)) if parts else {annotation}


def is_list(field: FieldInfo) -> bool:
    return any(get_origin(kind) is list for kind in kinds(field.annotation))


def wrong(field: FieldInfo) -> object:
    """A value that could stand in a YAML file and is of none of the field's types."""
    return "x" if kinds(field.annotation) & {int, float} and not is_list(field) else 5


def refused(section: type[Section], values: dict[str, Any], at: str = "") -> str:
    with pytest.raises(UsageError) as raised:
        section.of(values, at)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_walk_reaches_every_section() -> None:
    keys = ids(OURS)
    assert len(keys) == len(set(keys)) > 150
    assert {"gsr.validation.candidate.top_p", "teach.llm.max_tokens", "eval.reward_model.engine"} <= set(keys)
    assert {"generation.backend", "problems.pair_sums.numbers", "variants.short.reuse", "warmup.steps"} <= set(keys)
    assert "actor_rollout_ref.rollout.val_kwargs.n" in ids(VERL) and "data.max_length" in ids(SFT)


@pytest.mark.parametrize(("key", "field"), OURS, ids=ids(OURS))
def test_every_field_is_described(key: str, field: FieldInfo) -> None:
    assert (field.description or "").strip().endswith("."), field.description


def test_the_values_that_are_changed_are_accepted(values: dict[str, Any], verl: dict[str, Any]) -> None:
    assert Recipe.of(values) and Verl.of(verl) and VerlSft.of(sft(), "sft")


def sft() -> dict[str, Any]:
    from omegaconf import OmegaConf

    from gsr_rl.settings.compose import sft_config

    plain: Any = OmegaConf.to_container(sft_config(composed("quickstart_cpu")), resolve=True)
    return plain


@pytest.mark.parametrize(("key", "field"), LEAVES, ids=ids(LEAVES))
def test_a_value_of_the_wrong_type_is_refused(values: dict[str, Any], key: str, field: FieldInfo) -> None:
    value = wrong(field)
    assert refused(Recipe, changed(values, key, value)).startswith(
        (f"{key}={value!r}: must be ", f"{key}={value}: must be one")
    )


@pytest.mark.parametrize(("key", "field"), LEAVES, ids=ids(LEAVES))
def test_null_is_refused_where_a_field_does_not_say_so(values: dict[str, Any], key: str, field: FieldInfo) -> None:
    if type(None) in kinds(field.annotation):
        Recipe.of(changed(values, key, None))
    else:
        assert refused(Recipe, changed(values, key, None)).startswith(f"{key}=None: must be ")


LISTS: Fields = [(key, field) for key, field in LEAVES if is_list(field)]


@pytest.mark.parametrize(("key", "field"), LISTS, ids=ids(LISTS))
def test_an_item_of_the_wrong_type_is_refused(values: dict[str, Any], key: str, field: FieldInfo) -> None:
    item = "x" if int in kinds(field.annotation) else 5
    line = refused(Recipe, changed(values, key, [item]))
    assert line.startswith((f"{key}.0={item!r}: must be ", f"{key}.0={item}: must be one of "))


SECTIONS: Fields = [(key, field) for key, field in OURS if section_of(field) is not None]


@pytest.mark.parametrize(("key", "field"), SECTIONS, ids=ids(SECTIONS))
def test_a_section_is_no_value_and_has_no_other_keys(values: dict[str, Any], key: str, field: FieldInfo) -> None:
    assert refused(Recipe, changed(values, key, 5)) == f"{key}=5: must be a section with keys of its own"
    held = section_of(field)
    assert held is not None
    line = refused(Recipe, changed(values, f"{key}.qqqqqq", 5))
    assert line == f"{key}.qqqqqq: no such key; {key} has: {', '.join(held.model_fields)}"


@pytest.mark.parametrize(("key", "field"), VERL, ids=ids(VERL))
def test_a_key_of_verl_s_of_the_wrong_type_is_refused(verl: dict[str, Any], key: str, field: FieldInfo) -> None:
    value = wrong(field)
    assert refused(Verl, changed(verl, key, value)).startswith(f"{key}={value!r}: must be ")


@pytest.mark.parametrize(("key", "field"), SFT, ids=ids(SFT))
def test_a_key_of_verl_s_sft_of_the_wrong_type_is_refused(key: str, field: FieldInfo) -> None:
    value = wrong(field)
    assert refused(VerlSft, changed(sft(), key, value), "sft").startswith(f"sft.{key}={value!r}: must be ")


BOUNDED: Fields = [(key, field) for key, field in LEAVES if bounds(field)]


def limits(field: FieldInfo) -> dict[str, float]:
    """The limits of a number, by pydantic's names."""
    return {
        name: getattr(limit, name)
        for limit in field.metadata
        for name in ("ge", "gt", "le", "lt")
        if hasattr(limit, name)
    }


def outside(field: FieldInfo) -> list[float]:
    """A value below the bounds and a value above them, as near as there is."""
    step = 1 if int in kinds(field.annotation) else 1e-9
    beyond = {"ge": -step, "gt": 0, "le": step, "lt": 0}
    return [limit + beyond[name] for name, limit in limits(field).items()]


def test_the_bounded_fields_are_known() -> None:
    assert len(BOUNDED) > 40 and {"gsr.k", "gsr.refine_weight", "eval.server.concurrency"} <= set(ids(BOUNDED))


@pytest.mark.parametrize(("key", "field"), BOUNDED, ids=ids(BOUNDED))
def test_bounds_are_enforced(values: dict[str, Any], key: str, field: FieldInfo) -> None:
    for value in outside(field):
        assert refused(Recipe, changed(values, key, value)) == f"{key}={value}: must be {bounds(field)}"


@pytest.mark.parametrize(("key", "field"), BOUNDED, ids=ids(BOUNDED))
def test_what_is_just_within_the_bounds_is_accepted(values: dict[str, Any], key: str, field: FieldInfo) -> None:
    for name, limit in limits(field).items():
        if name in ("ge", "le"):
            try:
                Recipe.of(changed(values, key, limit))
            except UsageError as error:  # other settings may ask for more, such as a group of two candidates
                assert not str(error).endswith(f": must be {bounds(field)}")
