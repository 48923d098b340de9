"""Run generated Python assertions without trusting them. Pure.

Code runs in Monty, an interpreter of a Python subset in Rust, in worker processes of its own with limits on time and
memory; nothing of this process is reachable from it. Where the host allows, the worker is wrapped: an unprivileged user
(setpriv), no network and no files (bubblewrap), rlimits. A self-test must see every attack fail before anything runs;
else all code is "not runnable on this host". There is no fallback to this interpreter's own exec.
"""

from __future__ import annotations

import ast
import os
import shlex
import shutil
import stat
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

SECONDS = 1.0
MEMORY = 64 * 1024 * 1024
DEPTH = 200
MAX_INPUT = 200_000
MAX_LINES, MAX_CHARS = 80, 10_000
NAMES = ("response", "prompt", "meta")
NOBODY = 65533
PROCESSES = 64
ADDRESSES = 1024**3
NOT_RUNNABLE = "Not runnable on this host: no sandbox passed its self-test."
_LIMITS = {"max_feed_duration_secs": SECONDS, "max_memory": MEMORY, "max_recursion_depth": DEPTH}


class NotRunnable(Exception):
    """No sandbox works on this host; nothing was run."""


class BadCode(ValueError):
    """The code is not an assertion; the text says why."""


@dataclass(frozen=True)
class Result:
    """One run: passed, or why there is no answer."""

    passed: bool = False
    error: str = ""


def check(code: str) -> str:
    """The code, if it is one `def evaluate(response, prompt, meta)` of plain statements. Raises BadCode. Runs nothing."""
    if len(code) > MAX_CHARS or code.count("\n") >= MAX_LINES:
        raise BadCode(f"Expected at most {MAX_LINES} lines and {MAX_CHARS:,} characters.")
    if "\x00" in code or (not code.isprintable() and any(ord(c) < 32 and c not in "\n\t\r" for c in code)):
        raise BadCode("The code holds control characters.")
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadCode(f"This is no Python: {type(error).__name__}.") from None
    made = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    others = [
        n for n in tree.body if not isinstance(n, (ast.FunctionDef, ast.Import, ast.ImportFrom, ast.Assign))
    ]
    if [f.name for f in made].count("evaluate") != 1 or others:
        raise BadCode(
            "Expected one function evaluate(response, prompt, meta), and beside it imports, constants and helpers."
        )
    args = next(f for f in made if f.name == "evaluate").args
    if (
        tuple(a.arg for a in args.args) != NAMES
        or args.vararg
        or args.kwarg
        or args.kwonlyargs
        or args.defaults
    ):
        raise BadCode("Expected the arguments (response, prompt, meta).")
    for node in ast.walk(tree):
        name = getattr(node, "attr", None) or getattr(node, "id", None) or getattr(node, "name", None) or ""
        if isinstance(name, str) and name.startswith("__"):
            raise BadCode(f"{name}: names that begin with two underscores are not allowed.")
        if isinstance(node, (ast.AsyncFunctionDef, ast.Await, ast.Yield, ast.YieldFrom)):
            raise BadCode("Generators and asynchronous code are not allowed.")
    return code


def run(code: str, inputs: Sequence[Mapping[str, object]]) -> list[Result]:
    """Evaluate the assertion on each {response, prompt}. Raises NotRunnable; whatever the code does is a Result."""
    profile = available()
    if not profile:
        raise NotRunnable(NOT_RUNNABLE)
    try:
        check(code)
    except BadCode as error:
        return [Result(error=str(error))] * len(inputs)
    with _lock:
        return [_one(profile, code, values) for values in inputs]


_lock = threading.Lock()


def _one(profile: str, code: str, values: Mapping[str, object]) -> Result:
    given = {"response": str(values.get("response", "")), "prompt": str(values.get("prompt", "")), "meta": {}}
    if sum(len(v) for v in given.values()) > MAX_INPUT:
        return Result(error=f"The texts are longer than {MAX_INPUT:,} characters.")
    value, error = _feed(profile, f"{code}\nevaluate({', '.join(NAMES)})", given)
    if error:
        return Result(error=error)
    if not isinstance(value, bool):
        return Result(error=f"Returned {type(value).__name__}, expected True or False.")
    return Result(passed=value)


def _feed(profile: str, source: str, inputs: dict) -> tuple[object, str]:
    """(value, "") or (None, what went wrong) of one source in a fresh session."""
    import pydantic_monty as monty

    try:
        with _pool(profile).checkout(limits=_LIMITS) as session:
            return session.feed_run(source, inputs=inputs, print_callback=lambda stream, text: None), ""
    except monty.MontyError as error:
        return None, " ".join(str(error).split())[:300] or type(error).__name__
    except (TimeoutError, OSError, RuntimeError, ValueError, RecursionError) as error:
        return None, f"{type(error).__name__}: {error}"[:300]


