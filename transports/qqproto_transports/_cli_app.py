"""The commands of the command line, their options and their help."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn, TypeAlias

import typer

import qqproto
from qqproto_transports._cli_input import (
    UsageError,
    read_address,
    read_callback_url,
    read_credentials,
    read_driver,
    read_endpoints,
    read_intents,
    read_proxy,
    read_shards,
)
from qqproto_transports._cli_listen import listen
from qqproto_transports._cli_print import People
from qqproto_transports._cli_replay import print_test, replay
from qqproto_transports._cli_serve import serve
from qqproto_transports._cli_timeline import timeline
from qqproto_transports._cli_webhook import listen_to_callbacks
from qqproto_transports._demo import demo
from qqproto_transports._demo_bot import DRIVERS
from qqproto_transports._signals import leave_soon
from qqproto_transports.local_gateway import CannotListen, LocalGateway

# Tracebacks are for bugs, and must not show local variables: some hold the secret.
app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="The QQ bot gateway from the command line.",
)  # fmt: skip


AppId: TypeAlias = Annotated[str | None, typer.Option(envvar="QQ_APP_ID", metavar="ID", help="The bot's AppID.")]
SecretFile: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A file with the AppSecret, in place of QQ_SECRET.")
]
TokenUrl: TypeAlias = Annotated[
    str | None, typer.Option(envvar="QQ_TOKEN_URL", metavar="URL", help="Where access tokens are given out.")
]
ApiBase: TypeAlias = Annotated[
    str | None, typer.Option(envvar="QQ_API_BASE", metavar="URL", help="The base of the platform's HTTP endpoints.")
]
IntentNames: TypeAlias = Annotated[
    list[str], typer.Option(metavar="NAMES", help="What to listen to: names or numbers, separated by commas.")
]
ShardCount: TypeAlias = Annotated[
    str, typer.Option(metavar="N|auto", help="How many shards; auto: as many as the platform recommends.")
]
ProxyUrl: TypeAlias = Annotated[
    str, typer.Option(metavar="URL|env|none", help="The proxy to go through; env: as the environment says.")
]
DEFAULT_INTENTS = ["GROUP_AND_C2C_EVENT"]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"qqproto {qqproto.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


@app.command("listen")
def listen_command(
    app_id: AppId = None,
    secret_file: SecretFile = None,
    token_url: TokenUrl = None,
    api_base: ApiBase = None,
    intents: IntentNames = DEFAULT_INTENTS,
    shards: ShardCount = "1",
    session: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep the session in FILE, and go on with it the next time.")
    ] = None,
    proxy: ProxyUrl = "env",
    webhook: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Take callbacks at this address, and open no WebSocket.")
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Record what the bot is told into FILE, without secrets, to be replayed."),
    ] = None,
    hide_contents: Annotated[
        bool, typer.Option("--hide-contents", help="With --record: record no texts of messages either.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line in place of text.")] = False,
) -> None:
    """Print a bot's events until you stop it.

    The AppSecret is taken from QQ_SECRET or from a file, never from an option, which other users of the machine could
    read. Without URLs it is the platform itself that is listened to.

    Ends with exit code 0 on Ctrl-C and SIGTERM, 1 if it stopped by itself, 2 if something is wrong with what it was
    given. Whatever can pass, an outage of days included, is waited for.

    With a session file nothing is missed by a restart within an hour: what came in between is printed by the next
    start.

    With --webhook the platform calls instead: which events come is chosen in its console, and HTTPS has to be spoken by
    a proxy in front.
    """
    try:
        credentials = read_credentials(app_id, secret_file, os.environ)
        endpoints, bits = read_endpoints(api_base, token_url), read_intents(intents)
        way = read_proxy(proxy)
        if webhook is not None:
            if session is not None or shards != "1" or record is not None:
                raise UsageError(
                    "--webhook goes with none of --session, --shards and --record: callbacks have no sessions"
                )
            host, port = read_address(webhook)
            raise typer.Exit(asyncio.run(listen_to_callbacks(credentials, host, port, as_json=as_json)))
        if hide_contents and record is None:
            raise UsageError("--hide-contents is for a recording: give --record FILE as well")
        coming = listen(
            credentials, endpoints, bits, read_shards(shards),
            session=session, proxy=way, record=record, hide_contents=hide_contents, as_json=as_json,
        )  # fmt: skip
        code = asyncio.run(coming)
    except UsageError as error:
        _fail(str(error))
    raise typer.Exit(code)


@app.command("doctor")
def doctor_command(
    app_id: AppId = None,
    secret_file: SecretFile = None,
    token_url: TokenUrl = None,
    api_base: ApiBase = None,
    intents: IntentNames = DEFAULT_INTENTS,
    shards: ShardCount = "1",
    proxy: ProxyUrl = "env",
    identify: Annotated[
        bool, typer.Option("--identify", help="Log in as well, to the first heartbeat; costs a session start.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=300.0, metavar="SECONDS", help="How long a step may take.")
    ] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line in place of text.")] = False,
) -> None:
    """Say why a bot cannot connect.

    Takes the steps of a connection in their order, one line each: the environment and its proxies, names, TCP, the
    proxy's tunnel, TLS, this machine's clock, the access token, the gateway's address and the budget, the WebSocket,
    Hello. The last line names the first thing that is wrong, and what to do about it. The options and the environment
    are those of listen.

    With --identify it goes on: Identify, READY, the first heartbeat's ACK, and whether somebody else starts sessions
    of the same bot. Stop the bot before; the platform may not like two of it.

    Ends with exit code 0 if all is well, 1 if something is not, 2 if something is wrong with what it was given.
    """
    try:
        from qqproto_transports._cli_doctor import diagnose
        from qqproto_transports._doctor import Case
    except ModuleNotFoundError as error:
        _fail(f"the doctor needs {error.name}: python -m pip install {error.name}")
    try:
        count = read_shards(shards)
        case = Case(
            read_credentials(app_id, secret_file, os.environ),
            read_endpoints(api_base, token_url),
            read_intents(intents),
            shards=count if isinstance(count, int) else None,
            proxy=read_proxy(proxy),
            identify=identify,
            deadline=timeout,
        )
    except UsageError as error:
        _fail(str(error))
    code = asyncio.run(diagnose(case, as_json=as_json))
    # A look-up that hangs in a thread would be waited for.
    leave_soon(code)
    raise typer.Exit(code)


@app.command("serve")
def serve_command(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes any free one.")] = 8765,
    every: Annotated[
        float | None, typer.Option(min=0.01, metavar="SECONDS", help="Send a sample group message this often.")
    ] = None,
    rotate_every: Annotated[
        float | None, typer.Option(min=1.0, metavar="SECONDS", help="Ask for a new connection (op 7) this often.")
    ] = None,
    heartbeat: Annotated[
        float, typer.Option(min=0.25, max=120.0, metavar="SECONDS", help="How often it wants to hear a heartbeat.")
    ] = 41.25,
    webhook: Annotated[
        str | None, typer.Option(metavar="URL", help="Post the events to this address, signed, as the platform does.")
    ] = None,
) -> None:
    """Run a QQ gateway of your own, to try bots on.

    It speaks the platform's HTTP endpoints and its WebSocket on one port, to qqproto and to any other SDK whose
    addresses can be set, and is strict: what a client does wrong is told. Type "help" for its levers.
    """
    try:
        url = read_callback_url(webhook) if webhook is not None else None
        gateway = LocalGateway(host, port, heartbeat_interval=heartbeat)
        asyncio.run(serve(gateway, People().say, every=every, rotate_every=rotate_every, webhook=url))
    except (CannotListen, UsageError) as error:
        _fail(str(error))


@app.command("demo")
def demo_command(
    as_json: Annotated[
        bool, typer.Option("--json", help="The table as JSON; the narration goes to standard error.")
    ] = False,
    driver: Annotated[
        str, typer.Option(metavar="NAME", help=f"What drives the bot: {', '.join(DRIVERS)}.")
    ] = "asyncio",
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Record the bot into FILE, for replay and timeline.")
    ] = None,
) -> None:
    """Watch a bot come back from outages.

    A local gateway, a bot, messages all the time, and what silences bots; it ends by itself after about a minute and a
    half. Exit code 0 says that everything went as promised.
    """
    try:
        code = asyncio.run(demo(as_json=as_json, driver=read_driver(driver), record=record))
    except UsageError as error:
        _fail(str(error))
    raise typer.Exit(code)


@app.command("replay")
def replay_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recording, of listen --record say.")],
    speed: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="TIMES", help="1 for the pace of life; as fast as can be without it."),
    ] = None,
    events: Annotated[bool, typer.Option("--events", help="Show each event in place of how many came.")] = False,
    as_test: Annotated[bool, typer.Option("--as-test", help="Print a test for pytest that replays it.")] = False,
) -> None:
    """Live a recording through again, and see whether the same comes of it.

    What the bot was told then is told to fresh machines, at the same times by a clock of their own. Exit code 0 says
    that they did what was recorded, 1 that they did not, and where that begins.
    """
    try:
        code = print_test(file) if as_test else replay(file, speed=speed, events=events)
    except UsageError as error:
        _fail(str(error))
    raise typer.Exit(code)


@app.command("timeline")
def timeline_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recording, of listen --record say.")],
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the picture into FILE as well.")] = None,
) -> None:
    """Draw what happened in a recording: when the bot was live, its heartbeats, each outage and how it ended."""
    try:
        code = timeline(file, svg)
    except UsageError as error:
        _fail(str(error))
    raise typer.Exit(code)


def _fail(sentence: str) -> NoReturn:
    print(f"qqproto: {sentence}", file=sys.stderr)
    raise typer.Exit(2)
