"""A burn-down: what is left of something, reckoned back by what each day used and ahead by the pace."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from app.web.plots import Point, Series

from .forecast import Forecast

DAYS = 30  # that are looked back on, today among them
PACE_DAYS = 14  # full days that a pace is taken from
FARTHEST = 120  # days of forecast that are drawn


def full_days(used: Mapping[date, float], today: date) -> list[float]:
    """What was used on each of the last 14 full days, oldest first; today is not over."""
    return [used.get(today - timedelta(days=n), 0) for n in range(PACE_DAYS, 0, -1)]


def what_is_left(
    left: float, used: Mapping[date, float], pace: Forecast, today: date, tone: str
) -> list[Series]:
    """The line so far in this tone, and the one at this pace with its interval; x is days from today.

    Empty where none of the days used anything: a level line would claim a past that is not known.
    """
    if not any(used.values()):
        return []
    past, then = [], left
    for back in range(DAYS):
        past.append(Point(-back, then))
        then += used.get(today - timedelta(days=back), 0)
    series = [Series("Left", past[::-1], tone)]
    if pace.days is not None:
        end = min(FARTHEST, max(1, round(pace.days)))
        ahead = [Point(0, left)]
        for day in sorted({*range(1, end + 1, max(1, end // 12)), end}):
            low, high = max(0.0, left - pace.pace_hi * day), max(0.0, left - pace.pace_lo * day)
            ahead.append(Point(day, max(0.0, left - pace.pace * day), low, high))
        series.append(Series("At this pace", ahead, "baseline"))
    return series


def highest(series: list[Series]) -> float:
    """The top of the lines, without their intervals."""
    return max(point.y for each in series for point in each.points)
