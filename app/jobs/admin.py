from django.contrib import admin

from app.accounts.admin import ReadOnlyAdmin

from .models import Job


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ("title", "kind", "scope", "state", "attempt", "created_at")
    list_filter = ("state", "kind", "queue")
    exclude = ("events",)
