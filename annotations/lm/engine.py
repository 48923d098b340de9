"""Ask a model about many items: calls in threads, everything else in one place.

This thread alone touches the database: it claims calls, stores replies, submits judgments. The others only wait for
the network. So a run can be killed at any moment: a reply that was stored is found again and not paid twice, a call
that was under way counts as spent, an item is judged once.
"""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from django.utils import timezone

from annotations.judging.submit import Conflict

from . import claims, client, parsing
from .models import EndpointModel, Failure
from .work import CallWork, ItemWork, Plan, submit_work

FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 60.0
FAILURES_IN_A_ROW = 20
LOOK = 0.5
BATCH = 32


class RunFailed(Exception):
    """The run cannot go on; the text says why. What was judged and paid until then is stored."""


class OutOfMoney(RunFailed):
    """A cap does not allow another call."""


@dataclass
class Totals:
    """What a run did. Money in millionths, of the calls it made itself."""

    judged: int = 0
    unread: int = 0
    skipped: int = 0
    failed: int = 0
    calls: int = 0
    cached: int = 0
    cost_micros: int = 0

    @property
    def done(self) -> int:
        return self.judged + self.skipped + self.failed


def backoff(attempt: int, retry_after: float | None, rng: random.Random) -> float:
    """Seconds before the next attempt: full jitter over 0.5 * 2^attempt up to 60, never less than the server asks."""
    delay = rng.uniform(0, min(LONGEST_BACKOFF, FIRST_BACKOFF * 2**attempt))
    return delay if retry_after is None else retry_after + min(delay, 1.0)


