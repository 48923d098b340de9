"""The annotator's loop under load: POST an answer, get the next item, as the judging page does it.

    python -m bench.annotator_loop --items 1000 100000 --clients 8 --seconds 10 --runs 5
    python -m bench.annotator_loop --database postgres://postgres@127.0.0.1:5432/postgres

A throw-away site is made of the product's own processes (gunicorn, 2 processes of 4 threads, on 127.0.0.1), with
real items, people with sessions and rendered texts. A loop is one POST that stores a judgment and answers with
the next item. In between, the same people call a bare view that reads one row and writes one.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from dataclasses import asdict, dataclass
from http.client import HTTPConnection

from bench.measure import SQLITE, Meter, machine, median, peak_mb, quantile, table
from tests.faults import harness
from tests.faults.people import Crowd, Person

BAR_MS = 15.0
BAR_GROWTH = 1.3
GROWN_FROM = 20_000  # with more items than these, the rest are copies made inside the database
THINK_BAR_MS = 100.0
SHARED_FROM = 5000  # with so many items, all runs share one project; below, each run has its own
OVERLAP = 3


@dataclass(frozen=True)
class Run:
    """One timed run. Times in milliseconds, memory in MB."""

    loops: int
    loops_per_s: float
    p50: float
    p95: float
    p99: float
    web_cpu_ms: float
    """CPU of the web processes per judgment."""
    database_cpu_ms: float
    """CPU of the database's own processes per judgment; 0 on SQLite, where it is part of `web_cpu_ms`."""
    peak_mb: float


def run_loop(site: harness.Site, people: list[Person], seconds: float) -> Run:
    """Let the people judge for so long; opening their first page is not counted."""
    for person in people:
        person.open()
        person.close()  # the server closes a connection that idles for two seconds
    crowd = Crowd(people)
    meter = Meter(site, site.web.child.pid)
    meter.start()
    started = time.perf_counter()
    crowd.start()
    time.sleep(seconds)
    crowd.stopped.set()
    crowd.join(60)
    elapsed = time.perf_counter() - started
    web, database = meter.stop()
    if crowd.n_failures:
        raise SystemExit(
            f"{crowd.n_failures} requests failed: {[person.last_failure for person in people]} {site.web.log.read_text()[-3000:]}"
        )
    if any(person.finished for person in people):
        raise SystemExit("the items ran out: take more items or fewer seconds")
    times = [1000 * one.seconds for person in people for one in person.given]
    return _run(times, elapsed, web, database, peak_mb(harness.group_of(site.web.child.pid)))


def _run(times: list[float], elapsed: float, web: float, database: float, peak: float) -> Run:
    n = len(times)
    return Run(
        loops=n,
        loops_per_s=n / elapsed,
        p50=quantile(times, 0.50),
        p95=quantile(times, 0.95),
        p99=quantile(times, 0.99),
        web_cpu_ms=1000 * web / n,
        database_cpu_ms=1000 * database / n,
        peak_mb=peak,
    )


def run_bare(
    site: harness.Site, server: harness.Process, port: int, sessions: dict, item: int, seconds: float
) -> Run:
    """The same number of people at the bare read-and-write view."""
    times: list[float] = []
    failed: list[str] = []
    stop = threading.Event()

    def one(session: str) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", "/token/", headers={"Cookie": f"sessionid={session}"})
            answer = connection.getresponse()
            token = answer.read().decode()
            cookie = answer.headers["Set-Cookie"].partition(";")[0]
            headers = {
                "Cookie": f"sessionid={session}; {cookie}",
                "X-CSRFToken": token,
                "Content-Type": "application/x-www-form-urlencoded",
            }
            while not stop.is_set():
                started = time.perf_counter()
                connection.request("POST", "/read-and-write/", body=f"item={item}", headers=headers)
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    raise OSError(f"the bare view answered {answer.status}")
                times.append(1000 * (time.perf_counter() - started))
        except Exception as error:
            failed.append(repr(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(session,), daemon=True) for session in sessions.values()]
    meter = Meter(site, server.child.pid)
    meter.start()
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join(40)
    elapsed = time.perf_counter() - started
    web, database = meter.stop()
    if failed:
        raise SystemExit(f"bare view: {failed[0]}")
    return _run(times, elapsed, web, database, peak_mb(harness.group_of(server.child.pid)))


