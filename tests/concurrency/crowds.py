"""People who come to the queue in every way there is: by the page's button, by a typed address, and by the API."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from typing import ClassVar

from tests.faults.harness import Site
from tests.faults.people import _FORM, Given, Person, Unexpected, _inputs

WAYS = ("button", "address", "api")
PATIENCE = 300.0  # 200 people before eight threads on a busy machine wait long; nobody is to give up


class Typist(Person):
    """Types the address of the judging page anew for each item, each time in another browser: a plain GET with a
    session of its own, while the answer goes out from the browser the item was shown in."""

    def __init__(self, name, sessions: list[str], port, slug, seed):
        super().__init__(name, sessions[0], port, slug, seed, retry_seconds=PATIENCE)
        self._browsers, self._turn = sessions, 0

    form_headers: ClassVar[dict[str, str]] = {}
    """Without htmx's header the site answers a form with a redirect."""

    def judge(self, *, until: Callable[[], bool] = lambda: False) -> None:
        while not until():
            self.close()
            self._csrf = ""
            self._turn += 1
            self.session = self._browsers[self._turn % len(self._browsers)]
            self.open()
            form = _FORM.search(self._page)
            if form is None:
                if "Nothing left for you" not in self._page:
                    raise Unexpected(f"{self.name}: no form and no end on the page: {self._page[:400]}")
                self.finished = True
                return
            self._answer(_inputs(form[1]))

    def _post(self, path: str, values: dict) -> tuple[str, int]:
        """A form posted without a script is answered with the way to the next item."""
        for tries in range(1, 20):
            try:
                status, text, location = self.request("POST", path, values)
            except (OSError, HTTPException) as error:
                self.close()
                self.failures += 1
                self.last_failure = repr(error)
                continue
            if status == 302 and location == f"/work/{self.slug}/":
                return text, tries
            if status < 500:
                raise Unexpected(f"{self.name}: POST {path} answered {status} {location}: {text[:400]}")
            self.failures += 1
        raise Unexpected(f"{self.name}: POST {path} failed: {self.last_failure}")


class Program(Person):
    """Works through the API with a token."""

    def __init__(self, name, token: str, port, slug, seed):
        super().__init__(name, "", port, slug, seed)
        self._token = token

    def judge(self, *, until: Callable[[], bool] = lambda: False) -> None:
        while not until():
            item = self._call("next", None)
            if item is None:
                self.finished = True
                return
            own = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
            strength = self._random.choice([-3, -2, -1, 1, 2, 3])
            body = {
                "id": own,
                "assignment": item["assignment"],
                "comparisons": [{"aspect": "overall", "preference": strength}],
                "scores": [
                    {"response": place, "attribute": name, "value": self._random.randrange(5)}
                    for place in (0, 1)
                    for name in ("helpfulness", "correctness")
                ],
                "active_ms": 900,
                "wall_ms": 1000,
            }
            started = time.perf_counter()
            self._call("judgments", body)
            seconds = time.perf_counter() - started
            self.given.append(Given(own, int(item["assignment"]), str(strength), {}, "", 1, seconds))

    def _call(self, resource: str, body: dict | None) -> dict | None:
        if self._connection is None:
            self._connection = HTTPConnection("127.0.0.1", self.port, timeout=self.patience)
        headers = {"Authorization": f"Token {self._token}", "Content-Type": "application/json"}
        path = f"/api/v1/projects/{self.slug}/{resource}"
        for _ in range(20):
            try:
                self._connection.request("POST", path, json.dumps(body or {}), headers)
                answer = self._connection.getresponse()
                text = answer.read().decode()
            except (OSError, HTTPException) as error:
                self._connection.close()
                self.failures += 1
                self.last_failure = repr(error)
                continue
            if answer.status == 204:
                return None
            if answer.status in (200, 201):
                return json.loads(text)
            raise Unexpected(f"{self.name}: POST {path} answered {answer.status}: {text[:400]}")
        raise Unexpected(f"{self.name}: POST {path} failed: {self.last_failure}")


def people_in_every_way(site: Site, names: list[str], slug: str) -> list[Person]:
    """A third of the people come by each of `WAYS`."""
    sessions = [site.inside("sessions", people=names) for _ in range(2)]
    programs = [name for n, name in enumerate(names) if n % 3 == 2]
    tokens = site.inside("tokens", people=programs)
    people: list[Person] = []
    for n, name in enumerate(names):
        if n % 3 == 0:
            people.append(Person(name, sessions[0][name], site.port, slug, n, retry_seconds=PATIENCE))
        elif n % 3 == 1:
            people.append(Typist(name, [known[name] for known in sessions], site.port, slug, n))
        else:
            people.append(Program(name, tokens[name], site.port, slug, n))
    for person in people:
        person.patience = PATIENCE
    return people


class Watch(threading.Thread):
    """Looks at the site's items while people work; `over` has every item seen beyond its quota."""

    def __init__(self, site: Site, every: float = 0.5):
        super().__init__(daemon=True)
        self.site, self.every = site, every
        self.over: list[tuple] = []
        self.looks = 0
        self.done = threading.Event()

    def run(self) -> None:
        while True:
            self.over += self.site.rows(
                "SELECT i.id, i.wanted, count(a.id) FROM items_item i JOIN judging_assignment a ON a.item_id = i.id"
                " WHERE a.state IN ('leased', 'submitted') GROUP BY i.id, i.wanted HAVING count(a.id) > i.wanted"
            )
            self.looks += 1
            if self.done.wait(self.every):
                return
