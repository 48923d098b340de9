"""What keeps a person from being given an item: an ended place, missing consent, nothing left in a study."""

from __future__ import annotations

from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy

from annotations.judging.stops import Stop
from annotations.projects import rules
from annotations.projects.models import Annotator, Project
from app.web.rendering import render_many

from . import consent as consents
from . import pay, places
from .models import Place


def place(annotator: Annotator) -> Stop | None:
    """The person's place has ended, or ends now because its items are judged or the person is out."""
    if not annotator.project.rules:
        return None
    found = places.latest(annotator)
    if found is None:
        return None
    if found.state == Place.State.ACTIVE:
        found = places.finish_if_over(found, annotator)
    return None if found.state == Place.State.ACTIVE else ended(found)


def nothing_left(annotator: Annotator) -> Stop | None:
    """The queue had nothing for somebody with a place: the place ends, with a code."""
    if not annotator.project.rules:
        return None
    found = places.latest(annotator)
    if found is None:
        return None
    if found.state == Place.State.ACTIVE:
        found = places.finish_if_over(found, annotator)  # a gate may have ended it just now
    return ended(places.finish_without_work(found, annotator))


WORDS = {
    Place.State.COMPLETE: (
        gettext_lazy("Thank you, you are done"),
        gettext_lazy("All items of your place are judged and stored."),
    ),
    Place.State.NO_WORK: (
        gettext_lazy("There is nothing left to do"),
        gettext_lazy(
            "Others have judged the remaining items. That is not your fault; what you did is stored."
        ),
    ),
    Place.State.SCREENED_OUT: (
        gettext_lazy("Your part ends here"),
        gettext_lazy("This study goes on with other people. Thank you for trying."),
    ),
    Place.State.RETURNED: (
        gettext_lazy("You gave your place back"),
        gettext_lazy("Somebody else can take it. Thank you."),
    ),
    Place.State.TIMED_OUT: (
        gettext_lazy("Your place has timed out"),
        gettext_lazy("The time for it was over, so others go on with it."),
    ),
}


def ended(found: Place) -> Stop:
    """An ended place in words for the person, with its code and the way back to the panel."""
    title, text = map(str, WORDS[found.state])
    link = places.return_address(found)
    return Stop(
        reason=found.state,
        title=title,
        text=text,
        code=found.code,
        link=link,
        button=gettext("Go back with this code") if link else "",
    )


def consent(annotator: Annotator) -> Stop | None:
    """The wording in force, to agree to."""
    project = annotator.project
    if not project.rules or not rules.of(project).entry.consent or not consents.is_missing(annotator):
        return None
    text = consents.text_of(project)
    return Stop(
        reason="consent",
        title=gettext("Before you begin"),
        text=gettext("Please read this. You take part only if you agree."),
        html=render_many([text])[0],
        post=reverse("people:consent", args=[project.slug, consents.digest(text)]),
        button=gettext("I agree and want to take part"),
    )


def budget(annotator: Annotator) -> Stop | None:
    """The project's budget does not cover the pay of one more item."""
    if not annotator.project.rules or not _is_at_work(annotator) or pay.cover(annotator):
        return None
    found = places.latest(annotator)
    if found is not None:
        return ended(places.finish_without_work(found, annotator))
    return Stop(
        reason="budget",
        title=gettext("No money is left for further work"),
        text=gettext(
            "The budget of this project does not cover another item, so none is given out. What you have judged "
            "is kept and reckoned. The people who run the project can raise the budget."
        ),
    )


def _is_at_work(annotator: Annotator) -> bool:
    """Whether an item could be given out at all: nothing is held for people who are paused."""
    return annotator.status == Annotator.Status.ACTIVE and annotator.project.status == Project.Status.ACTIVE
