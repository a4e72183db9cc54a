"""The `problems:` section: where the problems come from, what is dropped, and how the rest is split."""

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from gsr_rl.section import Section, require_field

SPLITS = ("train", "dev", "held_out")


class Columns(Section):
    """Names of the columns of a problem file."""

    id: str = "id"
    """Column of the id."""
    problem: str = "problem"
    """Column of the text."""
    answer: str = "answer"
    """Column of the gold answer."""


class PassRates(Section):
    """Which training problems stay, by the student's own pass rate."""

    min: float = Field(default=0.0, ge=0, le=1)
    """Least pass rate of a training problem that is kept."""
    max: float = Field(default=1.0, ge=0, le=1)
    """Highest pass rate of a training problem that is kept."""
    unsampled: Literal["keep", "drop"] = "keep"
    """Whether training problems without a pass rate are kept."""

    @property
    def filters(self) -> bool:
        """Whether any problem could be dropped."""
        return self.min > 0 or self.max < 1 or self.unsampled == "drop"


class PairSums(Section):
    """Puzzles such as "Which two of 3, 5, 9 add up to 14?"."""

    numbers: int = Field(default=3, ge=2)
    """Numbers in a puzzle."""
    largest: int = Field(default=20, ge=2)
    """The largest number that may be drawn; at least `numbers`."""

    @model_validator(mode="after")
    def _check_largest(self) -> Self:
        hint = f"at least problems.pair_sums.numbers={self.numbers}, which are all different"
        require_field(self.largest >= self.numbers, "largest", self.largest, hint)
        return self


class KnightsKnaves(Section):
    """Puzzles about people who always tell the truth and people who always lie."""

    people: list[int] = [2, 3, 4, 5, 6]
    """Numbers of people in a puzzle, from 2 to 8. There are equally many puzzles of each number."""

    @model_validator(mode="after")
    def _check_people(self) -> Self:
        in_range = bool(self.people) and all(2 <= size <= 8 for size in self.people)
        require_field(in_range, "people", self.people, "a list of whole numbers from 2 to 8")
        return self


class Problems(Section):
    """Where the problems come from, what is dropped, and how the rest is split."""

    source: str
    """`pair_sums` or `knights_knaves` (generated), the name of a training set, or a JSONL, parquet or CSV file; see \
[data.md](data.md)."""
    columns: Columns = Columns()
    """Column names of a problem file."""
    revision: str | None = None
    """Commit of a named set's repository on the Hugging Face hub, 40 hexadecimal digits (a branch may change from one \
run to the next); null for the pinned commit."""
    mirror: str | None = None
    """Folder that holds the named sets' files, `<mirror>/<repository>/<file>`, and is read instead of the hub."""
    pair_sums: PairSums = PairSums()
    """Settings of the source `pair_sums`."""
    knights_knaves: KnightsKnaves = KnightsKnaves()
    """Settings of the source `knights_knaves`."""
    decontaminate: list[str] = []
    """Evaluation sets, by name or file. Problems that overlap with them are reported and dropped."""
    min_overlap: float = Field(default=0.0, ge=0, le=1)
    """Least share of an evaluation problem's 13-grams at which a training problem is dropped; 0: one shared 13-gram \
is enough."""
    difficulty: str | None = None
    """JSONL file of the student's episodes (`teach/pool.jsonl` of another run, or any other). Its pass rates go into \
the training rows."""
    pass_rate: PassRates = PassRates()
    """Training problems to keep, by their pass rate in `problems.difficulty`."""
    train: int = Field(default=512, ge=1)
    """Problems for SFT and RL. The splits are disjoint by content."""
    dev: int = Field(default=64, ge=1)
    """Problems for all tuning."""
    held_out: int = Field(default=300, ge=1)
    """Problems for the report."""
    seed: int = 0
    """Seed of drawing and splitting: the same problems for every `gsr.seed`."""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        is_commit = self.revision is None or bool(re.fullmatch("[0-9a-f]{40}", self.revision))
        hint = "a commit of 40 hexadecimal digits: a branch may change from one run to the next"
        require_field(is_commit, "revision", self.revision, hint)
        both = self.revision is not None and self.mirror is not None
        hint = "null where problems.mirror says which files are read"
        require_field(not both, "revision", self.revision, hint)
        rate = self.pass_rate
        require_field(rate.min <= rate.max, "pass_rate.min", rate.min, f"at most problems.pass_rate.max={rate.max}")
        hint = "a file of episodes, for problems.pass_rate to filter by"
        require_field(self.difficulty is not None or not rate.filters, "difficulty", self.difficulty, hint)
        return self
