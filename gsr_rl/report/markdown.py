"""`report.md`: the sections as Markdown, with three episodes."""

from collections.abc import Mapping, Sequence

from gsr_rl.episode import Episode, Response
from gsr_rl.report.results import KINDS, Evaluation
from gsr_rl.report.sections import Section
from gsr_rl.report.tables import Table


def markdown(
    title: str,
    facts: Sequence[str],
    sections: Sequence[Section],
    plot_files: Mapping[str, str],
    sample: Evaluation | None,
    files: Sequence[tuple[str, str]],
) -> str:
    """The whole page.

    Args:
        title: the heading of the page.
        facts: what is known of the run, in a line below the title.
        sections: in their order.
        plot_files: by the name of each plot its file, relative to the page.
        sample: the model from which the three episodes are taken, if any.
        files: the files beside the page, each with a description.
    """
    parts = [f"# {title}", "; ".join(facts)]
    for section in sections:
        parts += [f"## {section.title}", section.intro, table(section.table) if section.table else ""]
        parts.append("\n".join(f"- {line}" for line in section.points))
        parts += [f"![{plot.caption}]({plot_files[plot.name]})" for plot in section.plots]
    if sample:
        parts += ["## Episodes", _episodes(sample)]
    if files:
        parts += ["## Where the files are", "\n".join(f"- [{name}]({name}): {what}" for name, what in files)]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(content: Table) -> str:
    """The table in Markdown."""
    rows = [
        [f"**{row[0]}**", *row[1:]] if index in content.strong else list(row) for index, row in enumerate(content.rows)
    ]
    lines = [list(content.head), ["---", *("---:" for _ in content.head[1:])], *rows]
    # A name may contain a vertical bar.
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _episodes(evaluation: Evaluation) -> str:
    """The number of sets of each kind, and the first episode of each of the first three kinds that there are."""
    counts = "; ".join(f"{kind}: {count}" for kind, count in evaluation.kind_counts().items())
    shown = [(kind, found[0]) for kind in KINDS if (found := evaluation.of_kind(kind))][:3]
    intro = (
        f"{evaluation.name} has {len(evaluation.episodes)} sets: {counts}. The first set of each of three kinds, not a "
        "selected one:"
    )
    return "\n\n".join([intro, *(f"### {kind.capitalize()}\n\n{_episode(episode)}" for kind, episode in shown)])


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
    """A code block. Its fence is longer than any run of backticks in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"
