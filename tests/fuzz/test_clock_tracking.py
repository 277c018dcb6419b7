"""Nothing chronyc may print raises."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.clock.tracking import NoTracking, Tracking, line_of, parse

GOOD = "C0A80001,time.example,2,1700000000.5,0.000012,0.1,0.2,1.0,0.1,0.5,0.04,0.001,16.1,Normal"
FIELDS = st.sampled_from(["", "nan", "inf", "-1", "1e400", "0", "99", "Normal", "²", "7F7F0101"])


@settings(deadline=None, derandomize=True, max_examples=500)
@given(
    st.one_of(
        st.text(max_size=300),
        st.lists(FIELDS, min_size=14, max_size=14).map(",".join),
        st.tuples(st.integers(0, 13), FIELDS).map(
            lambda each: ",".join(
                each[1] if at == each[0] else field for at, field in enumerate(GOOD.split(","))
            )
        ),
    )
)
def test_any_line_is_tracking_or_none(line: str) -> None:
    told = parse(line)
    if isinstance(told, Tracking):
        numbers = (told.offset_s, told.root_delay_s, told.root_dispersion_s, told.ref_time_s)
        assert all(math.isfinite(each) for each in numbers)
        assert 0 < told.stratum < 16
    else:
        assert told.reason in {"unreadable", "unsynchronised", "local_reference"}


def test_a_good_line() -> None:
    told = parse(GOOD)
    assert isinstance(told, Tracking)
    assert (told.ref, told.stratum, told.offset_s) == ("C0A80001", 2, 0.000012)
    assert parse(line_of(told)) == told
    assert parse(GOOD.replace("Normal", "Not synchronised")) == NoTracking("unsynchronised")
    assert parse(GOOD.replace("C0A80001", "7F7F0101")) == NoTracking("local_reference")
