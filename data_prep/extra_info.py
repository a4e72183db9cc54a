"""What a row says of its problem besides text and gold answer: its id, its index, and more for the reward function.

A reward function gets the same `extra_info` in the rollout, in `eval` and in `teach`: `extra_info` here makes it.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from gsr_rl.episode import Problem
from gsr_rl.errors import UsageError
from gsr_rl.prompts import problem_of

_OURS = pa.struct({"id": pa.string(), "index": pa.int64(), "pass_rate": pa.float64()})


def extra_info(given: Any, problem_id: str, index: int | None) -> dict[str, Any]:
    """`extra_info` of a problem, with its id and index.

    Args:
        given: the row's own. Anything but a mapping counts as empty. Its id and index stay if they are there.
        problem_id: the problem's id.
        index: the row's place in its file, counted from 0; None where it is not known.
    """
    own = dict(given) if isinstance(given, Mapping) else {}
    found = own if is_there(own.get("index")) else own | {"index": index}
    return found if is_there(own.get("id")) else found | {"id": problem_id}


def is_there(value: Any) -> bool:
    """Whether a cell holds something: not null, not NaN, not a text without characters."""
    return not (value is None or value == "" or (isinstance(value, float) and math.isnan(value)))


def row_id(given: Any, dataset: str, problem: str, gold: str) -> str:
    """A problem's id: `extra_info.id`, else `extra_info.index`, else a hash of all that the row says of it.

    The rollout knows neither a row's file nor its number, so a made id can depend on nothing else.
    """
    own = given if isinstance(given, Mapping) else {}
    for value in (own.get("id"), own.get("index")):
        if is_there(value):
            return str(value)
    return hashlib.sha256("\0".join((dataset, problem, gold)).encode(errors="surrogatepass")).hexdigest()[:16]


def rollout_problem(row: Mapping[str, Any]) -> Problem:
    """The problem of a row in verl's rollout, equal to what `data_prep.rows.read_rl_rows` makes of it.

    Args:
        row: with `raw_prompt` (chat messages), `data_source`, `reward_model`, and perhaps `extra_info`.

    Raises:
        UsageError: the row has no user message.
    """
    dataset, gold = str(row["data_source"]), str(row["reward_model"]["ground_truth"])
    text = problem_of(row["raw_prompt"]).problem
    given = row.get("extra_info")
    problem_id = row_id(given, dataset, text, gold)
    return Problem(problem_id, dataset, text, gold, extra_info(given, problem_id, None))


def extra_info_type(rows: Sequence[Mapping[str, Any]]) -> pa.DataType:
    """The parquet type of the column: id, index and pass_rate, then whatever else the rows have.

    Raises:
        UsageError: a key holds values of kinds that no parquet column can hold together; says which.
    """
    others = {key: None for row in rows for key in row if _OURS.get_field_index(key) < 0}
    fields = list(_OURS)
    for key in others:
        try:
            kind = pa.array([row.get(key) for row in rows]).type
            if pa.types.is_struct(kind) and not kind.num_fields:
                continue  # an empty object, which parquet does not have
        except (pa.ArrowException, OverflowError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise UsageError(f"extra_info.{key}: {reason}; give all rows values of one kind there") from None
        fields.append(pa.field(key, pa.string() if pa.types.is_null(kind) else kind))
    return pa.struct(fields)
