"""The centre's own CA: what it issues, revokes, renews, and how it meets damage."""

from __future__ import annotations

import datetime
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from collector.adapters.authority import (
    CLIENT_DAYS,
    RENEW_BEFORE_DAYS,
    Authority,
    identity,
    utc_now,
)
from collector.adapters.certificates import AuthorityError
from collector.adapters.registry import Registry, RegistryError

DAY = datetime.timedelta(days=1)


class Clock:
    """A wall clock that the test moves."""

    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> datetime.datetime:
        return self.now


def opened(folder: Path, clock: Clock | None = None, **options: object) -> Authority:
    return Authority(
        folder,
        Registry(folder / "registry.json"),
        now=clock or Clock(),
        **options,  # type: ignore[arg-type]
    )


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def revoked_serials(authority: Authority) -> set[str]:
    crl = x509.load_pem_x509_crl(authority.crl_file.read_bytes())
    ca = certificate(authority.ca_file).public_key()
    assert isinstance(ca, ec.EllipticCurvePublicKey)
    assert crl.is_signature_valid(ca)
    return {f"{entry.serial_number:x}" for entry in crl}


def test_keys_are_readable_by_the_owner_only_and_nowhere_shown(tmp_path: Path) -> None:
    authority = opened(tmp_path)
    issued = authority.issue("shop-1", tmp_path / "out")
    keys = [*(tmp_path / "pki").glob("*.key"), issued.key_file]
    assert len(keys) == 4
    for key in keys:
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "key" not in repr(authority).replace(str(tmp_path), "")
    assert "key" not in repr(authority.server).replace(str(tmp_path), "")


def test_panel_certificate(tmp_path: Path) -> None:
    authority = opened(tmp_path)
    issued = authority.issue("shop-1", tmp_path / "out", note="Main street 1")
    made = certificate(issued.cert_file)
    made.verify_directly_issued_by(certificate(authority.ca_file))
    (name,) = made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == "shop-1"
    san = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.UniformResourceIdentifier) == [
        identity("shop-1", issued.certificate.serial)
    ]
    usage = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert made.not_valid_after_utc - made.not_valid_before_utc > CLIENT_DAYS * DAY
    assert issued.panel.note == "Main street 1"
    assert Registry(tmp_path / "registry.json").is_registered("shop-1")


def test_two_certificates_of_one_panel_are_told_apart(tmp_path: Path) -> None:
    authority = opened(tmp_path)
    first = authority.issue("shop-1", tmp_path / "a").certificate
    second = authority.issue("shop-1", tmp_path / "b").certificate
    assert identity("shop-1", first.serial) != identity("shop-1", second.serial)
    assert revoked_serials(authority) == {first.serial}


def test_overlap_keeps_the_old_one_until_it_is_revoked(tmp_path: Path) -> None:
    authority = opened(tmp_path)
    first = authority.issue("shop-1", tmp_path / "a").certificate
    second = authority.issue("shop-1", tmp_path / "b", keep_old=True).certificate
    assert revoked_serials(authority) == set()
    authority.revoke("shop-1", first.serial)
    assert revoked_serials(authority) == {first.serial}
    authority.revoke("shop-1")
    assert revoked_serials(authority) == {first.serial, second.serial}


def test_revoked_panel_comes_back_with_a_new_certificate_only(tmp_path: Path) -> None:
    authority = opened(tmp_path)
    first = authority.issue("shop-1", tmp_path / "a").certificate
    authority.revoke("shop-1")
    registry = Registry(tmp_path / "registry.json")
    assert not registry.is_registered("shop-1")
    authority.issue("shop-1", tmp_path / "b")
    found = registry.find("shop-1")
    assert found is not None
    assert found.active
    assert [c.revoked is None for c in found.certificates] == [False, True]
    assert revoked_serials(authority) == {first.serial}


def test_expired_certificates_leave_the_revocation_list(tmp_path: Path) -> None:
    clock = Clock()
    authority = opened(tmp_path, clock)
    authority.issue("shop-1", tmp_path / "a")
    authority.revoke("shop-1")
    clock.now += (CLIENT_DAYS + 1) * DAY
    authority.issue("shop-2", tmp_path / "b")
    assert revoked_serials(authority) == set()


