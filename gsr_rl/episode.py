"""One problem's way through self-refinement as plain data: K candidates, then refinements that saw them. JSON Lines."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gsr_rl.errors import UsageError
from gsr_rl.files import parse_object, replacing

FillIn = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Problem:
    """A problem with its gold answer; (`dataset`, `id`) names it."""

    id: str
    dataset: str
    problem: str
    gold: str


@dataclass(frozen=True)
class Response:
    """One sampled response: its extracted answer (None: no final answer) and whether that is right.

    `cut_off` means that the length limit ended it; `n_tokens` is its length in tokens where known; `score` is what a
    reward model thinks of it where one was asked.
    """

    text: str
    answer: str | None
    correct: bool
    cut_off: bool = False
    n_tokens: int | None = None
    score: float | None = None


@dataclass(frozen=True)
class Episode:
    """One set of candidates for one problem, in the order in which the refiner saw them, and what became of it.

    `refinements` are responses to the problem and all of `candidates`; `extra_candidates` are further direct responses
    that the refiner did not see (for the equal-budget baseline maj@K+1). `swapped_refinements` are a control: responses
    to this problem and the candidates of another.

    In a recursion `round` counts from 1, and the candidates of a later round are refinements of the one before it.
    `model` and `refiner` name whose the candidates and the refinements are, where it is worth saying.
    """

    id: str
    dataset: str
    problem: str
    gold: str
    candidates: tuple[Response, ...]
    refinements: tuple[Response, ...] = ()
    extra_candidates: tuple[Response, ...] = ()
    swapped_refinements: tuple[Response, ...] = ()
    round: int = 1
    model: str | None = None
    refiner: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of one line, without what is unknown; `from_dict` reads it back."""
        row = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        for response in (one for value in row.values() if isinstance(value, list) for one in value):
            for key in ("n_tokens", "score"):
                if response[key] is None:
                    del response[key]
        return {key: value for key, value in row.items() if value is not None}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> "Episode":
        """Build an episode from a JSON object; further keys are ignored.

        Raises:
            UsageError: a key is missing or its value has the wrong type.
        """
        texts: dict[str, Any] = {key: _get(row, key, str, "") for key in ("id", "dataset", "problem", "gold")}
        optional = ("refinements", "extra_candidates", "swapped_refinements")
        responses: dict[str, Any] = {
            key: _responses(row, key) for key in ("candidates", *(key for key in optional if key in row))
        }
        about = {"round": int, "model": str | None, "refiner": str | None}
        facts: dict[str, Any] = {key: _get(row, key, kind, "") for key, kind in about.items() if key in row}
        return cls(**texts, **responses, **facts)


def _responses(row: Mapping[str, Any], key: str) -> tuple[Response, ...]:
    return tuple(_response(item, f"{key}[{index}]") for index, item in enumerate(_get(row, key, list, "")))


def _response(item: Any, where: str) -> Response:
    if not isinstance(item, Mapping):
        raise UsageError(f"{where} is not an object; write text, answer and correct in it")
    return Response(
        text=_get(item, "text", str, where),
        answer=_get(item, "answer", str | None, where),
        correct=_get(item, "correct", bool, where),
        cut_off=_get(item, "cut_off", bool, where) if "cut_off" in item else False,
        n_tokens=_get(item, "n_tokens", int | None, where) if "n_tokens" in item else None,
        score=_score(item, where) if "score" in item else None,
    )


def _score(item: Mapping[str, Any], where: str) -> float | None:
    score = _get(item, "score", float | int | None, where)
    if score is not None and not math.isfinite(score):
        raise UsageError(f'"{where}.score" is {score}; write a finite number, or leave it out')
    return score


def _get(row: Mapping[str, Any], key: str, kind: Any, where: str) -> Any:
    name = f"{where}.{key}" if where else key
    if key not in row:
        raise UsageError(f'"{name}" is missing; an episode cannot do without it')
    value = row[key]
    # a JSON true is no number, though Python's bool is an int
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        wanted = getattr(kind, "__name__", str(kind))
        raise UsageError(f'"{name}" is {type(value).__name__}; write {wanted} there')
    return value


def read_episodes(path: str | Path, fill_in: FillIn | None = None) -> list[Episode]:
    """Read a JSON Lines file, one episode a line; blank lines are skipped.

    Args:
        fill_in: completes a row of a file that was made elsewhere; see `gsr_rl.metrics.import_episodes`.

    Raises:
        UsageError: the file cannot be read, or a line is no episode; names file and line.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give a file of episodes") from error
    numbered = [(f"{path}:{number}", line) for number, line in enumerate(lines, start=1) if line.strip()]
    return [_read_line(line, where, fill_in) for where, line in numbered]


def _read_line(line: bytes, where: str, fill_in: FillIn | None) -> Episode:
    row = parse_object(line, where)
    try:
        return Episode.from_dict(fill_in(row) if fill_in else row)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def write_episodes(path: str | Path, episodes: Iterable[Episode]) -> None:
    """Write episodes as JSON Lines, atomically: `path` is the old file or the whole new one. Makes missing folders."""
    with replacing(path) as temporary, temporary.open("w", encoding="ascii") as file:
        # ASCII with escapes: model output may hold lone surrogates, which UTF-8 cannot
        file.writelines(json.dumps(episode.to_dict()) + "\n" for episode in episodes)
