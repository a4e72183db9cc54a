"""Plots as small panels: one PNG with all panels of a plot for Markdown, one inline SVG per panel for the page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from math import ceil
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from gsr_rl.files import replacing

WIDTH = 4.6  # inches of a panel
_COLUMNS = 3
_INK = "#1f2328"
# Their lightness is in the middle, so that they stand out against a white background and against a dark one.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#3b7dd8", "#d9711c", "#2e9962", "#9a63c9", "#7d8590"
_STYLE: dict[Any, Any] = {
    "axes.prop_cycle": f"cycler(color={[BLUE, ORANGE, GREEN, PURPLE, '#d1495b', '#2a9aa8', '#8f8a22', GREY]})",
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.fontsize": 8,
    "legend.handlelength": 1.4,
    "legend.handletextpad": 0.4,
    "legend.columnspacing": 1.2,
    "font.size": 9,
    # The name of a model or a benchmark is not a formula.
    "text.parse_math": False,
    # Text stays text, and two reports on the same results are the same file.
    "svg.fonttype": "none",
    "svg.hashsalt": "gsr-rl",
}


@dataclass(frozen=True)
class Panel:
    """A small plot with a title; `paint` draws it."""

    title: str
    paint: Callable[[Axes], None]
    height: float = 2.8  # inches


@dataclass(frozen=True)
class Plot:
    """Panels that belong together; `name` is that of its PNG, without suffix."""

    name: str
    caption: str
    panels: Sequence[Panel]


def save_png(plot: Plot, folder: Path) -> str:
    """Write `<folder>/<name>.png` with all panels. Returns its path relative to the page beside `folder`."""
    columns = min(_COLUMNS, len(plot.panels))
    lines = ceil(len(plot.panels) / columns)
    height = max(panel.height for panel in plot.panels) + 0.4
    with rc_context(_STYLE), replacing(folder / f"{plot.name}.png") as temporary:
        figure = Figure(figsize=(columns * WIDTH, lines * height), layout="constrained")
        parts = figure.subfigures(lines, columns, squeeze=False).flat
        for panel, part in zip(plot.panels, parts, strict=False):
            part.suptitle(panel.title)
            _paint(panel, part)
        figure.savefig(temporary, format="png", dpi=110)
    return f"{folder.name}/{plot.name}.png"


def svg(panel: Panel) -> str:
    """An `<svg>` element without a title, in the colour of the text around it."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, panel.height), layout="constrained")
        _paint(panel, figure)
        text = StringIO()
        figure.savefig(
            text, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    whole = text.getvalue()
    return whole[whole.index("<svg") :].replace(_INK, "currentColor")


def _paint(panel: Panel, figure: FigureBase) -> None:
    axes = figure.subplots()
    panel.paint(axes)
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > 1:
        columns = max(1, 75 // (max(map(len, labels)) + 6))
        figure.legend(handles, labels, loc="outside lower center", ncols=min(columns, len(labels)), frameon=False)
