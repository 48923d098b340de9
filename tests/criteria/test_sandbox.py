"""Generated code: what is refused unread, what cannot get out, and that nothing runs where no sandbox works."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from annotations.criteria import graders, judging, lab, sandbox
from annotations.criteria.models import Grader, Verdict

pytestmark = pytest.mark.skipif(
    not sandbox.available(), reason="no sandbox passes its self-test on this host"
)
GOOD = "import re\n\ndef evaluate(response, prompt, meta):\n    return bool(re.search(r'hello', response, re.I))\n"
HEAD = "def evaluate(response, prompt, meta):\n    "
ATTACKS = {
    "loop": "while True:\n        pass",
    "memory": "return len('x' * 10 ** 10) > 0",
    "list": "return len([0] * 10 ** 10) > 0",
    "bigint": "return 9 ** 9 ** 9 > 0",
    "doubling": "s = 'x'\n    while True:\n        s += s",
    "recursion": "return evaluate(response, prompt, meta)",
    "read": "return bool(open('/etc/shadow').read())",
    "write": "open('/tmp/plumbline-attack', 'w').write('x')\n    return True",
    "network": "import socket\n    socket.create_connection(('127.0.0.1', 80))\n    return True",
    "process": "import subprocess\n    subprocess.run(['touch', '/tmp/plumbline-attack'])\n    return True",
    "fork": "import os\n    os.fork()\n    return True",
    "system": "import os\n    os.system('touch /tmp/plumbline-attack')\n    return True",
    "environment": "import os\n    return bool(os.environ['SECRET_KEY'])",
    "dunder": "return bool(().__class__.__bases__)",
    "builtins": "return bool(__builtins__)",
    "getattr": "return bool(getattr(getattr((), '__cla' + 'ss__'), '__bases__'))",
    "eval": "return eval(\"open('/etc/shadow').read()\")",
    "import": "return bool(__import__('os'))",
    "ctypes": "import ctypes\n    return True",
    "output": "while True:\n        print('x' * 10000)",
    "not a bool": "return 1",
    "nothing": "pass",
    "raises": "raise SystemExit",
    "nesting": "import json\n    return json.loads('[' * 100000)",
    "lookalike": "return bool(ｏｐｅｎ('/etc/shadow').read())",
}


def test_an_assertion_runs_and_answers():
    inputs = [{"response": "Hello there", "prompt": "p"}, {"response": "", "prompt": "p"}]
    assert sandbox.run(GOOD, inputs) == [sandbox.Result(True), sandbox.Result(False)]
    assert sandbox.run(GOOD, inputs) == sandbox.run(GOOD, inputs)  # the same again


@pytest.mark.parametrize("attack", list(ATTACKS))
def test_no_attack_gets_out(attack):
    """Each ends within the pool's hard limit of 1.8 seconds: the worker is killed then."""
    [result] = sandbox.run(HEAD + ATTACKS[attack], [{"response": "r", "prompt": "p"}])
    assert not result.passed
    assert result.error
    assert not Path("/tmp/plumbline-attack").exists()
    assert sandbox.run(GOOD, [{"response": "hello", "prompt": ""}]) == [
        sandbox.Result(True)
    ]  # and it lives on


JAIL_ATTACKS = {
    "nothing": ("print('lives')", "lives"),
    "read": ("open('/etc/passwd')", "FileNotFoundError"),
    "write": ("open('/usr/plumbline-attack', 'w')", "Read-only|Permission"),
    "fill": ("open('/tmp/x', 'wb', 0).write(b'x' * 100)", "File too large|File size limit"),
    "memory": ("'x' * 2 * 10 ** 9", "MemoryError"),
    "network": ("import socket; socket.create_connection(('127.0.0.1', PORT), 2)", "ConnectionRefused|unreachable"),
    "secrets": ("import os; print(dict(os.environ)['SECRET_KEY'])", "KeyError"),
    "users": ("import os; os.setuid(0)", "PermissionError|Invalid argument"),
    "mount": ("import ctypes; print('mounted', ctypes.CDLL(None).mount(b'/', b'/tmp', None, 4096, None))", "mounted -1"),
}  # fmt: skip


