"""What changed between two snapshots."""

from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, settings
from hypothesis import given as drawn
from hypothesis import strategies as st

from annotations.datasets import diff
from annotations.datasets.snapshots import freeze_now
from annotations.items.models import Item
from annotations.projects.models import Project
from app.jobs import runner
from app.jobs.models import Job
from tests.datasets.conftest import prefer


@pytest.fixture
def two(asking, judged, give, make_item):
    """A snapshot; then an item more, one withdrawn, a verdict turned and a tie broken; another snapshot."""
    before = freeze_now(project=asking)
    pair, _, tied, _, untouched = judged
    give("Emma", pair, prefer(3), number=20)
    give("Finn", pair, prefer(3), number=21)
    give("Gil", tied, prefer(-1), number=22)
    make_item("New one?", ("One.", "Two."), external_id="new")
    Item.objects.filter(pk=untouched.pk).update(withdrawn_at="2026-05-01T00:00:00Z")
    return before, freeze_now(project=asking, query={"exclude_flagged": False})


@pytest.mark.django_db
def test_what_was_added_removed_and_turned(two):
    before, after = two
    told = diff.diff(before, after)
    assert told["items"] == {"added": 1, "removed": 1, "changed": 2, "same": 2}
    assert told["judgments"] == {"added": 3, "removed": 0, "changed": 0}
    # Bea −3, Cem −1, Dana a tie: the first; with Emma and Finn a tie. Bea's tie at `tied`, then Gil: the first.
    assert told["verdicts"]["changed"] == 2
    assert {row["id"]: (row["what"], [v[2:] for v in row["verdicts"]]) for row in told["first"]} == {
        "pair": ("changed", [["first", "tie"]]),
        "tied": ("changed", [["tie", "first"]]),
        "new": ("added", []),
        "untouched": ("removed", []),
    }
    assert (told["splits"], list(told["query"])) == ({"moved": 0}, ["cutoff"])
    assert told["versions"]["guidelines"] == {"1": [9, 12]}
    back = diff.diff(after, before)
    assert back["items"] == {"added": 1, "removed": 1, "changed": 2, "same": 2}
    assert back["judgments"] == {"added": 0, "removed": 3, "changed": 0}
    same = diff.diff(after, after)
    assert (same["items"]["same"], same["first"], same["versions"]["schemas"]) == (5, [], {})


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@drawn(st.sets(st.integers(1, 30)), st.sets(st.integers(1, 30)), st.sets(st.integers(1, 30)))
def test_the_pass_over_both_finds_what_sets_find(old, new, changed):
    def lines(keys, mark):
        return iter(
            json.dumps(
                {"id": str(k), "plumbline": {"item": k}, "said": mark if k in changed else ""}
            ).encode()
            for k in sorted(keys)
        )

    sides = {"old": lines(old, "before"), "new": lines(new, "after")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diff.snapshots, "open_lines", sides.__getitem__)
        found = list(diff._pairs("old", "new"))
    key = lambda row: row["plumbline"]["item"]  # noqa: E731
    assert [key(b) for a, b in found if a is None] == sorted(new - old)
    assert [key(a) for a, b in found if b is None] == sorted(old - new)
    assert [key(a) for a, b in found if a is b] == sorted((old & new) - changed)
    assert [key(a) for a, b in found if a and b and a is not b] == sorted(old & new & changed)
    assert all(key(a) == key(b) for a, b in found if a and b)


@pytest.mark.django_db
def test_the_command_the_job_and_the_page(two, alice, alice_client, bob_client, capsys):
    before, after = two
    with pytest.raises(SystemExit) as ended:
        call_command("diff_snapshots", before.public_id, after.public_id, "--json")
    assert ended.value.code == 1
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["judgments"]["added"] == 3
    call_command("diff_snapshots", after.public_id, after.public_id)
    with pytest.raises(CommandError):
        call_command("diff_snapshots", after.public_id, "snap_none")
    other = freeze_now(project=Project.objects.create(slug="other", name="Other"))
    with pytest.raises(CommandError, match="different projects"):
        call_command("diff_snapshots", other.public_id, after.public_id)

    address = f"/p/pairs/datasets/{after.number}/since/{before.number}/"
    assert f'href="{address}"' in alice_client.get(f"/p/pairs/datasets/{after.number}/").content.decode()
    assert bob_client.post(address).status_code == 403
    assert "Compare" in alice_client.get(address).content.decode()
    assert alice_client.post(address).status_code == 302
    runner.run(Job.objects.get(kind="datasets.diff").pk)
    page = alice_client.get(address).content.decode()
    assert "1 added, 1 removed, 2 changed, 2 the same" in page
    assert "tie → first" in page
