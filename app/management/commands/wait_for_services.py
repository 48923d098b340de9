"""Wait until the database and the broker answer."""

from __future__ import annotations

import sys
import time

from django.core.management.base import BaseCommand
from django.db import OperationalError, connection

from app.celery import app


class Command(BaseCommand):
    help = "Wait until the database and the broker answer; exit code 1 if they do not in time."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--timeout", type=float, default=60, help="Seconds.")

    def handle(self, *args, timeout: float, **options) -> None:
        deadline = time.monotonic() + timeout
        for name, check in (("database", self._database), ("broker", self._broker)):
            while True:
                try:
                    check()
                    break
                except Exception as error:
                    if time.monotonic() > deadline:
                        self.stderr.write(f"The {name} did not answer in {timeout:g} s: {error}")
                        sys.exit(1)
                    time.sleep(0.5)
            self.stdout.write(f"The {name} answers.")

    def _database(self) -> None:
        try:
            connection.ensure_connection()
        except OperationalError:
            connection.close()
            raise

    def _broker(self) -> None:
        with app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1, timeout=2)
