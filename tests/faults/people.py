"""People at the judging page, without a browser: they read the page's form, answer it, and take the next one.

What the page's outbox does is done here too: an answer that got no reply is sent again under the same UUID.
"""

from __future__ import annotations

import html
import random
import re
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import ClassVar
from urllib.parse import urlencode

_INPUT = re.compile(r"<input\b[^>]*>")
_ATTRIBUTE = re.compile(r'\b(name|value|type)="([^"]*)"')
_FORM = re.compile(r'<form id="answer"(.*?)</form>', re.DOTALL)


class Unexpected(AssertionError):
    """The site answered something a judging page must never get."""


@dataclass(slots=True)
class Given:
    """One acknowledged answer: the values as shown on the page, before sides are turned back."""

    uuid: str
    assignment: int
    overall: str
    ratings: dict[str, int]
    reason: str
    tries: int
    seconds: float


class Visitor:
    """One signed-in person's connection to the site: cookies, the CSRF token, keep-alive."""

    def __init__(self, session: str, port: int):
        self.session, self.port = session, port
        self._connection: HTTPConnection | None = None
        self._csrf = ""
        self.sent = False
        """Whether the last request was sent off whole."""

    def request(self, method: str, path: str, values: dict | None = None) -> tuple[int, str, str]:
        """(status, text, Location); values are posted as a form. Raises OSError or HTTPException."""
        self.sent = False
        if self._connection is None:
            self._connection = HTTPConnection("127.0.0.1", self.port, timeout=self.patience)
        cookies = f"sessionid={self.session}" + (f"; csrftoken={self._csrf}" if self._csrf else "")
        headers = {"Cookie": cookies, "Accept": "text/html"}
        body = None
        if values is not None:
            body = urlencode(values)
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "X-CSRFToken": self._csrf}
            headers |= self.form_headers
        self._connection.request(method, path, body=body, headers=headers)
        self.sent = True
        answer = self._connection.getresponse()
        text = answer.read().decode()
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            if cookie.startswith("csrftoken="):
                self._csrf = cookie.partition("=")[2].partition(";")[0]
        return answer.status, text, answer.headers.get("Location", "")

    form_headers: ClassVar[dict[str, str]] = {}
    patience = 30.0
    """Seconds to wait for an answer."""

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Person(Visitor):
    """One annotator. `given` has every answer the site acknowledged with 2xx."""

    form_headers: ClassVar[dict[str, str]] = {"HX-Request": "true"}

    def __init__(self, name: str, session: str, port: int, slug: str, seed: int, retry_seconds: float = 240):
        super().__init__(session, port)
        self.name, self.slug, self.retry_seconds = name, slug, retry_seconds
        self.given: list[Given] = []
        self.failures = 0
        """Requests that got no answer, or a 5xx."""
        self.last_failure = ""
        self.cut = 0
        """Answers that were sent off whole and whose connection broke before a reply came."""
        self.finished = False
        """The site said that nothing is left."""
        self._random = random.Random(seed)
        self._page = ""

    def open(self) -> None:
        """Open the judging page."""
        self._page = self._get(f"/work/{self.slug}/")

    def judge(self, *, until: Callable[[], bool] = lambda: False) -> None:
        """Judge item after item until nothing is left or `until` says so."""
        if not self._page:
            self.open()
        while not until():
            form = _FORM.search(self._page)
            if form is None:
                if "Nothing left for you" not in self._page:
                    raise Unexpected(f"{self.name}: no form and no end on the page: {self._page[:400]}")
                self.finished = True
                return
            self._page = self._answer(_inputs(form[1]))

    def _answer(self, inputs: list[dict]) -> str:
        values = {
            i["name"]: i.get("value", "") for i in inputs if i.get("type") == "hidden" and i.get("name")
        }
        choices: dict[str, list[str]] = {}
        for one in inputs:
            if one.get("type") == "radio":
                choices.setdefault(one["name"], []).append(one["value"])
        picked = {name: self._random.choice(options) for name, options in sorted(choices.items())}
        own = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        reason = f"{self.name} thought so, {own[:8]}"
        values |= picked | {"uuid": own, "outcome": "answered", "x-reason": reason}
        values |= {"active_ms": "900", "wall_ms": "1000"}
        started = time.perf_counter()
        page, tries = self._post(f"/work/{self.slug}/submit/", values)
        self.given.append(
            Given(
                uuid=own,
                assignment=int(values["assignment"]),
                overall=picked["c-overall"],
                ratings={name: int(value) for name, value in picked.items() if name != "c-overall"},
                reason=reason,
                tries=tries,
                seconds=time.perf_counter() - started,
            )
        )
        return page

    def _get(self, path: str) -> str:
        return self._until_answered("GET", path, None)[0]

    def _post(self, path: str, values: dict) -> tuple[str, int]:
        return self._until_answered("POST", path, values)

    def _until_answered(self, method: str, path: str, values: dict | None) -> tuple[str, int]:
        """The text of a 2xx answer, and in how many tries. Raises Unexpected for any 3xx or 4xx."""
        deadline = time.monotonic() + self.retry_seconds
        tries = 0
        while True:
            tries += 1
            try:
                status, text, _ = self.request(method, path, values)
            except (OSError, HTTPException) as error:
                status, text = 0, repr(error)
                self.cut += int(self.sent and method == "POST")
                self.close()
            if 200 <= status < 300:
                return text, tries
            if 300 <= status < 500:
                raise Unexpected(f"{self.name}: {method} {path} answered {status}: {text[:600]}")
            self.failures += 1
            self.last_failure = f"{method} {path}: {status} {text[:300]}"
            if time.monotonic() > deadline:
                raise Unexpected(
                    f"{self.name}: {method} {path} failed for {self.retry_seconds} s: {text[:600]}"
                )
            time.sleep(0.05 + 0.1 * self._random.random())


