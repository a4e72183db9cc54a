"""`report.md`: the sections as Markdown, with three episodes."""

from collections.abc import Mapping, Sequence

from gsr_rl.episode import Episode, Response
from gsr_rl.report.figures import KINDS, Evaluation
from gsr_rl.report.sections import Section
from gsr_rl.report.tables import Table


def markdown(
    title: str,
    facts: Sequence[str],
    sections: Sequence[Section],
    plots: Mapping[str, str],
    sample: Evaluation | None,
    files: Sequence[tuple[str, str]],
) -> str:
    """The whole page.

    Args:
        plots: the file of each picture, by its name, relative to the page.
        sample: what the three episodes are of.
        files: name and content of what lies beside the page.
    """
    parts = [f"# {title}", "; ".join(facts)]
    for section in sections:
        parts += [f"## {section.title}", section.intro, table(section.table) if section.table else ""]
        parts.append("\n".join(f"- {line}" for line in section.points))
        parts += [f"![{one.caption}]({plots[one.name]})" for one in section.pictures]
    if sample:
        parts += ["## Episodes", _episodes(sample)]
    if files:
        parts += ["## Where everything lies", "\n".join(f"- [{name}]({name}): {what}" for name, what in files)]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(of: Table) -> str:
    rows = [[f"**{row[0]}**", *row[1:]] if at in of.strong else list(row) for at, row in enumerate(of.rows)]
    lines = [list(of.head), ["---", *("---:" for _ in of.head[1:])], *rows]
    # A name may hold a bar.
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _episodes(of: Evaluation) -> str:
    """Three episodes, the first in the file of its kind, in the order of KINDS; and how many there are of each kind."""
    counts = "; ".join(f"{kind}: {count}" for kind, count in of.kind_counts().items())
    shown = [(kind, found[0]) for kind in KINDS if (found := of.of_kind(kind))][:3]
    intro = (
        f"Of the {len(of.episodes)} sets of {of.name}: {counts}. The first of a kind, not a chosen one, of three kinds:"
    )
    return "\n\n".join([intro, *(f"### {kind.capitalize()}\n\n{_episode(one)}" for kind, one in shown)])


def _episode(episode: Episode) -> str:
    parts = [f"Problem `{episode.id}`, gold answer `{episode.gold}`:", _fenced(episode.problem)]
    for kind, responses in (("Candidate", episode.candidates), ("Refinement", episode.refinements)):
        for number, response in enumerate(responses, start=1):
            parts += [f"{kind} {number}: {_judged(response)}", _fenced(response.text)]
    return "\n\n".join(parts)


def _judged(response: Response) -> str:
    answer = "no answer" if response.answer is None else f"answer `{response.answer}`"
    return f"{answer}, **{'right' if response.correct else 'wrong'}**{', cut off' if response.cut_off else ''}"


def _fenced(text: str) -> str:
    """A code block whose fence is longer than any run of backticks in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"
