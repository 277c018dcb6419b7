"""Lines as nats-server 2.15 writes them (seen, or made after its source), and anything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.adapters.broker_log import (
    MAX_KINDS,
    Fault,
    LogFollower,
    Ready,
    Refusal,
    Refused,
    Reloaded,
    ReloadFailed,
    RepeatFilter,
    read_line,
)
from protocols.instants import US_PER_S, UtcTime

STAMP = "[7659] 2026/11/23 23:51:29.113309 "
AT = UtcTime(1_795_477_889_113_309)
SERIAL = "af575df169aed39efcca12866c1d5cb3249abfa"

REFUSALS = [
    (
        (
            "[ERR] 127.0.0.1:35913 - mid:28 - TLS handshake error: tls: client didn't provide a "
            "certificate"
        ),
        ("127.0.0.1:35913", Refusal.NO_CERTIFICATE, ""),
    ),
    (
        (
            "[ERR] 127.0.0.1:60979 - mid:8 - TLS handshake error: tls: failed to verify "
            "certificate: x509: certificate signed by unknown authority (possibly because of "
            '"x509: ECDSA verification failure" while trying to verify candidate authority '
            'certificate "Tocsin CA 0000") (CN=shop-1,O=trustme SHA-256: 00ff)'
        ),
        ("127.0.0.1:60979", Refusal.UNKNOWN_AUTHORITY, "CN=shop-1,O=trustme SHA-256: 00ff"),
    ),
    (
        (
            "[ERR] 10.0.0.9:6 - mid:8 - TLS handshake error: tls: failed to verify certificate: "
            "certificate signed by unknown authority (CN=client didn't provide a certificate (x) "
            "SHA-256: 00ff)"
        ),
        (
            "10.0.0.9:6",
            Refusal.UNKNOWN_AUTHORITY,
            "CN=client didn't provide a certificate (x) SHA-256: 00ff",
        ),
    ),
    (
        (
            "[ERR] [::1]:60979 - mid:8 - TLS handshake error: tls: failed to verify certificate: "
            "certificate has expired or is not yet valid: current time 2026-11-23T23:51:29Z is "
            "after 2026-02-28T23:51:29Z (CN=shop-1 SHA-256: 00ff)"
        ),
        ("[::1]:60979", Refusal.EXPIRED, "CN=shop-1 SHA-256: 00ff"),
    ),
    (
        (
            f'[ERR] 127.0.0.1:37213 - mid:29 - "p1b" - authentication error - User '
            f'"urn:tocsin:shop-1:{SERIAL}"'
        ),
        ("127.0.0.1:37213", Refusal.REVOKED, f"urn:tocsin:shop-1:{SERIAL}"),
    ),
    (
        '[ERR] 127.0.0.1:37213 - mid:29 - "who" - authentication error',
        ("127.0.0.1:37213", Refusal.NOT_REGISTERED, '"who"'),
    ),
    (
        '[ERR] 127.0.0.1:55057 - mid:9 - "p1" - Publish Violation - Subject "tocsin.v1.shop-2.ev"',
        ("127.0.0.1:55057", Refusal.PUBLISH_DENIED, 'tocsin.v1.shop-2.ev by "p1"'),
    ),
    (
        '[ERR] 127.0.0.1:55057 - mid:9 - "a \\" - b" - Subscription Violation - Subject ">", SID >',
        ("127.0.0.1:55057", Refusal.SUBSCRIBE_DENIED, '> by "a \\" - b"'),
    ),
    (
        (
            '[WRN] 127.0.0.1:44881 - mid:32 - "p2" - Replacing old client "127.0.0.1:60979 - '
            'mid:22 - \\"p2\\"" since both have the same client ID "p2"'
        ),
        ("127.0.0.1:44881", Refusal.IDENTITY_TAKEN, '"p2"'),
    ),
]


@pytest.mark.parametrize(("text", "wanted"), REFUSALS)
def test_refusals(text: str, wanted: tuple[str, Refusal, str]) -> None:
    assert read_line(f"{STAMP}{text}\n".encode()) == Refused(*wanted, AT)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[INF] Server is ready", Ready()),
        ("[INF] Reloaded server configuration (sha256:51921984)", Reloaded()),
        (
            "[ERR] Failed to reload server configuration: x",
            ReloadFailed("Failed to reload server configuration: x"),
        ),
        ("[FTL] Can't start JetStream: no space", Fault("Can't start JetStream: no space")),
    ],
)
def test_state_of_the_broker(text: str, wanted: object) -> None:
    assert read_line(f"{STAMP}{text}".encode()) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "[INF] Listening for MQTT clients on tls://127.0.0.1:18883",
        '[ERR] 127.0.0.1:37213 - mid:29 - "p1b" - unable to connect: authentication error',
        '[INF] 127.0.0.1:1 - mid:1 - "Server is ready" - x',
        f'[WRN] User "urn:tocsin:shop-1:{SERIAL}" found in connect proto, but user required',
    ],
)
def test_lines_that_say_nothing_new(text: str) -> None:
    assert read_line((STAMP + text).encode()) is None


def test_a_client_id_cannot_forge_a_line() -> None:
    """The client chooses its id; NATS quotes it, and only the quoted whole counts as the id."""
    forged = '" - authentication error - User \\"urn:tocsin:shop-9:00\\"'
    line = f'{STAMP}[ERR] 127.0.0.1:5 - mid:9 - "x\\{forged}" - Publish Violation - Subject "a"'
    found = read_line(line.encode())
    assert isinstance(found, Refused)
    assert found.reason is Refusal.PUBLISH_DENIED


def test_impossible_date_is_no_notice() -> None:
    assert read_line(b"[1] 2026/13/45 23:51:29.113309 [INF] Server is ready") is None


@settings(deadline=None, derandomize=True, max_examples=500)
@given(st.binary(max_size=400))
def test_any_bytes(line: bytes) -> None:
    read_line(line)


FRAGMENTS = st.sampled_from(
    [
        STAMP,
        "[ERR] ",
        "[INF] ",
        "[FTL] ",
        "127.0.0.1:1 - mid:9 - ",
        '"p1"',
        '"',
        "\\",
        " - ",
        "TLS handshake error: ",
        "authentication error",
        ' - User "u"',
        "Publish Violation - Subject ",
        "(",
        ")",
        "Server is ready",
        "\x00",
        "警",
    ]
)


@settings(deadline=None, derandomize=True, max_examples=500)
@given(st.lists(FRAGMENTS | st.text(max_size=8), max_size=12))
def test_anything_that_looks_like_a_line(parts: list[str]) -> None:
    read_line((STAMP + "[ERR] 127.0.0.1:1 - mid:9 - " + "".join(parts)).encode())
    read_line("".join(parts).encode())


def refused(second: int, subject: str = "s", host: str = "10.0.0.1") -> Refused:
    at = UtcTime(second * US_PER_S)
    return Refused(f"{host}:{second}", Refusal.REVOKED, subject, at)


def test_first_of_a_kind_is_told_at_once_and_the_rest_counted() -> None:
    kept = RepeatFilter(window_s=60)
    assert kept.receive(refused(100)) == [refused(100)]
    assert kept.receive(refused(101)) == []
    assert kept.receive(refused(102)) == []
    assert kept.receive(refused(102, host="10.0.0.2")) == [refused(102, host="10.0.0.2")]
    assert kept.tick(UtcTime(159 * US_PER_S)) == []
    (told,) = kept.tick(UtcTime(163 * US_PER_S))
    assert (told.again, told.at) == (2, 102 * US_PER_S)
    assert kept.receive(refused(170)) == [refused(170)]


def test_flood_of_new_kinds_is_bounded_and_every_one_is_counted() -> None:
    kept = RepeatFilter(window_s=60)
    sent = 5 * MAX_KINDS
    told = [r for n in range(sent) for r in kept.receive(refused(100, subject=str(n)))]
    assert len(told) <= MAX_KINDS + len(Refusal)
    told += kept.flush()
    assert sum(r.again or 1 for r in told) == sent


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 500), st.sampled_from("abc"), st.booleans())))
def test_nothing_is_lost_or_told_twice(steps: list[tuple[int, str, bool]]) -> None:
    kept = RepeatFilter(window_s=60)
    told: list[Refused] = []
    for second, subject, tick in steps:
        told += kept.receive(refused(second, subject))
        if tick:
            told += kept.tick(UtcTime(second * US_PER_S))
    told += kept.flush()
    assert sum(r.again or 1 for r in told) == len(steps)


def line(text: str) -> bytes:
    return f"{STAMP}[FTL] {text}\n".encode()


def texts(follower: LogFollower) -> list[str]:
    return [notice.text for notice in follower.notices() if isinstance(notice, Fault)]


def test_follower_starts_at_the_end_and_waits_for_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "nats.log"
    log.write_bytes(line("old"))
    follower = LogFollower(log)
    assert texts(follower) == []
    with log.open("ab") as stream:
        stream.write(line("new")[:-20])
        stream.flush()
        assert texts(follower) == []
        stream.write(line("new")[-20:])
        stream.flush()
        assert texts(follower) == ["new"]
    follower.close()


def test_follower_reads_the_end_of_a_rotated_file_then_the_new_one(tmp_path: Path) -> None:
    log = tmp_path / "nats.log"
    log.write_bytes(b"")
    follower = LogFollower(log)
    with log.open("ab") as stream:
        stream.write(line("before"))
    log.rename(tmp_path / "nats.log.1")
    log.write_bytes(line("after"))
    assert texts(follower) == ["before", "after"]
    follower.close()


def test_follower_waits_for_a_log_that_is_not_there_yet(tmp_path: Path) -> None:
    log = tmp_path / "nats.log"
    follower = LogFollower(log)
    assert texts(follower) == []
    log.write_bytes(line("first"))
    assert texts(follower) == ["first"]
    follower.close()


def test_follower_survives_an_endless_line(tmp_path: Path) -> None:
    log = tmp_path / "nats.log"
    log.write_bytes(b"")
    follower = LogFollower(log)
    with log.open("ab") as stream:
        stream.write(b"x" * 1_000_000 + b"\n" + line("next"))
    assert texts(follower) == ["next"]
    follower.close()
