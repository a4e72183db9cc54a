"""The tables of keys in docs/configuration.md are made from the sections' fields, and are up to date."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pytest
from pydantic import Field

from gsr_rl.section import Section
from gsr_rl.settings.compose import MOVED
from gsr_rl.settings.key_tables import BEGIN, COMMAND, END, document, key_tables, keys, up_to_date, with_tables
from gsr_rl.settings.served import Served
from gsr_rl.settings.settings import Recipe


class Inner(Section):
    """A section in a section."""

    share: float = Field(default=0.5, ge=0, lt=1)
    """A share | of something."""


class Outer(Section):
    """A section with a field of each kind."""

    inner: Inner = Inner()
    """The inner section."""
    choice: Literal["a", "b"] = "a"
    """A choice."""
    numbers: list[int] | None = None
    """Some numbers."""
    model: Served = Served()
    """A model."""


def rows_of(section: type[Section]) -> list[tuple[str, Any]]:
    """Name and default of each key of a section."""
    defaults = section.defaults()
    return [
        (key.name, key.default)
        for name, info in section.model_fields.items()
        for key in keys(f"outer.{name}", info, defaults[name])
    ]


def leaves(values: Mapping[str, Any], at: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{at}{name}.")
        else:
            yield f"{at}{name}"


def test_nested_sections_give_dotted_keys_and_a_served_model_gives_one_row() -> None:
    assert rows_of(Outer) == [
        ("outer.inner.share", 0.5),
        ("outer.choice", "a"),
        ("outer.numbers", None),
        ("outer.model", Served().model_dump()),
    ]


@pytest.mark.parametrize(
    "row",
    [
        "| `gsr.k` | `4` | whole number, at least 1 | ",
        "| `gsr.refine_weight` | `0.5` | number, from 0 to 1 | ",
        "| `gsr.selection` | `all` | `all`, `hard_first` | ",
        '| `gsr.prompts.separator` | `"\\n\\n"` | text | ',
        "| `gsr.prompts.refine` | below | text | ",
        "| `problems.source` | required | text | ",
        "| `problems.revision` | `null` | text, or `null` | ",
        "| `teach.val_share` | `0.0` | number, at least 0 and below 1 | ",
        "| `eval.sweep` | `null` | list of whole numbers, or `null` | ",
        "| `teach.llm` |  | [a served model](#a-served-model) | ",
        "| `teach.llm.max_tokens` | `4096` | whole number, at least 1 | ",
        "| `….timeout_s` | `1800.0`; `7200.0` for `eval.server`; `7200.0` for `eval.refiner`; `7200.0` for ",
        # as recipes/base.yaml has them
        "| `run_dir` | `outputs/${recipe}` | text | ",
        "| `teach.refine_weight` | `${gsr.refine_weight}` | number, from 0 to 1 | ",
    ],
)
def test_a_row_says_the_key_its_default_and_what_it_may_be(row: str) -> None:
    base = {"run_dir": "outputs/${recipe}", "teach": {"refine_weight": "${gsr.refine_weight}"}, "data": {"seed": 1}}
    assert any(line.startswith(row) for line in key_tables(base).splitlines())


def test_every_key_of_a_recipe_is_in_a_table_and_described() -> None:
    rows = [line.split(" | ") for line in key_tables({}).splitlines() if line.startswith("| `")]
    meanings = {cells[0].strip("| `"): cells[-1].strip(" |") for cells in rows}
    assert all(meanings.values())
    shared = {name.removeprefix("….") for name in meanings if name.startswith("….")}
    missing = [key for key in leaves(Recipe.defaults()) if key not in meanings and key.rpartition(".")[2] not in shared]
    assert missing == []


def test_what_stands_outside_of_the_markers_stays() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert with_tables(text, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    with pytest.raises(ValueError):
        with_tables("no markers", "new")


def test_the_tables_of_the_documentation_are_up_to_date() -> None:
    message = f"{document().name} differs from the fields of gsr_rl/settings; run `{COMMAND}`"
    assert document().read_text(encoding="utf-8") == up_to_date(), message


def test_the_documentation_has_every_key_that_moved() -> None:
    text = document().read_text(encoding="utf-8")
    missing = [old for old, new in MOVED.items() if f"| `{old}` |" not in text or new.partition(" ")[0] not in text]
    assert missing == []
