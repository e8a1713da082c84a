"""Forks and the interpreter's end: a child sends nothing and says why, and nobody is kept from ending."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.stage import Stage
from tests.scenarios.threads import GUARD
from tests.transports.threads import platform

ROOT = Path(__file__).parents[2]

PRELUDE = """
import os, sys, threading
from qqproto import Credentials, Endpoints, Intents, Ready, Dispatch
from qqproto_transports.sync import BotAccount, open_gateway

account = BotAccount(
    Credentials(os.environ["QQ_APP_ID"], os.environ["QQ_SECRET"]),
    endpoints=Endpoints(os.environ["QQ_API_BASE"], os.environ["QQ_TOKEN_URL"]),
)
gateway = open_gateway(account, intents=Intents.GROUP_AND_C2C_EVENT)

def until(kind):
    for event in gateway:
        if isinstance(event, kind):
            return event

def attempt(name, use):
    try:
        use()
    except RuntimeError as error:
        print(name, "RuntimeError", "make one in each process" in str(error), flush=True)
    else:
        print(name, "works", flush=True)
"""


@pytest.fixture
def stage() -> Iterator[Stage]:
    with platform() as stage:
        yield stage


def program(stage: Stage, text: str) -> subprocess.Popen[str]:
    """Run a program that has a bot's gateway, not entered yet, and sees warnings as errors but for that of threads."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "transports")]),
        # Python warns of every fork in a program with threads, which is what this is about.
        "PYTHONWARNINGS": "error,ignore::DeprecationWarning",
        "QQ_APP_ID": stage.credentials.app_id,
        "QQ_SECRET": stage.credentials.secret,
        "QQ_API_BASE": stage.endpoints.api_base,
        "QQ_TOKEN_URL": stage.endpoints.token_url,
    }
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(text)],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def outcome(running: subprocess.Popen[str], tell: str = "") -> list[str]:
    """Its lines, when it has ended well."""
    out, err = running.communicate(tell, timeout=GUARD)
    assert err == ""
    assert running.returncode == 0
    return out.splitlines()


# -- forks -------------------------------------------------------------------------------------------------------------

forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system knows no forks")


@forking
def test_in_a_forks_child_any_use_is_refused_and_the_parent_goes_on(stage: Stage) -> None:
    running = program(
        stage,
        """
        with gateway:
            until(Ready)
            child = os.fork()
            if child == 0:
                attempt("next", lambda: next(gateway))
                attempt("status", gateway.status)
                attempt("session", lambda: gateway.session)
                attempt("connected", lambda: gateway.connected)
                attempt("online", lambda: gateway.online)
                attempt("stopped", lambda: gateway.stopped)
                attempt("wait_connected", lambda: gateway.wait_connected(1.0))
                attempt("wait_online", lambda: gateway.wait_online(1.0))
                attempt("settle", lambda: gateway.settle(Dispatch("X", {})))
                attempt("handling", gateway.handling(Dispatch("X", {})).__enter__)
                attempt("close", gateway.close)
                attempt("shut", gateway.shut)
                attempt("authorization", gateway.authorization)
                attempt("token", account.token)
                attempt("current_token", lambda: account.current_token)
                attempt("account.close", account.close)
                attempt("open_gateway", open_gateway(account, intents=1).__enter__)
                print("threads", len(threading.enumerate()), flush=True)
                sys.exit(0)  # Which leaves the block.
            os.waitpid(child, 0)
            print("the parent", "online", gateway.connected, flush=True)
            print("heard", until(Dispatch).data["content"], flush=True)
        """,
    )
    assert running.stdout is not None
    lines = [running.stdout.readline().strip() for _ in range(19)]
    assert lines == [
        *(
            f"{name} RuntimeError True"
            for name in (
                "next", "status", "session", "connected", "online", "stopped", "wait_connected", "wait_online",
                "settle", "handling", "close", "shut", "authorization", "token", "current_token", "account.close",
                "open_gateway",
            )
        ),
        "threads 1",
        "the parent online True",
    ]  # fmt: skip
    assert stage.ops() == [2], "not a byte came from the child, or the connection would have broken"
    stage.say("after the fork")

    assert outcome(running) == ["heard after the fork"]
    assert stage.do(lambda: stage.platform.violations) == []
    assert stage.ops() == [2]
    stage.until(lambda: stage.platform.sessions == {})


@forking
def test_a_child_that_lives_on_keeps_no_connection_open(stage: Stage) -> None:
    """Its copies of the sockets are closed: the parent's goodbye, and each abort of its, are seen at the other end."""
    running = program(
        stage,
        """
        with gateway:
            until(Ready)
            there, here = os.pipe()
            child = os.fork()
            if child == 0:
                os.write(here, b"forked")
                sys.stdin.read()
                os._exit(0)
            os.read(there, 100)
            files = "/proc/%d/fd" % child
            if os.path.exists(files):
                links = [os.readlink(os.path.join(files, name)) for name in os.listdir(files)]
                print("sockets", sum(link.startswith("socket:") for link in links), flush=True)
            else:
                print("sockets 0", flush=True)
        print("left", flush=True)
        os.waitpid(child, 0)
        """,
    )
    assert running.stdout is not None
    assert running.stdout.readline().strip() == "sockets 0"
    assert running.stdout.readline().strip() == "left"
    stage.until(lambda: stage.wire.clients == 0)
    assert outcome(running) == []


@forking
def test_what_was_made_before_a_fork_and_not_used_is_the_childs_as_well(stage: Stage) -> None:
    """A server that loads its application before it forks its workers."""
    running = program(
        stage,
        """
        child = os.fork()
        if child == 0:
            with gateway:
                until(Ready)
                print("ready", flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        """,
    )
    assert outcome(running) == ["ready"]
    assert stage.ops() == [2]


# -- the interpreter's end ---------------------------------------------------------------------------------------------


def test_an_interpreter_that_ends_with_a_gateway_open_does_not_hang(stage: Stage) -> None:
    running = program(
        stage,
        """
        gateway.__enter__()
        until(Ready)
        print("ready", flush=True)
        """,
    )
    assert outcome(running) == ["ready"]
    stage.until(lambda: stage.wire.clients == 0)
    assert list(stage.do(lambda: stage.platform.sessions)) != [], "no goodbye was said: it may be resumed"


def test_it_does_not_hang_with_a_look_up_that_does(stage: Stage) -> None:
    running = program(
        stage,
        """
        import socket
        begun = threading.Event()

        def hang(host, port, *args, flags=0, **options):
            if flags:
                raise socket.gaierror(socket.EAI_NONAME, "a name")
            begun.set()
            threading.Event().wait()

        socket.getaddrinfo = hang
        with gateway:
            assert begun.wait(30)
        print("left", [thread.name for thread in threading.enumerate()][1:], flush=True)
        """,
    )
    assert outcome(running) == ["left ['qqproto name look-up']"]


def test_it_does_not_hang_while_other_threads_iterate(stage: Stage) -> None:
    running = program(
        stage,
        """
        gateway.__enter__()
        until(Ready)
        threading.Thread(target=list, args=[gateway], daemon=True).start()
        print("ready", flush=True)
        """,
    )
    assert outcome(running) == ["ready"]


def test_importing_and_making_has_no_effects(stage: Stage) -> None:
    """No thread, no file, no hook before a gateway is entered."""
    running = program(
        stage,
        """
        print(threading.active_count(), len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 4)
        """,
    )
    (line,) = outcome(running)
    assert line in ("1 4", "1 5")
