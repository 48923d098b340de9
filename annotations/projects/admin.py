from django.contrib import admin

from app.accounts.admin import ReadOnlyAdmin

from .models import Annotator, Guideline, Membership, Project, TaskSchema


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    list_display = ("name", "slug", "status", "overlap", "created_at")
    list_filter = ("status",)
    search_fields = ("name", "slug")
    readonly_fields = (
        "account_id",
        "queue_epoch",
        "schema",
        "seed",
        "created_by",
        "archived_at",
        "deleted_at",
    )

    def has_delete_permission(self, request, obj=None) -> bool:
        """Projects are deleted from their settings, where it can be undone."""
        return False


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin):
    list_display = ("project", "user", "role")
    list_filter = ("role",)
    raw_id_fields = ("project", "user")


@admin.register(Annotator)
class AnnotatorAdmin(ReadOnlyAdmin):
    list_display = ("name", "kind", "project", "status", "n_judged")
    list_filter = ("kind", "status")
    search_fields = ("name",)


admin.site.register([TaskSchema, Guideline], ReadOnlyAdmin)
