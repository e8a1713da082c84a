from __future__ import annotations

import pytest

from qqproto import Phase, StopReason, Verdict, classify
from qqproto.protocol.close_codes import CLOSE_CODES, row_of
from tests.core.samples import body

ACTIONS = {
    "RESUME": Verdict.RESUME,
    "BACKOFF_RESUME": Verdict.RESUME,
    "BACKOFF60_RESUME": Verdict.RESUME,
    "REIDENTIFY": Verdict.IDENTIFY,
    "REIDENTIFY_BACKOFF": Verdict.IDENTIFY,
    "REFRESH_TOKEN": Verdict.REFRESH_TOKEN,
    "FATAL": Verdict.STOP,
    "FATAL_RESHARD": Verdict.STOP,
}

# error.html's rows by what they say of resuming and identifying, then the codes that only SDKs and reports know.
LIVE = {
    Verdict.RESUME: [4000, 4008, 4009, 1000, 1001, 1011, 1012, 1013, 1014, 3000],
    Verdict.IDENTIFY: [4003, 4005, 4006, 4007, 4015, 4016, 4899, *range(4900, 4914), 4916, 4999, 9001, 9005],
    Verdict.REFRESH_TOKEN: [4004],
    Verdict.STOP: [4001, 4002, 4010, 4011, 4012, 4013, 4014, 4914, 4915],
}


@pytest.mark.parametrize(("code", "action"), body("close_code_actions").items())
def test_the_sampled_codes_lead_to_what_the_sample_says(code: str, action: str) -> None:
    assert classify(int(code), Phase.READY) is ACTIONS[action]


@pytest.mark.parametrize(("verdict", "code"), [(verdict, code) for verdict, codes in LIVE.items() for code in codes])
def test_a_code_on_a_live_session_leads_to_its_row(verdict: Verdict, code: int) -> None:
    assert classify(code, Phase.READY) is verdict


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("code", [None, 1005, 1006])
def test_an_end_without_a_close_frame_refuses_nothing_in_any_phase(code: int | None, phase: Phase) -> None:
    assert classify(code, phase) is Verdict.RESUME


@pytest.mark.parametrize("code", [4000, 4008, 4009])
def test_a_resume_answered_by_an_incident_may_be_tried_again(code: int) -> None:
    assert classify(code, Phase.AUTH) is Verdict.RESUME


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 1013, 1014, 3000])
def test_a_resume_answered_by_any_other_close_is_refused(code: int) -> None:
    assert classify(code, Phase.HELLO) is Verdict.RESUME
    assert classify(code, Phase.AUTH) is Verdict.IDENTIFY


@pytest.mark.parametrize("code", [*LIVE[Verdict.IDENTIFY], *LIVE[Verdict.REFRESH_TOKEN], *LIVE[Verdict.STOP]])
def test_the_other_verdicts_do_not_depend_on_the_phase(code: int) -> None:
    assert {classify(code, phase) for phase in Phase} == {classify(code, Phase.READY)}


def test_the_documented_codes_and_those_of_the_reports_have_rows_of_their_own() -> None:
    assert set(CLOSE_CODES) == {1000, 1001, *range(4000, 4015), *range(4900, 4916)}


def test_a_rotation_is_the_platforms_4009_alone() -> None:
    assert [code for code, row in CLOSE_CODES.items() if row.planned] == [4009]


@pytest.mark.parametrize(
    ("reason", "codes"),
    [
        (StopReason.PROTOCOL, {4001, 4002, 4012}),
        (StopReason.SHARDING, {4010, 4011}),
        (StopReason.INTENTS, {4013, 4014}),
        (StopReason.SANDBOX_ONLY, {4914}),
        (StopReason.BANNED, {4915}),
        (None, set(CLOSE_CODES) - set(LIVE[Verdict.STOP])),
    ],
)
def test_a_stop_has_its_reason_and_nothing_else_has_one(reason: StopReason | None, codes: set[int]) -> None:
    assert {code for code, row in CLOSE_CODES.items() if row.reason is reason} == codes


@pytest.mark.parametrize("code", sorted(CLOSE_CODES))
def test_every_row_is_complete(code: int) -> None:
    row = row_of(code)
    assert row.code == code
    assert row.meaning
    assert row.source
    assert bool(row.hint) is (row.verdict is Verdict.STOP), "a person needs to know what to do, and only then"


@pytest.mark.parametrize("code", [1014, 3000, 4015, 9001])
def test_a_code_outside_the_table_gets_a_row_with_a_source_too(code: int) -> None:
    assert code not in CLOSE_CODES
    row = row_of(code)
    assert (row.code, row.reason, row.hint) == (code, None, "")
    assert row.source
