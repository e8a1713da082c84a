"""One connection to the gateway in bytes: a WebSocket with a Conversation on it; it dies with its socket."""

from __future__ import annotations

import json
from collections.abc import Callable

from qqproto.actions import Abort, CloseConnection, SendData
from qqproto.config import ShardConfig
from qqproto.conversation import Conversation, Ending
from qqproto.credentials import Token
from qqproto.decoding import Loads, decoder_of
from qqproto.errors import LocalProtocolError
from qqproto.events import Dispatch
from qqproto.failures import Failure, FailureKind
from qqproto.live_session import LiveSession, Recall
from qqproto.outbox import Outbox, Output
from qqproto.pacing import IdentifySlot
from qqproto.policy import Policy
from qqproto.protocol.close_codes import Phase, Verdict
from qqproto.protocol.rest import retry_after, usable_gateway_url
from qqproto.session import Session
from qqproto.wire.lane import ORDINARY
from qqproto.wire.websocket import CloseReceived, Last, Pinged, Rejected, WebSocket


class QQGatewayConnection:
    """Bytes and ticks in, events and bytes out, for exactly one socket.

    ``url`` is what to ask for in the WebSocket's upgrade; the host has opened the stream (TCP, TLS) already. The other
    arguments are :class:`~qqproto.Conversation`'s. Call :meth:`connection_opened`, then feed :meth:`receive_data`;
    after every input drain :meth:`next_output`. It is over when :attr:`ending` is set. Nothing from the network raises;
    a URL that cannot be asked for raises ValueError here.
    """

    __slots__ = (
        "__weakref__", "_decode", "_emit", "_heartbeat", "_id", "_opened", "_outbox", "_policy", "_watch", "_websocket",
        "conversation",
    )  # fmt: skip

    def __init__(
        self,
        config: ShardConfig,
        url: str,
        token: Token,
        *,
        random: Callable[[], float],
        session: Session | LiveSession | None = None,
        policy: Policy = Policy(),
        loads: Loads = json.loads,
        outbox: Outbox | None = None,
        id: int | None = None,
        recall: Recall | None = None,
    ) -> None:
        if not usable_gateway_url(url):
            raise ValueError(f"{url!r} is no ws:// or wss:// URL")
        self._outbox = outbox or Outbox(self.settle if config.settle == "delivery" else None)
        self._emit = self._outbox.emit
        self._id = id if id is not None else self._outbox.new_id()
        self._policy = policy
        self._decode = decoder_of(loads)
        self._websocket = WebSocket(url, config.headers, policy)
        self._opened = False
        self.conversation = Conversation(
            config,
            token,
            random=random,
            session=session,
            policy=policy,
            loads=loads,
            outbox=self._outbox,
            link=_WebSocketLink(self._id, self._outbox, self._websocket, policy.leave_code),
            recall=recall,
        )
        self._watch = self.conversation.watch
        self._heartbeat = self.conversation.heartbeat

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """HELLO, AUTH or READY."""
        return self.conversation.phase

    @property
    def upgraded(self) -> bool:
        """Whether the WebSocket is open: the server has agreed to the upgrade, and nobody has said goodbye."""
        return self._websocket.open

    @property
    def ending(self) -> Ending | None:
        """How it ended, None while it lives."""
        return self.conversation.ending

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.conversation.ended

    @property
    def verdict(self) -> Verdict | None:
        """What may be done next, once it is over."""
        return self.conversation.verdict

    @property
    def session(self) -> Session | None:
        """The session as it stands, None before READY."""
        return self.conversation.session

    # -- inputs ---------------------------------------------------------------------------------------------------

    def connection_opened(self, now: float) -> None:
        """The stream is up. Then drain :meth:`next_output`: the upgrade request comes first."""
        if self._opened:
            raise LocalProtocolError("connection_opened() was called before")
        self._opened = True
        self._emit(SendData(self._id, self._websocket.handshake()))
        self.conversation.start(now)

    def receive_data(self, data: bytes, now: float) -> None:
        """Bytes came; ``b""`` is the end of the stream. Then drain :meth:`next_output`."""
        if self.conversation.ending is not None:
            return
        conversation, websocket = self.conversation, self._websocket
        if not websocket.idle or not data:
            self._on_data(data, now)
            return
        # Nearly all that comes are ordinary frames, one or many of them: they are read here, with no call in it but
        # those that do the work.
        watch = self._watch
        if now - watch.due > watch.tolerance:
            conversation.bytes_received(now)
        self._heartbeat.received_at = now
        decode, receive_value = self._decode, conversation.receive_value
        at, end, longest = 0, len(data), websocket.longest
        while end - at > 1 and data[at] == ORDINARY:
            length, start = data[at + 1], at + 2
            if length > 125:
                if length != 126 or end - at < 4:
                    break
                length, start = data[at + 2] << 8 | data[at + 3], at + 4
                if length < 126:
                    break
            stop = start + length
            if stop > end or length > longest:
                break
            message, at = data[start:stop], stop
            try:
                value = decode(message)
            except (ValueError, RecursionError) as error:
                websocket.given = message
                self._on_refused(message, error, now)
                websocket.given = None
            else:
                receive_value(value, message, now)
            if conversation.ending is not None:
                return
        if at < end:
            self._on_data(data[at:], now)

    def _on_data(self, data: bytes, now: float) -> None:
        if not data or not self._opened:
            self._on_end(now)
            return
        conversation = self.conversation
        conversation.bytes_received(now)
        for item in self._websocket.receive(data):
            if isinstance(item, (str, bytes)):
                self._on_message(item, now)
                if conversation.ending is not None:
                    return
            elif isinstance(item, Pinged):
                self._emit(SendData(self._id, item.reply))
            else:
                self._on_last(item, now)

    def connection_lost(self, failure: Failure, now: float) -> None:
        """The stream is gone. Then drain :meth:`next_output`."""
        self.conversation.connection_lost(failure, now)

    def answer(self, id: int, value: IdentifySlot | Failure, now: float) -> None:
        """The answer to :class:`~qqproto.ReserveIdentify`. Then drain :meth:`next_output`."""
        self.conversation.answer(id, value, now)

    def reading_paused(self, now: float) -> None:
        """The host reads nothing: silence says nothing, heartbeats go on. Then drain :meth:`next_output`."""
        self.conversation.reading_paused(now)

    def reading_resumed(self, now: float) -> None:
        """The host reads again. Then drain :meth:`next_output`."""
        self.conversation.reading_resumed(now)

    def handle_timer(self, now: float) -> None:
        """A deadline may have passed; calls that come too early do no harm. Then drain :meth:`next_output`."""
        self.conversation.handle_timer(now)

    def settle(self, dispatch: Dispatch) -> None:
        """The application has finished with ``dispatch``. From any thread."""
        self.conversation.settle(dispatch)

    def close(self, now: float, *, keep_session: bool = False) -> None:
        """Say goodbye. What was received and not handed out is withdrawn. Then drain :meth:`next_output`."""
        self.conversation.close(now, keep_session=keep_session)

    # -- outputs --------------------------------------------------------------------------------------------------

    def next_output(self) -> Output | None:
        """The oldest action or event, None when there is none left."""
        return self._outbox.next()

    def next_timer(self) -> float | None:
        """When :meth:`handle_timer` is due, None once it is over."""
        return self.conversation.next_timer()

    # -- steps ----------------------------------------------------------------------------------------------------

    def _on_end(self, now: float) -> None:
        if not self._opened:
            raise LocalProtocolError("connection_opened() comes before receive_data()")
        self._emit(Abort(self._id, self._policy.leave_code))
        failure = Failure(FailureKind.EOF, "the stream ended without a close frame")
        self.conversation.connection_lost(failure, now)

    def _on_message(self, message: str | bytes, now: float) -> None:
        try:
            value = self._decode(message)
        except (ValueError, RecursionError) as error:
            self._on_refused(message, error, now)
        else:
            self.conversation.receive_value(value, message, now)

    def _on_refused(self, message: str | bytes, error: Exception, now: float) -> None:
        """No JSON; or a text that is not even UTF-8, which a WebSocket does not survive."""
        broken = None
        if isinstance(message, bytes) and isinstance(error, UnicodeDecodeError):
            broken = self._websocket.not_text(message)
        if broken is not None:
            self._on_last(broken, now)
        else:
            self.conversation.not_json(message)

    def _on_last(self, item: Last, now: float) -> None:
        if isinstance(item, Rejected):
            self._emit(Abort(self._id, self._policy.leave_code))
            self.conversation.connection_lost(_refused(item), now)
            return
        if item.reply:
            self._emit(SendData(self._id, item.reply))
        if isinstance(item, CloseReceived):
            self._emit(CloseConnection(self._id, item.code or 1000, ""))
            self.conversation.connection_closed(item.code, item.reason, now)
        else:
            self._emit(CloseConnection(self._id, item.code, ""))
            self.conversation.connection_lost(Failure(FailureKind.OTHER, item.what), now)


