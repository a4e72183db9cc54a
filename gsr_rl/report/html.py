"""`report.html`: the sections in one file that fetches nothing, with a browser of the episodes.

What a model has written is hostile until shown otherwise. Jinja escapes it in markup, episodes travel as JSON in which
`<` is escaped too, the script puts them on the page as text alone, and the page's own policy lets no other script run.
"""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from importlib.resources import files as resources
from itertools import chain, islice, zip_longest
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gsr_rl.episode import Episode, Response
from gsr_rl.metrics.voting import majority_score, plurality
from gsr_rl.report import drawing, text
from gsr_rl.report.figures import Evaluation
from gsr_rl.report.sections import Section

EPISODES = 300  # of a model, on the page at most
CHARACTERS = 4_000  # of a text, on the page at most

_environment = Environment(
    loader=PackageLoader("gsr_rl.report", "page"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.policies["json.dumps_kwargs"] = {"allow_nan": False}


def html(
    title: str,
    facts: Sequence[str],
    sections: Sequence[Section],
    evaluations: Sequence[Evaluation],
    files: Sequence[tuple[str, str]],
) -> str:
    """The whole page; `files`: name and content of what lies beside it."""
    script = (resources("gsr_rl.report") / "page" / "page.js").read_text(encoding="utf-8")
    return _environment.get_template("page.html").render(
        title=title,
        facts=facts,
        cards=_cards(evaluations),
        sections=sections,
        svg=lambda panel: Markup(drawing.svg(panel)),
        models=[_model(one) for one in evaluations],
        files=files,
        script=Markup(script),
        digest=b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _cards(evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """The headline of each model; the bars of all gaps are on one scale, in per cent of its length."""
    refined = [one.mean for one in evaluations if one.is_refined]
    edges = [figures[key] for figures in refined for key in ("ci_low", "ci_high")] + [0.0]
    least, span = min(edges), (max(edges) - min(edges)) or 1.0

    def at(value: float) -> float:
        return round(4 + 92 * (value - least) / span, 2)

    return [
        {
            "name": one.name,
            "gap": text.points(one.mean["refinement_gap"]),
            "interval": text.interval(one.mean),
            "bar": [at(one.mean[key]) for key in ("ci_low", "refinement_gap", "ci_high")] if one.is_refined else None,
            "zero": at(0.0),
            "finding": text.finding(one.mean),
            "rates": [
                f"{method} {text.percent(one.mean[method])}"
                for method in (f"selfref@{one.k}", f"maj@{one.k}", f"maj@{one.k + 1}")
                if one.mean[method] is not None
            ],
        }
        for one in evaluations
    ]


# --- episodes ---------------------------------------------------------------------------------------------------------


def _model(of: Evaluation) -> dict[str, Any]:
    """What the browser needs to know of a model."""
    return {
        "name": of.name,
        "total": len(of.episodes),
        "counts": of.kind_counts(),
        "episodes": [_episode(of.episodes[at], of.kinds[at]) for at in sample(of)],
    }


def sample(of: Evaluation, most: int = EPISODES) -> list[int]:
    """Numbers of the episodes that go on the page: as many of each benchmark and kind, in the order of the file."""
    groups: dict[tuple[str, str], list[int]] = {}
    for at, (episode, kind) in enumerate(zip(of.episodes, of.kinds, strict=True)):
        groups.setdefault((episode.dataset, kind), []).append(at)
    in_turn = chain.from_iterable(zip_longest(*groups.values()))
    return sorted(islice((at for at in in_turn if at is not None), most))


def _episode(one: Episode, kind: str) -> dict[str, Any]:
    answers, correct = [r.answer for r in one.candidates], [r.correct for r in one.candidates]
    tied = plurality(answers)
    return {
        "id": one.id,
        "dataset": one.dataset,
        "round": one.round,
        "kind": kind,
        "problem": shortened(one.problem),
        "gold": shortened(one.gold),
        "candidates": [_response(r) for r in one.candidates],
        "refinements": [_response(r) for r in one.refinements],
        "vote": {
            "answers": [shortened(str(answers[members[0]])) for members in tied],
            "votes": len(tied[0]) if tied else 0,
            "score": majority_score(answers, correct),
        },
    }


def _response(one: Response) -> dict[str, Any]:
    answer = None if one.answer is None else shortened(one.answer)
    return {"text": shortened(one.text), "answer": answer, "correct": one.correct, "cut_off": one.cut_off}


def shortened(whole: str, most: int = CHARACTERS) -> str:
    """The text, or its beginning and its end and between them how much is left out."""
    if len(whole) <= most:
        return whole
    left_out = f"\n[... {len(whole) - most:,} characters left out here, which are in the file of the episodes ...]\n"
    return whole[: most // 2] + left_out + whole[-(most // 2) :]
