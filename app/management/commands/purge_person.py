"""Erase a person: the account goes, their work stays under a pseudonym or goes, as each project decides."""

from __future__ import annotations

from annotations.datasets.models import Snapshot
from annotations.people import erase
from annotations.people.own_data import policies_of
from annotations.projects.models import Annotator
from app.accounts.models import User
from app.management.base import PlumblineCommand


class Command(PlumblineCommand):
    help = (
        "Erase a person by username: account, sign-ins, consents, drafts and names go; judgments stay under an "
        "irreversible pseudonym or are deleted, by each project's policy. Without --yes it only says what would "
        f"happen. {erase.WHAT_STAYS} Exit code 0: done, or told; 2: no such person, or it cannot be."
    )

    def add_arguments(self, parser) -> None:
        super().add_arguments(parser)
        parser.add_argument("username")
        parser.add_argument("--yes", action="store_true", help="Do it; there is no way back.")

    def handle(self, *args, username: str, yes: bool, **options) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            self.fail(f"No person {username!r}.")
        try:
            erase.check(user)
        except erase.CannotErase as error:
            self.fail(str(error))
        policies = {row.project.slug: row.policy for row in policies_of(user)}
        projects = Annotator.objects.filter(user=user, n_judged__gt=0).values("project")
        snapshots = Snapshot.objects.filter(project__in=projects).count()
        for slug, policy in policies.items():
            self.say(f"{slug}: judgments {'are deleted' if policy == 'delete' else 'stay under a pseudonym'}")
        self.say(
            f"{snapshots} frozen datasets of these projects keep their rows, under a pseudonym that leads nowhere."
        )
        if not yes:
            self.say("Nothing was changed. Give --yes to do it.")
            self.finish({"erased": False, "policies": policies, "snapshots": snapshots})
            return
        erase.request(user=user)
        done = erase.erase(user=user)
        self.say(f"{username} is erased: {done.pseudonymised} judgments stay, {done.deleted} are deleted.")
        self.finish({"erased": True, "policies": policies, "snapshots": snapshots, **done.as_dict()})
