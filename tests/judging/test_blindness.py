"""Nobody who still has to judge finds out: a walk over every address of the site as an annotator.

A project is filled with marker words wherever something must not reach an annotator: models that wrote responses,
votes of people and models, reviews, gold marks, notes of researchers. Then every address there is, found in the URL
configuration itself, is asked for in every way, and no byte of any answer may hold a marker. An address whose parts
this module cannot fill fails the test: say in `PARTS` what to put there.
"""

from __future__ import annotations

import itertools
import re
import uuid

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils.regex_helper import normalize
from knox.models import AuthToken

from annotations.datasets import export
from annotations.datasets.snapshots import freeze_now
from annotations.items.models import Batch, Item, Response
from annotations.judging import gate_items, queue, review
from annotations.judging.answers import Answer, Call
from annotations.judging.models import Assignment, Judgment
from annotations.judging.submit import submit
from annotations.projects.access import annotator_for
from annotations.projects.models import Annotator, Membership
from app.accounts import audit
from app.jobs import runner
from tests.conftest import make_user
from tests.judging.gated import give, prefers, says, set_gates, work

pytestmark = pytest.mark.django_db
MARK = "zqxleak"  # in every marker; no page of ours says it by itself
SKIPPED = re.compile(r"^(static|media|__debug__)/")


# --- Finding every address -----------------------------------------------------------------------------------


def every_address(patterns=None, prefix=""):
    """(format with %(name)s parts, names of the parts) of every URL pattern, from the configuration itself."""
    patterns = get_resolver().url_patterns if patterns is None else patterns
    for pattern in patterns:
        for form, names in normalize(pattern.pattern.regex.pattern):
            path = prefix + form
            if isinstance(pattern, URLResolver):
                yield from ((p, [*names, *more]) for p, more in every_address(pattern.url_patterns, path))
            else:
                assert isinstance(pattern, URLPattern)
                yield path, names


def filled(form: str, parts: dict[str, list]) -> list[str]:
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", form)))
    unknown = [name for name in names if name not in parts]
    assert not unknown, f"/{form}: say in PARTS what to put for {unknown[0]!r}, so that the walk covers it"
    return [
        "/" + form % dict(zip(names, values, strict=True))
        for values in itertools.product(*map(parts.get, names))
    ]


# --- A project full of what must not be seen -----------------------------------------------------------------