class Thinker(Person):
    """Somebody who reads before each answer, for a time drawn from the exponential distribution."""

    think = 2.0

    def _answer(self, inputs: list[dict]) -> str:
        deadline = time.monotonic() + self._random.expovariate(1 / self.think)
        while (left := deadline - time.monotonic()) > 0:
            if self.stop():
                return self._page
            self.close()  # the server closes a connection that idles for two seconds
            time.sleep(min(left, 0.5))
        return super()._answer(inputs)

    def judge(self, *, until=lambda: False) -> None:
        self.stop = until
        super().judge(until=until)


def measure_thinking(items: int, database: str, *, clients: int, seconds: float, think: float) -> dict:
    """One run of people who think: {items, database, loop: [Run]}; times are what a person waits for."""
    names = [f"person-{n}" for n in range(clients)]
    with harness.site(database="" if database == SQLITE else database) as site:
        site.add_items(min(items, GROWN_FROM), overlap=OVERLAP, people=names, slug="all")
        if items > GROWN_FROM:
            site.inside("grow", slug="all", to=items)
        sessions = site.inside("sessions", people=names)
        site.start_web()
        people = []
        for number in (0, 1):
            crowd = [
                Thinker(name, sessions[name], site.port, "all", 100 * number + k)
                for k, name in enumerate(names)
            ]
            for person in crowd:
                person.think = think
            people.append(crowd)
        run_loop(site, people[0], max(5.0, 2 * think))  # warm-up
        run = run_loop(site, people[1], seconds)
    name = "SQLite" if database == SQLITE else "PostgreSQL"
    return {"items": items, "database": name, "think": think, "clients": clients, "loop": [run]}


def thinking_verdict(result: dict) -> str:
    """The bar in words."""
    [run] = result["loop"]
    met = "met" if run.p99 <= THINK_BAR_MS else "MISSED"
    return (
        f"{result['database']}, {result['items']:,} items, {result['clients']} people who think {result['think']:g} s: "
        f"{run.loops} judgments, next item after {run.p50:.0f} ms (p50), {run.p95:.0f} ms (p95), {run.p99:.0f} ms (p99), "
        f"bar ≤ {THINK_BAR_MS:g} ms {met}; {run.web_cpu_ms:.2f} ms web CPU per judgment"
    )


def measure(items: int, database: str, *, clients: int, seconds: float, runs: int) -> dict:
    """All runs at one size on one database: {loop: [Run], bare: [Run], …}."""
    names = [f"person-{n}" for n in range(clients)]
    with harness.site(database="" if database == SQLITE else database) as site:
        shared = items >= SHARED_FROM
        slugs = ["all"] * (runs + 1) if shared else [f"run-{n}" for n in range(runs + 1)]
        for slug in dict.fromkeys(slugs):
            site.add_items(min(items, GROWN_FROM), overlap=OVERLAP, people=names, slug=slug)
            if items > GROWN_FROM:
                site.inside("grow", slug=slug, to=items)
        sessions = site.inside("sessions", people=names)
        site.start_web()
        bare_port = harness.free_port()
        bare = site.serve(bare_port, application="bench.bare.wsgi")
        item = site.rows("SELECT min(id) FROM items_item")[0][0]

        def people(n: int) -> list[Person]:
            return [
                Person(name, sessions[name], site.port, slugs[n], 100 * n + k) for k, name in enumerate(names)
            ]

        run_loop(site, people(0), max(3.0, seconds / 2))  # warm-up: processes loaded, texts rendered
        run_bare(site, bare, bare_port, sessions, item, 1.0)
        loops, bares = [], []
        for n in range(1, runs + 1):
            loops.append(run_loop(site, people(n), seconds))
            bares.append(run_bare(site, bare, bare_port, sessions, item, max(1.0, seconds / 4)))
    return {
        "items": items,
        "database": "SQLite" if database == SQLITE else "PostgreSQL",
        "loop": loops,
        "bare": bares,
    }


