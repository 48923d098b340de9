"""What the judging page's scripts say, in the person's language."""

from __future__ import annotations

from django.utils.translation import gettext as _


def page_words() -> dict[str, str]:
    """Every text of `static/js/judging` by its key; `{name}` is filled in by the script (`plumbline.say`)."""
    return {
        "now_asked": _("Now asked: {label}"),
        "order_tie": _("Tie {one} and {other}"),
        "order_untie": _("No tie between {one} and {other}"),
        "rewrite_failed": _("The response could not be fetched. You can write from scratch."),
        "rewrite_untouched": _("Unchanged so far: only a changed text is kept."),
        "one_part": _("1 part marked"),
        "parts": _("{n} parts marked"),
        "marked_parts": _("Marked parts of response {letter}"),
        "marked_parts_alone": _("Marked parts of the response"),
        "note": _("Why?"),
        "note_on": _("Note on “{quote}”"),
        "delete": _("Delete"),
        "delete_mark": _("Delete the mark on “{quote}”"),
        "mark_deleted": _("Mark deleted."),
        "marked": _("Marked as {label}: {quote}"),
        "mark": _("Mark"),
        "marking_help": _(
            "← → by word, ↑ ↓ by sentence, with Shift to extend. Enter chooses the label, Esc ends."
        ),
        "layout_columns": _("Responses: side by side"),
        "layout_stacked": _("Responses: stacked"),
        "scroll_each": _("Scroll: each response"),
        "scroll_together": _("Scroll: all together"),
        "fold": _("Fold"),
        "unfold": _("Show all"),
        "today": _("{n} today"),
        "stored_answered": _("Stored."),
        "stored_skipped": _("Skipped."),
        "stored_flagged": _("Flagged."),
        "stored_cannot_judge": _("Stored as cannot judge."),
        "next_item": _("Next item."),
        "preview": _("This is a preview: nothing is stored."),
        "undo": _("Undo"),
        "undo_key": _("Undo ({key})"),
        "fold_place": _("{n} of {all}"),
        "draft_seconds": _("Draft saved {n} s ago"),
        "draft_minutes": _("Draft saved {n} min ago"),
        "draft_saved": _("Draft saved"),
        "draft_local": _("Draft kept in this browser: no connection"),
        "draft_refused": _("Draft kept in this browser only"),
        "draft_late": _("Draft saved. The time for this item ran out; you can still submit it"),
        "draft_restored": _("Draft restored from this browser"),
        "kept_other_tab": _("You submitted this item in another tab."),
        "outbox_offline": _(
            "No connection. Your judgment is kept here and sent by itself when you are back."
        ),
        "outbox_failed": _(
            "The server could not answer ({status}). Your judgment is kept here and sent again by itself."
        ),
        "outbox_no_member": _("You are no longer a member of this project, so this could not be stored."),
        "outbox_too_long": _("That is too much text to be sent. Shorten it and submit again."),
        "session_ended": _(
            "Your session has ended. What you entered is kept here. Sign in again and it is sent by itself."
        ),
        "somebody_else": _(
            "Somebody else has signed in here. What {name} entered is kept and sent after signing in again."
        ),
        "too_many_tries": _("Too many tries. Wait a few minutes, then try again."),
        "sign_in_failed": _("That did not work ({status}). Try again, or sign in in a new tab."),
        "sign_in_offline": _("No connection. Try again when you are online."),
        "signed_in": _("Signed in again."),
        "break_minutes": _(
            "You have been judging for {n} minutes. A few minutes away from the screen do the eyes good; "
            "your item waits."
        ),
        "break_items": _(
            "That makes {n} judgments in a row. A few minutes away from the screen do the eyes good; "
            "your item waits."
        ),
    }
