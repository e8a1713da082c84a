"""What the command line is given: credentials, endpoints and intents, or one clear sentence about what is wrong."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from qqproto.credentials import Credentials, Endpoints
from qqproto.protocol.intents import Intents
from qqproto.wire.proxies import parse_proxy
from qqproto.wire.tunnel import tunnel_through
from qqproto_transports._common import Shards
from qqproto_transports._demo_bot import DRIVERS, Bot
from qqproto_transports._shard_runner import MOST_SHARDS

_CONSOLE = "it is on the bot's page in the QQ console, https://q.qq.com"


class UsageError(Exception):
    """Something that the person at the keyboard can mend. The text is one sentence that says how; exit code 2."""


def read_credentials(app_id: str | None, secret_file: Path | None, environ: Mapping[str, str]) -> Credentials:
    """The bot's credentials; the secret from ``secret_file``, else from ``QQ_SECRET``.

    The secret is no option: every user of the machine could read it in the list of processes.
    """
    app_id = (app_id or "").strip()
    if not app_id:
        raise UsageError(f"no AppID: set QQ_APP_ID or give --app-id ({_CONSOLE})")
    secret = environ.get("QQ_SECRET", "").strip() if secret_file is None else _read_secret(secret_file)
    if not secret:
        raise UsageError(f"no AppSecret: set QQ_SECRET or give --secret-file FILE ({_CONSOLE})")
    return Credentials(app_id, secret)


def _read_secret(path: Path) -> str:
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UsageError(f"the secret file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"the secret file {path} is no text; it holds the AppSecret and nothing else") from None
    if not secret:
        raise UsageError(f"the secret file {path} is empty; write the AppSecret into it ({_CONSOLE})")
    return secret


def read_endpoints(api_base: str | None, token_url: str | None) -> Endpoints:
    """Where the platform is; production where nothing is given."""
    default = Endpoints()
    return Endpoints(
        api_base=_check_url("QQ_API_BASE", api_base or default.api_base, default.api_base),
        token_url=_check_url("QQ_TOKEN_URL", token_url or default.token_url, default.token_url),
    )


def _check_url(name: str, url: str, example: str) -> str:
    url = url.strip()
    instead = f"give one like {example}"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # the port is parsed when it is asked for
    except ValueError:
        raise UsageError(f"{name} is no URL: {url!r}; {instead}") from None
    if parts.username is not None:
        raise UsageError(f"{name} must not hold a user name or a password; {instead}")
    if parts.scheme in ("ws", "wss"):
        raise UsageError(
            f"{name} is {url!r}, a WebSocket's address, where an HTTP endpoint's is needed"
            f" (the gateway's own address is asked for there); {instead}"
        )
    if parts.scheme not in ("http", "https"):
        raise UsageError(f"{name} is {url!r}, which does not begin with https:// or http://; {instead}")
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError(f"{name} is no URL: {url!r}; {instead}")
    return url


def read_intents(words: Iterable[str]) -> Intents:
    """Intents from names and numbers, each word possibly several, as :meth:`~qqproto.Intents.parse` reads them."""
    try:
        return Intents.parse(words)
    except ValueError as error:
        raise UsageError(f"--intents: {error}") from None


def read_shards(word: str) -> Shards:
    """How many shards: a number, or as many as the platform recommends."""
    if word == "auto":
        return "auto"
    if not re.fullmatch("[0-9]{1,3}", word) or not 1 <= int(word) <= MOST_SHARDS:
        raise UsageError(f"--shards is {word!r}: give a number from 1 to {MOST_SHARDS}, or auto")
    return int(word)


def read_proxy(word: str) -> str | None:
    """How to get out: as the environment says, without a proxy, or by a proxy without credentials."""
    if word in ("env", "none"):
        return None if word == "none" else word
    try:
        proxy = parse_proxy(word)
        tunnel_through(proxy, "gateway.example", 443)
    except (ValueError, ImportError) as error:
        raise UsageError(f"--proxy: {error}") from None
    if proxy.username is not None:
        raise UsageError(
            "--proxy must not hold a user name or a password, which other users of the machine could read: set"
            " https_proxy in the environment instead"
        )
    return word


def read_driver(name: str) -> type[Bot]:
    """What drives the bot of the demo."""
    if name not in DRIVERS:
        raise UsageError(f"--driver is {name!r}: give one of {', '.join(DRIVERS)}")
    driver = DRIVERS[name]
    try:
        importlib.import_module(driver.module)
    except ModuleNotFoundError as error:
        raise UsageError(f"the {name} driver needs {error.name}: python -m pip install {error.name}") from None
    return driver


def read_address(text: str) -> tuple[str, int]:
    """Where to listen for callbacks: ``HOST:PORT``, a host of IPv6 in brackets; all of this machine without a host."""
    host, colon, port = text.strip().rpartition(":")
    if (
        not colon
        or not re.fullmatch("[0-9]{1,5}", port)
        or int(port) > 65535
        or (":" in host and not host.startswith("["))
    ):
        raise UsageError(f"--webhook is {text!r}: give HOST:PORT, such as 127.0.0.1:8080")
    return host.strip("[]") or "0.0.0.0", int(port)


def read_callback_url(text: str) -> str:
    """The address that events are to be posted to."""
    return _check_url("--webhook", text, "http://127.0.0.1:8080/")
