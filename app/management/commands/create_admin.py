"""Make the first site admin, from arguments, the environment, or questions on the terminal."""

from __future__ import annotations

import getpass
import os
import sys

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from app.accounts import audit
from app.accounts.models import User


class Command(BaseCommand):
    help = "Make a site admin. ADMIN_USERNAME, ADMIN_EMAIL and ADMIN_PASSWORD[_FILE] are read with --noinput."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--username", default=os.environ.get("ADMIN_USERNAME", ""))
        parser.add_argument("--email", default=os.environ.get("ADMIN_EMAIL", ""))
        parser.add_argument(
            "--noinput", action="store_true", help="Ask nothing; do nothing without ADMIN_PASSWORD."
        )

    def handle(self, *args, username: str, email: str, noinput: bool, **options) -> None:
        if noinput:
            password = self._password_from_environment()
            if not (username and password):
                self.stdout.write("ADMIN_USERNAME or ADMIN_PASSWORD is not set: no admin made.")
                return
        else:
            if not sys.stdin.isatty():
                raise CommandError(
                    "No terminal to ask on; use --noinput with ADMIN_USERNAME and ADMIN_PASSWORD."
                )
            username = username or input("Username: ").strip()
            email = email or input("E-mail: ").strip()
            password = getpass.getpass("Password: ")
        if User.objects.filter(username=username).exists():
            self.stdout.write(f"{username} exists already; nothing changed.")
            return
        user = User(username=username, email=email, is_staff=True, is_superuser=True)
        try:
            validate_password(password, user)
        except ValidationError as error:
            raise CommandError("Password: " + " ".join(error.messages)) from error
        user.set_password(password)
        user.save()
        audit.record(actor=None, action="admin.made", target=username)
        self.stdout.write(f"Admin {username} made.")

    def _password_from_environment(self) -> str:
        path = os.environ.get("ADMIN_PASSWORD_FILE")
        if path:
            with open(path, encoding="utf-8") as file:
                return file.read().strip()
        return os.environ.get("ADMIN_PASSWORD", "")