def _inputs(form: str) -> list[dict]:
    return [
        {name: html.unescape(value) for name, value in _ATTRIBUTE.findall(tag)}
        for tag in _INPUT.findall(form)
    ]


class Crowd:
    """People who judge at the same time, each in a thread; what goes wrong in one is raised by `join`."""

    def __init__(self, people: list[Person]):
        self.people = people
        self.errors: list[BaseException] = []
        self.stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._due: list[tuple[int, Callable[[], None]]] = []
        self._acting = threading.Lock()

    def after(self, n: int, act: Callable[[], None]) -> None:
        """Have `act` run once `n` answers are given, by a person, while the others go on up to the next; in order of `n`."""
        self._due.append((n, act))

    def start(self) -> None:
        self._threads = [threading.Thread(target=self._work, args=(p,), daemon=True) for p in self.people]
        for thread in self._threads:
            thread.start()

    def _work(self, person: Person) -> None:
        try:
            person.judge(until=self._between)
        except BaseException as error:
            self.errors.append(error)
            self.stopped.set()
        finally:
            person.close()

    def _between(self) -> bool:
        """Between two answers of a person: do what is due, or wait for who does what was due before; say whether to stop."""
        while self._due and self.n_given >= self._due[0][0] and not self.stopped.is_set():
            if self._acting.acquire(timeout=0.1):
                try:
                    if self._due and self.n_given >= self._due[0][0]:
                        self._due.pop(0)[1]()
                finally:
                    self._acting.release()
        return self.stopped.is_set()

    @property
    def n_given(self) -> int:
        return sum(len(person.given) for person in self.people)

    @property
    def n_failures(self) -> int:
        return sum(person.failures for person in self.people)

    @property
    def n_cut(self) -> int:
        return sum(person.cut for person in self.people)

    @property
    def working(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def join(self, seconds: float) -> None:
        """Wait until all are done; raises what the first of them met, or TimeoutError."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        late = self.working
        self.stopped.set()
        for thread in self._threads:
            thread.join(40)
        if self.errors:
            raise self.errors[0]
        if late:
            raise TimeoutError(
                f"not done after {seconds} s: {self.n_given} answers, {self.n_failures} failures"
            )