@pytest.fixture
def secret(project, make_item, alice, bob, annotator):
    """Bob has unjudged items. Everything around them is marked; returns what fills the parts of addresses."""
    mark = (f"{MARK}{number}" for number in itertools.count()).__next__
    batch = Batch.objects.create(project=project, name=mark())
    items = [
        make_item(prompt=f"Question {k}", responses=(f"One {k}", f"Two {k}"), wanted=3, external_id=mark(),
                  source=mark(), meta={mark(): mark()}, batch=batch if k == 5 else None)
        for k in range(6)
    ]  # fmt: skip
    Item.objects.update(group=mark())
    for response in Response.objects.all():
        response.model, response.meta = mark(), {"model": mark()}
        response.save()
    gold = [make_item(prompt=f"Question {k}", external_id=f"gold-{mark()}") for k in range(6, 9)]
    for item in gold:
        gate_items.set_gate(item=item, purpose="gold", answer=prefers(2), explanation=mark(), actor=alice)
    set_gates(project, gold_share=0.4, repeat_share=0.2)

    lm = Annotator.objects.create(project=project, kind="lm", name=mark(), meta={"model": mark()})
    people = []
    for _ in range(2):
        user = make_user(mark(), first_name=mark())
        Membership.objects.create(project=project, user=user, role="annotator")
        people.append(annotator_for(user, project.slug))
    for n, item in enumerate(items):
        call = Call(order="ab", label="a", raw=mark(), reason=mark())
        submit(annotator=lm, item_id=item.pk, schema_id=project.schema_id, uuid=uuid.uuid4(),
               answer=says(-1, reason=mark(), probability=0.2, calls=(call,)), origin="model")  # fmt: skip
        for person in people:
            submit(annotator=person, item_id=item.pk, schema_id=project.schema_id, uuid=uuid.uuid4(),
                   answer=says(3 if n % 2 else -3, reason=mark()), origin="api")  # fmt: skip
    reviewer = annotator_for(alice, project.slug)
    review.decide(
        item=items[0],
        reviewer=reviewer,
        actor=alice,
        answer=says(2, reason=mark()),
        causes=["taste"],
        note=mark(),
    )
    Annotator.objects.filter(pk=people[0].pk).update(note=mark(), tags=[mark()])
    snapshot = freeze_now(project=project, actor=alice, note=mark())
    made, _ = export.start_export(snapshot=snapshot, format="csv", actor=alice)
    export.build(made)
    job = runner.start(kind="none.such", title=mark(), args={mark(): 1}, scope=project.slug, actor=alice)
    runner.run(job.pk)
    audit.record(actor=alice, action="item.routed", scope=project.slug, target=mark())

    own = work(annotator, 1, lambda _: Answer(outcome="skipped", answers={"skip": "not_now"}))
    held = queue.next_assignment(annotator)
    others = Judgment.objects.exclude(annotator=annotator)
    token = AuthToken.objects.create(user=alice)[0]
    pks = {items[0].pk, gold[0].pk, lm.pk, people[0].pk, annotator.pk, held.pk, made.pk, batch.pk}
    uuids = {
        str(own[0].uuid),
        str(others.first().uuid),
        str(others.filter(aside="review").get().uuid),
        str(job.pk),
    }
    return {
        "slug": [project.slug],
        "pk": sorted(pks),
        "id": sorted(pks),
        "item": [items[0].pk, gold[0].pk],
        "response": ["0"],
        "uuid": sorted(uuids),
        "draft": sorted(uuids),
        "job": [str(job.pk)],
        "number": ["1"],
        "before": ["1"],
        "what": ["stop"],
        "version": ["1"],
        "public_id": [snapshot.public_id, "rm_1"],
        "name": ["README.md", "overall"],
        "key": ["1", str(token.token_key)],
        "uidb36": ["1"],
        "token": ["nothing"],
        "preset": ["strength7"],
        "form": ["prometheus"],
        "earlier": ["1"],
        "digest": ["0" * 64],
        "session": ["1"],
        "provider_id": ["none"],
        "object_id": [items[0].pk, gold[0].pk],
        "app_label": ["judging", "items"],
        "content_type_id": ["1"],
        "url": ["judging/judgment/"],
        "path": ["judging/judgment/"],
    }


def bytes_of(response) -> bytes:
    """Everything that goes over the wire: status line, headers, cookies, body."""
    body = b"".join(response.streaming_content) if response.streaming else response.content
    head = "\n".join(f"{name}: {value}" for name, value in response.items())
    return f"{response.reason_phrase}\n{head}\n{response.cookies.output()}\n".encode() + body


def ask(client, method: str, path: str, **extra) -> bytes:
    """One request, whose effects are undone."""
    cookies = client.cookies.copy()
    with transaction.atomic():
        found = bytes_of(getattr(client, method)(path, **extra))
        transaction.set_rollback(True)
    client.cookies = cookies
    return found


@pytest.mark.no_database
def test_no_address_of_the_site_tells_an_annotator_anything(secret, bob_client, bob):
    bob_client.raise_request_exception = True
    walked, leaks = 0, []
    for form, _ in every_address():
        if SKIPPED.match(form):
            continue
        for path in filled(form, secret):
            for method, extra in (
                ("get", {}),
                ("get", {"HTTP_HX_REQUEST": "true"}),
                ("post", {}),
            ):
                found = ask(bob_client, method, path, **extra)
                walked += 1
                if MARK.encode() in found:
                    place = found.index(MARK.encode())
                    leaks.append(f"{method} {path}: …{found[max(0, place - 80) : place + 20]!r}")
    assert leaks == []
    assert walked > 300


def test_the_walk_would_find_a_leak(secret, alice_client):
    """Alice may see everything: the same walk as she does finds markers, so it is not blind itself."""
    pages = [reverse("items:list", args=["pairs"]), reverse("quality:people", args=["pairs"])]
    pages += [reverse("items:detail", args=["pairs", Item.objects.order_by("pk").first().pk])]
    for page in pages:
        assert MARK.encode() in ask(alice_client, "get", page), page


