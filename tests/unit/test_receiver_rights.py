"""What a phone receiver's certificate may do at either broker, and its registration by command."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from collector.__main__ import app
from collector.adapters.authority import Authority
from collector.adapters.broker_mosquitto import access_list
from collector.adapters.nats_rights import Listening, configuration
from collector.adapters.registry import Registry, RegistryError, Role
from collector.intake import Account
from protocols.instants import UtcTime


def test_rights_of_a_receiver_at_our_own_broker(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry.json")
    authority = Authority(tmp_path, registry)
    issued = authority.issue("rx-1", tmp_path / "rx", role=Role.RECEIVER)
    assert issued.key_file.name == "receiver.key"
    at = Listening(tmp_path, authority.server, "127.0.0.1", 1, 2, 10)

    def line() -> str:
        made = configuration(registry.content(), at, "words", UtcTime(0))
        return next(one for one in made.splitlines() if "urn:tocsin:rx-1" in one)

    assert 'publish: {allow: ["tocsin.v1.rx-1.rx"]}' in line()
    assert 'subscribe: {allow: ["tocsin.v1.rx-1.rxack", "tocsin.v1.rx-1.rxpin"]}' in line()
    assert registry.is_receiver("rx-1")
    assert not registry.is_registered("rx-1")
    authority.revoke("rx-1", role=Role.RECEIVER)
    assert 'deny: [">"]' in line()
    with pytest.raises(RegistryError, match="receiver already"):
        authority.issue("rx-1", tmp_path / "p")


def test_rights_of_a_receiver_at_mosquitto() -> None:
    mine = access_list(["rx-1"]).split("user rx-1\n")[1].split("\n\n")[0].splitlines()
    assert "topic write tocsin/v1/rx-1/rx" in mine
    assert "topic read tocsin/v1/rx-1/rxack" in mine
    assert "topic read tocsin/v1/rx-1/rxpin" in mine
    assert {line.split()[1] for line in mine if line.split("/")[-1] in ("ev", "hb", "ack")} == {
        "deny"
    }


def test_accounts_and_receivers_by_command(tmp_path: Path) -> None:
    def run(*words: str) -> tuple[int, str]:
        said = CliRunner().invoke(app, [*words, "--data", str(tmp_path / "d")])
        return said.exit_code, said.output

    assert run("receiver", "add", "rx-1", "--out", str(tmp_path / "rx"))[0] == 0
    assert '"receiver.crt"' in (tmp_path / "rx" / "mqtt.toml").read_text().replace("cert = ", "")
    assert run("panel", "add", "shop-1", "--out", str(tmp_path / "p"), "--account", "1234")[0] == 0
    assert run("panel", "add", "shop-2", "--out", str(tmp_path / "q"))[0] == 0
    code, said = run("account", "set", "0000001234", "shop-2")
    assert code == 0
    assert "cannot tell shop-2 from shop-1" in said
    code, said = run("account", "set", "12X4", "shop-2")
    assert code == 1
    assert "is no account" in said
    assert run("account", "set", "4321", "shop-9")[0] == 1
    assert run("panel", "add", "acct-1", "--out", str(tmp_path / "r"))[0] == 1
    book = Registry(tmp_path / "d" / "registry.json").book()
    assert Account("1234", "shop-1") in book.accounts
    assert run("account", "remove", "1234")[0] == 0
    assert run("receiver", "revoke", "rx-1")[0] == 0
    assert "revoked" in run("receiver", "list")[1]