@lru_cache(maxsize=4)
def _pool(profile: str):
    """One pool per process: a worker that is recycled after some sessions and killed when it is late."""
    import pydantic_monty as monty

    path = None if profile == "monty" else str(_wrapper(profile))
    pool = monty.Monty(
        binary_path=path, max_processes=1, request_timeout=1.8, checkout_timeout=5.0, max_checkouts_per_worker=200,
        feed_duration_limit_grace=0.3,
    )  # fmt: skip
    return pool.__enter__()


def _binary() -> str:
    from pydantic_monty._binary import find_monty_binary

    return str(find_monty_binary())


def _command(profile: str, binary: str) -> list[str]:
    """How the wrapper starts a program: another user, few resources; in bubblewrap no network and nothing but /usr.

    Only a user of its own has few enough processes for a bound on them; that one ends a fork bomb.
    """
    limits, user = f"--core=0 --fsize=0 --nofile=64 --as={ADDRESSES}", ""
    if os.geteuid() == 0:
        limits += f" --nproc={PROCESSES}"
        user = f"--reuid {NOBODY} --regid {NOBODY} --clear-groups "
    drop = f"prlimit {limits} setpriv {user}--no-new-privs"
    if profile != "bwrap":
        return [*drop.split(), binary]
    jail = (
        f"bwrap --unshare-all --unshare-user --disable-userns --die-with-parent --new-session --ro-bind /usr /usr "
        f"--ro-bind-try /lib /lib --ro-bind-try /lib64 /lib64 --ro-bind {shlex.quote(binary)} /program --size 8388608 "
        f"--tmpfs /tmp --clearenv --cap-drop ALL /program"
    )
    return [*drop.split(), *shlex.split(jail)]


def _wrapper(profile: str) -> Path:
    """A script that starts Monty's worker by `_command`."""
    folder = Path(tempfile.mkdtemp(prefix="sandbox-"))
    folder.chmod(0o755)
    script = folder / "monty"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(_command(profile, os.path.realpath(_binary())))} "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return script


# --- The self-test ----------------------------------------------------------------------------------------------
_MUST_FAIL = (
    "open('/etc/passwd').read()",
    "open('/tmp/plumbline-was-here', 'w').write('x')",
    "import socket\nsocket.create_connection(('127.0.0.1', 80))",
    "import subprocess\nsubprocess.run(['id'])",
    "import os\nos.fork()",
    "().__class__.__bases__[0].__subclasses__()",
    "'x' * 10 ** 10",
)


# Monty refuses these anyway; a shell in its place must be refused too: files, devices, secrets, user namespaces.
_JAIL_PROBE = """
for path in /etc /root /home /work /proc /sys /dev/null /run; do [ ! -e $path ] || exit 1; done
(echo x > /usr/plumbline-was-here) 2>&- && exit 2
[ -z "$(env | grep -v -e ^PWD= -e ^SHLVL= -e ^_=)" ] || exit 3
unshare --user true 2>&- && exit 4
exit 0
"""


def _passes(profile: str) -> bool:
    value, error = _feed(profile, "1 + 1", {})
    if error or value != 2 or not all(_feed(profile, source, {})[1] for source in _MUST_FAIL):
        return False
    return profile != "bwrap" or _in_jail(["-c", _JAIL_PROBE]).returncode == 0


def _in_jail(arguments: Sequence[str], program: str = "/bin/sh") -> subprocess.CompletedProcess:
    """Run a program of the host in the place of Monty's worker, to test the jail by itself."""
    command = [*_command("bwrap", os.path.realpath(program)), *arguments]
    return subprocess.run(command, capture_output=True, timeout=5, check=False, env={"SECRET_KEY": "told"})  # noqa: S603 - our own words


@lru_cache(maxsize=1)
def available() -> str:
    """The strongest way that passes the self-test here: `bwrap`, `setpriv`, `monty`; empty where none does."""
    try:
        import pydantic_monty  # noqa: F401
    except ImportError:
        return ""
    wanted = [
        *(["bwrap"] if _has("bwrap", "setpriv", "prlimit") else []),
        *(["setpriv"] if _has("setpriv", "prlimit") else []),
        "monty",
    ]
    for profile in wanted:
        try:
            if _passes(profile):
                return profile
        except (OSError, RuntimeError, ImportError, subprocess.SubprocessError, TimeoutError, ValueError):
            continue
        except Exception as error:  # Monty's own, which cannot be named before it is imported
            if type(error).__module__.partition(".")[0] != "pydantic_monty":
                raise
    return ""


def _has(*programs: str) -> bool:
    return all(shutil.which(p) for p in programs)
