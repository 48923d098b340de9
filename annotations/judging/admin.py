from django.contrib import admin

from app.accounts.admin import ReadOnlyAdmin

from .models import Assignment, Judgment


@admin.register(Judgment)
class JudgmentAdmin(ReadOnlyAdmin):
    """Judgments are append-only: nobody edits one, here least of all."""

    list_display = ("uuid", "project", "annotator", "outcome", "is_current", "created_at")
    list_filter = ("outcome", "origin")
    list_select_related = ("project", "annotator")
    show_full_result_count = False


@admin.register(Assignment)
class AssignmentAdmin(ReadOnlyAdmin):
    list_display = ("item", "annotator", "state", "leased_at", "expires_at")
    list_filter = ("state",)
    list_select_related = ("item", "annotator")
    show_full_result_count = False