def middle(runs: list[Run], field: str) -> float:
    return median(getattr(run, field) for run in runs)


def rows_of(result: dict) -> list[list[str]]:
    found = []
    for kind in ("loop", "bare"):
        runs = result[kind]
        costs = [run.web_cpu_ms for run in runs]
        found.append(
            [
                f"{result['database']}, {result['items']:,} items, {kind}",
                str(sum(run.loops for run in runs)),
                f"{middle(runs, 'loops_per_s'):.1f}",
                *(f"{middle(runs, field):.0f}" for field in ("p50", "p95", "p99")),
                f"{median(costs):.2f} ({min(costs):.1f}–{max(costs):.1f})",
                "in web" if result["database"] == "SQLite" else f"{middle(runs, 'database_cpu_ms'):.2f}",
                f"{max(run.peak_mb for run in runs):.0f}",
            ]
        )
    return found


def verdicts(results: list[dict]) -> list[str]:
    """The bars and the ratios, in words."""
    lines = []
    cost = {(r["database"], r["items"]): middle(r["loop"], "web_cpu_ms") for r in results}
    for result in results:
        key = (result["database"], result["items"])
        bare = middle(result["bare"], "web_cpu_ms")
        line = f"{key[0]}, {key[1]:,} items: {cost[key]:.2f} ms per judgment, {cost[key] / bare:.1f} × the bare view"
        if key[1] <= 1000:
            line += f"; bar ≤ {BAR_MS:g} ms {'met' if cost[key] <= BAR_MS else 'MISSED'}"
        lines.append(line)
    for database in dict.fromkeys(name for name, _ in cost):
        sizes = sorted(items for name, items in cost if name == database)
        if len(sizes) > 1:
            growth = cost[database, sizes[-1]] / cost[database, sizes[0]]
            lines.append(
                f"{database}: {sizes[-1]:,} items cost {growth:.2f} × what {sizes[0]:,} cost; "
                f"bar ≤ {BAR_GROWTH} {'met' if growth <= BAR_GROWTH else 'MISSED'}"
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, nargs="+", default=[1000])
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--database", nargs="+", default=[SQLITE], help="'sqlite', or URLs of PostgreSQL servers"
    )
    parser.add_argument(
        "--think",
        type=float,
        metavar="S",
        help="people think so many seconds before each answer (exponential); one run, no bare view",
    )
    parser.add_argument("--json", action="store_true", help="end with every run as one JSON object")
    options = parser.parse_args()
    print(f"{machine()}; {options.clients} people, {options.runs} runs of {options.seconds:g} s, medians")
    print(
        f"Items: {len(harness.real_pairs())} real pairs; beyond that the same texts under other ids. Overlap {OVERLAP}."
    )
    if options.think:
        found = []
        for database in options.database:
            for items in options.items:
                found.append(
                    measure_thinking(
                        items, database, clients=options.clients, seconds=options.seconds, think=options.think
                    )
                )
                print(thinking_verdict(found[-1]), flush=True)
        if options.json:
            rows = [{**r, "loop": [asdict(x) for x in r["loop"]]} for r in found]
            print(json.dumps({"machine": machine(), "results": rows}))
        return
    results = []
    for database in options.database:
        for items in options.items:
            results.append(
                measure(items, database, clients=options.clients, seconds=options.seconds, runs=options.runs)
            )
            print(*verdicts(results[-1:]), sep="\n", flush=True)
    head = [
        "",
        "loops",
        "loops/s",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "web CPU ms (min–max)",
        "database CPU ms",
        "peak MB",
    ]
    print("\n" + table(head, [row for result in results for row in rows_of(result)]) + "\n")
    print(*verdicts(results), sep="\n")
    if options.json:
        runs = [
            {**r, "loop": [asdict(x) for x in r["loop"]], "bare": [asdict(x) for x in r["bare"]]}
            for r in results
        ]
        print(json.dumps({"machine": machine(), "results": runs}))


if __name__ == "__main__":
    main()
