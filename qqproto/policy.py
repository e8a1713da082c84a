"""Every number the machines go by, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """The defaults are meant to be kept. Seconds, bytes and counts; each field's reason stands beside it."""

    # -- how long each phase may take ------------------------------------------------------------------------------
    http_timeout: float = 15.0
    """One HTTP exchange, from the request to the last byte of the reply."""
    dial_timeout: float = 20.0
    """Name, proxy, TCP and TLS together; the field's clients allow 20 to 30 s."""
    hello_timeout: float = 20.0
    """The WebSocket's upgrade and Hello, from the moment the stream is up."""
    ready_timeout: float = 20.0
    """READY after Identify; RESUMED after Resume or after the last replayed dispatch, since replay comes first."""
    close_timeout: float = 5.0
    """How long our own goodbye may take before the stream is dropped."""
    invalid_session_wait: float = 5.0
    """After op 9, how long the close frame that names the cause is waited for."""

    # -- heartbeats and silence ------------------------------------------------------------------------------------
    min_interval: float = 0.25
    """A Hello below it, or without a number, is taken as this; so a lying server cannot make us spin."""
    max_interval: float = 120.0
    """A Hello above it is taken as this; so a lying server cannot switch the heartbeat off."""
    probe_after: float = 10.0
    """Silence, with a heartbeat unacknowledged, after which a ping and a heartbeat are sent."""
    dead_after: float = 20.0
    """Silence, with a heartbeat unacknowledged, after which the link is dead."""
    keepalive_ping: float | None = None
    """A WebSocket ping every so many seconds, for a proxy that cuts idle links sooner than a heartbeat comes; None for
    none. No ping's answer is ever waited for. Framing TEXT has none: the host's client may ping by itself."""
    heartbeat_reply_gap: float = 1.0
    """Heartbeats that the server asks for (op 1) are answered at most this often: a flood of them must not make us
    break the sending limit (4008)."""
    lag_tolerance: float = 5.0
    """An input later than this after its deadline is a stall of our own and says nothing about the link."""

    # -- coming back -----------------------------------------------------------------------------------------------
    backoff: tuple[float, ...] = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
    """Delays after consecutive failures; the last one repeats. Half of each is jitter."""
    stable_after: float = 60.0
    """A session that has lived this long counts as a success: the backoff starts anew."""
    rotation_jitter: float = 0.25
    """A planned rotation of a stable connection reconnects within this."""
    sending_too_fast_pause: float = 60.0
    """After close code 4008 the platform wants a minute's silence."""
    resume_attempts: int = 3
    """Links that may die before RESUMED until the session is given up; a refusal gives it up at once."""
    refused_identifies: int = 5
    """Refused Identifies in a row after which the configuration, not the network, is suspected."""
    configuration_retry: float = 300.0
    """How often a configuration error is tried again: allowlists and intents are changed by people."""
    token_refusals: int = 3
    """Close code 4004 this often in a row, each with a freshly fetched token, stops the shard ..."""
    token_refusals_within: float = 30.0
    """... if the first of them is at least this long ago."""
    conflicts: int = 3
    """Sessions taken over (4902) this often within ``conflict_window`` mean a second instance of the bot."""
    conflict_window: float = 1800.0
    """See ``conflicts``."""
    conflict_pause: float = 600.0
    """How long a conflict is given to end before the session is fought for again."""
    session_life: float = 86_400.0
    """A session older than this that has been silent since its last RESUMED is renewed at the next rotation: sessions
    that are resumed but carry no events have been seen after one to three days (bot-docs#191, hermes#19821)."""
    saved_session_life: float = 3600.0
    """A saved session older than this is not resumed, nor one that has been without a connection for longer."""
    save_every: float = 1.0
    """A driver saves sessions at most this often; what was settled since then may come again after a crash."""
    store_timeout: float = 10.0
    """A store that has not answered for so long is told, and a bot that waits for its session begins without. SQLite
    gives a lock of somebody else's 5 s."""
    offline_grace: float = 60.0
    """How long a shard may be away before the application is told ``Offline``."""
    leave_code: int | None = 4000
    """The close code of our own "back soon". Never 1000 or 1001, which end sessions elsewhere; that 4000 keeps the
    session is an inference, and None drops the TCP connection without a word."""

    # -- the token, gateway information and the identify budget ---------------------------------------------------
    token_refresh_before: float = 60.0
    """A token is refreshed inside its last minute; before it the platform returns the same one (access-token.html)."""
    token_refused_pause: float = 5.0
    """A token that was just refused is not given out again before this, should the platform return it again."""
    token_failure_pause: float = 1.0
    """A failed token request is not repeated before this, however many shards ask."""
    gateway_fresh_for: float = 60.0
    """Gateway information older than this is fetched anew before an Identify. A Resume takes it at any age."""
    gateway_burst: int = 10
    """``/gateway`` calls in a burst, and ..."""
    gateway_refill: float = 30.0
    """... one more each half minute: "2 QPM, burst 10" (gateway.html)."""
    identify_window: float = 5.0
    """``max_concurrency`` sessions may be started in any such window (websocket.html)."""
    identify_margin: float = 0.25
    """By how much more than the window slots are apart, because what is allowed from a moment on is sent a little later
    than that; and a slot that is used still later is asked for anew."""
    identify_slot_wait: float = 15.0
    """An identify slot further away than this is waited for without a socket."""
    identify_slot_lead: float = 10.0
    """A shard that waited without a socket dials this long before its slot, so that it is at Hello in time."""
    budget_low: float = 0.05
    """``IdentifyBudgetLow`` is told when this part of the daily budget, or less, is left."""

    # -- limits ----------------------------------------------------------------------------------------------------
    max_message: int = 16 << 20
    """Bytes of one message. No limit is documented; openclaw's gateway caps at 16 MiB too."""
    max_fragments: int = 1024
    """Fragments of one message: an empty one costs its sender two bytes and us a hundred microseconds."""
    max_control_frames: int = 64
    """Pings and pongs in one read, for the same reason."""
    max_unsettled: int = 10_000
    """Dispatches that may be open at once; beyond it the oldest is given up, which is told."""
    settlement_lag: float = 600.0
    """An open dispatch older than this is told: some path of the application forgets to settle."""
    max_missing: int = 1000
    """Sequences that were jumped over and are remembered, in case they come late."""
    remember_seen: int = 4096
    """Dispatches remembered within the process, to know a repetition ..."""
    remember_done: int = 1000
    """... and those that are settled, which are saved with the session; hermes keeps as many."""
    remember_for: float = 3600.0
    """How long either is remembered; repetitions have been seen seven minutes late (hermes#119848)."""
    max_proxy_reply: int = 16 << 10
    """Bytes that a proxy may say before its tunnel stands, as much as wsproto allows a server's handshake."""
    max_http_body: int = 1 << 20
    """Bytes of an HTTP reply; the real ones have a few hundred."""
    max_unsent: int = 64 << 10
    """Bytes that the system has not taken from a driver; the machine sends a few hundred a minute."""
    unsent_timeout: float = 10.0
    """Seconds without the system taking any of them, after which the link counts as lost."""
    max_buffered: int = 1000
    """Events between machine and application in a driver; when it is full, reading pauses."""

    def __post_init__(self) -> None:
        if not self.backoff or min(self.backoff) <= 0:
            raise ValueError("backoff needs delays above zero: without them a shard would spin")
        if self.min_interval <= 0:
            raise ValueError("min_interval must be above zero: otherwise a lying server could make a shard spin")
        if self.keepalive_ping is not None and self.keepalive_ping <= 0:
            raise ValueError("keepalive_ping must be above zero, or None for no pings")
        if self.save_every <= 0:
            raise ValueError("save_every must be above zero: otherwise a driver would do nothing but save")
        if self.leave_code is not None and not 3000 <= self.leave_code <= 4999:
            raise ValueError("leave_code must be from 3000 to 4999, as the codes that applications may send, or None")

    def delay(self, failures: int, random: float) -> float:
        """The wait before the next dial after ``failures`` consecutive failures (at least 1), with ``random`` in [0,
        1).
        """
        base = self.backoff[min(max(failures, 1), len(self.backoff)) - 1]
        return base * (0.5 + 0.5 * random)
