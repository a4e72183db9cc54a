"""Fuzz the extractor and the rules that run in the trainer's process, guided by coverage.

    pip install atheris
    python bench/fuzz_verifier.py [-max_total_time=60] [CORPUS_FOLDER]

For every input it checks that nothing is raised, nothing runs for ever (libFuzzer's -timeout), equality is reflexive
and symmetric, and the content of a box is found. sympy is left out: it runs in processes that the pool can kill.
"""

import contextlib
import sys

import atheris

with atheris.instrument_imports(include=["rewards"]):
    from rewards.equality import Undecided, is_readable, same, undecided
    from rewards.extract import extract_answer
    from rewards.forms import read
    from rewards.latex import tidy
    from rewards.limits import is_mathematics, too_heavy

# Bytes choose among these pieces, so that most inputs look like LaTeX.
_PIECES = (
    *"0123456789xyzieABC+-*/=<>^_(){}[]|,.;:!%& ",
    r"\frac{", r"\sqrt{", r"\sqrt[3]{", r"\text{", r"\text{ cm}", r"\text{ or }", r"\left(", r"\right)", r"\pi",
    r"\infty",
    r"\cup", r"\in", r"\le", r"\ge", r"\pm", r"\approx", r"\{", r"\}", r"\\", r"\overline{", r"^\circ", r"\%", r"\cdot",
    r"\begin{pmatrix}", r"\end{pmatrix}", r"\sin", r"\log", r"\ldots", r"\boxed{", "<think>", "</think>", "```",
    "answer is ",
    r"\pmod{", r"\equiv", r"\ne", r"\over ", r"\choose ", r"\$", r"\text{ million}", r"\text{ for all }",
    r"\begin{cases}", r"\end{cases}", r"\mathrm{~km}", r"\mathbb{R}\setminus\{", r"\binom{", r"\operatorname{tg}",
    r"\color{red}", r"\boldsymbol{", "(A)", "B. ", " or ", "!!", "sqrt(", "^(", "mod 7", "seven", " km/h", " apples",
    "th", "p.m.", "&lt;", "Team ", "\u044f", "\u207f", "\u2082", "\u221b", "\u2011", "\u20ac", "\u0307",
    "1,000", "10^{", "and", "percent", "\u00bd", "\u221a", "\u2212", "\ud800", "\x00", "\n",
)  # fmt: skip


def _text(data: atheris.FuzzedDataProvider) -> str:
    return "".join(_PIECES[data.ConsumeIntInRange(0, len(_PIECES) - 1)] for _ in range(data.ConsumeIntInRange(0, 30)))


def _same(a: str, b: str) -> bool | None:
    try:
        return same(read(a), read(b), undecided)
    except Undecided:
        return None


def check(raw: bytes) -> None:
    """Check one input of the fuzzer.

    Raises:
        AssertionError: a rule is broken; the message shows the texts.
    """
    data = atheris.FuzzedDataProvider(raw)
    a, b = _text(data), _text(data)
    extract_answer(a)
    if a.count("{") == a.count("}") == 0 and "\\" not in a and "`" not in a and "<" not in a and a.strip():
        assert extract_answer(f"so \\boxed{{{a}}}") == a.strip() or "%" in a, a
    a, b = tidy(a), tidy(b)
    if not a or not b:
        return
    assert _same(a, a) is True, a
    assert _same(a, b) == _same(b, a), (a, b)
    too_heavy(a)
    is_mathematics(a)
    with contextlib.suppress(Undecided):
        is_readable(read(a), undecided)


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