class Engine:
    """One run. `ask(call) -> Completion` is called in threads and raises client.CallFailed."""

    def __init__(
        self,
        plan: Plan,
        *,
        owner: str,
        ask: Callable[[client.Call], client.Completion],
        accounts: Sequence = (),
        report: Callable[[Totals], None] = lambda totals: None,
        finish: Callable[[Plan, ItemWork], bool] | None = None,
        threads: int | None = None,
        records_failures: bool = True,
    ):
        endpoint_model = plan.detail.endpoint_model
        self.plan, self.owner, self.ask, self.accounts = plan, owner, ask, accounts
        self.report, self._finish = report, finish or self._submit
        self.model: EndpointModel | None = endpoint_model
        self.endpoint = endpoint_model.endpoint if endpoint_model else None
        self.threads = threads or (self.endpoint.concurrency if self.endpoint else 1)
        self.most_attempts = self.endpoint.max_attempts if self.endpoint else 1
        self.lacks = frozenset(endpoint_model.lacks if endpoint_model else ())
        self.records_failures = records_failures
        self.totals = Totals()
        self._ready: deque[CallWork] = deque()
        self._later: list[tuple[float, int, CallWork]] = []
        self._flying: dict[Future, tuple[CallWork, object]] = {}
        self._number = itertools.count()
        self._rng = random.Random()  # noqa: S311 - jitter, nothing secret
        self._in_a_row = 0

    def run(self, items: Iterable[ItemWork]) -> Totals:
        """Judge these items. Raises RunFailed, or what `report` raises; then calls under way are waited for."""
        waiting = iter(items)
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="lm")
        try:
            while self._step(waiting, pool):
                self.report(self.totals)
        finally:
            self._drain()
            pool.shutdown()
        return self.totals

    # --- One turn -------------------------------------------------------------------------------------------
    def _step(self, waiting: Iterator[ItemWork], pool: ThreadPoolExecutor) -> bool:
        """Start what may start, take in what arrived; False once nothing is left to do."""
        more = False
        if len(self._ready) < 4 * self.threads:
            batch = list(itertools.islice(waiting, BATCH))
            more = bool(batch)
            self._admit(batch)
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            self._ready.append(heapq.heappop(self._later)[2])
        self._start(pool)
        if not self._flying and not self._later:
            return more or bool(self._ready)
        pause = LOOK
        if self._later:
            pause = min(pause, max(0.01, self._later[0][0] - time.monotonic()))
        if self._flying:
            done, _ = wait(self._flying, timeout=pause, return_when=FIRST_COMPLETED)
            self._take(done)
        else:
            time.sleep(pause)
        return True

    def _admit(self, batch: Sequence[ItemWork]) -> None:
        """Give new items the replies that are stored already; queue the calls that are missing."""
        keys = [call.key for work in batch for call in work.calls]
        stored = claims.known(self.plan.annotator.project_id, keys)
        for work in batch:
            for call in work.calls:
                if reply := stored.get(call.key):
                    work.replies[call.key] = reply
                    self.totals.cached += 1
                else:
                    self._ready.append(call)
            self._settle(work)

    def _start(self, pool: ThreadPoolExecutor) -> None:
        free = self.threads - len(self._flying)
        batch: list[CallWork] = []
        while self._ready and len(batch) < free:
            call = self._ready.popleft()
            if not call.item.failed:
                batch.append(call)
        if not batch:
            return
        outcomes = claims.claim(
            project_id=self.plan.annotator.project_id,
            endpoint=self.endpoint,
            accounts=self.accounts,
            owner=self.owner,
            wanted=[call.wanted for call in batch],
        )
        broke = ""
        for call, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, claims.Hit):
                self.totals.cached += 1
                self._got(call, outcome.reply)
            elif isinstance(outcome, claims.Claimed):
                self.totals.calls += 1
                sent = call.sent if not self.lacks else replace(call.sent, lacks=self.lacks)
                self._flying[pool.submit(self.ask, sent)] = (call, outcome.reply)
            elif isinstance(outcome, claims.Wait):
                self._put_off(call, outcome.seconds)
            else:
                broke = outcome.words
                self._put_off(call, LOOK)
        if broke and not self._flying:
            raise OutOfMoney(f"The budget does not allow another call. {broke}")

    def _put_off(self, call: CallWork, seconds: float) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._number), call))

    # --- What arrives ---------------------------------------------------------------------------------------
    def _take(self, futures: Iterable[Future]) -> None:
        """Store the replies of finished calls together, then deal with the failures."""
        arrived, failures = [], []
        for future in futures:
            call, row = self._flying.pop(future)
            error = future.exception()
            if error is None:
                completion = future.result()
                p = parsing.probability_second(
                    completion.tokens, completion.text, self.plan.asked, call.order
                )
                arrived.append((call, claims.Arrived(row, completion, p, self.plan.price)))
            else:
                failures.append((call, row, error))
        stored = {reply.pk: reply for reply in claims.store([each for _, each in arrived])} if arrived else {}
        for call, each in arrived:
            reply = stored.get(each.row.pk)
            if reply is None:  # taken over by another worker: it will have the reply
                self._put_off(call, 1.0)
                continue
            self.totals.cost_micros += reply.cost_micros
            self._got(call, reply)
        fatal = None
        for call, row, error in failures:
            fatal = self._failed(call, row, error) or fatal
        if fatal:
            raise fatal

    def _got(self, call: CallWork, reply) -> None:
        call.item.replies[call.key] = reply
        self._settle(call.item)

    def _settle(self, work: ItemWork) -> None:
        if work.is_complete:
            self._in_a_row = 0
            if self._finish(self.plan, work):
                self.totals.judged += 1
            else:
                self.totals.skipped += 1

    def _submit(self, plan: Plan, work: ItemWork) -> bool:
        try:
            made = submit_work(plan, work)
        except Conflict:  # withdrawn, or judged by another run, since it was listed
            return False
        self.totals.unread += made.judgment.outcome == "cannot_judge"
        Failure.objects.filter(annotator=plan.annotator, item_id=work.item_id).delete()
        return True

    def _failed(self, call: CallWork, row, error: BaseException) -> RunFailed | None:
        """Deal with one failed call; returns what ends the run, if anything does."""
        if not isinstance(error, client.CallFailed):
            claims.give_up(row, billed=True)
            raise error
        claims.give_up(row, billed=error.maybe_billed)
        if error.kind == "fatal":
            return RunFailed(str(error))
        if error.kind == "parameter":
            self._remember(error.parameter)
            self._ready.appendleft(call)
            return None
        call.attempts += 1
        if error.is_temporary and call.attempts < self.most_attempts and not call.item.failed:
            delay = backoff(call.attempts, error.retry_after, self._rng)
            if error.kind == "busy" and self.endpoint is not None:
                claims.block(self.endpoint, delay)
            self._put_off(call, delay)
            return None
        return self._lose(call.item, error, call.attempts)

    def _remember(self, parameter: str) -> None:
        """This server does not take a parameter: never send it to this model again."""
        self.lacks |= {parameter}
        if self.model is not None:
            self.model.lacks = sorted({*self.model.lacks, parameter})
            EndpointModel.objects.filter(pk=self.model.pk).update(lacks=self.model.lacks)

    def _lose(self, work: ItemWork, error: client.CallFailed, attempts: int) -> RunFailed | None:
        """Record that an item could not be asked; too many in a row end the run."""
        if work.failed:
            return None
        work.failed = True
        self.totals.failed += 1
        if self.records_failures:
            tries = f" ({attempts} attempts)" if attempts > 1 else ""
            Failure.objects.update_or_create(
                annotator=self.plan.annotator,
                item_id=work.item_id,
                defaults={"kind": error.kind, "message": f"{error}{tries}"[:500], "at": timezone.now()},
            )
        self._in_a_row += 1
        if self._in_a_row >= FAILURES_IN_A_ROW:
            return RunFailed(f"{self._in_a_row} items in a row failed, the last one with: {error}")
        return None

    def _drain(self) -> None:
        """Wait for the calls under way and keep what they bring: they are paid for."""
        if not self._flying:
            return
        wait(self._flying)
        arrived = []
        for future, (call, row) in self._flying.items():
            error = future.exception()
            if error is None:
                done = future.result()
                p = parsing.probability_second(done.tokens, done.text, self.plan.asked, call.order)
                arrived.append(claims.Arrived(row, done, p, self.plan.price))
            else:
                claims.give_up(row, billed=getattr(error, "maybe_billed", True))
        if arrived:
            claims.store(arrived)
        self._flying.clear()
