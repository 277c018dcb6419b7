"""Files for a Mosquitto broker (2.0) that serves our panels in place of our own broker.

The user name is the certificate's common name, so a re-issued certificate has the user name of the
lost one: there the revocation list keeps the lost one out, which Mosquitto reads at start and on
SIGHUP. `use_username_as_clientid` keeps one panel from throwing out another by its client id.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from collector.adapters.authority import Authority
from collector.adapters.durable_file import PUBLIC, replace_file
from collector.adapters.registry import COLLECTOR
from protocols.mqtt.payloads import MAX_PAYLOAD_BYTES
from protocols.mqtt.topics import FROM_PANEL, FROM_RECEIVER, ROOT, TO_PANEL, TO_RECEIVER


def access_list(receivers: Sequence[str] = ()) -> str:
    """The ACL file: `%u` is the panel id from the certificate.

    A pattern holds for every name, so what is a receiver's alone stands under its name, and what
    the patterns would give it is denied there (denials come first).
    """
    lines = [
        f"user {COLLECTOR}",
        *(f"topic read {ROOT}/+/{leaf}" for leaf in (*FROM_PANEL, *FROM_RECEIVER)),
        *(f"topic write {ROOT}/+/{leaf}" for leaf in (*TO_PANEL, *TO_RECEIVER)),
        *_of_receivers(receivers),
        "",
        *(f"pattern write {ROOT}/%u/{leaf}" for leaf in FROM_PANEL),
        *(f"pattern read {ROOT}/%u/{leaf}" for leaf in TO_PANEL),
    ]
    return "\n".join(lines) + "\n"


def _of_receivers(receivers: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for name in receivers:
        lines += ["", f"user {name}"]
        lines += [f"topic write {ROOT}/{name}/{leaf}" for leaf in FROM_RECEIVER]
        lines += [f"topic read {ROOT}/{name}/{leaf}" for leaf in TO_RECEIVER]
        denied = (*FROM_PANEL, *TO_PANEL)
        lines += [f"topic deny {ROOT}/{name}/{leaf}" for leaf in denied]
    return lines


def fragment(folder: Path, port: int) -> str:
    """The configuration fragment, for a whole file or an include_dir."""
    return f"""# Tocsin panels and collector: mutual TLS, rights by certificate.
listener {port}
allow_anonymous false
cafile {folder / "ca.crt"}
certfile {folder / "server.crt"}
keyfile {folder / "server.key"}
crlfile {folder / "crl.pem"}
require_certificate true
use_identity_as_username true
use_username_as_clientid true
acl_file {folder / "tocsin.acl"}
message_size_limit {2 * MAX_PAYLOAD_BYTES}
log_type error
log_type warning
log_type notice
log_type information
"""


def write_fragment(
    authority: Authority,
    out_dir: Path,
    server_names: Sequence[str],
    port: int,
    receivers: Sequence[str] = (),
) -> list[Path]:
    """Write all files into `out_dir`, the configuration first; keeps a server key made before."""
    folder = out_dir.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if server_names or not (folder / "server.key").exists():
        authority.issue_server(folder, server_names)
    content = {
        "tocsin.conf": fragment(folder, port).encode(),
        "tocsin.acl": access_list(receivers).encode(),
        "ca.crt": authority.ca_file.read_bytes(),
        "crl.pem": authority.crl_file.read_bytes(),
    }
    for name, text in content.items():
        replace_file(folder / name, text, PUBLIC)
    return [folder / name for name in (*content, "server.crt", "server.key")]
