"""Times and circumstances of a judgment: bounded, and dropped where they make no sense."""

from __future__ import annotations

import json

import pytest

from annotations.judging import interface, timing
from annotations.judging.models import Judgment
from annotations.projects import rules

from .test_page import DRAFT, JUDGE, filled, hidden, post


def test_what_the_page_reports_is_read_and_bounded():
    given = {
        "active_ms": ["70000"],
        "wall_ms": ["58000"],
        "position": ["3"],
        "n_changes": ["999999999"],
        "first_interaction_ms": ["99999999"],
        "viewport": ["1440x900"],
        "page_version": ["0a8fcec272aa"],
        "dwell": [json.dumps({"prompt": 1200, "A": 99_000, "B": 0, "C": 5, "answer": 1.5, "x": 7})],
    }
    assert timing.read(given, 2) == {
        "active_ms": 58000,
        "wall_ms": 58000,
        "meta": {
            "position_in_session": 3,
            "n_changes": 100_000,
            "first_interaction_ms": 58000,
            "viewport": "1440x900",
            "page_version": "0a8fcec272aa",
            "dwell_ms": {"prompt": 1200, "A": 58000},
        },
    }


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-1",
        "1e9",
        "NaN",
        "٣",
        "1" * 40,
        "{}",
        "[1]",
        "[" * 900,
        '{"A": true}',
        '{"A": -5}',
        "<b>",
        "\x00",
    ],
)
def test_nonsense_stops_nobody_and_is_not_stored(value):
    names = ("active_ms", "wall_ms", "position", "n_changes", "first_interaction_ms", "viewport", "page_version", "dwell")  # fmt: skip
    assert timing.read({name: [value] for name in names}, 2) == {
        "active_ms": None,
        "wall_ms": None,
        "meta": {},
    }


@pytest.mark.django_db
def test_a_judgment_carries_its_circumstances_and_dwell_only_where_it_is_asked_for(
    bob_client, project, make_item
):
    make_item("One")
    make_item("Two")
    page = bob_client.get(JUDGE).content.decode()
    assert 'name="dwell"' not in page
    assert hidden(page, "page_version") == interface.version()
    more = {
        "first_interaction_ms": "900",
        "page_version": interface.version(),
        "dwell": '{"A": 400, "prompt": 20}',
    }
    post(bob_client, filled(page, **more))
    assert Judgment.objects.get().meta == {
        "position_in_session": 3,
        "n_changes": 6,
        "first_interaction_ms": 900,
        "viewport": "1440x900",
        "page_version": interface.version(),
    }
    rules.change(project=project, page=rules.Page(dwell=True))
    page = bob_client.get(JUDGE).content.decode()
    assert hidden(page, "dwell") == ""
    data = filled(page, **more)
    assert bob_client.post(DRAFT, data).status_code == 204
    again = bob_client.get(JUDGE).content.decode()
    assert hidden(again, "dwell") == "{&quot;A&quot;: 400, &quot;prompt&quot;: 20}"
    assert hidden(again, "first_interaction_ms") == "900"
    post(bob_client, data)
    assert Judgment.objects.latest("pk").meta["dwell_ms"] == {"prompt": 20, "A": 400}


def test_the_version_of_the_page_follows_its_files(settings, tmp_path):
    for folder, name in (("templates/judging", "page.html"), ("static/js/judging", "desk.js")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).write_text("one")
    settings.BASE_DIR = tmp_path
    seen = {interface.version.__wrapped__()}
    (tmp_path / "static/js/judging/desk.js").write_text("two")
    seen.add(interface.version.__wrapped__())
    (tmp_path / "static/js/judging/desk.js").rename(tmp_path / "static/js/judging/bench.js")
    seen.add(interface.version.__wrapped__())
    assert len(seen) == 3
    assert all(len(version) == 12 for version in seen)
