"""The overview's pictures: who judged when, what is left and until when, which batch, whose money."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from django.utils import timezone

from annotations.judging.progress import BatchProgress, Progress, batches_of
from annotations.projects.models import Annotator, Project
from app.ledger.models import Account
from app.web.plots import Plot, Row, bar_plot, line_plot, stacked_plot

from . import tallies
from .burn_down import DAYS, full_days, highest, what_is_left
from .earnings import HOUR_MS
from .forecast import Forecast, forecast
from .tallies import Given

PEOPLE_SHOWN = 100
HUMAN = Annotator.Kind.HUMAN.value


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One person on the overview."""

    annotator: Annotator
    given: Given

    @property
    def hours(self) -> float:
        return self.given.active_ms / HOUR_MS

    @property
    def rate(self) -> float | None:
        """Answers an active hour, over those with a known time; None below a minute."""
        return self.given.timed / self.hours if self.given.active_ms >= 60_000 else None


@dataclass(frozen=True, slots=True)
class Pictures:
    """What the overview shows below its numbers; a plot is None where there is nothing to draw."""

    days: Plot | None
    burn_down: Plot | None
    forecast: Forecast
    sentence: str
    batches: Plot | None
    batch_rows: list[BatchProgress]
    people: list[PersonRow]
    more_people: bool
    budget: Plot | None


def pictures_of(
    project: Project, progress: Progress, account: Account | None, *, today: date | None = None
) -> Pictures:
    """Everything at once, from tallies and kept counts: some ten small queries at any size."""
    today = today or timezone.now().date()
    tallies.catch_up_if_much(project)
    days = tallies.by_day(project, since=today - timedelta(days=DAYS - 1))
    answers = tallies.answered(days)
    pace = forecast(progress.votes_left, full_days(answers, today))
    rows = batches_of(project)
    people = people_of(project)
    return Pictures(
        days=_days_plot(days, today),
        burn_down=_burn_down(progress.votes_left, answers, pace, today),
        forecast=pace,
        sentence=forecast_sentence(progress.votes_left, pace, today),
        batches=_batches_plot(rows),
        batch_rows=rows,
        people=people[:PEOPLE_SHOWN],
        more_people=len(people) > PEOPLE_SHOWN,
        budget=_budget_plot(account),
    )


def people_of(project: Project) -> list[PersonRow]:
    """Who has judged here, the latest first; people whose judgments came from files have never been seen."""
    given = tallies.by_person(project)
    people = Annotator.objects.filter(project=project, kind=HUMAN)
    known = people.filter(pk__in=given) | people.filter(n_judged__gt=0)
    rows = [PersonRow(person, given.get(person.pk, Given())) for person in known.distinct()[:2000]]
    never = datetime.min.replace(tzinfo=timezone.get_current_timezone())
    rows.sort(key=lambda row: (row.given.last_at or never, row.annotator.n_judged), reverse=True)
    return rows


def forecast_sentence(left: int, pace: Forecast, today: date) -> str:
    """When the work is done, in words; or why that cannot be told."""
    if pace.days is None:
        return pace.why
    about = f"{left:,} judgments are left at about {pace.pace:,.0f} a day"
    if pace.days > 3650:
        return f"{about}: that takes more than ten years."
    until = today + timedelta(days=round(pace.days))
    soonest = today + timedelta(days=round(pace.fastest))
    if pace.slowest is None or pace.slowest > 3650:
        latest = f"not before {_day(soonest)}, and with days so uneven no latest day can be told"
    else:
        latest = f"between {_day(soonest)} and {_day(today + timedelta(days=round(pace.slowest)))}"
    return f"{about}, so around {_day(until)} ({latest}; 90 %, from {pace.n} full days)."


def _day(day: date) -> str:
    return f"{day.day} {day:%b %Y}"


def _days_plot(days: dict[tuple[str, date], Given], today: date) -> Plot | None:
    if not days:
        return None
    shown = [today - timedelta(days=n) for n in range(DAYS - 1, -1, -1)]
    by_people = [days[HUMAN, day].given if (HUMAN, day) in days else 0 for day in shown]
    by_models = [
        sum(found.given for (kind, at), found in days.items() if at == day and kind != HUMAN) for day in shown
    ]
    series = [("People", "human", by_people), ("Models", "lm", by_models)]
    plot = stacked_plot(
        [f"{day.day} {day:%b}" for day in shown],
        [each for each in series if any(each[2])] or series[:1],
        title="Judgments a day",
        x_label="Day (UTC)",
        y_label="Judgments",
        caption=f"Given here in the last {DAYS} days, corrections and skips included; imported ones are not.",
    )
    return replace(
        plot, rows=[[f"{day:%Y-%m-%d}", *row[1:]] for day, row in zip(shown[::-1], plot.rows, strict=True)]
    )


def _burn_down(left: int, answers: dict[date, int], pace: Forecast, today: date) -> Plot | None:
    """Human judgments still wanted; None where nobody answered in these days."""
    series = what_is_left(left, answers, pace, today, "human")
    if not series:
        return None
    return line_plot(
        series,
        title="Judgments left",
        x_label="Days from today",
        y_label="Human judgments wanted",
        y_range=(0, max(4, highest(series))),
        caption="The past is reckoned back from what is left now by the answers of each day; items added, withdrawn or "
        "routed anew in between are not seen in it.",
        height=280,
        newest=True,
    )


def _batches_plot(rows: list[BatchProgress]) -> Plot | None:
    if len(rows) < 2:
        return None
    return bar_plot(
        [Row(row.name or "No batch", row.share, n=row.n, kind="human") for row in rows[:30]],
        title="Completion by batch",
        value_label="Items with the people they need",
        percent=True,
        whole=True,
        caption="" if len(rows) <= 30 else f"The first 30 of {len(rows)} batches.",
    )


def _budget_plot(account: Account | None) -> Plot | None:
    if account is None or not account.cap_micros:
        return None
    rows = [
        Row("Spent", float(account.spent), kind="accent"),
        Row("Held for work under way", float(account.held), kind="baseline"),
        Row("Left", float(account.left), kind="baseline"),
    ]
    return bar_plot(
        rows,
        title="Budget",
        value_label=f"{account.currency} of {account.cap:,.2f}",
        caption="Nothing is spent beyond the cap, whatever runs at once.",
    )
