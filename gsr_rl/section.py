"""A section of the configuration: fields with types, bounds and descriptions, and errors in one line."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from gsr_rl.errors import UsageError

_UNSET = "???"  # Hydra's mark of a value that a recipe must set
# What a value must be in words, by pydantic's type of error.
HINTS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a section with keys of its own",
    "dataclass_type": "a section with keys of its own",
    "model_type": "a section with keys of its own",
}


class Section(BaseModel):
    """A part of a recipe. It refuses unknown keys and values of the wrong type; the text under a field describes it."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unset(cls, values: Any) -> Any:
        for name in cls.model_fields if isinstance(values, Mapping) else ():
            if values.get(name) == _UNSET:
                raise PydanticCustomError("missing", "missing", {"name": name})
        return values

    @classmethod
    def of(cls, values: Mapping[str, Any], key: str = "") -> Self:
        """The section of these values.

        Args:
            key: name of the section in the recipe, for errors.

        Raises:
            UsageError: one line that names a key that is wrong, its value, and what it must be. A key that does not
                exist comes first: the key that it stands for may be missing.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            detail = min(error.errors(), key=lambda detail: detail["type"] != "extra_forbidden")
            raise UsageError(_one_line(cls, detail, key)) from None

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """The values that a recipe need not give; `???`, as Hydra has it, stands for those that it must give."""
        return {name: _default(field) for name, field in cls.model_fields.items()}


def require_field(holds: bool, name: str, value: object, hint: str) -> None:
    """For validators of a section: unless `holds`, its field `name` is refused with `value: must be <hint>`."""
    if not holds:
        raise PydanticCustomError("misfit", "{hint}", {"name": name, "value": value, "hint": hint})


def section_of(field: FieldInfo) -> type[Section] | None:
    """The section that a field holds, if it holds one."""
    kinds = [field.annotation, *get_args(field.annotation)]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)), None)


def bounds(field: FieldInfo) -> str:
    """The range of a number's field in words, such as "from 0 to 1"; empty without bounds."""
    limits: dict[str, Any] = {}
    for limit in field.metadata:
        limits |= {name: getattr(limit, name) for name in ("ge", "gt", "le", "lt") if hasattr(limit, name)}
    if {"ge", "le"} <= limits.keys():
        return f"from {limits['ge']} to {limits['le']}"
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    return " and ".join(f"{words[name]} {value}" for name, value in limits.items())


def _default(field: FieldInfo) -> Any:
    section = section_of(field)
    if field.is_required():
        return section.defaults() if section else _UNSET
    value = field.get_default(call_default_factory=True)
    return value.model_dump() if isinstance(value, Section) else value


def _one_line(cls: type[Section], detail: ErrorDetails, prefix: str) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    value = context.get("value", detail["input"])
    path = [str(part) for part in (*detail["loc"], context.get("name")) if part not in (None, "")]
    key = ".".join([prefix, *path] if prefix else path)
    parent = _section_at(cls, path[:-1])
    if kind == "extra_forbidden":
        return f"{key}: no such key; {_suggestion(parent, key)}"
    if kind == "missing":
        return f"{key}: missing; set it in the recipe"
    if kind == "literal_error":
        hint = "one of " + context["expected"].replace("'", "").replace(" or ", ", ")
    elif kind == "misfit":
        hint = context["hint"]
    else:
        field = parent.model_fields.get(path[-1]) if parent and path else None
        hint = HINTS.get(kind) or (bounds(field) if field else "") or detail["msg"]
    shown = repr(value) if kind in HINTS else value
    return f"{key}={shown}: must be {hint}"


def _section_at(cls: type[Section], path: Sequence[str]) -> type[Section] | None:
    section: type[Section] | None = cls
    named: type[Section] | None = None  # what a mapping holds under names of the user's
    for name in path:
        field = section.model_fields.get(name) if section else None
        section, named = (section_of(field), _named_sections(field)) if field else (named, None)
    return section


def _named_sections(field: FieldInfo) -> type[Section] | None:
    for kind in (field.annotation, *get_args(field.annotation)):
        held = get_args(kind)[1] if get_origin(kind) is dict else None
        if isinstance(held, type) and issubclass(held, Section):
            return held
    return None


def _suggestion(section: type[Section] | None, key: str) -> str:
    parent, _, name = key.rpartition(".")
    names = list(section.model_fields) if section else []
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {key.removesuffix(name)}{close[0]}?"
    return f"{parent or 'a recipe'} has: {', '.join(names)}"
