"""The annotator's pages: my projects, the judging page, my recent judgments."""

from __future__ import annotations

import uuid as uuids
from functools import wraps
from types import SimpleNamespace

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from annotations.items import media
from annotations.items.models import Response
from annotations.projects import access, keymap, rules, schemas
from annotations.projects.models import Acknowledgement, Annotator, CriteriaRelease, Guideline, TaskSchema
from app.web.paging import BadCursorError, keyset_page
from app.web.rendering import render_many

from . import arms, drafts, forms, interface, pages, timing
from .answers import FieldError, InvalidAnswer
from .counters import ANSWERS
from .models import Judgment
from .submit import Conflict, submit
from .words import page_words

HISTORY_PAGE = 50


def annotators_only(view):
    """Pass the person's Annotator in the project on; outsiders get 404, expired sessions a way back in."""

    @wraps(view)
    def guarded(request: HttpRequest, slug: str, **kwargs) -> HttpResponse:
        if not request.user.is_authenticated:
            return _signed_out(request)
        if request.headers.get("X-Person", str(request.user.pk)) != str(request.user.pk):
            return HttpResponse(
                _("Somebody else is signed in by now."), status=403, headers={"X-Signed-Out": "other"}
            )
        annotator = access.annotator_for(request.user, slug)
        if annotator.status == Annotator.Status.REMOVED:
            raise Http404("No such project.")
        response = view(request, annotator, **kwargs)
        response["Cache-Control"] = "no-store"
        patch_vary_headers(response, ["HX-Request"])
        return response

    return guarded


def _signed_out(request: HttpRequest) -> HttpResponse:
    if request.htmx or request.headers.get("X-Outbox"):
        return HttpResponse(_("Your session has ended."), status=403, headers={"X-Signed-Out": "1"})
    return redirect_to_login(request.get_full_path() if request.method == "GET" else reverse("work:index"))


def _page(request: HttpRequest, annotator: Annotator, desk: str, status: int = 200) -> HttpResponse:
    """The desk alone for htmx, else within the whole page."""
    if request.htmx:
        return HttpResponse(desk, status=status)
    project = annotator.project
    guideline = Guideline.objects.filter(project=project).order_by("-number").first()
    keys = keymap.of(request.user.preferences)
    context = {
        "project": project,
        "keys": keys,
        "key_sheet": keymap.sheet(keys),
        "limits": rules.of(project).limits,
        "page_version": interface.version(),
        "now_ms": drafts.stamp(timezone.now()),
        "desk": mark_safe(desk),  # noqa: S308 - rendered by our own template
        "guideline": guideline,
        "guideline_html": media.shown(project.slug, render_many([guideline.text]))[0] if guideline else "",
        "words": page_words(),
    }
    return render(request, "judging/page.html", context, status=status)


@require_GET
@annotators_only
def judge(request: HttpRequest, annotator: Annotator) -> HttpResponse:
    """The judging page with the person's next item."""
    desk = pages.next_desk(
        annotator,
        csrf_token=get_token(request),
        guideline=pages.guideline_state(annotator),
        day=pages.day_now(annotator),
    )
    return _page(request, annotator, desk)


@require_POST
@annotators_only
def acknowledge(request: HttpRequest, annotator: Annotator) -> HttpResponse:
    """The person has read this version of the guidelines."""
    number = request.POST.get("number", "")
    if not (number.isascii() and number.isdigit() and len(number) < 8):
        raise Http404("No such version of the guidelines.")
    guideline = get_object_or_404(Guideline, project=annotator.project, number=int(number))
    Acknowledgement.objects.get_or_create(guideline=guideline, annotator=annotator)
    return redirect("work:judge", annotator.project.slug)


@require_POST
@annotators_only
def submit_answer(request: HttpRequest, annotator: Annotator) -> HttpResponse:
    """Store one judgment and answer with the next item."""
    values = dict(request.POST.lists())
    try:
        posted = _posted(annotator, values)
    except InvalidAnswer as error:
        return _refused(request, annotator, error.errors[0].message, 400)
    if not timing.asks_dwell(annotator.project):
        values.pop("dwell", None)
    guideline = pages.guideline_state(annotator)
    try:
        answer = forms.to_answer(posted.definition, values, posted.presented_order, posted.item.n_responses)
        _check_window(posted, annotator)
        stored = submit(
            annotator=annotator,
            item_id=posted.item.pk,
            schema_id=posted.schema_id,
            uuid=posted.uuid,
            answer=answer,
            origin=Judgment.Origin.PAGE,
            assignment_id=posted.assignment.pk if posted.assignment else None,
            guideline_id=_guideline_seen(annotator, guideline, values),
            criteria_release_id=_criteria_seen(annotator, values),
            supersedes=posted.correcting.uuid if posted.correcting else None,
        ).judgment
    except InvalidAnswer as error:
        return _again(request, annotator, posted, values, guideline, 400, errors=tuple(error.errors))
    except Conflict as error:
        return _again(request, annotator, posted, values, guideline, 409, conflict=str(error))
    trained = stored.aside == Judgment.Aside.TRAINING and stored.outcome in pages.ANSWERS
    if not request.htmx and not request.headers.get("X-Outbox"):
        if trained:
            return redirect("work:explained", annotator.project.slug, stored.uuid)
        return redirect("work:judge", annotator.project.slug)
    if trained:
        return HttpResponse(_explained(request, annotator, stored))
    counts = stored.outcome in ANSWERS and posted.correcting is None
    day = pages.next_day(_first(values, "day")) if counts else None
    desk = pages.next_desk(
        annotator,
        csrf_token=get_token(request),
        guideline=guideline,
        day=day or pages.day_now(annotator),
        stored=stored,
    )
    return HttpResponse(desk)


