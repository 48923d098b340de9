"""Fixtures of the lab: those of the LM room, and pairs on which people prefer what says more."""

import pytest

from tests.lm.asked import asker, endpoint, funded, lm_annotator, scripted, scripted_server  # noqa: F401
from tests.lm.judged import judge, plain_project, real_pairs  # noqa: F401


@pytest.fixture
def long_wins(plain_project, make_item, judge):  # noqa: F811
    """Ninety pairs on which people prefer what says more; every third prompt has two variants."""
    return say_more(make_item, judge)


def say_more(make_item, judge, n=90):  # noqa: F811
    items = []
    for k in range(n):
        texts = (f"Because of {k} things, and since it rains, we stay. " * 3, f"No {k}.")
        texts = texts if k % 2 else texts[::-1]
        item = make_item(f"Prompt {k}", texts, external_id=f"p{k}")
        item.group = f"g{k // 2 if k < 60 else k}"
        item.save(update_fields=["group"])
        better = "a" if (k % 2 and k % 9) or (not k % 2 and not k % 9) else "b"
        for name in ("ann", "ben"):
            judge(name, "human", item, better)
        items.append(item)
    return items
