"""The tables of keys in docs/configuration.md, from the fields of the sections.

    python -m gsr_rl.settings.key_tables

writes them into the file, between its two markers.
"""

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from gsr_rl.files import replacing
from gsr_rl.section import bounds, section_of
from gsr_rl.settings.recipes import recipes_dir
from gsr_rl.settings.served import Served
from gsr_rl.settings.settings import Recipe

COMMAND = "python -m gsr_rl.settings.key_tables"
BEGIN = f"<!-- key tables: `{COMMAND}` writes what follows -->"
END = "<!-- end of the key tables -->"
SERVED = "[a served model](#a-served-model)"
SECTIONS = ("gsr", "problems", "generation", "teach", "eval")  # with a table each; other keys are the chain's
LONGEST_DEFAULT = 30  # in characters; a longer text stands below its table
_KINDS = {int: "whole number", float: "number", str: "text", bool: "`true`, `false`"}


@dataclass(frozen=True)
class Key:
    """A row of a table.

    Args:
        default: a value, or `???` for a key that the recipe must give.
        others: other defaults, by the names of the sections that have them.
    """

    name: str
    default: Any
    info: FieldInfo
    others: Mapping[str, Any] = field(default_factory=dict)


def key_tables(base: Mapping[str, Any]) -> str:
    """All tables, as Markdown.

    Args:
        base: content of recipes/base.yaml. Its values of our keys are defaults too.
    """
    fields, defaults = Recipe.model_fields, _merged(Recipe.defaults(), base)
    rows = {name: list(keys(name, info, defaults[name])) for name, info in fields.items()}
    parts = ["### The chain", _table(key for name in fields if name not in SECTIONS for key in rows[name])]
    for name in SECTIONS:
        introduction = inspect.getdoc(section_of(fields[name])) or ""
        parts += [f"### `{name}`", introduction, _table(rows[name]), *_long_defaults(rows[name])]
    models = [key for section_rows in rows.values() for key in section_rows if _is_served(key.info)]
    names = ", ".join(f"`{key.name}`" for key in models)
    parts += ["### A served model", f"{inspect.getdoc(Served)} There are {len(models)}: {names}."]
    return "\n\n".join([*parts, _table(_keys_of_served(models))])


def keys(name: str, info: FieldInfo, default: Any) -> Iterator[Key]:
    """The keys of a field: itself, or those of the section that it holds. A served model has one row.

    Args:
        name: dotted name of the field.
        default: value, or mapping of the section's values.
    """
    section = section_of(info)
    if section is None or issubclass(section, Served):
        yield Key(name, default, info)
    for own, inner in (section.model_fields if section else {}).items():
        if not (_is_served(info) and own in Served.model_fields):
            yield from keys(f"{name}.{own}", inner, default[own])


def with_tables(text: str, tables: str) -> str:
    """The document with `tables` between its markers; ValueError if a marker is missing."""
    before, after = text.index(BEGIN) + len(BEGIN), text.index(END)
    return f"{text[:before]}\n\n{tables}\n\n{text[after:]}"


def _merged(values: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with those of `more` that are ours: its other keys are verl's."""
    return {
        key: _merged(value, more.get(key) or {}) if isinstance(value, Mapping) else more.get(key, value)
        for key, value in values.items()
    }


def _is_served(info: FieldInfo) -> bool:
    section = section_of(info)
    return section is not None and issubclass(section, Served)


def _keys_of_served(models: Iterable[Key]) -> Iterator[Key]:
    """The keys that all served models have."""
    for name, info in Served.model_fields.items():
        usual = info.get_default(call_default_factory=True)
        others = {model.name: model.default[name] for model in models if model.default[name] != usual}
        yield Key(f"….{name}", usual, info, others)


def _table(rows: Iterable[Key]) -> str:
    head = ["| key | default | values | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *(_row(key) for key in rows)])


def _row(key: Key) -> str:
    defaults = [_shown(key.default), *(f"{_shown(value)} for `{name}`" for name, value in key.others.items())]
    default, values = ("", SERVED) if _is_served(key.info) else ("; ".join(defaults), _values(key.info))
    cells = [f"`{key.name}`", default, values, key.info.description or ""]
    escaped = (cell.replace("|", r"\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _shown(default: Any) -> str:
    if default == "???":
        return "required"
    if _is_long(default):
        return "below"
    is_plain = isinstance(default, str) and re.fullmatch(r"[\w./${}]+", default)
    return f"`{default if is_plain else json.dumps(default)}`"


def _is_long(default: Any) -> bool:
    return isinstance(default, str) and len(default) > LONGEST_DEFAULT


def _long_defaults(rows: Iterable[Key]) -> list[str]:
    return [f"Default of `{key.name}`:\n\n```\n{key.default}\n```" for key in rows if _is_long(key.default)]


def _values(info: FieldInfo) -> str:
    """What a field may hold, such as "whole number, at least 1, or null"."""
    alternatives = _alternatives(info.annotation)
    kinds = [_kind(kind) for kind in alternatives if kind is not NoneType]
    limits = [bounds(info)] if bounds(info) else []
    null = ["or `null`"] if NoneType in alternatives else []
    return ", ".join([*kinds, *limits, *null])


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _kind(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) is list:
        inner = _kind(get_args(annotation)[0])
        return f"list of {inner if inner.startswith('`') else inner + 's'}"
    return "mapping" if get_origin(annotation) is dict else _KINDS[annotation]


def main() -> None:
    """Write the tables into docs/configuration.md of this checkout."""
    with replacing(document()) as temporary:
        temporary.write_text(up_to_date(), encoding="utf-8")


def document() -> Path:
    """The file that holds the tables."""
    return Path(__file__).parents[2] / "docs" / "configuration.md"


def up_to_date() -> str:
    """The file's text with the tables as they should be."""
    base: Any = yaml.safe_load((recipes_dir() / "base.yaml").read_text(encoding="utf-8"))
    return with_tables(document().read_text(encoding="utf-8"), key_tables(base))


if __name__ == "__main__":
    main()