def _explained(request: HttpRequest, annotator: Annotator, judgment: Judgment) -> str:
    return pages.explanation_desk(
        judgment, annotator, csrf_token=get_token(request), day=pages.day_now(annotator)
    )


@require_GET
@annotators_only
def explained(request: HttpRequest, annotator: Annotator, uuid: uuids.UUID) -> HttpResponse:
    """What is expected of a training item that the person has answered, and why."""
    judgment = get_object_or_404(
        Judgment.objects.select_related("item"),
        uuid=uuid,
        annotator=annotator,
        aside=Judgment.Aside.TRAINING,
    )
    return _page(request, annotator, _explained(request, annotator, judgment))


@require_POST
@annotators_only
def save_draft(request: HttpRequest, annotator: Annotator) -> HttpResponse:
    """Keep the unfinished answer with the lease, and prolong the lease."""
    values = dict(request.POST.lists())
    try:
        posted = _posted(annotator, values)
        if posted.assignment is None:
            return HttpResponse(_("A correction keeps no draft."), status=400)
        draft = forms.draft_of(posted.definition, values, posted.item.n_responses)
    except InvalidAnswer as error:
        return HttpResponse(error.errors[0].message, status=400)
    kept = drafts.keep(assignment_id=posted.assignment.pk, annotator=annotator, draft=draft)
    if kept is None:
        return HttpResponse(_("You have answered this item already; no draft of it is kept."), status=409)
    headers = {"X-Drafted": str(drafts.stamp(kept.at))}
    if not kept.live:
        text = _("The time for this item ran out; you can still submit it. The draft is kept.")
        return HttpResponse(text, status=409, headers=headers)
    return HttpResponse(status=204, headers=headers)


@require_GET
@annotators_only
def history(request: HttpRequest, annotator: Annotator) -> HttpResponse:
    """The person's own judgments, newest first."""
    mine = Judgment.objects.filter(annotator=annotator).select_related("item")
    try:
        page = keyset_page(mine, cursor=request.GET.get("cursor"), size=HISTORY_PAGE, order_by=("-pk",))
    except BadCursorError as error:
        return render(request, "400.html", {"exception": error}, status=400)
    rows = [
        {
            "judgment": judgment,
            "prompt": pages.first_words(judgment.item.prompt),
            "editable": pages.may_correct(judgment, annotator.project),
            "replaced": not pages.is_latest(judgment),
        }
        for judgment in page.rows
    ]
    context = {
        "project": annotator.project,
        "annotator": annotator,
        "rows": rows,
        "page": page,
        "total": pages.judged_in_all(annotator),
    }
    return render(request, "judging/history.html", context)


@require_GET
@annotators_only
def correct(request: HttpRequest, annotator: Annotator, uuid: uuids.UUID) -> HttpResponse:
    """One of the person's own judgments, filled in, to correct or to read."""
    judgment = get_object_or_404(Judgment.objects.select_related("item"), uuid=uuid, annotator=annotator)
    desk = pages.correction_desk(
        judgment, annotator.project, csrf_token=get_token(request), day=pages.day_now(annotator)
    )
    return _page(request, annotator, desk)


@require_GET
@annotators_only
def response_text(request: HttpRequest, annotator: Annotator) -> HttpResponse:
    """A response of the item the person has before them, as it was written: a rewrite starts from it."""
    values = dict(request.GET.lists())
    try:
        place = _number(values, "place")
        if _first(values, "judgment"):
            mine = get_object_or_404(Judgment, uuid=_uuid(values, "judgment"), annotator=annotator)
        else:
            mine = pages.LEASE_OF.first(pk=_number(values, "assignment"), annotator=annotator.pk)
    except InvalidAnswer:
        raise Http404("No such response.") from None
    if mine is None or place >= len(mine.presented_order):
        raise Http404("No such response.")
    response = get_object_or_404(Response, item_id=mine.item_id, index=int(mine.presented_order[place]))
    return HttpResponse((response.redacted or response.text), content_type="text/plain; charset=utf-8")


# --- Parsing ------------------------------------------------------------------------------------------------


