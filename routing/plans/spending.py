"""What a project's money and labels went to, how fast, and until when they last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from django.db.models import Count, Max, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from annotations.judging import label_cap
from annotations.judging.models import Judgment, LabelCap
from annotations.lm.models import Reply
from annotations.people import alerts, tallies
from annotations.people.burn_down import DAYS, PACE_DAYS, full_days, highest, what_is_left
from annotations.people.forecast import Forecast, forecast
from annotations.people.models import PayLine
from annotations.projects import rules
from annotations.projects.models import Annotator, Project
from app.ledger.models import MICROS, Account, Reservation
from app.web.plots import Plot, line_plot

from .models import GpuCharge

LINES = 200
PURPOSES = {
    "pay": "Pay of people",
    "bonus": "Bonuses",
    "lm.call": "Calls of models",
    "gpu": "GPU workers",
    "plan": "Judgments under plans",
}


@dataclass(frozen=True, slots=True)
class Line:
    """What one person, model or GPU job cost. Money in the account's currency; `owed` is not covered by the budget."""

    kind: str
    name: str
    amount: Decimal
    n: int
    unit: str
    owed: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class BurnDown:
    """One cap over time: what is left, the pace, and the days it lasts (see `forecast.Forecast`)."""

    what: str
    unit: str
    left: float
    used_words: str
    pace: Forecast
    sentence: str
    plot: Plot | None

    @property
    def days(self) -> dict | None:
        """Days until the cap is reached, {"value", "lo", "hi", "n"}; hi is None where it has no end."""
        if self.pace.days is None:
            return None
        return {"value": self.pace.days, "lo": self.pace.fastest, "hi": self.pace.slowest, "n": self.pace.n}


@dataclass(frozen=True, slots=True)
class Queue:
    """Who could judge, and how much: `most` is what a plan may send there (a model: judges in all), None for no limit."""

    key: str
    kind: str
    name: str
    people: int
    pace: float | None
    judged: int
    most: int | None
    price: Decimal | None


@dataclass(frozen=True, slots=True)
class Budget:
    """All that the budget page says of a project."""

    account: Account | None
    labels: LabelCap | None
    warnings: list[alerts.Warned]
    by_purpose: list[tuple[str, Decimal, Decimal]]
    lines: list[Line]
    burn: list[BurnDown]
    queues: list[Queue]


def budget_of(project: Project, *, today: date | None = None) -> Budget:
    """The project's budget; some fifteen queries at any size."""
    today = today or timezone.now().date()
    account = Account.objects.filter(pk=project.account_id).first()
    labels = label_cap.of(project)
    days = tallies.by_day(project, since=today - timedelta(days=DAYS - 1))
    answers = tallies.answered(days)
    burn = []
    if account is not None and account.cap_micros:
        spent = {day: float(amount) for day, amount in _spent_by_day(account, today).items()}
        words = f"{account.used:,.2f} of {account.cap:,.2f} {account.currency}"
        burn.append(_burn("money", account.currency, float(account.cap - account.spent), words, spent, today))
    if labels is not None:
        words = f"{labels.used:,} of {labels.cap:,}"
        burn.append(_burn("labels", "human labels", labels.cap - labels.given, words, answers, today))
    return Budget(
        account=account,
        labels=labels,
        warnings=alerts.warnings_of(project, account),
        by_purpose=_by_purpose(account),
        lines=_lines(project),
        burn=burn,
        queues=queues_of(project),
    )


def _spent_by_day(account: Account, today: date) -> dict[date, Decimal]:
    rows = (
        Reservation.objects.filter(
            account=account,
            state=Reservation.State.SETTLED,
            closed_at__date__gt=today - timedelta(days=DAYS),
        )
        .annotate(day=TruncDate("closed_at"))
        .values_list("day")
        .annotate(micros=Sum("settled_micros"))
        .order_by()
    )
    return {day: Decimal(micros or 0) / MICROS for day, micros in rows}


def _by_purpose(account: Account | None) -> list[tuple[str, Decimal, Decimal]]:
    """(words, spent, held), the dearest first."""
    if account is None:
        return []
    sums: dict[str, list[int]] = {}
    rows = Reservation.objects.filter(account=account).values_list("purpose", "state")
    for purpose, state, settled, amount in rows.annotate(
        s=Sum("settled_micros"), a=Sum("amount_micros")
    ).order_by():
        each = sums.setdefault(purpose, [0, 0])
        if state == Reservation.State.SETTLED:
            each[0] += settled or 0
        elif state == Reservation.State.HELD:
            each[1] += amount
    found = [
        (PURPOSES.get(purpose, purpose), Decimal(spent) / MICROS, Decimal(held) / MICROS)
        for purpose, (spent, held) in sums.items()
        if spent or held
    ]
    return sorted(found, key=lambda row: -(row[1] + row[2]))


