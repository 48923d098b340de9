"""What the designer's preview shows: the judging page's own desk, with an item of the project or a made-up one."""

from __future__ import annotations

from annotations.items.models import Item
from annotations.projects.models import Project
from annotations.projects.schemas import Definition
from app.web.rendering import render_many

from . import pages, questions

PROMPT = "What is the moon made of? Answer in a sentence or two."
RESPONSES = (
    "The moon is made of rock: a crust and a mantle of silicates, and a small core that is mostly **iron**.",
    "Rock. Some say cheese, which is false.",
    "Mostly oxygen, silicon, magnesium and iron, bound in minerals such as\n\n- olivine\n- pyroxene\n- feldspar",
    "I do not know what the moon is made of.",
    "It is a ball of dust that light holds together.",
    "Rocks much like those of the earth, from which it split off about 4.5 billion years ago.",
    "The moon is made of basalt and anorthosite.",
    "Of `regolith`, on the outside.",
)


def has_sample(project: Project) -> bool:
    """Whether the project has an item to show."""
    return _sample(project, 1, 8) is not None


def _sample(project: Project, fewest: int, most: int) -> Item | None:
    items = Item.objects.filter(project=project, withdrawn_at__isnull=True, purpose=Item.Purpose.DATA)
    return items.filter(n_responses__gte=fewest, n_responses__lte=most).order_by("pk").first()


def desk_of(project: Project, definition: Definition) -> dict:
    """The context of `judging/desk_item.html` for a design that is not stored; reads the project's first item.

    `sample_texts` are the responses as they are stored: what a rewrite starts from.
    """
    low, high = definition.responses.min, definition.responses.max
    item = _sample(project, low, high)
    if item is not None:
        order = "".join(str(index) for index in range(item.n_responses))
        prompt, panes = pages.item_texts(item, order, project.slug)
        texts = pages.stored_texts(item)
    else:
        n = max(low, min(high, 2))
        texts = list(RESPONSES[:n])
        html = render_many([PROMPT, *RESPONSES[:n]])
        prompt = {"turns": [{"role": "User", "html": html[0]}], "context": "", "several": False}
        panes = [
            {"letter": questions.LETTERS[place], "place": place, "html": each}
            for place, each in enumerate(html[1:])
        ]
    return {
        "prompt": prompt,
        "panes": panes,
        "sample_texts": texts,
        "n": len(panes),
        "layout": definition.layout,
        "questions": questions.preview_html(definition, len(panes)),
        "timing": {"active_ms": "0", "wall_ms": "0", "n_changes": "0"},
        "today": 0,
        "day": "",
        "uuid": "",
        "schema_id": "",
    }
