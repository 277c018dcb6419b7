"""The table of states and inputs is total, and README shows exactly it."""

from __future__ import annotations

import itertools
from pathlib import Path

from collector.records.case import State
from collector.verification import transitions
from collector.verification.transitions import FIRST, VERDICTS, Input, Lane, move, rendered

README = Path(transitions.__file__).parent / "README.md"


def test_readme_shows_the_table_of_the_code() -> None:
    text = README.read_text(encoding="utf-8")
    shown = text.split("<!-- table -->\n")[1].split("<!-- /table -->")[0]
    assert shown == rendered() + "\n"


def test_every_pair_leads_to_a_verdict_and_never_backwards() -> None:
    for lane, state, what in itertools.product(Lane, VERDICTS, Input):
        after = move(lane, state, what)
        assert after in VERDICTS
        if state is State.CONFIRMED:
            assert after is State.CONFIRMED, "a confirmation is not taken back"


def test_only_proof_confirms_and_only_a_burglary_is_ever_cancelled() -> None:
    proofs = {Input.INDEPENDENT, Input.PATH_LOST, Input.DURESS}
    for lane, state, what in itertools.product(Lane, VERDICTS, Input):
        after = move(lane, state, what)
        if after is State.CONFIRMED and state is not State.CONFIRMED:
            assert what in proofs
            assert lane is Lane.VERIFIED
        if after is State.CANCELLED and state is not State.CANCELLED:
            assert (lane, state, what) == (Lane.VERIFIED, State.UNCONFIRMED, Input.CANCEL)
        if after is State.CLOSED and state is not State.CLOSED:
            assert lane is Lane.FAULT


def test_what_never_waits_opens_confirmed() -> None:
    assert {lane for lane in Lane if FIRST[lane] is State.CONFIRMED} == {Lane.DIRECT}