@pytest.mark.no_database
def test_no_api_resource_tells_an_annotator_anything(secret, bob):
    from tests.api.conftest import token_client

    client, walked = token_client(bob), 0
    for form, _ in every_address():
        if not form.startswith("api/v1/"):
            continue
        for path in filled(form, secret):
            for method in ("get", "post", "put", "patch", "delete"):
                found = ask(
                    client, method, path, **({} if method == "get" else {"data": {}, "format": "json"})
                )
                walked += 1
                assert MARK.encode() not in found, f"{method} {path}"
            assert MARK.encode() not in ask(
                client, "get", f"{path}?current=true&size=200&fields=id,item,is_current"
            )
    assert walked > 100


def test_gold_repeats_and_data_look_the_same(project, make_item, annotator, alice, bob_client):
    """The page and the API's answer of a gold item and of a repeat differ from a data item's in ids and texts only."""
    from tests.api.conftest import token_client

    for k in range(60):
        make_item(prompt=f"Question {k:03}", responses=(f"One {k:03}", f"Two {k:03}"))
    for k in range(60, 80):
        item = make_item(
            prompt=f"Question {k:03}", responses=(f"One {k:03}", f"Two {k:03}"), external_id=f"g{k}"
        )
        gate_items.set_gate(item=item, purpose="gold", answer=prefers(1), actor=alice, explanation="why")
    set_gates(project, gold_share=0.3, repeat_share=0.2)
    work(annotator, 30)
    api = token_client(annotator.user)
    seen: dict[str, set[tuple[str, str, str]]] = {}
    for _ in range(40):
        html = bob_client.get(reverse("work:judge", args=["pairs"]), HTTP_HX_REQUEST="true").content.decode()
        shown = api.post("/api/v1/projects/pairs/next").json()
        lease = Assignment.objects.get(annotator=annotator, state="leased")
        judgment = give(annotator, lease, says(1))
        own = api.get(f"/api/v1/projects/pairs/judgments/{judgment.uuid}").json()
        row = bob_client.get(reverse("work:correct", args=["pairs", judgment.uuid]), HTTP_HX_REQUEST="true")
        kind = lease.purpose
        seen.setdefault(kind, set()).add(
            (shape(html), shape(repr(shown)), shape(repr(own)), shape(row.content.decode()))
        )
    assert set(seen) == {"data", "gold", "repeat"}
    assert len(seen["data"]) == 2  # the answer given, first better, stands left or right
    assert seen["gold"] <= seen["data"], "gold can be told from the page"
    assert seen["repeat"] <= seen["data"], "a repeat can be told from the page"


def shape(text: str) -> str:
    """The text without ids, numbers, times, and the items' words."""
    text = re.sub(r'csrfmiddlewaretoken" value="\w+"', "csrf", text)
    text = re.sub(r"(One|Two) \d{3}", "R", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d+", "#", text)
    return re.sub(r"-?#", "#", text)


def test_history_and_counts_do_not_stand_still_at_gold(project, make_item, annotator, alice, bob_client):
    for k in range(30):
        make_item(prompt=f"Question {k}")
    for k in range(10):
        item = make_item(prompt=f"gold {k}")
        gate_items.set_gate(item=item, purpose="gold", answer=prefers(1), actor=alice)
    set_gates(project, gold_first=2, gold_share=0.5)
    for n in range(1, 11):
        work(annotator, 1)
        desk = bob_client.get(reverse("work:judge", args=["pairs"]), HTTP_HX_REQUEST="true").content.decode()
        assert f'data-today="{n}"' in desk
        history = bob_client.get(reverse("work:history", args=["pairs"])).content.decode()
        assert f"{n} judged" in history
        assert history.count("replaced by a later answer") == 0
        index = bob_client.get(reverse("work:index")).content.decode()
        assert f"{n} judged today" in index
        assert "about " in index
    assert Judgment.objects.filter(aside="gold").count() > 1


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="one database is enough")
def test_verify_finds_nothing_after_all_this(secret, capsys):
    assert connection.vendor == "sqlite"
    call_command("verify_counts", "pairs")
