"""Knights and Knaves: generated puzzles with one solution each, proved by trying all of them.

GSR's test out of distribution (arXiv 2509.00084). The wording, the statements and the solver are ours.
"""

import hashlib
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gsr_rl.episode import Problem
from gsr_rl.errors import UsageError

# No name is a word of mathematics, which the verifier would read otherwise.
NAMES = (
    *("Ada", "Bruno", "Carla", "Dario", "Edda", "Felix", "Greta", "Hugo", "Iris", "Jonas", "Klara", "Leo", "Mona"),
    *("Nils", "Olga", "Paul", "Quirin", "Rosa", "Sven", "Tilda", "Ulla", "Vito", "Wanda", "Xaver", "Yara", "Zeno"),
)
PEOPLE = (2, 8)  # fewest and most in a puzzle
_COUNTS = (
    *("None of us is a knight.", "Exactly one of us is a knight."),
    *(f"Exactly {n} of us are knights." for n in ("two", "three", "four", "five", "six", "seven", "eight")),
)

Knights = Sequence[bool]  # who is a knight


@dataclass(frozen=True)
class Statement:
    """What somebody says, and whether it holds where `knights` are the knights."""

    text: str
    holds: Callable[[Knights], bool]


def knights_knaves(n: int, *, seed: int, people: Sequence[int], name: str = "knights_knaves") -> list[Problem]:
    """`n` different puzzles, of each number of people in turn.

    Returns:
        Problems whose gold answer lists the knights in the order of the text, "Ada, Hugo", or is "none"; their id is
        made of the number of people and of the text.

    Raises:
        UsageError: settings out of range, or `n` puzzles not found.
    """
    if n < 1 or not people or not all(PEOPLE[0] <= one <= PEOPLE[1] for one in people):
        raise UsageError(f"knights and knaves: {n=}, people={list(people)}; n from 1, people from 2 to 8, please")
    rng = random.Random(seed)
    drawn: dict[str, Problem] = {}
    for size in itertools.islice(itertools.cycle(people), 100 * n):
        problem = _puzzle(rng, size, name)
        drawn.setdefault(problem.id, problem)
        if len(drawn) == n:
            return list(drawn.values())
    raise UsageError(f"knights and knaves: {len(drawn)} puzzles found, not {n}; ask for fewer, or for more people")


def benchmark() -> list[Problem]:
    """The evaluation set of this name: 100 puzzles of each number of people from 2 to 7, always the same."""
    return knights_knaves(600, seed=20_250_900, people=range(2, 8))


def solutions(statements: Sequence[Statement]) -> list[tuple[bool, ...]]:
    """Every way in which knights, and they alone, tell the truth; statement `i` is what person `i` says."""
    worlds = itertools.product((True, False), repeat=len(statements))
    return [
        one for one in worlds if all(said.holds(one) == knight for said, knight in zip(statements, one, strict=True))
    ]


def _puzzle(rng: random.Random, size: int, dataset: str) -> Problem:
    names = rng.sample(NAMES, size)
    while True:
        statements = [_statement(rng, names, speaker) for speaker in range(size)]
        found = solutions(statements)
        if len(found) == 1:
            break
    said = "\n".join(f'{name}: "{one.text}"' for name, one in zip(names, statements, strict=True))
    text = (
        "Each person in this village is either a knight, whose statements are all true, or a knave, whose statements "
        f"are all false. You meet {', '.join(names[:-1])} and {names[-1]}. They say:\n{said}\n"
        "Which of them are knights? Answer with their names, separated by commas, in the order in which you met them, "
        'or with "none".'
    )
    gold = ", ".join(name for name, knight in zip(names, found[0], strict=True) if knight) or "none"
    return Problem(f"{size}-{hashlib.sha256(text.encode()).hexdigest()[:12]}", dataset, text, gold)


def _statement(rng: random.Random, names: Sequence[str], speaker: int) -> Statement:
    """One of six forms; none is about the speaker alone, of whom everybody says "I am a knight"."""
    others = [index for index in range(len(names)) if index != speaker]
    a, b = rng.choice(others), rng.choice([speaker, *others])
    kind_a, kind_b = rng.random() < 0.5, rng.random() < 0.5
    number = rng.randrange(len(names) + 1)

    def is_(person: int, knight: bool) -> str:
        return f"{'I am' if person == speaker else names[person] + ' is'} a {'knight' if knight else 'knave'}"

    pair = f"{names[a]} and {'I' if b == speaker else names[b]}"
    forms = [
        Statement(f"{is_(a, kind_a)}.", lambda w: w[a] == kind_a),
        Statement(_COUNTS[number], lambda w: sum(w) == number),
    ]
    if a != b:
        forms += [
            Statement(f"{is_(a, kind_a)} and {is_(b, kind_b)}.", lambda w: w[a] == kind_a and w[b] == kind_b),
            Statement(f"{is_(a, kind_a)} or {is_(b, kind_b)}.", lambda w: w[a] == kind_a or w[b] == kind_b),
            Statement(f"If {is_(a, kind_a)}, then {is_(b, kind_b)}.", lambda w: w[a] != kind_a or w[b] == kind_b),
            Statement(f"{pair} are of the same kind.", lambda w: w[a] == w[b]),
        ]
    return rng.choice(forms)
