from django.contrib import admin

from app.accounts.admin import ReadOnlyAdmin

from .models import Account, Reservation


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    list_display = ("name", "currency", "cap", "spent", "held", "left")


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin):
    list_display = (
        "account",
        "purpose",
        "reference",
        "state",
        "amount_micros",
        "settled_micros",
        "created_at",
    )
    list_filter = ("state", "purpose")
