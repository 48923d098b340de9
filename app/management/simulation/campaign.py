"""Runs a simulated campaign through the real queue and submit, and counts what came of it from the stored rows."""

from __future__ import annotations

import heapq
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import connections, transaction
from django.db.models import Count, F, Q

from annotations.items.models import Item, Response
from annotations.judging import extra_votes, queue, verify
from annotations.judging.counters import ANSWERS
from annotations.judging.models import Assignment, Judgment
from annotations.judging.submit import submit
from annotations.projects import schemas
from annotations.projects.models import Annotator, Project
from app.web.rendering import plain_text, render_markdown

from .copies import truth_of
from .people import Habits, Simulated

LOOK_EVERY = 500
EMPTY_ROUNDS = 2


@dataclass(slots=True)
class Outcome:
    """What a campaign did. Times in milliseconds."""

    judgments: int = 0
    outcomes: Counter = field(default_factory=Counter)
    per_person: Counter = field(default_factory=Counter)
    seconds: float = 0.0
    claim_ms: list[float] = field(default_factory=list)
    submit_ms: list[float] = field(default_factory=list)
    over_quota: set[int] = field(default_factory=set)
    """Items seen with more live and counted assignments than they want, at any look."""
    right: int = 0
    decided: int = 0
    """Pairs with a preference, and those of them that fit the latent truth."""


class Campaign:
    """People at work: the one whose simulated clock is earliest takes the next item, with `workers` at a time.

    With one worker everything follows from the seed. Items are claimed with `queue.next_assignment` and answered
    with `submit`, as the page does.
    """

    def __init__(
        self,
        *,
        project: Project,
        people: list[Annotator],
        habits: Habits,
        seed: int,
        workers: int = 1,
        progress: Callable[[int, int | None, str], None] = lambda done, total, message: None,
    ):
        self.project, self.seed, self.workers, self.progress = project, seed, workers, progress
        self.people = {person.pk: person for person in people}
        self.minds = {
            person.pk: Simulated(habits, f"{seed}:{number}") for number, person in enumerate(people)
        }
        self.outcome = Outcome()
        self._clock = [(0.0, number, person.pk) for number, person in enumerate(people)]
        heapq.heapify(self._clock)
        self._resting: list[tuple[float, int, int]] = []
        self._busy = self._empty_rounds = self._since_rest = 0
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._total = _still_wanted(project)

    def run(self) -> Outcome:
        """Until nothing is left for anybody. Raises what a worker met."""
        started = time.perf_counter()
        if self.workers == 1:
            self._work()
        else:
            threads = [threading.Thread(target=self._in_thread, daemon=True) for _ in range(self.workers)]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                self._report()
                for thread in threads:
                    thread.join(0.2)
        if self._error is not None:
            raise self._error
        self.outcome.seconds = time.perf_counter() - started
        self._look()
        return self.outcome

    def _in_thread(self) -> None:
        try:
            self._work()
        except BaseException as error:
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()
        finally:
            connections.close_all()

    def _work(self) -> None:
        while (turn := self._next_turn()) is not None:
            at, number, pk = turn
            busy_for = None
            try:
                busy_for = self._one_item(pk)
            finally:
                with self._changed:
                    self._busy -= 1
                    if busy_for is None:
                        self._resting.append(turn)
                    else:
                        self._since_rest += 1
                        heapq.heappush(self._clock, (at + busy_for, number, pk))
                    self._changed.notify_all()
            if self.workers == 1:
                self._report()
            if busy_for is not None and self.outcome.judgments % LOOK_EVERY == 0:
                self._look()

    def _next_turn(self) -> tuple[float, int, int] | None:
        """Whose turn it is; None when everybody looked twice and nothing was left for any of them."""
        with self._changed:
            while True:
                if self._error is not None:
                    return None
                if self._clock:
                    self._busy += 1
                    return heapq.heappop(self._clock)
                if self._busy:
                    self._changed.wait(1)
                    continue
                self._empty_rounds = 0 if self._since_rest else self._empty_rounds + 1
                if self._empty_rounds >= EMPTY_ROUNDS or not self._resting:
                    return None
                self._since_rest = 0
                self._clock, self._resting = self._resting, []
                heapq.heapify(self._clock)

    def _one_item(self, pk: int) -> float | None:
        """Take and answer one item; returns how many simulated seconds that took, None if there was none."""
        person = self.people[pk]
        began = time.perf_counter()
        assignment = queue.next_assignment(person)
        claimed = time.perf_counter()
        if assignment is None:
            return None
        item, order = assignment.item, assignment.presented_order
        responses = list(Response.objects.filter(item=item).order_by("index").values_list("text", flat=True))
        _, definition = schemas.load(self.project.schema_id)
        truth = truth_of(item, self.seed)
        answer = self.minds[pk].judge(
            definition,
            truth,
            order,
            [len(text) for text in responses],
            lambda index: plain_text(render_markdown(responses[index])),
        )
        answering = time.perf_counter()
        submit(
            annotator=person,
            item_id=item.pk,
            schema_id=self.project.schema_id,
            uuid=uuid.uuid4(),
            answer=answer,
            origin=Judgment.Origin.API,
            assignment_id=assignment.pk,
        )
        done = time.perf_counter()
        with self._changed:
            found = self.outcome
            found.judgments += 1
            found.outcomes[str(answer.outcome)] += 1
            found.per_person[pk] += answer.outcome in ANSWERS
            found.claim_ms.append(1000 * (claimed - began))
            found.submit_ms.append(1000 * (done - answering))
            for c in answer.comparisons[:1]:
                if c.preference and truth[c.first] != truth[c.second]:
                    found.decided += 1
                    found.right += (c.preference > 0) == (truth[c.second] > truth[c.first])
        return answer.active_ms / 1000

    def _report(self) -> None:
        done = self.outcome.judgments
        self.progress(done, max(self._total, done), "Judging")

    def _look(self) -> None:
        """Note every item that has more people on it than it wants, counted from assignments and judgments."""
        self.outcome.over_quota |= set(over_quota(self.project))


