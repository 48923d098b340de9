"""The items browser and the page of one item: filters, bounded looks, labels, and acts by hand."""

import re
import uuid

import pytest
from django.urls import reverse
from django.utils import timezone

from annotations.items.models import Item
from annotations.judging import item_queries, queue
from annotations.judging.answers import Answer, Call, ComparisonAnswer, ScoreAnswer
from annotations.judging.labels import Mark, Vote, final_label
from annotations.judging.models import Assignment, Judgment
from annotations.judging.submit import submit
from annotations.projects import presets, schemas
from annotations.projects.models import Annotator, Membership
from app.accounts.models import AuditEvent

pytestmark = pytest.mark.django_db
LIST = "/p/pairs/items/"


@pytest.fixture
def judge(project):
    """Store a judgment of a person or model: preference (negative = A better), or an outcome."""
    schema = schemas.add_schema(project=project, definition=presets.PRESETS["strength7"])

    def give(item, name, kind="human", preference=None, **fields):
        annotator, _ = Annotator.objects.get_or_create(project=project, name=name, kind=kind)
        comparisons = (ComparisonAnswer(0, 1, "overall", preference, 3),) if preference else ()
        answer = Answer(comparisons=comparisons, **{"presented_order": "01", **fields})
        supersedes = Judgment.objects.filter(item=item, annotator=annotator, is_current=True).first()
        return submit(
            annotator=annotator, item_id=item.pk, schema_id=schema.pk, uuid=uuid.uuid4(), answer=answer,
            origin="page" if kind == "human" else "model", supersedes=supersedes and supersedes.uuid,
        ).judgment  # fmt: skip

    return give


def found(client, **query):
    """The external ids on the page, in order."""
    page = client.get(LIST, query).content.decode()
    return re.findall(r'class="item-id"><a href="[^"]+">([^<]+)</a>', page)


def test_every_filter_finds_its_items(project, make_item, judge, alice_client):
    agree = make_item("Tee?", external_id="agree", source="x")
    make_item("Käse?", external_id="untouched", source="y", wanted=2)
    clash = make_item([{"role": "user", "content": 'Say "no".'}], external_id="clash", wanted=2)
    make_item("Only a model", external_id="lm", route="lm")
    make_item("Checked", external_id="audit", is_audit=True)
    flagged = make_item("Bad", external_id="flagged")
    make_item("Gone", external_id="gone", withdrawn_at=timezone.now())
    for item, sign in ((agree, -1), (clash, 2)):
        judge(item, "bob2", preference=-2)
        judge(item, "judge-lm", kind="lm", preference=sign)
    judge(flagged, "bob2", outcome="flagged", answers={"flag": "harmful"})
    everything = ["agree", "untouched", "clash", "lm", "audit", "flagged", "gone"]
    assert found(alice_client) == everything
    for query, expected in [
        ({"q": "Käse"}, ["untouched"]),
        ({"q": 'Say "no'}, ["clash"]),
        ({"q": "UNTOU"}, ["untouched"]),
        ({"route": "lm"}, ["lm"]),
        ({"source": "y"}, ["untouched"]),
        ({"state": "complete"}, ["agree"]),
        ({"state": "open"}, ["untouched", "clash", "audit", "flagged"]),
        ({"state": "none"}, ["untouched", "lm", "audit", "flagged"]),
        ({"state": "withdrawn"}, ["gone"]),
        ({"lm": "yes"}, ["agree", "clash"]),
        ({"lm": "no", "state": "complete"}, []),
        ({"lm": "disagree"}, ["clash"]),
        ({"mark": "flagged"}, ["flagged"]),
        ({"mark": "audit"}, ["audit"]),
        ({"route": "nonsense"}, everything),
    ]:
        assert found(alice_client, **query) == expected, query