def _lines(project: Project) -> list[Line]:
    """What each person, model and GPU job cost, the dearest first within each kind."""
    people = (
        PayLine.objects.filter(annotator__project=project)
        .values_list("annotator__name")
        .annotate(paid=Sum("paid_micros"), items=Sum("items"), owed=Max("annotator__wage__owed_micros"))
        .order_by("-paid")[:LINES]
    )
    models = (
        Reply.objects.filter(project=project, state=Reply.State.DONE)
        .values_list("annotator__name")
        .annotate(cost=Sum("cost_micros"), n=Count("pk"))
        .order_by("-cost")[:LINES]
    )
    jobs = GpuCharge.objects.filter(project=project).order_by("-micros")[:LINES]
    money = lambda micros: Decimal(micros or 0) / MICROS  # noqa: E731
    return [
        *(
            Line("human", name, money(paid), items, "items", money(owed))
            for name, paid, items, owed in people
        ),
        *(Line("lm", name, money(cost), n, "calls") for name, cost, n in models),
        *(
            Line(
                "gpu",
                row.title,
                row.amount if row.paid else Decimal(0),
                round(row.seconds),
                "seconds",
                Decimal(0) if row.paid else row.amount,
            )
            for row in jobs
        ),
    ]


def _burn(what: str, unit: str, left: float, words: str, used: dict[date, float], today: date) -> BurnDown:
    pace = forecast(left, full_days(used, today))
    sentence, plot = _sentence(what, unit, left, pace, today), _plot(unit, left, used, pace, today)
    return BurnDown(what, unit, left, words, pace, sentence, plot)


def _amount(what: str, value: float) -> str:
    return f"{value:,.2f}" if what == "money" else f"{value:,.0f}"


def _sentence(what: str, unit: str, left: float, pace: Forecast, today: date) -> str:
    if left <= 0:
        return "The cap is reached."
    if pace.days is None:
        return pace.why.replace("judged", "used any of it").replace("Work began", "Its use began")
    about = f"{_amount(what, left)} {unit} are left at about {_amount(what, pace.pace)} a day"
    if pace.days > 3650:
        return f"{about}: that lasts more than ten years."
    when = lambda days: f"{today + timedelta(days=round(days)):%-d %b %Y}"  # noqa: E731
    if pace.slowest is None or pace.slowest > 3650:
        span = f"not before {when(pace.fastest)}, and with days so uneven no latest day can be told"
    else:
        span = f"between {when(pace.fastest)} and {when(pace.slowest)}"
    return f"{about}, so it lasts until around {when(pace.days)} ({span}; 90 %, from {pace.n} full days)."


def _plot(unit: str, left: float, used: dict[date, float], pace: Forecast, today: date) -> Plot | None:
    """What is left over time; None where nothing was used in these days."""
    series = what_is_left(left, used, pace, today, "accent")
    if not series:
        return None
    return line_plot(
        series,
        title=f"{unit[0].upper()}{unit[1:]} left",
        x_label="Days from today",
        y_label=f"Left ({unit})",
        y_range=(0, highest(series) or 1),
        caption="The past is reckoned back from today by what was used each day; changes of the cap are not seen in it.",
        height=280,
        newest=True,
    )


# --- Queues -------------------------------------------------------------------------------------------------
def queues_of(project: Project, *, now=None) -> list[Queue]:
    """Everybody, the experts by tag, and each model: how many people, their pace, and what limits them."""
    now = now or timezone.now()
    budget = rules.of(project).budget
    people = list(
        Annotator.objects.filter(
            project=project,
            kind=Annotator.Kind.HUMAN,
            status=Annotator.Status.ACTIVE,
            user__isnull=False,
        ).values_list("pk", "tags", "n_judged")
    )
    recent = _answers_per_day(project, now)
    tags = sorted({tag for _, mine, _ in people for tag in mine} | set(budget.experts))
    found = [
        _people("people", "People", people, recent, budget.people, project),
        *(
            _people(
                f"expert:{tag}",
                tag,
                [row for row in people if tag in row[1]],
                recent,
                budget.experts.get(tag),
                project,
            )
            for tag in tags
        ),
    ]
    models = Annotator.objects.filter(project=project, kind=Annotator.Kind.LM).order_by("name")
    for model in models:
        found.append(
            Queue(
                f"lm:{model.pk}",
                "lm",
                model.name,
                0,
                None,
                model.n_judged,
                budget.models.get(str(model.pk)),
                None,
            )
        )
    return found


def _people(key, name, people, recent, most, project) -> Queue:
    pace = sum(recent.get(pk, 0) for pk, *_ in people) / PACE_DAYS
    kind = "human" if key == "people" else "expert"
    judged = sum(n for *_, n in people)
    return Queue(key, kind, name, len(people), pace, judged, most, project.human_cost or None)


def _answers_per_day(project: Project, now) -> dict[int, int]:
    rows = (
        Judgment.objects.filter(
            project=project,
            annotator__kind=Annotator.Kind.HUMAN,
            outcome__in=["answered", "cannot_judge"],
            received_at__gte=now - timedelta(days=PACE_DAYS),
        )
        .exclude(origin=Judgment.Origin.IMPORT)
        .values_list("annotator")
        .annotate(n=Count("pk"))
        .order_by()
    )
    return dict(rows)


def sentence(budget: Budget) -> str:
    """The first line of the page."""
    parts = []
    if budget.account is not None and budget.account.cap_micros:
        a = budget.account
        parts.append(f"{a.left:,.2f} of {a.cap:,.2f} {a.currency} are left")
    if budget.labels is not None:
        parts.append(f"{budget.labels.left:,} of {budget.labels.cap:,} human labels are left")
    if not parts:
        return "Nothing is capped here: money cannot be spent, and people may give any number of labels."
    if budget.labels is None:
        parts.append("human labels are not capped")
    text = ", and ".join(parts)
    return f"{text[0].upper()}{text[1:]}."
