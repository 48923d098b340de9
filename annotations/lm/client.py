"""One call of a model through the official `openai` client: no database, no retries, bounded in time and size.

The client is imported on first use (it takes seconds). Redirects are not followed, so that a key is never sent
elsewhere; a reply beyond `MAX_BYTES`, or one that trickles in for longer than the timeout, is cut off.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from . import vault
from .parsing import clean

MAX_BYTES = 4 * 1024 * 1024
MAX_RAW = 100_000
TOP = 10
LONGEST_WAIT = 600.0
OPTIONAL = ("response_format", "logprobs", "temperature", "max_tokens", "seed", "top_p")


class CallFailed(Exception):
    """A call gave no reply. `kind` says what to do about it; the text is safe to show.

    kind: `busy` (429), `server` (5xx), `network`, `timeout`: try again; `parameter`: again without `parameter`;
    `item`: this item cannot be asked; `fatal`: no item can. `maybe_billed`: the server may have done the work.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        retry_after: float | None = None,
        maybe_billed: bool = False,
        parameter: str = "",
    ):
        super().__init__(message)
        self.kind, self.retry_after, self.maybe_billed = kind, retry_after, maybe_billed
        self.parameter = parameter

    @property
    def is_temporary(self) -> bool:
        return self.kind in {"busy", "server", "network", "timeout", "parameter"}


class TooMuch(Exception):
    """A reply beyond the bounds of `bounded`. `kind` as in CallFailed."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Target:
    """Where a call goes. The key is not part of its text."""

    base_url: str
    model: str
    secret: str = field(repr=False, default="")
    timeout: float = 60.0


@dataclass(frozen=True)
class Call:
    """What is sent; `lacks` are optional parameters this server refused before."""

    messages: tuple[dict, ...]
    schema: Mapping[str, Any]
    max_tokens: int
    temperature: float = 0.0
    logprobs: bool = True
    structured: bool = True
    seed: int | None = None
    lacks: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Completion:
    """A reply as data. `tokens` is the list of token probabilities, empty where the server gives none."""

    text: str
    finish: str
    refusal: bool
    tokens_in: int | None
    tokens_out: int | None
    tokens: tuple[dict, ...]
    latency_ms: int


def complete(target: Target, call: Call) -> Completion:
    """Make the call. Raises CallFailed and nothing else."""
    import openai

    started = time.monotonic()
    try:
        answered = _client(target).chat.completions.with_raw_response.create(**_parameters(target, call))
        body = answered.http_response.content
    except openai.APITimeoutError as error:
        raise CallFailed(
            "timeout",
            f"No reply within {target.timeout:g} seconds.",
            maybe_billed=not _never_sent(error),
        ) from None
    except openai.APIConnectionError as error:
        cause = error.__cause__
        if isinstance(cause, TooMuch):
            raise CallFailed(cause.kind, str(cause), maybe_billed=True) from None
        raise CallFailed(
            "network",
            _safe(f"The server cannot be reached: {type(cause or error).__name__}.", target),
            maybe_billed=not _never_sent(error),
        ) from None
    except openai.APIStatusError as error:
        raise _refused(error, target, call) from None
    except TooMuch as error:
        raise CallFailed(error.kind, str(error), maybe_billed=True) from None
    except Exception as error:  # a header or address the library does not take, a reply that is no HTTP
        raise CallFailed(
            "network", _safe(f"The call failed: {type(error).__name__}.", target), maybe_billed=True
        ) from None
    return _read(body, round((time.monotonic() - started) * 1000))


def model_names(target: Target) -> list[str]:
    """The models the server lists; costs nothing. Raises CallFailed."""
    import openai

    try:
        body = json.loads(_client(target).models.with_raw_response.list().http_response.content)
        rows = body.get("data") if isinstance(body, dict) else None
        return sorted(
            str(row["id"])[:200]
            for row in rows or []
            if isinstance(row, dict) and isinstance(row.get("id"), str)
        )[:2000]
    except openai.APIStatusError as error:
        raise _refused(error, target, None) from None
    except openai.APIConnectionError as error:
        raise CallFailed(
            "network", f"The server cannot be reached: {type(error.__cause__ or error).__name__}."
        ) from None
    except Exception as error:
        raise CallFailed(
            "network", _safe(f"The reply is no list of models ({type(error).__name__}).", target)
        ) from None


# --- What is sent -------------------------------------------------------------------------------------------
def _parameters(target: Target, call: Call) -> dict[str, Any]:
    sent: dict[str, Any] = {"model": target.model, "messages": list(call.messages)}
    if "max_tokens" in call.lacks:
        sent["max_completion_tokens"] = call.max_tokens
    else:
        sent["max_tokens"] = call.max_tokens
    if "temperature" not in call.lacks:
        sent["temperature"] = call.temperature
    if call.seed is not None and "seed" not in call.lacks:
        sent["seed"] = call.seed
    if call.logprobs and "logprobs" not in call.lacks:
        sent["logprobs"] = True
        sent["top_logprobs"] = TOP
    if call.structured and "response_format" not in call.lacks:
        sent["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "judgment", "strict": True, "schema": dict(call.schema)},
        }
    return sent


@lru_cache(maxsize=32)
def _client(target: Target):
    """The library's client for this address and key; safe to use from several threads."""
    import httpx2
    import openai

    from .bounded import BoundedTransport

    transport = BoundedTransport(
        httpx2.HTTPTransport(limits=httpx2.Limits(max_connections=128)), MAX_BYTES, target.timeout
    )
    http = httpx2.Client(transport=transport, follow_redirects=False, timeout=target.timeout, trust_env=False)
    return openai.OpenAI(
        base_url=target.base_url,
        api_key=target.secret or "none",
        organization="",
        project="",
        max_retries=0,
        http_client=http,
        default_headers={"Accept-Encoding": "identity"},
    )