def test_pages_follow_one_another_and_a_look_is_bounded(project, make_item, alice_client, monkeypatch):
    for number in range(7):
        make_item(f"Item {number}", external_id=f"i{number}", is_audit=number in (1, 6))
    whole = item_queries.browse_items(project=project, wish={}, cursor="", size=3)
    seen = [item.external_id for item in whole.page.rows]
    while whole.page.next_cursor:
        whole = item_queries.browse_items(project=project, wish={}, cursor=whole.page.next_cursor, size=3)
        seen += [item.external_id for item in whole.page.rows]
    assert seen == [f"i{number}" for number in range(7)]

    monkeypatch.setattr(item_queries, "WINDOW", 3)
    looks = []
    cursor = ""
    while cursor is not None:
        look = item_queries.browse_items(project=project, wish={"mark": "audit"}, cursor=cursor)
        looks.append(([item.external_id for item in look.page.rows], look.looked_at, look.ended))
        cursor = look.page.next_cursor
    assert looks == [(["i1"], 3, False), ([], 3, False), (["i6"], 1, True)]
    for bad in ("x", "-1", "9" * 30, "１"):
        assert alice_client.get(LIST, {"cursor": bad}).status_code == 400


def test_the_page_as_csv_holds_what_is_shown_and_runs_nothing(project, make_item, judge, alice_client):
    item = make_item('=HYPERLINK("http://x")', external_id="@evil", source="s")
    judge(item, "bob2", preference=1)
    response = alice_client.get(LIST, {"format": "csv"})
    lines = b"".join(response.streaming_content).decode("utf-8-sig").splitlines()
    assert lines[0].startswith("item,external_id,source,prompt,responses,route")
    assert lines[1] == (
        f'{item.pk},\'@evil,s,"\'=HYPERLINK(""http://x"")",2,human,0,1,1,0,0,0,people,Overall: B is better (1 of 1)'
    )


def test_one_item_shows_every_judgment_route_and_reason(project, make_item, judge, alice_client):
    item = make_item("What is <b>tea</b>?", ("Leaf **water**.", "No idea."), external_id="tea", wanted=3)
    judge(item, "ann", preference=-3, reason="Knows <i>more</i>", active_ms=41_200)
    judge(item, "ben", preference=1, reason="A slip")
    judge(item, "ben", preference=-1, reason="Corrected")
    judge(item, "cat", outcome="cannot_judge", answers={"cannot_judge": "lacks_knowledge"})
    judge(
        item, "judge-lm", kind="lm", preference=2, probability=0.9, order_consistent=False,
        calls=(Call(order="ab", label="b", raw="B is better", tokens_in=10, tokens_out=3), Call(order="ba", label="")),
    )  # fmt: skip
    text = alice_client.get(reverse("items:detail", args=["pairs", item.pk])).content.decode()
    words = " ".join(re.sub(r"<[^>]+>", " ", text).split())
    assert "People say: Overall: A is better (2 of 2)." in words
    assert "Which response is better: A is much better (3 of 3)" in words
    assert "Which response is better: B is better (2 of 3)" in words
    assert "41 s" in words
    assert "&lt;i&gt;more&lt;/i&gt;" in text
    assert "<strong>water</strong>" in text
    assert "model-0" in words
    assert "1 replaced by a correction" in words
    assert words.index("Corrected") < words.index("A slip")
    assert "Cannot judge" in words
    assert "2 calls: ab → b, ba → unparsed" in words
    assert "The orders disagree" in words
    assert "P(B better) 0.90" in words


def test_a_route_by_hand_is_no_draw_and_an_audit_item_keeps_its_own(project, make_item, alice_client):
    item, audit_item = make_item(external_id="i"), make_item("Other", external_id="a", is_audit=True)
    wish = {"route": "lm", "wanted": "2", "priority": "5"}
    assert alice_client.post(reverse("items:route", args=["pairs", item.pk]), wish).status_code == 302
    item.refresh_from_db()
    assert (item.route, item.route_ref, item.human_propensity, item.wanted, item.open_slots) == (
        "lm", "admin:alice", 0.0, 2, 0
    )  # fmt: skip
    event = AuditEvent.objects.get()
    assert (event.action, event.target, event.detail["after"]) == (
        "item.routed", "i", "lm, 2 wanted, priority 5"
    )  # fmt: skip
    response = alice_client.post(reverse("items:route", args=["pairs", audit_item.pk]), wish)
    assert response.status_code == 400
    assert "drawn by lot" in response.content.decode()
    audit_item.refresh_from_db()
    assert (audit_item.route, audit_item.is_audit) == ("human", True)
    bad = {"route": "lm", "wanted": "0", "priority": "x"}
    assert alice_client.post(reverse("items:route", args=["pairs", item.pk]), bad).status_code == 400
    assert AuditEvent.objects.count() == 1


