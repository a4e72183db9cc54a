"""Knights and Knaves: generated puzzles with one solution each, which is proved by trying every possibility.

GSR uses such puzzles as its out-of-distribution test (arXiv 2509.00084). The wording, the statements and the solver are
ours.
"""

import hashlib
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gsr_rl.episode import Problem
from gsr_rl.errors import UsageError

# No name is a mathematical word, which the verifier would read as something else.
NAMES = (
    *("Ada", "Bruno", "Carla", "Dario", "Edda", "Felix", "Greta", "Hugo", "Iris", "Jonas", "Klara", "Leo", "Mona"),
    *("Nils", "Olga", "Paul", "Quirin", "Rosa", "Sven", "Tilda", "Ulla", "Vito", "Wanda", "Xaver", "Yara", "Zeno"),
)
PEOPLE = (2, 8)  # fewest and most people in a puzzle
_COUNTS = (
    *("None of us is a knight.", "Exactly one of us is a knight."),
    *(f"Exactly {n} of us are knights." for n in ("two", "three", "four", "five", "six", "seven", "eight")),
)

Knights = Sequence[bool]  # for each person, whether they are a knight


@dataclass(frozen=True)
class Statement:
    """What a person says, and a function that tells whether it holds, given who the knights are."""

    text: str
    holds: Callable[[Knights], bool]


def knights_knaves(n: int, *, seed: int, people: Sequence[int], name: str = "knights_knaves") -> list[Problem]:
    """Draw `n` different puzzles, with each number of people in turn.

    Args:
        people: numbers of people in a puzzle, each from 2 to 8.
        name: the problems' dataset.

    Returns:
        Problems whose gold answer lists the knights in the order of the text, "Ada, Hugo", or is "none". Their id
        consists of the number of people and a hash of the text.

    Raises:
        UsageError: a setting is out of range, or `n` puzzles were not found.
    """
    if n < 1 or not people or not all(PEOPLE[0] <= size <= PEOPLE[1] for size in people):
        raise UsageError(
            f"knights and knaves: {n=}, people={list(people)}; n must be at least 1, and people from 2 to 8"
        )
    rng = random.Random(seed)
    drawn: dict[str, Problem] = {}
    for size in itertools.islice(itertools.cycle(people), 100 * n):
        problem = _puzzle(rng, size, name)
        drawn.setdefault(problem.id, problem)
        if len(drawn) == n:
            return list(drawn.values())
    raise UsageError(f"knights and knaves: {len(drawn)} puzzles found, not {n}; ask for fewer, or for more people")


def benchmark() -> list[Problem]:
    """The evaluation set `knights_knaves`: 100 puzzles with each number of people from 2 to 7, always the same."""
    return knights_knaves(600, seed=20_250_900, people=range(2, 8))


def solutions(statements: Sequence[Statement]) -> list[tuple[bool, ...]]:
    """Every assignment of knights and knaves in which exactly the knights tell the truth.

    Args:
        statements: statement `i` is what person `i` says.
    """
    worlds = itertools.product((True, False), repeat=len(statements))
    return [
        world
        for world in worlds
        if all(statement.holds(world) == knight for statement, knight in zip(statements, world, strict=True))
    ]


def _puzzle(rng: random.Random, size: int, dataset: str) -> Problem:
    names = rng.sample(NAMES, size)
    while True:
        statements = [_statement(rng, names, speaker) for speaker in range(size)]
        found = solutions(statements)
        if len(found) == 1:
            break
    said = "\n".join(f'{name}: "{statement.text}"' for name, statement in zip(names, statements, strict=True))
    text = (
        "Each person in this village is either a knight, whose statements are all true, or a knave, whose statements "
        f"are all false. You meet {', '.join(names[:-1])} and {names[-1]}. They say:\n{said}\n"
        "Which of them are knights? Answer with their names, separated by commas, in the order in which you met them, "
        'or with "none".'
    )
    gold = ", ".join(name for name, knight in zip(names, found[0], strict=True) if knight) or "none"
    return Problem(f"{size}-{hashlib.sha256(text.encode()).hexdigest()[:12]}", dataset, text, gold)


def _statement(rng: random.Random, names: Sequence[str], speaker: int) -> Statement:
    """A statement in one of six forms. None is about the speaker alone: everybody would say "I am a knight"."""
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