def _still_wanted(project: Project) -> int:
    open_items = Item.objects.filter(project=project).filter(Q(open_slots__gt=0) | Q(expert_slots__gt=0))
    return sum(a + b for a, b in open_items.values_list("open_slots", "expert_slots"))


def over_quota(project: Project) -> list[int]:
    """Ids of items with more live leases and people with a current answer than they want, from the rows.

    Both are read in one transaction, so that somebody who submits meanwhile is not counted twice.
    """
    with transaction.atomic():
        items = Item.objects.filter(project=project, wanted__gt=0)
        taken = Counter(
            dict(
                Assignment.objects.filter(
                    item__project=project, state=Assignment.State.LEASED, occasion=0, purpose="data"
                )
                .values_list("item")
                .annotate(n=Count("pk"))
            )
        )
        judged = Judgment.objects.filter(
            project=project, is_current=True, outcome__in=ANSWERS, annotator__kind=Annotator.Kind.HUMAN
        )
        taken.update(dict(judged.values_list("item").annotate(n=Count("pk"))))
        wanted = dict(
            items.filter(pk__in=[pk for pk, n in taken.items() if n > 1]).values_list("pk", "wanted")
        )
    return sorted(pk for pk, most in wanted.items() if taken[pk] > most)


def facts(project: Project, people: list[Annotator]) -> dict:
    """What is stored after a campaign, counted from the rows: duplicates, balance of sides, what is left, counters."""
    judged = Judgment.objects.filter(
        project=project, is_current=True, annotator__kind=Annotator.Kind.HUMAN, outcome__in=ANSWERS
    )
    twice = (
        Judgment.objects.filter(project=project, is_current=True)
        .values("item", "annotator")
        .annotate(n=Count("pk"))
        .filter(n__gt=1)
        .count()
    )
    lean_item, lean_person, per_item = Counter(), Counter(), Counter()
    for item, person, order in judged.values_list("item", "annotator", "presented_order").iterator():
        per_item[item] += 1
        if order in ("01", "10"):
            side = 1 if order == "01" else -1
            lean_item[item] += side
            lean_person[person] += side
    for_people = Item.objects.filter(
        project=project, withdrawn_at=None, purpose=Item.Purpose.DATA, route__in=["human", "both"]
    )
    differences = list(verify.verify_counts(project=project))
    per_person = Counter(dict(judged.values_list("annotator").annotate(n=Count("pk"))))
    counts = sorted(per_person[person.pk] for person in people)
    return {
        "items": Item.objects.filter(project=project).count(),
        "items_for_people": for_people.count(),
        "complete": for_people.filter(n_human__gte=F("wanted")).count(),
        "live_leases": Assignment.objects.filter(
            item__project=project, state=Assignment.State.LEASED
        ).count(),
        "duplicates": twice,
        "side_balance": {
            "items": max(map(abs, lean_item.values()), default=0),
            "annotators": max(map(abs, lean_person.values()), default=0),
        },
        "judgments_by_annotator": {
            "least": counts[0] if counts else 0,
            "median": counts[len(counts) // 2] if counts else 0,
            "most": counts[-1] if counts else 0,
        },
        "starved": sum(n == 0 for n in counts),
        "counter_differences": len(differences),
        "agreement_between_people": _agreement(project, list(per_item)[:2000]),
    }


def _agreement(project: Project, items: list[int]) -> dict | None:
    """The share of pairs of people with the same verdict on the same item, with n; None without any pair."""
    same = pairs = 0
    for item in Item.objects.filter(pk__in=items):
        votes = [
            vote.verdict for vote in extra_votes.votes_of([item.pk])[item.pk] if vote.verdict is not None
        ]
        for place, verdict in enumerate(votes):
            for other in votes[place + 1 :]:
                pairs += 1
                same += verdict == other
    return {"value": same / pairs, "n": pairs} if pairs else None
