"""`report.html`: the sections in one file that fetches nothing, with a browser of the episodes.

What a model has written is treated as hostile. Jinja escapes it in markup. Episodes are embedded as JSON, in which `<`
is escaped too. The script puts them on the page only as text, and the page's own policy lets no other script run.
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
from gsr_rl.metrics.voting import majority_score_of, plurality
from gsr_rl.report import plotting, text
from gsr_rl.report.results import Evaluation
from gsr_rl.report.sections import Section

EPISODES = 300  # most episodes of a model on the page
CHARACTERS = 4_000  # most characters of a text on the page

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
    """The whole page; `files` are the files beside it, each with a description."""
    script = (resources("gsr_rl.report") / "page" / "page.js").read_text(encoding="utf-8")
    return _environment.get_template("page.html").render(
        title=title,
        facts=facts,
        cards=_cards(evaluations),
        sections=sections,
        svg=lambda panel: Markup(plotting.svg(panel)),
        models=[_model(evaluation) for evaluation in evaluations],
        files=files,
        script=Markup(script),
        digest=b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _cards(evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """The headline of each model. The bars of all gaps are on one scale, in per cent of a bar's length."""
    refined = [evaluation.mean for evaluation in evaluations if evaluation.has_gap]
    edges = [results[key] for results in refined for key in ("ci_low", "ci_high")] + [0.0]
    least, span = min(edges), (max(edges) - min(edges)) or 1.0

    def position(value: float) -> float:
        return round(4 + 92 * (value - least) / span, 2)

    cards: list[dict[str, Any]] = []
    for evaluation in evaluations:
        results, k = evaluation.mean, evaluation.k
        ends = ("ci_low", "refinement_gap", "ci_high")
        methods = (f"selfref@{k}", f"maj@{k}", f"maj@{k + 1}")
        card = {
            "name": evaluation.name,
            "gap": text.points(results["refinement_gap"]),
            "interval": text.interval(results),
            "bar": [position(results[key]) for key in ends] if evaluation.has_gap else None,
            "zero": position(0.0),
            "finding": text.finding(results),
            "rates": [f"{name} {text.percent(results[name])}" for name in methods if results[name] is not None],
        }
        cards.append(card)
    return cards


# --- episodes ---------------------------------------------------------------------------------------------------------


def _model(evaluation: Evaluation) -> dict[str, Any]:
    """What the browser needs to know of a model."""
    return {
        "name": evaluation.name,
        "total": len(evaluation.episodes),
        "counts": evaluation.kind_counts(),
        "episodes": [_episode(evaluation.episodes[i], evaluation.kinds[i]) for i in sample(evaluation)],
    }


def sample(evaluation: Evaluation, most: int = EPISODES) -> list[int]:
    """Indices of the episodes that are on the page, ascending: equally many of each benchmark and kind, if possible."""
    groups: dict[tuple[str, str], list[int]] = {}
    for index, (episode, kind) in enumerate(zip(evaluation.episodes, evaluation.kinds, strict=True)):
        groups.setdefault((episode.dataset, kind), []).append(index)
    in_turn = chain.from_iterable(zip_longest(*groups.values()))
    return sorted(islice((index for index in in_turn if index is not None), most))


def _episode(episode: Episode, kind: str) -> dict[str, Any]:
    answers = [candidate.answer for candidate in episode.candidates]
    tied = plurality(answers)
    return {
        "id": episode.id,
        "dataset": episode.dataset,
        "round": episode.round,
        "kind": kind,
        "problem": shortened(episode.problem),
        "gold": shortened(episode.gold),
        "candidates": [_response(candidate) for candidate in episode.candidates],
        "refinements": [_response(refinement) for refinement in episode.refinements],
        "vote": {
            "answers": [shortened(str(answers[members[0]])) for members in tied],
            "votes": len(tied[0]) if tied else 0,
            "score": majority_score_of(episode.candidates),
        },
    }


def _response(response: Response) -> dict[str, Any]:
    answer = None if response.answer is None else shortened(response.answer)
    return {
        "text": shortened(response.text),
        "answer": answer,
        "correct": response.correct,
        "cut_off": response.cut_off,
    }


def shortened(whole: str, most: int = CHARACTERS) -> str:
    """The text; or its beginning and end, with a note between them that says how much is left out."""
    if len(whole) <= most:
        return whole
    left_out = f"\n[... {len(whole) - most:,} characters left out here; they are in the file of episodes ...]\n"
    return whole[: most // 2] + left_out + whole[-(most // 2) :]