def _refused(item: Rejected) -> Failure:
    kind = FailureKind.RATE_LIMITED if item.status == 429 else FailureKind.HTTP_STATUS
    wait = next((value for name, value in item.headers if name.lower() == b"retry-after"), None)
    return Failure(
        kind,
        f"the server refused the WebSocket upgrade with HTTP {item.status}",
        item.status,
        retry_after=None if wait is None else retry_after(wait.decode("latin-1")),
    )


class _WebSocketLink:
    """Our own WebSocket as a Conversation's link."""

    __slots__ = ("_emit", "_id", "_leave_code", "_websocket")

    def __init__(self, id: int, outbox: Outbox, websocket: WebSocket, leave_code: int | None) -> None:
        self._id = id
        self._emit = outbox.emit
        self._websocket = websocket
        self._leave_code = leave_code

    def send_text(self, text: str) -> None:
        self._emit(SendData(self._id, self._websocket.send_text(text)))

    def ping(self) -> None:
        self._emit(SendData(self._id, self._websocket.ping()))

    def close(self, code: int, reason: str) -> None:
        if data := self._websocket.close(code, reason):
            self._emit(SendData(self._id, data))
        self._emit(CloseConnection(self._id, code, reason))

    def abort(self) -> None:
        self._emit(Abort(self._id, self._leave_code))
