from __future__ import annotations

import pytest

from qqproto.protocol.opcodes import Opcode
from tests.core.samples import SAMPLES, body


@pytest.mark.parametrize(
    ("sample", "opcode"),
    [
        ("ev_c2c_message_create", Opcode.DISPATCH),
        ("heartbeat_first", Opcode.HEARTBEAT),
        ("identify", Opcode.IDENTIFY),
        ("resume", Opcode.RESUME),
        ("reconnect", Opcode.RECONNECT),
        ("invalid_session", Opcode.INVALID_SESSION),
        ("hello", Opcode.HELLO),
        ("heartbeat_ack", Opcode.HEARTBEAT_ACK),
        ("webhook_ack_ok", Opcode.HTTP_CALLBACK_ACK),
        ("webhook_validation_request", Opcode.CALLBACK_VALIDATION),
    ],
)
def test_each_opcode_is_the_one_on_the_wire(sample: str, opcode: Opcode) -> None:
    assert body(sample)["op"] == opcode


def test_no_opcode_of_the_samples_is_unknown_but_the_one_made_up_for_it() -> None:
    bodies = [sample["body"] for sample in SAMPLES.values() if isinstance(sample["body"], dict)]
    assert {message["op"] for message in bodies if "op" in message} - set(Opcode) == {99}
