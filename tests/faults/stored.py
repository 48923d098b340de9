"""What is stored, read beside the product: is it what was acknowledged, and do the counters say what is there?"""

from __future__ import annotations

from tests.faults.harness import Site
from tests.faults.people import Given

# One statement, so that it sees one moment of the database. An answer counts; a skip or a flag does not.
_BROKEN = """
SELECT i.id, i.wanted, i.n_human, i.n_leased, i.open_slots, i.n_forward, i.n_reversed,
       coalesce(j.judgments, 0), coalesce(j.people, 0), coalesce(a.leases, 0),
       coalesce(a.forward, 0), coalesce(a.backward, 0)
FROM items_item i
LEFT JOIN (
    SELECT item_id, count(*) AS judgments, count(DISTINCT annotator_id) AS people
    FROM judging_judgment WHERE is_current AND outcome IN ('answered', 'cannot_judge') GROUP BY item_id
) j ON j.item_id = i.id
LEFT JOIN (
    SELECT item_id, sum(CASE WHEN state = 'leased' THEN 1 ELSE 0 END) AS leases,
           sum(CASE WHEN presented_order = '01' AND state IN ('leased', 'submitted') THEN 1 ELSE 0 END) AS forward,
           sum(CASE WHEN presented_order = '10' AND state IN ('leased', 'submitted') THEN 1 ELSE 0 END) AS backward
    FROM judging_assignment GROUP BY item_id
) a ON a.item_id = i.id
WHERE i.n_human <> coalesce(j.judgments, 0)
   OR i.n_human <> coalesce(j.people, 0)
   OR i.n_leased <> coalesce(a.leases, 0)
   OR i.n_human + i.n_leased > i.wanted
   OR i.open_slots <> i.wanted - i.n_human - i.n_leased
   OR i.n_forward <> coalesce(a.forward, 0)
   OR i.n_reversed <> coalesce(a.backward, 0)
   OR abs(i.n_forward - i.n_reversed) > 1
"""

_BROKEN_PEOPLE = """
SELECT a.id, a.n_judged, a.n_forward, a.n_reversed, coalesce(j.n, 0), coalesce(s.forward, 0), coalesce(s.backward, 0)
FROM projects_annotator a
LEFT JOIN (
    SELECT annotator_id, count(*) AS n FROM judging_judgment
    WHERE is_current AND outcome IN ('answered', 'cannot_judge') GROUP BY annotator_id
) j ON j.annotator_id = a.id
LEFT JOIN (
    SELECT annotator_id, sum(CASE WHEN presented_order = '01' THEN 1 ELSE 0 END) AS forward,
           sum(CASE WHEN presented_order = '10' THEN 1 ELSE 0 END) AS backward
    FROM judging_assignment WHERE state IN ('leased', 'submitted') GROUP BY annotator_id
) s ON s.annotator_id = a.id
WHERE a.n_judged <> coalesce(j.n, 0) OR a.n_forward <> coalesce(s.forward, 0)
   OR a.n_reversed <> coalesce(s.backward, 0)
"""

_ANSWERS = """
SELECT j.uuid, a.id, u.username, j.outcome, j.reason, j.presented_order, a.presented_order
FROM judging_judgment j
JOIN projects_project p ON p.id = j.project_id
JOIN projects_annotator n ON n.id = j.annotator_id
JOIN accounts_user u ON u.id = n.user_id
LEFT JOIN judging_assignment a ON a.item_id = j.item_id AND a.annotator_id = j.annotator_id
WHERE p.slug = '{slug}'
"""
_COMPARISONS = """
SELECT j.uuid, c.first, c.second, c.aspect, c.preference, c.tie, c.scale_max FROM judging_comparison c
JOIN judging_judgment j ON j.id = c.judgment_id JOIN projects_project p ON p.id = j.project_id
WHERE p.slug = '{slug}'
"""
_SCORES = """
SELECT j.uuid, s.attribute, s.response, s.value FROM judging_score s
JOIN judging_judgment j ON j.id = s.judgment_id JOIN projects_project p ON p.id = j.project_id
WHERE p.slug = '{slug}'
"""


def assert_consistent(site: Site) -> None:
    """No item beyond its quota, nobody twice on an item, and every counter as a recount finds it."""
    assert site.rows(_BROKEN) == []
    assert site.rows(_BROKEN_PEOPLE) == []


def assert_sound(site: Site) -> None:
    """The database file itself is whole (SQLite)."""
    if not site.is_postgres:
        assert site.rows("PRAGMA integrity_check") == [("ok",)]
        assert site.rows("PRAGMA foreign_key_check") == []


def _hex(value: object) -> str:
    return str(value).replace("-", "")


def _by_uuid(rows: list[tuple]) -> dict[str, list[tuple]]:
    found: dict[str, list[tuple]] = {}
    for uuid, *rest in rows:
        found.setdefault(_hex(uuid), []).append(tuple(rest))
    return found


def stored_uuids(site: Site, slug: str) -> list[str]:
    """The UUIDs of the project's judgments, sorted, as often as they occur."""
    return sorted(_hex(row[0]) for row in site.rows(_ANSWERS.format(slug=slug)))


def assert_stored(site: Site, slug: str, given: dict[str, list[Given]]) -> None:
    """Each acknowledged answer {person: answers} is stored once, by that person, with the values that were sent."""
    answers = _by_uuid(site.rows(_ANSWERS.format(slug=slug)))
    comparisons = _by_uuid(site.rows(_COMPARISONS.format(slug=slug)))
    scores = _by_uuid(site.rows(_SCORES.format(slug=slug)))
    for name, all_of_one in given.items():
        for one in all_of_one:
            key = _hex(one.uuid)
            assert len(answers.get(key, ())) == 1, (
                f"{one.uuid} of {name} was acknowledged; stored: {answers.get(key)}"
            )
            assignment, person, outcome, reason, order, shown = answers[key][0]
            assert (assignment, person, outcome, reason) == (one.assignment, name, "answered", one.reason)
            assert order == shown
            assert comparisons[key] == [_comparison(one, order)]
            assert sorted(scores[key]) == sorted(_scores(one, order))


def _comparison(one: Given, order: str) -> tuple:
    """The row that the answer on the page means: the first response in stored order better = negative."""
    if one.overall == "equal":
        return (0, 1, "overall", None, "equal", None)
    return (0, 1, "overall", int(one.overall) * (1 if order == "01" else -1), None, 3)


def _scores(one: Given, order: str) -> list[tuple]:
    found = []
    for name, value in one.ratings.items():
        _, attribute, place = name.split("-")
        found.append((attribute, int(order[int(place)]), float(value)))
    return found
