"""A whole study of twenty participants: some return, some time out, some are disqualified."""

from __future__ import annotations

import random

import pytest
from django.db.models import Count

from annotations.items.models import Item
from annotations.judging.models import Assignment, Judgment
from annotations.judging.verify import verify_counts
from annotations.people import panel_file
from annotations.people.models import Participant, Place
from annotations.projects.models import Annotator
from tests.people.study import PID, Browser, answer_next, open_study

pytestmark = pytest.mark.django_db

ITEMS, OVERLAP, PER_PLACE = 16, 3, 4


def test_a_study_of_twenty_completes(project, make_item, alice):
    """12 complete places of 4 items are 48 judgments: 16 items, three people each, and nobody twice on an item."""
    for n in range(ITEMS):
        make_item(prompt=f"Question {n}?", external_id=f"i{n}", wanted=OVERLAP)
    open_study(project, items_per_place=PER_PLACE)
    dice = random.Random(11)
    people = [Browser(project, n) for n in range(20)]
    leaves = {
        **dict.fromkeys((1, 4, 9), "returns"),
        **dict.fromkeys((6,), "withdraws"),
        **dict.fromkeys((2, 12), "vanishes"),
        **dict.fromkeys((3, 15), "fails"),
    }
    working, codes, timed_out = list(range(8)), {}, []
    waiting = list(range(8, 20))
    for n in working:
        assert people[n].enter().status_code == 302
    for _ in range(2000):
        if not working:
            break
        n = dice.choice(working)
        browser, gone = people[n], False
        done = Judgment.objects.filter(annotator__participant__person=PID.format(n)).count()
        if done == 2 and n in leaves:
            gone = True
            if leaves[n] in {"returns", "withdraws"}:
                browser.next()  # with an item in hand
                withdraw = {"withdraw": "1"} if leaves[n] == "withdraws" else {}
                browser.client.post("/work/pairs/place/return/", withdraw)
            elif leaves[n] == "vanishes":
                browser.next()
                timed_out.append(n)
            else:
                Annotator.objects.filter(participant__person=PID.format(n)).update(stage="failed")
                codes[n] = _code(browser)
        elif answer_next(browser) is None:
            codes[n] = _code(browser)
            gone = True
        if gone:
            working.remove(n)
            if len(timed_out) == 2:  # the researcher uploads what Prolific says, now and then
                rows = "\n".join(f"session-{t},{PID.format(t)},TIMED-OUT" for t in timed_out)
                report = panel_file.apply(
                    project=project,
                    content=f"Submission id,Participant id,Status\n{rows}".encode(),
                    give_back=True,
                    actor=alice,
                )
                assert (report.ended, report.problems) == (2, [])
                timed_out.clear()
            if waiting:
                late = waiting.pop(0)
                if people[late].enter().url.endswith("/place/"):
                    codes[late] = _code(people[late])
                else:
                    working.append(late)
    assert not working
    items = Item.objects.annotate(n=Count("judgments", filter=_current()))
    assert {(i.n_human, i.n, i.open_slots, i.n_leased) for i in items} == {(3, 3, 0, 0)}
    per_item = (
        Judgment.objects.filter(is_current=True).values("item").annotate(p=Count("annotator", distinct=True))
    )
    assert {row["p"] for row in per_item} == {3}
    assert Assignment.objects.filter(state="leased").count() == 0
    states = dict(Place.objects.values_list("state").annotate(n=Count("pk")))
    assert (states["returned"], states["timed_out"]) == (4, 2)
    assert states["screened_out"] + states["complete"] + states.get("no_work", 0) == 14
    assert not Place.objects.filter(state="active").exists()
    by_state = {
        "complete": "DONE123",
        "screened_out": "OUT456",
        "no_work": "LATE789",
        "returned": "",
        "timed_out": "",
    }
    for place in Place.objects.select_related("participant"):
        n = int(place.participant.person[-2:])
        assert place.code == by_state[place.state] == codes.get(n, "")
        if place.state == "complete":
            assert place.judged == PER_PLACE
        assert place.judged <= PER_PLACE
    assert Participant.objects.count() == Place.objects.count() == 20
    assert list(verify_counts(project=project)) == []


def _current():
    from django.db.models import Q

    return Q(judgments__is_current=True)


def _code(browser: Browser) -> str:
    import re

    return re.search(
        r'completion-code">([A-Z0-9]+)<', browser.client.get("/work/pairs/place/").content.decode()
    )[1]