def test_a_withdrawn_item_is_given_back_and_can_return(project, make_item, annotator, alice_client):
    item = make_item(wanted=2)
    assert queue.next_assignment(annotator).item_id == item.pk
    page = reverse("items:withdraw", args=["pairs", item.pk])
    alice_client.post(page, {"withdrawn": "1"})
    item.refresh_from_db()
    assert (item.open_slots, item.n_leased) == (0, 0)
    assert Assignment.objects.get().state == "released"
    assert queue.next_assignment(annotator) is None  # nobody is stuck on it
    alice_client.post(page, {"withdrawn": "1"})  # again changes nothing
    alice_client.post(page, {"withdrawn": "0"})
    item.refresh_from_db()
    assert (item.open_slots, item.withdrawn_at) == (2, None)
    assert queue.next_assignment(annotator).item_id == item.pk
    assert list(AuditEvent.objects.order_by("pk").values_list("action", flat=True)) == [
        "item.withdrawn",
        "item.restored",
    ]


def test_people_decide_the_label_and_models_only_where_nobody_did():
    def vote(human, side, first=0, second=1):
        return Vote(human, "overall", first, second, side)

    assert final_label([], []).sentences == ()
    models = [vote(False, 2), vote(False, 1), vote(False, -1)]
    assert final_label(models, []).sentences == ("Overall: B is better (2 of 3)",)
    label = final_label([*models, vote(True, -3)], [])
    assert (label.by, label.short) == ("people", "A 1/1")
    assert final_label([vote(True, -1), vote(True, 1)], []).sentences == (
        "Overall: no majority between A and B (1 to 1)",
    )
    assert final_label([vote(True, 0), vote(True, 0), vote(True, 1)], []).short == "equal 2/3"
    triple = final_label([vote(True, -1), vote(True, 1, 0, 2)], [])
    assert triple.sentences == (
        "Overall: A is better than B (1 of 1)",
        "Overall: C is better than A (1 of 1)",
    )
    marks = [Mark(True, "tone", 0, 4), Mark(True, "tone", 0, 5), Mark(True, "tone", 1, 2)]
    assert final_label([], marks).sentences == ("Tone: mean A 4.5, B 2 (n 2)",)


def test_reading_needs_a_bounded_number_of_queries(
    project, make_item, judge, alice, alice_client, django_assert_max_num_queries
):
    for number in range(12):
        item = make_item(f"Item {number}", external_id=f"i{number}", wanted=5)
        for name in ("ann", "ben"):
            judge(item, name, preference=1)
        judge(item, "lm", kind="lm", preference=1)
    with django_assert_max_num_queries(14):
        assert len(found(alice_client)) == 12
    detail = reverse("items:detail", args=["pairs", Item.objects.first().pk])
    with django_assert_max_num_queries(23):
        alice_client.get(detail)
    with django_assert_max_num_queries(25):
        text = alice_client.get(reverse("projects:overview", args=["pairs"])).content.decode()
    assert "0 of 12 items have the people they need; 2 people and 1 model have judged." in text
    assert "Judgments a day" in text
    assert Membership.objects.filter(user=alice).count() == 1


def test_scores_are_shown_on_their_scale(project, make_item, alice_client):
    item = make_item()
    annotator = Annotator.objects.create(project=project, name="rm", kind="reward_model")
    schema = schemas.add_schema(project=project, definition=presets.PRESETS["ratings"])
    scores = tuple(ScoreAnswer(index, "quality", value, 1, 5) for index, value in enumerate((4, 2)))
    submit(
        annotator=annotator, item_id=item.pk, schema_id=schema.pk, uuid=uuid.uuid4(),
        answer=Answer(scores=scores), origin="model",
    )  # fmt: skip
    text = alice_client.get(reverse("items:detail", args=["pairs", item.pk])).content.decode()
    assert "Quality: A 4, B 2 (of 1 to 5)" in text
    assert "models say: Quality: A 4, B 2 (n 1)." in text