# --- What comes back ----------------------------------------------------------------------------------------
def _read(body: bytes, latency_ms: int) -> Completion:
    """The completion in a reply's body; whatever the server sent becomes plain values or CallFailed."""
    try:
        data = json.loads(body)
        choice = data["choices"][0]
        message = choice["message"]
        content, refusal = message.get("content"), message.get("refusal")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise CallFailed("server", "The reply is no chat completion.", maybe_billed=True) from None
    if isinstance(content, list):  # some servers send parts
        content = "".join(
            part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    text = content if isinstance(content, str) else ""
    refused = isinstance(refusal, str) and bool(refusal)
    if refused and not text:
        text = refusal
    usage = data.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    logprobs = choice.get("logprobs")
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    finish = choice.get("finish_reason")
    return Completion(
        text=clean(text)[:MAX_RAW],
        finish=str(finish)[:40] if isinstance(finish, str) else "",
        refusal=refused or finish == "content_filter",
        tokens_in=_count(usage.get("prompt_tokens")),
        tokens_out=_count(usage.get("completion_tokens")),
        tokens=tuple(t for t in tokens if isinstance(t, dict)) if isinstance(tokens, list) else (),
        latency_ms=latency_ms,
    )


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        return None
    return value


def _refused(error: Any, target: Target, call: Call | None) -> CallFailed:
    """What an error status means for the call, the item and the run."""
    status = error.status_code
    said, code = _said(error)
    words = _safe(f"The server answered {status}{': ' + said if said else ''}", target)
    if status == 429:
        if code == "insufficient_quota":
            return CallFailed("fatal", words)
        return CallFailed("busy", words, retry_after=_retry_after(error.response.headers))
    if status in {408, 409, 425} or status >= 500:
        return CallFailed("server", words, retry_after=_retry_after(error.response.headers))
    if status in {401, 403, 404, 405} or 300 <= status < 400:
        return CallFailed("fatal", words)
    if status in {400, 422} and call is not None:
        lowered = said.lower()
        for parameter in OPTIONAL:
            named = parameter in lowered or (parameter == "response_format" and "json_schema" in lowered)
            if named and parameter not in call.lacks and parameter in _sent(call):
                return CallFailed("parameter", words, parameter=parameter)
    return CallFailed("item", words)


def _sent(call: Call) -> set[str]:
    sent = {"max_tokens", "temperature"}
    if call.structured:
        sent.add("response_format")
    if call.logprobs:
        sent.add("logprobs")
    if call.seed is not None:
        sent.add("seed")
    return sent


def _said(error: Any) -> tuple[str, str]:
    """The server's message and code, shortened."""
    body = error.body if isinstance(error.body, dict) else {}
    inner = body.get("error") if isinstance(body.get("error"), dict) else body
    message, code = inner.get("message"), inner.get("code") or inner.get("type")
    if not isinstance(message, str):
        message = inner.get("detail") if isinstance(inner.get("detail"), str) else ""
    return clean(" ".join(message.split()))[:300], str(code)[:60] if isinstance(code, str) else ""


def _retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds the server asks to wait, from `retry-after-ms` or `Retry-After` (seconds or a date); None without."""
    with suppress(TypeError, ValueError):
        return _bounded(float(headers.get("retry-after-ms")) / 1000)  # type: ignore[arg-type]
    value = headers.get("retry-after")
    if not value:
        return None
    with suppress(ValueError):
        return _bounded(float(value))
    with suppress(TypeError, ValueError, OverflowError):
        return _bounded(parsedate_to_datetime(value).timestamp() - (time.time() if now is None else now))
    return None


def _bounded(seconds: float) -> float | None:
    return min(max(0.0, seconds), LONGEST_WAIT) if math.isfinite(seconds) else None


def _never_sent(error: BaseException) -> bool:
    """Whether the connection was never made, so that the server cannot have done any work."""
    import httpx2

    return isinstance(error.__cause__, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout))


def _safe(text: str, target: Target) -> str:
    return vault.scrubbed(clean(text), [target.secret])[:500]
