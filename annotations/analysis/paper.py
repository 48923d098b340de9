"""The paper pack: methods in words, every table as CSV, every plot as SVG; numbers as on the pages."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile

from annotations.projects.models import Project
from app.web.downloads import plain_cell
from app.web.standalone import standalone

from . import figures, pages, reports

METHODS = """# {name}: agreement, rankings, bias

Made by Plumbline from the votes in version `{version}`: {n_comparisons:,} comparisons and {n_scores:,} scores. The same
version gives the same numbers. One folder per report; `report.json` holds everything at full precision.

## Agreement
The share of agreeing votes weighs every item alike. Krippendorff's alpha is computed for nominal, ordinal and interval
distances with missing data (Krippendorff 2004), Fleiss' kappa (1971), Gwet's AC1 and AC2 with quadratic weights (2008, 2014).
Agreement of people with models compares one vote of each on the same item, with the disagreement expected from the two
groups' own shares (Wong, Paritosh & Aroyo 2021); with one annotator each this is Cohen's kappa. Judgments without a verdict
are left out ({unjudged:,}).

## Intervals
95 % intervals are t intervals with two-way clustered variance, items + annotators - votes, each part by the jackknife that
leaves out one cluster (Cameron, Gelbach & Miller 2011). With fewer than eight people, and for models, they are over items
alone; each table says which.

## Rankings
Bradley-Terry ratings in natural log-odds with mean zero, ties as half a win each, with sandwich covariance clustered as above.
A model whose votes are all on one item has no bounds; votes without any spread count as one independent vote per item.
Sets of ranks hold for all models at once (Mogstad, Romano, Shaikh & Wilhelm 2024). "Form held equal" adds the standardised
differences of words, headings, list items and bold spans as covariates. Win rates that combine people and a model are PPI++
(Angelopoulos, Duchi & Zrnic 2023), or AIPW where items were routed to people with known probabilities.

## Bias
Shares of decided verdicts. A model's share minus people's is paired over the items that both decided.

## Annotators
"Right" is the expected share of right votes under Dawid & Skene's (1979) model, "competence" MACE's (Hovy et al. 2013),
"ability" GLAD's (Whitehill et al. 2009). The peer score is correlated agreement (Shnayder et al. 2016), averaged over all peers. The alternative annotator test follows Calderon,
Reichart & Dror (2025) with epsilon 0.2 and Benjamini-Yekutieli at 0.05.
"""


def pack(project: Project) -> bytes | None:
    """The zip, or None while a report is still being computed (a job was started)."""
    found = {name: reports.find(project, name) for name in reports.NAMES}
    if any(each.report is None or each.stale for each in found.values()):
        return None
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        head = found["agreement"].report
        archive.writestr("methods.md", METHODS.format(name=project.name, **head))
        for name, each in found.items():
            archive.writestr(f"{name}/report.json", json.dumps(each.report, indent=1, ensure_ascii=False))
            first = pages.PAGES[name](each.report)
            for chosen in range(max(1, len(first.choices))):
                page = pages.PAGES[name](each.report, chosen)
                folder = f"{name}/{_slug(page.choices[chosen])}" if page.choices else name
                archive.writestr(f"{folder}/summary.txt", page.lede + "\n")
                for section in page.sections:
                    if section.plot is not None:
                        archive.writestr(f"{folder}/{section.name}.svg", standalone(section.plot.svg))
                    if section.table is not None:
                        archive.writestr(f"{folder}/{section.table.name}.csv", csv_text(section.table))
    return buffer.getvalue()


def csv_text(table: figures.Table) -> str:
    """The table as CSV that a spreadsheet may open without running what is in it."""
    header, rows = table.csv()
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow([plain_cell(name) for name in header])
    writer.writerows([[plain_cell(cell) for cell in row] for row in rows])
    return stream.getvalue()


def _slug(words: str) -> str:
    return re.sub(r"[^\w.-]+", "-", words).strip("-.")[:80] or "all"
