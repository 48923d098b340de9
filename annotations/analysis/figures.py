"""What a report's page is made of: a sentence, plots, and tables whose numbers the CSV files and the paper pack share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.web.plots import Plot, Row, interval_plot

GROUPS = {"human": "People", "lm": "Models", "human-lm": "People with models"}
MOST_ROWS = 25
MOST_SHOWN = 100  # rows of a table on a page


@dataclass(frozen=True)
class Table:
    """head: column names; rows: cells that are texts, numbers, estimates or None."""

    name: str
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[object]]
    note: str = ""
    percent: frozenset[str] = frozenset()
    """Columns shown as percentages."""

    @property
    def shown(self) -> list[int]:
        """The columns that say anything; a page leaves the others out, a file does not."""
        return [
            i for i in range(len(self.head)) if not i or any(row[i] not in (None, "") for row in self.rows)
        ]

    @property
    def columns(self) -> list[dict]:
        """For `parts/table_scroll.html`."""
        numbers = (dict, int, float)
        return [
            {"label": self.head[i], "numeric": any(isinstance(row[i], numbers) for row in self.rows)}
            for i in self.shown
        ]

    @property
    def cells(self) -> list[list[str]]:
        """The first `MOST_SHOWN` rows as a page shows them."""
        shown, percent = self.shown, [name in self.percent for name in self.head]
        return [[say(row[i], percent[i]) for i in shown] for row in self.rows[:MOST_SHOWN]]

    @property
    def left_out(self) -> str:
        """What a page does not show, in words."""
        if len(self.rows) <= MOST_SHOWN:
            return ""
        return f"The first {MOST_SHOWN} of {len(self.rows):,}; the CSV file has all."

    def csv(self) -> tuple[list[str], list[list[object]]]:
        """(header, rows) with every estimate as four columns, at full precision."""
        wide = [any(isinstance(row[i], dict) for row in self.rows) for i in range(len(self.head))]
        header: list[str] = []
        for name, is_wide in zip(self.head, wide, strict=True):
            header += [name, f"{name} low", f"{name} high", f"{name} n"] if is_wide else [name]
        rows = []
        for row in self.rows:
            cells: list[object] = []
            for cell, is_wide in zip(row, wide, strict=True):
                if not is_wide:
                    cells.append("" if cell is None else cell)
                elif isinstance(cell, dict):
                    cells += [cell["value"], cell["lo"], cell["hi"], cell["n"]]
                else:
                    cells += ["", "", "", ""]
            rows.append(cells)
        return header, rows


@dataclass(frozen=True)
class Section:
    """A plot, a table, or a table beneath its plot; `text` says what to see."""

    title: str
    plot: Plot | None = None
    table: Table | None = None
    text: str = ""
    name: str = ""


@dataclass(frozen=True)
class Page:
    """What one report's page says about one choice (source, aspect, judges)."""

    lede: str
    choices: list[str] = field(default_factory=list)
    chosen: int = 0
    sections: list[Section] = field(default_factory=list)


def points(estimate: dict) -> str:
    """A difference of shares in percentage points: 26.2 [21.4, 30.9]."""
    value, lo, hi = (number(estimate[key], True, False) for key in ("value", "lo", "hi"))
    return f"{value} [{lo}, {hi}]"


def say(cell: object, percent: bool = False) -> str:
    """A cell in words: estimates as 0.61 [0.58, 0.64], "–" for nothing."""
    if cell is None:
        return "–"
    if isinstance(cell, dict):
        value = number(cell["value"], percent)
        if cell["lo"] is None:
            return value
        return f"{value} [{number(cell['lo'], percent, False)}, {number(cell['hi'], percent, False)}]"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return number(cell, percent)
    return str(cell)


def number(value: float, percent: bool = False, unit: bool = True) -> str:
    """A number with the digits a reader needs."""
    if percent:
        words = f"{100 * value:.1f}{' %' if unit else ''}"
    else:
        words = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3f}"
    return words.replace("-", "−")


def counted(n: int, one: str, many: str = "") -> str:
    """A number with its noun: 1 item, 2 items."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def label_of(row: dict, *keys: str) -> str:
    return " · ".join(str(row[key]) for key in keys if row.get(key))


def choose(labels: list[str], chosen: int) -> tuple[list[str], int]:
    names = list(dict.fromkeys(labels))
    return names, chosen if 0 <= chosen < len(names) else 0


def plot_rows(pairs: list[tuple[str, dict | None, str]]) -> list[Row]:
    return [
        Row(label, e["value"], e["lo"], e["hi"], e["n"], kind) for label, e, kind in pairs if e is not None
    ]


def intervals(rows: list[Row], **words) -> Plot | None:
    """A plot of the first rows; None without any, so that no empty frame stands on a page."""
    return interval_plot(rows[: 2 * MOST_ROWS], **words) if rows else None


KIND = {"human": "human", "lm": "lm", "human-lm": "accent", "reward_model": "model", "baseline": "baseline"}
KIND_WORDS = {"human": "person", "lm": "model", "reward_model": "reward model", "baseline": "baseline"}
