"""P12, P15, P17: the collector against the obvious program, interleaved, >= 5 pairs.

P12: QoS 1 Reports of one Record through one real broker (mosquitto, or our own nats-server), the
same publisher for both. Ours is the whole Collector (decode, dedup, chain, one durable group
commit, then the acknowledgement; judging goes on beside it). The peer is aiomqtt + json + one
SQLite FULL commit for each message. Time runs from the first message received to the last one
durable, and for ours acknowledged. Both subscribe in the clear: TLS costs both the same.
P15: rows into the ledger (unique identity, hash chain over all columns) at 100 and 512 a
transaction, against executemany of the same rows with the same unique key into SQLite WAL FULL.
P17: messages known already against the same messages new, through the whole of stage 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from collector.adapters.ledger_clock import LedgerClock
from collector.adapters.ledger_rows import record_row
from collector.adapters.ledger_store import Draft, LedgerStore
from collector.admitting import Admitting, Message
from collector.config import CollectorConfig
from collector.intake import Reported, read
from protocols.instants import Instant, UtcTime
from protocols.mqtt.topics import ACK, REPORT, topic
from tests.support.panel_records import chain_of, report_of

PANEL = "bench-1"
TOPIC = topic(PANEL, REPORT)
BATCH = 512


# The broker and the publisher


@contextmanager
def broker(folder: Path) -> Iterator[tuple[str, int]]:
    """(name, port) of a broker on loopback, in the clear."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mosquitto = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    config = folder / "broker.conf"
    if mosquitto:
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
            "max_queued_messages 0\nmax_inflight_messages 1000\nlog_type none\n"
        )
        words = [mosquitto, "-c", str(config)]
    else:
        config.write_text(
            f'server_name: bench\nlisten: "127.0.0.1:-1"\n'
            f'mqtt {{ listen: "127.0.0.1:{port}" max_ack_pending: 1000 }}\n'
            f'jetstream {{ store_dir: "{folder}" }}\n'
        )
        words = ["nats-server", "-c", str(config)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _reachable(port)
        yield Path(words[0]).name, port
    finally:
        process.terminate()
        process.wait()


def _reachable(port: int) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


def _text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def _packet(kind: int, body: bytes) -> bytes:
    length, size = bytearray(), len(body)
    while True:
        size, digit = size >> 7, size & 0x7F
        length.append(digit | (0x80 if size else 0))
        if not size:
            return bytes([kind]) + bytes(length) + body


def publish(port: int, payloads: list[bytes], window: int = 1000) -> None:
    """MQTT 3.1.1 QoS 1 with at most `window` unacknowledged, as fast as the broker takes it."""
    hello = _text(b"MQTT") + b"\x04\x02" + (600).to_bytes(2, "big") + _text(b"bench-publisher")
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.sendall(_packet(0x10, hello))
        assert link.recv(4)[0] == 0x20
        room = threading.Semaphore(window)

        def acknowledged() -> None:
            got = 0
            while got < 4 * len(payloads):  # a PUBACK has four bytes
                data = link.recv(65_536)
                for _ in range((got + len(data)) // 4 - got // 4):
                    room.release()
                got += len(data)

        reader = threading.Thread(target=acknowledged)
        reader.start()
        name = _text(TOPIC.encode())
        for number, payload in enumerate(payloads):
            room.acquire()
            identifier = (number % 65_000 + 1).to_bytes(2, "big")
            link.sendall(_packet(0x32, name + identifier + payload))
        reader.join()


# The two subscribers, each in a process of its own


def run_ours(port: int, count: int, folder: Path) -> None:
    """The whole Collector behind a paho subscriber."""
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    from tests.support.collector_rig import NotedLink, collector_in

    began = _Stopwatch()
    done = threading.Event()

    class Link(NotedLink):
        def flush(self) -> None: ...

        def publish(self, panel: str, leaf: str, payload: bytes) -> bool:
            if leaf == ACK and f'"upto":{count},'.encode() in payload:
                began.stop()
                done.set()
            return True

    collector = collector_in(folder, Link())
    collector.start()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="ours", protocol=mqtt.MQTTv311)
    ready = threading.Event()

    def heard(_client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        began.start()
        collector.offer(message.topic, bytes(message.payload))

    client.on_message = heard
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", port)
    client.subscribe("tocsin/v1/+/ev", 1)
    client.loop_start()
    assert ready.wait(10)
    print("ready", flush=True)
    assert done.wait(300)
    client.loop_stop()
    end = time.monotonic() + 300
    while collector.status().not_judged and time.monotonic() < end:
        time.sleep(0.01)
    judged_s = began.running_s()
    collector.stop()
    stored = sqlite3.connect(folder / "ledger.db").execute("SELECT count(*) FROM signals")
    assert stored.fetchone() == (count,)
    print(json.dumps(began.figures() | {"judged_s": judged_s}), flush=True)


def run_peer(port: int, count: int, folder: Path) -> None:
    """aiomqtt, json.loads, one durable commit for each message."""
    import aiomqtt

    connection = sqlite3.connect(folder / "peer.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE events (panel TEXT, epoch INT, seq INT, code INT, zone INT, body BLOB, "
        "UNIQUE (panel, epoch, seq))"
    )
    began = _Stopwatch()

    async def listen() -> None:
        async with aiomqtt.Client("127.0.0.1", port, identifier="peer") as client:
            await client.subscribe("tocsin/v1/+/ev", 1)
            print("ready", flush=True)
            seen = 0
            async for message in client.messages:
                began.start()
                for record in json.loads(message.payload)["records"]:
                    event = record["event"]
                    connection.execute(
                        "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?)",
                        (
                            record["panel"],
                            record["epoch"],
                            record["seq"],
                            event["code"],
                            event.get("zone", 0),
                            message.payload,
                        ),
                    )
                    seen += 1
                if seen == count:
                    began.stop()
                    return

    asyncio.run(listen())
    assert connection.execute("SELECT count(*) FROM events").fetchone() == (count,)
    print(json.dumps(began.figures() | {"judged_s": 0.0}), flush=True)


class _Stopwatch:
    """Wall and CPU from the first message to the last one durable."""

    def __init__(self) -> None:
        self._began: tuple[float, float] | None = None
        self._wall = self._cpu = 0.0

    def start(self) -> None:
        if self._began is None:
            self._began = (time.monotonic(), time.process_time())

    def running_s(self) -> float:
        assert self._began is not None
        return time.monotonic() - self._began[0]

    def stop(self) -> None:
        assert self._began is not None
        self._wall = self.running_s()
        self._cpu = time.process_time() - self._began[1]

    def figures(self) -> dict[str, float]:
        return {"wall_s": self._wall, "cpu_s": self._cpu}


def through_broker(who: str, count: int, payloads: list[bytes]) -> tuple[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as name, broker(Path(name)) as (kind, port):
        process = subprocess.Popen(
            [sys.executable, __file__, who, str(port), str(count), name], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        publish(port, payloads)
        found: dict[str, float] = json.loads(process.stdout.readline())
        assert process.wait() == 0
        return kind, found


# The figures


def p12(pairs: int, count: int) -> dict[str, object]:
    payloads = [report_of(raw) for raw in chain_of(PANEL, count)]
    rates: dict[str, list[float]] = {"ours": [], "peer": [], "ours_judged": []}
    wall: list[float] = []
    cpu: list[float] = []
    kind = ""
    for _ in range(pairs):
        kind, ours = through_broker("_ours", count, payloads)
        few = max(count // 4, 1)
        _, peer = through_broker("_peer", few, payloads[:few])
        rates["ours"].append(count / ours["wall_s"])
        rates["ours_judged"].append(count / ours["judged_s"])
        rates["peer"].append(few / peer["wall_s"])
        wall.append(rates["ours"][-1] / rates["peer"][-1])
        cpu.append((count / ours["cpu_s"]) / (few / peer["cpu_s"]))
    return {
        "goal": "P12 >= 5 (wall), >= 6 (cpu)",
        "broker": kind,
        "payload_bytes": len(payloads[0]),
        "messages": count,
        "per_s": {key: round(statistics.median(all_)) for key, all_ in rates.items()},
        "ratio_wall": _spread(wall),
        "ratio_cpu": _spread(cpu),
    }


def p15(pairs: int, count: int, group: int) -> dict[str, object]:
    carried = []
    for raw in chain_of(PANEL, count):
        inbound = read(TOPIC, report_of(raw))
        assert isinstance(inbound, Reported)
        carried += inbound.carried
    rows = [
        record_row(number, one, UtcTime(number), conflict=False)
        for number, one in enumerate(carried, 1)
    ]
    groups = [rows[start : start + group] for start in range(0, count, group)]
    ratios, per_s = [], {"ours": list[float](), "raw": list[float]()}
    for _ in range(pairs):
        with tempfile.TemporaryDirectory() as name:
            store = LedgerStore(f"sqlite:///{name}/ledger.db")
            store.open()

            def ours(store: LedgerStore = store) -> None:
                for part in groups:
                    store.commit(Draft(UtcTime(1), signals=part))

            mine = count / _seconds(ours)
            store.close()
        with tempfile.TemporaryDirectory() as name:
            connection = sqlite3.connect(f"{name}/raw.db", isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA wal_autocheckpoint=0")
            columns = "a,panel,c,d,epoch,seq,digest,h,i,j,k,l,m,n,o,p"
            connection.execute(f"CREATE TABLE raw (id INTEGER PRIMARY KEY, {columns[2:]})")
            connection.execute("CREATE UNIQUE INDEX one ON raw (panel, epoch, seq, digest)")
            marks = ",".join("?" * 16)

            def peer(connection: sqlite3.Connection = connection, marks: str = marks) -> None:
                for part in groups:
                    connection.execute("BEGIN IMMEDIATE")
                    connection.executemany(
                        f"INSERT INTO raw VALUES ({marks}) ON CONFLICT DO NOTHING", part
                    )
                    connection.execute("COMMIT")

            bare = count / _seconds(peer)
            connection.close()
        ratios.append(mine / bare)
        per_s["ours"].append(mine)
        per_s["raw"].append(bare)
    return {
        "goal": "P15 >= 0.6",
        "group": group,
        "per_s": {key: round(statistics.median(all_)) for key, all_ in per_s.items()},
        "ratio": _spread(ratios),
    }


def p17(pairs: int, count: int, group: int) -> dict[str, object]:
    messages = [Message(TOPIC, report_of(raw), Instant(1)) for raw in chain_of(PANEL, count)]
    ratios, per_s = [], {"new": list[float](), "known": list[float]()}
    for _ in range(pairs):
        with tempfile.TemporaryDirectory() as name:
            config = CollectorConfig(data_dir=Path(name))
            store = LedgerStore(config.url)
            store.open()
            clock = LedgerClock(UtcTime(0))
            admitting = Admitting(config, store, lambda _panel: True, clock.now())

            def offer(admitting: Admitting = admitting, clock: LedgerClock = clock) -> None:
                for start in range(0, count, group):
                    admitting.admit(messages[start : start + group], clock.now(), clock.at)

            new = count / _seconds(offer)
            known = count / _seconds(offer)
            assert (admitting.tally.signals, admitting.tally.repeats) == (count, count)
            store.close()
        ratios.append(known / new)
        per_s["new"].append(new)
        per_s["known"].append(known)
    return {
        "goal": "P17 >= 2",
        "group": group,
        "per_s": {key: round(statistics.median(all_)) for key, all_ in per_s.items()},
        "ratio": _spread(ratios),
    }


def _seconds(act: Callable[[], None]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _spread(values: list[float]) -> dict[str, object]:
    ordered = [round(value, 2) for value in sorted(values)]
    return {"median": round(statistics.median(values), 2), "range": [ordered[0], ordered[-1]]}


def main() -> None:
    """Print one JSON object, or be one of the two subscribers."""
    if len(sys.argv) == 5 and sys.argv[1] in {"_ours", "_peer"}:
        run = run_ours if sys.argv[1] == "_ours" else run_peer
        run(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
        return
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--pairs", type=int, default=5)
    words.add_argument("--messages", type=int, default=20_000)
    chosen = words.parse_args()
    figures = {
        "pairs": chosen.pairs,
        "P12": p12(chosen.pairs, chosen.messages),
        "P15": [p15(chosen.pairs, 20_000, group) for group in (100, BATCH)],
        "P17": p17(chosen.pairs, 20_000, 100),
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
