"""One problem's way through self-refinement as plain data: K candidates, then refinements that saw them.

Files of episodes are JSON Lines, one episode a line.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gsr_rl.errors import UsageError
from gsr_rl.files import read_jsonl, replacing
from rewards.answers import extract_answer

FillIn = Callable[[dict[str, Any]], dict[str, Any]]

# The models that `gsr-rl run` evaluates, in the order in which training makes them. Each has a file of episodes.
BASE, SFT, GRPO = "base", "sft", "grpo"
CHAIN_MODELS = (BASE, SFT, GRPO)


@dataclass(frozen=True)
class Problem:
    """A problem with its gold answer. `dataset` and `id` together identify it.

    `extra_info` is what the problem's row says besides, for the reward function. It plays no part in comparisons.
    """

    id: str
    dataset: str
    problem: str
    gold: str
    extra_info: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Verdict:
    """A verdict with the response's answer, of a reward function that gives the answer too (None: no answer).

    Its truth is that of `correct`.
    """

    correct: bool
    answer: str | None

    def __bool__(self) -> bool:
        return self.correct


@dataclass(frozen=True)
class Response:
    """One sampled response: its extracted answer (None: no final answer) and whether that is right.

    `cut_off` means that the length limit ended it. `n_tokens` is its length in tokens where that is known. `score` is
    a reward model's score of it where there is one.
    """

    text: str
    answer: str | None
    correct: bool
    cut_off: bool = False
    n_tokens: int | None = None
    score: float | None = None

    @classmethod
    def of(
        cls, text: str, correct: "bool | Verdict", *, cut_off: bool = False, n_tokens: int | None = None
    ) -> "Response":
        """The response with this text, and the answer of its verdict.

        If the verdict is a mere bool, `rewards.answers.extract_answer` finds the answer in the text.
        """
        answer = correct.answer if isinstance(correct, Verdict) else extract_answer(text)
        return cls(text, answer, bool(correct), cut_off, n_tokens)


@dataclass(frozen=True)
class Episode:
    """One set of candidates for one problem, in the order in which the refiner saw them, and their refinements.

    `refinements` are responses to the problem and all of `candidates`. `extra_candidates` are further direct responses
    that the refiner did not see (for the equal-budget baseline maj@K+1). `swapped_refinements` are a control: responses
    to this problem and the candidates of another one.

    In a recursion `round` counts from 1, and the candidates of a later round are refinements of the round before it.
    `model` names the model that wrote the candidates, `refiner` the model that wrote the refinements, where known.
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

    @classmethod
    def of(
        cls,
        problem: Problem,
        candidates: Iterable[Response],
        *,
        refinements: Iterable[Response] = (),
        extra_candidates: Iterable[Response] = (),
        swapped_refinements: Iterable[Response] = (),
        round: int = 1,
        model: str | None = None,
        refiner: str | None = None,
    ) -> "Episode":
        """The episode of `problem` with these responses; see the class for the fields."""
        return cls(
            id=problem.id,
            dataset=problem.dataset,
            problem=problem.problem,
            gold=problem.gold,
            candidates=tuple(candidates),
            refinements=tuple(refinements),
            extra_candidates=tuple(extra_candidates),
            swapped_refinements=tuple(swapped_refinements),
            round=round,
            model=model,
            refiner=refiner,
        )

    @property
    def problem_only(self) -> Problem:
        """The problem with its gold answer, without any response. (`problem` is its text.)"""
        return Problem(self.id, self.dataset, self.problem, self.gold)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of one line, without the values that are unknown; `from_dict` reads it back."""
        row = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        for response in (item for value in row.values() if isinstance(value, list) for item in value):
            for key in ("n_tokens", "score"):
                if response[key] is None:
                    del response[key]
        return {key: value for key, value in row.items() if value is not None}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> "Episode":
        """Build an episode from a JSON object; keys that an episode does not have are ignored.

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
    # In Python a bool is an int, but a JSON true is no number.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        wanted = getattr(kind, "__name__", str(kind))
        raise UsageError(f'"{name}" is {type(value).__name__}; write {wanted} there')
    return value


def read_episodes(path: str | Path, fill_in: FillIn | None = None) -> list[Episode]:
    """Read a JSON Lines file, one episode a line; blank lines are skipped.

    Args:
        fill_in: completes a row of a file that another program wrote; see `gsr_rl.metrics.import_episodes`.

    Raises:
        UsageError: the file cannot be read, or a line is no episode. The error names file and line.
    """
    return [_read_row(row, where, fill_in) for where, row in read_jsonl(path)]


def _read_row(row: dict[str, Any], where: str, fill_in: FillIn | None) -> Episode:
    try:
        return Episode.from_dict(fill_in(row) if fill_in else row)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def write_episodes(path: str | Path, episodes: Iterable[Episode]) -> None:
    """Write episodes as JSON Lines, atomically: `path` is the old file or the whole new one. Makes missing folders."""
    with replacing(path) as temporary, temporary.open("w", encoding="ascii") as file:
        # ASCII with escapes: a model's output may hold lone surrogates, and UTF-8 cannot encode them.
        file.writelines(json.dumps(episode.to_dict()) + "\n" for episode in episodes)
