"""A conversation under hostile messages: nothing raises, and everything is delivered, told or counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qqproto import Dispatch, Malformed, ReserveIdentify
from tests.core.hosts import SESSION, Talk
from tests.fuzz.machines import TEXTS, campaign

MESSAGES = st.lists(TEXTS | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(), max_size=12)


@given(MESSAGES, st.sampled_from(["new", "hello", "live", "resuming"]), st.floats(0, 30))
@campaign
def test_any_messages_in_any_phase(messages: list[str | bytes], state: str, span: float) -> None:
    talk = Talk(SESSION if state == "resuming" else None)
    if state in ("hello", "resuming"):
        talk.say('{"op":10,"d":{"heartbeat_interval":41250}}')
    elif state == "live":
        talk.up()
    for message in messages:
        talk.say(message)
        for question in talk.take(ReserveIdentify):
            talk.outputs.append(question)
            talk.allow_identify()
        talk.run(span / 10)
    for event in talk.take(Malformed):
        assert len(event.sample) <= 200
        assert "TOKEN-SECRET" not in event.sample
    session = talk.machine.session
    for dispatch in talk.take(Dispatch):
        assert isinstance(dispatch.type, str)
        assert dispatch.sequence is None or dispatch.sequence >= 1
    assert session is None or 0 <= session.settled <= session.received
