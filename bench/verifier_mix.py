"""Responses to measure the verifier with: long reasoning and a final box, right and wrong, for many kinds of answer."""

import random
from dataclasses import dataclass
from math import gcd

_SENTENCES = (
    "Let us set up the equation for the unknown and see what follows from the second condition.",
    r"Substituting, we get $x^2 - {a}x + {b} = 0$, whose discriminant is $D = {a}^2 - 4 \cdot {b}$.",
    r"Hmm, wait: the case ${a} \le n < {b}$ has to be counted as well, so that there are \({c}\) more.",
    r"By symmetry $\frac{{{a}}}{{{b}}} + \frac{{{b}}}{{{a}}}$ stays the same when both are exchanged.",
    r"So far this gives \[ S = \sum_{{k=1}}^{{{a}}} k = \frac{{{a}({a}+1)}}{{2}} \] for the first part.",
    "Checking with small numbers: {a}, {b} and {c} all satisfy it, which supports the claim.",
    r"Hence $\sin\theta = \frac{{{a}}}{{{c}}}$, and the angle is about {b} degrees, or \$ {a}.{b} in money terms.",
    "That would be {a}% of {b}, and {c} of them are left over.",
)


@dataclass(frozen=True)
class Sample:
    """A response, the gold answer, and whether the response is correct."""

    response: str
    gold: str
    correct: bool


def normal(n: int, seed: int = 0) -> list[Sample]:
    """Return n samples of 300 to 900 words. Half are right; of those, a third write the gold in another way."""
    rng = random.Random(seed)
    return [_sample(rng) for _ in range(n)]


def _sample(rng: random.Random) -> Sample:
    gold, other_spelling, wrong = answers(rng)
    correct = rng.random() < 0.5
    answer = (other_spelling if rng.random() < 1 / 3 else gold) if correct else wrong
    numbers = {"a": rng.randint(2, 90), "b": rng.randint(2, 90), "c": rng.randint(2, 90)}
    words = " ".join(rng.choice(_SENTENCES).format(**numbers) for _ in range(rng.randint(20, 60)))
    return Sample(f"<think>\n{words}\n</think>\nTherefore the answer is $\\boxed{{{answer}}}$.", gold, correct)


def answers(rng: random.Random) -> tuple[str, str, str]:
    """Return a gold, another spelling of it, and a wrong answer. The kinds have about the same shares as in MATH."""
    a, b, c = rng.randint(2, 60), rng.randint(2, 60), rng.choice((2, 3, 5, 6, 7, 10, 11))
    kind = rng.choices(
        (
            "integer",
            "fraction",
            "surd",
            "tuple",
            "expression",
            "interval",
            "list",
            "unit",
            "matrix",
            "equation",
            "words",
        ),
        (62, 12, 7, 4, 5, 2, 2, 2, 1, 2, 1),
    )[0]
    if kind == "integer":
        n = rng.randint(-50, 20_000)
        return str(n), f"{n:,}" if n > 999 else f"{n}.0", str(n + rng.choice((-10, -1, 1, 2)))
    if kind == "fraction":
        top, bottom = a // gcd(a, 61), 61
        return (
            rf"\frac{{{top}}}{{{bottom}}}",
            rf"\dfrac{{{3 * top}}}{{{3 * bottom}}}",
            rf"\frac{{{top + 1}}}{{{bottom}}}",
        )
    if kind == "surd":
        return rf"{a}\sqrt{{{c}}}", rf"\sqrt{{{a * a * c}}}", rf"{a + 1}\sqrt{{{c}}}"
    if kind == "tuple":
        return f"({a}, {b})", rf"\left({a}, \frac{{{2 * b}}}{{2}}\right)", f"({b}, {a + 1})"
    if kind == "expression":
        return f"(x+{a})(x-{b})", f"x^2+{a}x-{b}x-{a * b}", f"(x+{a})(x+{b})"
    if kind == "interval":
        return rf"(-\infty, {a}] \cup ({a + b}, \infty)", rf"x \le {a} \text{{ or }} x > {a + b}", rf"(-\infty, {a}]"
    if kind == "list":
        return f"{a}, {-b}, {c}", rf"{-b}, {c} \text{{ and }} {a}", f"{a}, {-b}"
    if kind == "unit":
        return rf"{a}\text{{ cm}}^2", str(a), rf"{a + 2}\text{{ cm}}^2"
    if kind == "matrix":
        rows = rf"{a} & {b} \\ {c} & 0"
        return (
            rf"\begin{{pmatrix}} {rows} \end{{pmatrix}}",
            rf"\begin{{bmatrix}}{rows}\end{{bmatrix}}",
            (rf"\begin{{pmatrix}} {b} & {a + 61} \\ {c} & 0 \end{{pmatrix}}"),
        )
    if kind == "equation":
        return f"y = {a}x + {b}", f"{a}x - y + {b} = 0", f"y = {a}x - {b}"
    day = rng.choice(("Monday", "Tuesday", "Friday"))
    return rf"\text{{{day}}}", day, r"\text{Sunday}"


def hostile(n: int, seed: int = 0) -> list[str]:
    """Return n responses that hang, flood or crash verifiers. None of them is a sensible answer."""
    rng = random.Random(seed)
    makers = (
        lambda k: rf"10^{{10^{{{k}}}}}",
        lambda k: rf"{k}^{{{k}^{{{k}^{{{k}}}}}}}",
        lambda k: rf"(({k}!)!)!",
        lambda k: rf"{k}000000!",
        lambda k: rf"\binom{{{k}00000000}}{{{k}0000000}}",
        lambda k: rf"(x+{k})^{{{k}00000}}",
        lambda k: rf"\pi^{{\pi^{{\pi^{{{k}}}}}}}",
        lambda k: rf"\prod_{{j=1}}^{{{k}000000000}} j",
        lambda k: "9" * (5_000 * k),
        lambda k: "(" * 500 * k + ")" * 500 * k,
        lambda k: r"\frac{1}{" * 50 * k + "2" + "}" * 50 * k,
        lambda k: "[" * 2_000 * k,
        lambda k: rf"__import__('time').sleep({k}00)",
        lambda k: r"\boxed{" * 1_000 * k,
        lambda k: rf"\sqrt{{{k}^{{{k}^{{99}}}}}}",
        lambda k: rf"\lfloor \exp(\exp({k})) \rfloor",
    )
    return [rf"The answer is \boxed{{{rng.choice(makers)(rng.randint(10, 60))}}}." for _ in range(n)]


def endless(n: int) -> list[str]:
    """Return n responses that no guard detects: numbers of 10^8 digits."""
    return [rf"The answer is \boxed{{({k}!)^{{9998}}}}." for k in range(3_000, 3_000 - n, -1)]