@pytest.mark.skipif(
    sandbox.available() != "bwrap", reason="bubblewrap is missing or may make no namespaces here"
)
@pytest.mark.parametrize("attack", list(JAIL_ATTACKS))
def test_the_jail_holds_by_itself_without_monty(attack):
    """The host's own Python in the place of Monty's worker: what Monty refuses fails without it too."""
    code, words = JAIL_ATTACKS[attack]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        code = code.replace("PORT", str(listening.getsockname()[1]))
        done = sandbox._in_jail(["-c", code], "/usr/bin/python3")
    assert re.search(words, (done.stdout + done.stderr).decode()), done
    assert "told" not in (done.stdout + done.stderr).decode()
    assert not Path("/usr/plumbline-attack").exists()


@pytest.mark.skipif(
    sandbox.available() != "bwrap", reason="bubblewrap is missing or may make no namespaces here"
)
@pytest.mark.skipif(
    os.geteuid() != 0, reason="without a user of its own the jail's processes cannot be counted"
)
def test_a_fork_bomb_ends_at_the_bound():
    bomb = "import os, time\nn = 0\ntry:\n    while n < 500:\n        if os.fork() == 0:\n            time.sleep(2); os._exit(0)\n        n += 1\nexcept OSError:\n    print('ended', n)"
    done = sandbox._in_jail(["-c", bomb], "/usr/bin/python3")
    assert 0 <= int(done.stdout.split()[1]) <= sandbox.PROCESSES


def test_a_jail_that_lets_something_through_is_not_used(monkeypatch):
    """Where the wrapper does not wrap, the self-test sees it and the next weaker way is taken, or none."""
    monkeypatch.setattr(sandbox, "_command", lambda profile, binary: [binary])
    assert sandbox._in_jail(["-c", sandbox._JAIL_PROBE]).returncode != 0
    monkeypatch.setattr(
        sandbox, "_feed", lambda profile, source, inputs: (2, "" if source == "1 + 1" else "no")
    )
    monkeypatch.setattr(sandbox, "_has", lambda *programs: True)
    assert sandbox.available.__wrapped__() == "setpriv"
    monkeypatch.setattr(sandbox, "_feed", lambda profile, source, inputs: (2, ""))
    assert sandbox.available.__wrapped__() == ""


def test_a_bad_regular_expression_does_not_hang():
    code = "import re\n\ndef evaluate(response, prompt, meta):\n    return bool(re.match(r'(a+)+$', 'a' * 40 + 'b'))\n"
    [result] = sandbox.run(code, [{"response": "", "prompt": ""}])
    assert not result.passed


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("x = 1", "Expected one function"),
        ("def evaluate(a): return True", "arguments"),
        ("def evaluate(response, prompt, meta): return __name__ == 'x'", "two underscores"),
        ("def evaluate(response, prompt, meta): yield True", "Generators"),
        ("def evaluate(response, prompt, meta): return (", "no Python"),
        ("print(1)\ndef evaluate(response, prompt, meta): return True", "Expected one function"),
        ("def evaluate(response, prompt, meta):\n" + "    x = 1\n" * 100, "at most 80 lines"),
        ("def evaluate(response, prompt, meta):\n    return " + "(" * 3000 + ")" * 3000, "no Python"),
    ],
)
def test_what_is_no_assertion_is_refused_unrun(code, words):
    with pytest.raises(sandbox.BadCode, match=words):
        sandbox.check(code)


def test_long_texts_are_an_error_and_not_a_skip():
    [result] = sandbox.run(GOOD, [{"response": "hello" * 100_000, "prompt": ""}])
    assert "longer than" in result.error


@pytest.mark.django_db
def test_code_runs_only_after_a_person_approved_it(project, make_item, alice, monkeypatch):
    item = make_item("Greet.", ("Hello.", "Go away."))
    criterion = lab.add_criterion(
        project=project, name="Greets", wording="Is there a greeting in it?", kind="binary"
    )
    grader = graders.grader_for(criterion.current, Grader.Kind.CODE, body={"code": GOOD})
    shown = judging.response_material([(item.pk, 0), (item.pk, 1)])
    with pytest.raises(judging.CannotJudge, match="approval"):
        judging.run(grader, lab.lab_of(project), shown, owner="test:1")
    assert not Verdict.objects.exists()
    grader = graders.approve_code(grader=grader, actor=alice)
    monkeypatch.setattr(sandbox, "available", lambda: "")
    with pytest.raises(judging.CannotJudge, match="Not runnable on this host"):
        judging.run(grader, lab.lab_of(project), shown, owner="test:1")
    assert not Verdict.objects.exists()  # and never by exec
    monkeypatch.undo()
    judging.run(grader, lab.lab_of(project), shown, owner="test:1")
    assert dict(Verdict.objects.values_list("response", "value")) == {0: 1, 1: 0}