def _first(values: forms.Values, key: str) -> str:
    return (values.get(key) or [""])[0]


def _number(values: forms.Values, key: str) -> int:
    text = _first(values, key)
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise InvalidAnswer([FieldError(key, _("This page is incomplete. Reload it; your draft is kept."))])
    return int(text)


def _uuid(values: forms.Values, key: str) -> uuids.UUID:
    try:
        return uuids.UUID(_first(values, key))
    except ValueError:
        raise InvalidAnswer(
            [FieldError(key, _("This page's id is not valid. Reload it; your draft is kept."))]
        ) from None


def _posted(annotator: Annotator, values: forms.Values) -> SimpleNamespace:
    """What the posted form is about: its UUID, item, schema, and the lease or the judgment it corrects.

    Raises InvalidAnswer where the form names things that are not this person's.
    """
    uuid = _uuid(values, "uuid")
    assignment = correcting = None
    if _first(values, "supersedes"):
        correcting = (
            Judgment.objects.select_related("item")
            .filter(uuid=_uuid(values, "supersedes"), annotator=annotator)
            .first()
        )
        if correcting is None:
            raise InvalidAnswer(
                [FieldError("supersedes", _("There is no such judgment of yours to correct."))]
            )
        item, schema_id = correcting.item, correcting.schema_id
        order = correcting.presented_order or "".join(str(i) for i in range(item.n_responses))
    else:
        assignment = pages.LEASE_OF.first(pk=_number(values, "assignment"), annotator=annotator.pk)
        if assignment is None:
            raise InvalidAnswer(
                [FieldError("assignment", _("This item is not assigned to you. Reload the page."))]
            )
        item, order = assignment.item, assignment.presented_order
        schema_id = _number(values, "schema")
    try:
        schema, definition = schemas.load(schema_id)
    except TaskSchema.DoesNotExist:
        schema = None
    if schema is None or schema.project_id != annotator.project_id:
        raise InvalidAnswer(
            [FieldError("schema", _("This project asks no such questions. Reload the page."))]
        )
    return SimpleNamespace(
        uuid=uuid,
        item=item,
        presented_order=order,
        schema_id=schema_id,
        definition=definition,
        assignment=assignment,
        correcting=correcting,
    )


def _check_window(posted: SimpleNamespace, annotator: Annotator) -> None:
    """Raise Conflict for a correction that comes too late; a retry of one that is stored is none."""
    before = posted.correcting
    if before is None or pages.may_correct(before, annotator.project):
        return
    if Judgment.objects.filter(uuid=posted.uuid).exists():
        return
    if pages.is_latest(before):
        raise Conflict(
            _("Judgments can be changed for {n} minutes; that is over.").format(
                n=annotator.project.edit_minutes
            )
        )
    raise Conflict(_("A later answer of yours replaced this one already."))


def _guideline_seen(annotator: Annotator, latest: pages.GuidelineState, values: forms.Values) -> int | None:
    """The guideline version the page was shown under: the posted one if the person acknowledged it."""
    given = _first(values, "guideline")
    if latest.acknowledged and given in {"", str(latest.pk)}:
        return latest.pk
    seen = Acknowledgement.objects.filter(annotator=annotator).order_by("-guideline__number")
    if given.isascii() and given.isdigit() and len(given) <= 18:
        seen = seen.filter(guideline_id=int(given))
    return seen.values_list("guideline_id", flat=True).first()


def _criteria_seen(annotator: Annotator, values: forms.Values) -> int | None:
    """The release of the criteria that stood on the page; None where none did."""
    given = _first(values, "criteria")
    if not (given.isascii() and given.isdigit() and len(given) <= 18):
        return None
    releases = CriteriaRelease.objects.filter(project=annotator.project_id, pk=int(given))
    return releases.values_list("pk", flat=True).first()


def _again(
    request: HttpRequest,
    annotator: Annotator,
    posted: SimpleNamespace,
    values: forms.Values,
    guideline: pages.GuidelineState,
    status: int,
    *,
    errors: tuple[FieldError, ...] = (),
    conflict: str = "",
) -> HttpResponse:
    """The same item with everything the person entered, and what was wrong with it."""
    desk = pages.item_desk(
        project=annotator.project,
        item=posted.item,
        presented_order=posted.presented_order,
        schema_id=posted.schema_id,
        csrf_token=get_token(request),
        day=pages.day_now(annotator),
        filled=pages.Filled(values, errors, str(posted.uuid)),
        assignment=posted.assignment,
        correcting=posted.correcting,
        guideline=guideline,
        criteria=arms.criteria_for(annotator) if posted.assignment else None,
        conflict=conflict,
    )
    return _page(request, annotator, desk, status)


def _refused(request: HttpRequest, annotator: Annotator, message: str, status: int) -> HttpResponse:
    """A form that belongs to no item: say so, and show the person's own next item below."""
    desk = pages.refusal_desk(annotator.project, message)
    return _page(request, annotator, desk, status)
