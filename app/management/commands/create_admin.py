"""Make the first site admin, from arguments, the environment, or questions on the terminal."""

from __future__ import annotations

import getpass
import os
import sys

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from app.accounts import audit
from app.accounts.models import User
from app.management.base import PlumblineCommand


class Command(PlumblineCommand):
    help = (
        "Make a site admin. ADMIN_USERNAME, ADMIN_EMAIL and ADMIN_PASSWORD[_FILE] are read with --noinput. Exit code "
        "0: made, or nothing to make; 2: it could not be."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--username", default=os.environ.get("ADMIN_USERNAME", ""))
        parser.add_argument("--email", default=os.environ.get("ADMIN_EMAIL", ""))
        parser.add_argument(
            "--noinput", action="store_true", help="Ask nothing; do nothing without ADMIN_PASSWORD."
        )

    def handle(self, *args, username: str, email: str, noinput: bool, **options) -> None:
        if noinput:
            password = self._password_from_environment()
            if not (username and password):
                self.say("ADMIN_USERNAME or ADMIN_PASSWORD is not set: no admin made.")
                self.finish({"made": False})
                return
        else:
            if not sys.stdin.isatty():
                self.fail("No terminal to ask on; use --noinput with ADMIN_USERNAME and ADMIN_PASSWORD.")
            username = username or input("Username: ").strip()
            email = email or input("E-mail: ").strip()
            password = getpass.getpass("Password: ")
        if User.objects.filter(username=username).exists():
            self.say(f"{username} exists already; nothing changed.")
            self.finish({"made": False})
            return
        user = User(username=username, email=email, is_staff=True, is_superuser=True)
        try:
            validate_password(password, user)
        except ValidationError as error:
            self.fail("Password: " + " ".join(error.messages))
        user.set_password(password)
        user.save()
        audit.record(actor=None, action="admin.made", target=username)
        self.say(f"Admin {username} made.")
        self.finish({"made": True})

    def _password_from_environment(self) -> str:
        path = os.environ.get("ADMIN_PASSWORD_FILE")
        if path:
            with open(path, encoding="utf-8") as file:
                return file.read().strip()
        return os.environ.get("ADMIN_PASSWORD", "")