@pytest.mark.parametrize(
    "panel",
    ["", "collector", "Shop-1", "shop 1", "shop.1", "shop/1", "-shop", "a" * 33, "店-1", "+"],
)
def test_names_no_panel_may_have(tmp_path: Path, panel: str) -> None:
    authority = opened(tmp_path)
    with pytest.raises(RegistryError):
        authority.issue(panel, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_revoking_what_is_not_there(tmp_path: Path) -> None:
    authority = opened(tmp_path)
    with pytest.raises(RegistryError, match="no panel 'shop-1'"):
        authority.revoke("shop-1")
    authority.issue("shop-1", tmp_path / "a")
    with pytest.raises(RegistryError, match="no certificate with serial"):
        authority.revoke("shop-1", "00ff")


def test_second_opening_changes_nothing(tmp_path: Path) -> None:
    opened(tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "pki").iterdir()}
    opened(tmp_path)
    assert {path: path.read_bytes() for path in (tmp_path / "pki").iterdir()} == before


def test_own_certificates_are_renewed_before_they_expire(tmp_path: Path) -> None:
    clock = Clock()
    authority = opened(tmp_path, clock)
    ca = authority.ca_file.read_bytes()
    old = certificate(authority.server.cert), certificate(authority.collector.cert)
    clock.now += (CLIENT_DAYS - RENEW_BEFORE_DAYS - 1) * DAY
    assert not authority.renew_own()
    clock.now += 2 * DAY
    assert authority.renew_own()
    assert not authority.renew_own()
    new = certificate(authority.server.cert), certificate(authority.collector.cert)
    assert all(n.not_valid_after_utc > o.not_valid_after_utc for o, n in zip(old, new, strict=True))
    assert authority.ca_file.read_bytes() == ca
    assert f"{old[1].serial_number:x}" in revoked_serials(authority)


def test_server_names_are_kept_and_added(tmp_path: Path) -> None:
    opened(tmp_path, server_names=["alarm.example.org"])
    authority = opened(tmp_path, server_names=["192.0.2.7"])
    san = certificate(authority.server.cert).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    names = {str(name.value) for name in san.value}
    assert {"localhost", "127.0.0.1", "::1", "alarm.example.org", "192.0.2.7"} <= names


def test_server_name_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(AuthorityError, match="no host name"):
        opened(tmp_path, server_names=["警报中心"])


def test_half_made_pair_is_made_again(tmp_path: Path) -> None:
    """A crash between key and certificate leaves two that do not match."""
    authority = opened(tmp_path)
    (tmp_path / "pki" / "server.key").write_bytes((tmp_path / "pki" / "collector.key").read_bytes())
    authority = opened(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.server.cert, authority.server.key)


def test_crash_between_ca_key_and_ca_certificate(tmp_path: Path) -> None:
    opened(tmp_path)
    (tmp_path / "pki" / "ca.crt").unlink()
    authority = opened(tmp_path)
    issued = authority.issue("shop-1", tmp_path / "out")
    certificate(issued.cert_file).verify_directly_issued_by(certificate(authority.ca_file))
    certificate(authority.server.cert).verify_directly_issued_by(certificate(authority.ca_file))


@pytest.mark.parametrize("damage", ["missing key", "foreign key", "garbage key", "garbage cert"])
def test_damaged_ca_is_never_replaced_silently(tmp_path: Path, damage: str) -> None:
    opened(tmp_path)
    key, cert = tmp_path / "pki" / "ca.key", tmp_path / "pki" / "ca.crt"
    before = cert.read_bytes()
    match damage:
        case "missing key":
            key.unlink()
        case "foreign key":
            key.write_bytes((tmp_path / "pki" / "server.key").read_bytes())
        case "garbage key":
            key.write_bytes(b"-----BEGIN NOTHING-----")
        case _:
            before = b"garbage"
            cert.write_bytes(before)
    with pytest.raises(AuthorityError):
        opened(tmp_path)
    assert cert.read_bytes() == before
