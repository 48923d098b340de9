"""The site admin's view of people and of what was done."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from .models import AuditEvent, User

admin.site.login = secure_admin_login(
    admin.site.login
)  # the same rate limits and second factor as everywhere
admin.site.site_header = "Plumbline administration"
admin.site.site_title = "Plumbline"


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that only the product itself writes."""

    def has_add_permission(self, request) -> bool:
        return False

    def has_change_permission(self, request, obj=None) -> bool:
        return False

    def has_delete_permission(self, request, obj=None) -> bool:
        return False


@admin.register(User)
class PersonAdmin(UserAdmin):
    list_display = ("username", "email", "display_name", "is_staff", "is_active", "last_login")
    fieldsets = (*UserAdmin.fieldsets, ("Plumbline", {"fields": ("display_name", "preferences")}))


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ("at", "actor", "action", "scope", "target")
    list_filter = ("action",)
    search_fields = ("scope", "target")
    show_full_result_count = False
