"""Row 33: no secret is in anything that a bot says of itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest

from qqproto import (
    Account,
    Conversation,
    Credentials,
    Event,
    FetchToken,
    Framing,
    HTTPRequest,
    LocalProtocolError,
    Narrator,
    SendText,
    Shard,
    ShardConfig,
    Token,
)
from qqproto.actions import AccountAction
from qqproto.outbox import Output
from qqproto.testing import HTTPFault, MemoryDriver, Randomness, World, reply
from tests.outages.bugs import replaced
from tests.outages.catalogue import Bug, outage
from tests.outages.scenes import GATEWAY, TOKEN


class _Overheard:
    """A bot all of whose actions and events are listened to, the account's as well."""

    def __init__(self, world: World, framing: Framing) -> None:
        heard = self.heard = deque[str]()
        narrator = Narrator()
        bot = world.platform.bot

        class ListenedShard(Shard):
            def next_output(self) -> Output | None:
                output = super().next_output()
                heard.append(f"{output!r} {output} {self!r} {self.status(world.now)!r} {self.session!r}")
                if isinstance(output, Event):
                    heard.append(repr(narrator.line(output, world.now)))
                return output

        class ListenedAccount(Account):
            def next_output(self) -> AccountAction | None:
                output = super().next_output()
                heard.append(f"{output!r} {output} {self!r}")
                return output

        credentials = Credentials(bot.app_id, bot.secret)
        account = ListenedAccount(credentials)
        shard = ListenedShard(ShardConfig(bot.app_id, 1 << 25), random=Randomness(33), framing=framing)
        self.driver = MemoryDriver(world, account, [shard], framing=framing)
        heard.append(f"{credentials!r} {world!r} {self.driver!r}")
        world.add(self.driver)


def _shown(kind: type, field: str) -> Callable[[pytest.MonkeyPatch], None]:
    """The field is in the repr."""
    return lambda patch: patch.setattr(kind, "__repr__", lambda self: f"{kind.__name__}({getattr(self, field)!r})")


@outage(
    33,
    Bug("a refused token is shown", _shown(FetchToken, "rejected")),
    Bug("Identify is shown", _shown(SendText, "text")),
    Bug("what the server repeats is shown", replaced(Conversation._redacted, lambda self, text: text)),
    Bug("the secret is shown", _shown(Credentials, "secret")),
    Bug("requests are shown", _shown(HTTPRequest, "body")),
)
def test_row_33_nothing_that_is_said_holds_a_secret(framing: Framing) -> None:
    world = World()
    platform, bot = world.platform, world.platform.bot
    overheard = _Overheard(world, framing)
    world.run(100.0)
    token = bot.access_token(world.now)[0]
    platform.conversations[-1].send_raw(f"you are {token}, are you not?")
    platform.conversations[-1].close(4000, f"not with {token}", world.now)
    world.run(100.0)
    bot.revoke_tokens()
    echo = {"code": 100017, "message": f"too many from {bot.secret}"}
    platform.behaviour.http = [HTTPFault(reply(200, echo), TOKEN)]
    overheard.driver.reset()
    world.run(100.0)
    token = bot.access_token(world.now)[0]
    platform.behaviour.http = [HTTPFault(reply(500, {"code": 500, "message": f"no {token}"}), GATEWAY)]
    platform.conversations[-1].close(4006, "", world.now)
    world.run(100.0)
    assert overheard.driver.connected
    with pytest.raises(LocalProtocolError) as misuse:
        overheard.driver.shard.answer(10**6, Token(token), world.now)
    overheard.heard.append(f"{misuse.value!r} {misuse.value}")
    overheard.driver.close()
    world.run(5.0)
    everything = "\n".join(overheard.heard)
    for hidden in ("not with [token]", "you are [token]", "too many from [hidden]", "no [hidden]"):
        assert hidden in everything
    assert bot.secret not in everything
    assert "fake-access-token" not in everything
