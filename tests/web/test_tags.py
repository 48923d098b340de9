"""Tags say estimates, times and links as people read them."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.template import Context, Template
from django.test import RequestFactory
from django.utils.html import strip_tags

from app.web.templatetags.plumbline import _say_when

NOW = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)


def render(source: str, **context) -> str:
    return " ".join(Template(source).render(Context(context)).split())


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("{% estimate est %}", "0.61 [0.58, 0.64], n 677"),
        ("{% estimate est percent=True digits=1 %}", "61.2 % [58.0, 64.0], n 677"),
        ("{% estimate negative unit='points' %}", "−0.10 points, n 1,204"),
        ("{% estimate nothing %}", "no estimate"),
    ],
)
def test_an_estimate_carries_its_interval_and_n(tag, words):
    html = render(
        tag,
        est={"value": 0.612, "lo": 0.58, "hi": 0.64, "n": 677},
        negative={"value": -0.1, "lo": None, "hi": None, "n": 1204},
        nothing={"value": float("nan")},
    )
    assert strip_tags(html) == words


def test_a_number_and_its_percent_sign_stay_on_one_line():
    source = "{% estimate est percent=True digits=1 %} {{ words|held }}"
    html = Template(source).render(Context({"est": {"value": 0.5}, "words": "61.4 % <of> 100 % or a % sign"}))
    assert strip_tags(html).strip() == "50.0\xa0% 61.4\xa0% &lt;of&gt; 100\xa0% or a % sign"


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(seconds=5), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(hours=3), "3 hours ago"),
        (timedelta(days=2), "2 days ago"),
        (timedelta(days=20), "22 Feb"),
        (timedelta(days=400), "7 Feb 2025"),
        (-timedelta(minutes=10), "in 10 minutes"),
    ],
)
def test_times_are_said_as_people_say_them(ago, words):
    assert _say_when(NOW - ago, NOW) == words


def test_a_badge_escapes_its_name():
    assert "&lt;b&gt;" in render("{% kind_badge 'lm' name %}", name="<b>")


def test_query_keeps_filters_and_drops_the_cursor():
    request = RequestFactory().get("/", {"q": "a b", "cursor": "x"})
    assert render("{% query_with request cursor=None %}", request=request) == "q=a+b"


def test_the_rail_leaves_out_pages_that_do_not_exist(settings):
    settings.ROOT_URLCONF = "app.web.urls"
    assert render("{% rail_links %}", project=SimpleNamespace(slug="p"), rail="items") == "<ul> </ul>"
