"""What a recording must not hold: secrets, and on request what people wrote; each replaced by one name for ever."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping

from qqproto.credentials import Token, authorization
from qqproto.decoding import standard
from qqproto.protocol.rest import usable_gateway_url

SHORTEST = 6
"""What is shorter is looked for only where it is known to stand: in a message it might be anything."""

_MOST_SOUGHT = 64
"""So many of the last secrets are looked for everywhere. A token lives for two hours; this is most of a week."""

_KEPT_HEADERS = ("user-agent",)
_USER = re.compile(r"(?<=//)[^/?#@]*(?=@)")
_STRING = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|([\[{])|([\]}])')
_PREFIX = authorization(Token(""))
_OWN_TOKEN = re.compile(r'"token":("(?:[^"\\]|\\.)*")')
_OF_THE_SESSION = ("READY", "RESUMED")


class Redactor:
    """Replaces one to one: what was equal before is equal afterwards, and nothing can be turned back.

    A secret becomes a name of the same length, wherever it stands, so that frames keep their lengths. With ``key``, of
    16 to 64 random bytes, the texts of dispatches are replaced by keyed hashes as well; READY, RESUMED and what is no
    dispatch stay, and so do types, keys and numbers.
    """

    def __init__(self, secrets: Iterable[str] = (), *, key: bytes | None = None) -> None:
        self._key = key
        self.hides_contents = key is not None
        """Whether the texts of dispatches are replaced."""
        self._names: dict[str, str] = {}
        self._kinds: dict[str, int] = {}
        self._last: list[str] = []
        self._sought: dict[str, str] = {}
        for secret in secrets:
            self.secret(secret)

    # -- secrets --------------------------------------------------------------------------------------------------

    def secret(self, value: str, kind: str = "secret") -> str:
        """The name that ``value`` has from now on; it is looked for in everything that comes after."""
        name = self.name(value, kind)
        if len(value) >= SHORTEST:
            self._seek(value)
            escaped = json.dumps(value)[1:-1]
            if escaped != value:
                self.name(escaped, kind)
                self._seek(escaped)
        return name

    def name(self, value: str, kind: str) -> str:
        """One name for ``value``, as long as it is if that leaves room for a name."""
        name = self._names.get(value)
        if name is None:
            number = self._kinds[kind] = self._kinds.get(kind, 0) + 1
            name = f"{kind}-{number}"
            if len(value) >= SHORTEST:
                name = name.ljust(len(value), ".") if len(name) <= len(value) else f"{number:0{len(value)}}"
            self._names[value] = name
        return name

    def text(self, text: str) -> str:
        """``text`` without secrets."""
        for secret, name in self._sought.items():
            if secret in text:
                text = text.replace(secret, name)
        return text

    def own_text(self, text: str) -> str:
        """A message of ours, without secrets: of Identify and Resume it is known where the token stands."""

        def hide(found: re.Match[str]) -> str:
            token: str = json.loads(found[1])
            name = self.secret(token.removeprefix(_PREFIX), "token")
            return f'"token":{json.dumps(_PREFIX + name)}'

        return self.text(_OWN_TOKEN.sub(hide, text, count=1))

    def data(self, data: bytes) -> bytes:
        """Bytes without secrets, as many as before."""
        for secret, name in self._sought.items():
            if secret.isascii() and (sought := secret.encode()) in data:
                data = data.replace(sought, name.encode())
        return data

    def fragment(self, data: bytes) -> bytes:
        """The same for a fragment of a message, at whose end a secret may begin, or at whose beginning one ends."""
        data = self.data(data)
        for secret in self._sought:
            sought = secret.encode("utf-8", "replace")
            for length in range(min(len(sought) - 1, len(data)), SHORTEST // 2, -1):
                if data.endswith(sought[:length]):
                    data = data[:-length] + b"." * length
                if data.startswith(sought[-length:]):
                    data = b"." * length + data[length:]
        return data

    def _seek(self, value: str) -> None:
        self._last = [*(other for other in self._last if other != value), value][-_MOST_SOUGHT:]
        # The longest first: one may be a part of another.
        self._sought = {secret: self._names[secret] for secret in sorted(self._last, key=len, reverse=True)}

    # -- addresses ------------------------------------------------------------------------------------------------

    def url(self, url: str) -> str:
        """A gateway's address without user, password and the values of its query; what is none becomes another one
        that is none."""
        if not usable_gateway_url(url):
            return "no address"
        return self.target(_USER.sub(lambda found: self.name(found[0], "user"), url))

    def target(self, target: str) -> str:
        """A path with its query, without the values of that."""
        path, mark, query = target.partition("?")
        return self.text(path + mark + "&".join(map(self._hide_value, query.split("&"))))

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Headers of the WebSocket's upgrade; which client it is may be known, everything else may be a secret."""
        return {
            name: value if name.lower() in _KEPT_HEADERS else self.name(value, "header")
            for name, value in headers.items()
        }

    def _hide_value(self, pair: str) -> str:
        key, mark, value = pair.partition("=")
        if mark:
            return key + mark + (self.name(value, "value") if value else "")
        return self.name(pair, "value") if pair else ""

    # -- contents -------------------------------------------------------------------------------------------------

    def word(self, text: str) -> str:
        """What stands for a text of a dispatch; the text itself where contents are kept."""
        if self._key is None or not text:
            return self.text(text)
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=8).hexdigest()

    def event_name(self, name: str) -> str:
        """The same for one of the names by which a session knows an event: its id, or its type and ``d.id``."""
        kind, space, id = name.partition(" ")
        return f"{kind} {self.word(id)}" if space else self.word(name)

    def message(self, text: str) -> str:
        """A message of the server's."""
        text = self.text(text)
        if self._key is None:
            return text
        try:
            value = standard(text)
        except (ValueError, RecursionError):
            # No letter and no digit that is changed makes JSON of what is none.
            return "".join("x" if letter.isalpha() else "0" if letter.isdecimal() else letter for letter in text)
        if isinstance(value, dict) and (value.get("op") != 0 or value.get("t") in _OF_THE_SESSION):
            return text
        return self._without_words(text)

    def _without_words(self, text: str) -> str:
        """JSON with other strings: everything else stays as it is written, numbers and white space included."""
        depth, key = 0, ""

        def replace(found: re.Match[str]) -> str:
            nonlocal depth, key
            string, colon, opening, closing = found.groups()
            if opening or closing:
                depth += 1 if opening else -1
                return found[0]
            if colon:
                key = string if depth == 1 else ""
                return found[0]
            if key == '"t"' and depth == 1:
                return string
            written = json.loads(string) if "\\" in string else string[1:-1]
            return f'"{self.word(written)}"'

        return _STRING.sub(replace, text)


class Transparent(Redactor):
    """For a replay, in which there is nothing secret left: everything stays as it is."""

    def __init__(self, *, hides_contents: bool) -> None:
        super().__init__()
        self.hides_contents = hides_contents

    def secret(self, value: str, kind: str = "secret") -> str:
        return value

    def name(self, value: str, kind: str) -> str:
        return value
