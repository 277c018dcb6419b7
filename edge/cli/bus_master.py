"""`tocsin-edge bus new-master`: the key all node keys of a panel come from."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

import msgspec
import typer
from rich.console import Console

from edge.adapters.config_problem import Phrase, Problem
from edge.adapters.osdp_keys import MASTER_BYTES, OWNER_ONLY
from edge.cli.phone import Lang, LangOption, Words
from edge.cli.users import DataOption, JsonOption

out = Console()
err = Console(stderr=True)
MASTER: Final = "bus.master"
GENERATIONS: Final = "bus.generations.json"
UNUSABLE: Final = 2

PURPOSE: Final = Words(
    "What it is for: the key of every OSDP node is derived from it, with the panel's id, the bus"
    " and the address. Who has it can speak for every node of this panel.",
    "用途：所有 OSDP 节点的密钥由它与主机编号、总线、地址派生。持有者可冒充本主机的任何节点。",
)
BACKUP: Final = Words(
    "Back up: copy bus.master, bus.generations.json (after each pairing or rekey) and the panel"
    " file to a medium kept locked away from this site. Without them every node must be reset to"
    " factory and paired again.",
    "备份：将 bus.master、bus.generations.json（每次配对或换钥后）与主机配置复制到存放于现场之外、"
    "上锁保管的介质。丢失后所有节点须恢复出厂并重新配对。",
)


def new_master(
    data: DataOption = Path("data"), lang: LangOption = Lang.EN, as_json: JsonOption = False
) -> None:
    """Make the panel's bus master key: 0600, never over one that is there.

    The panel makes it by itself when it first starts with an OSDP bus; this is for who wants it
    made, and backed up, before.
    """
    path = data / MASTER
    problem = _hindrance(data)
    if problem is None:
        try:
            make_master(path)
        except FileExistsError:
            problem = _there(path)
        except OSError as error:
            problem = _unwritable(path, error)
    if problem is not None:
        if as_json:
            told = {"ok": False, "problems": [msgspec.to_builtins(problem)]}
            print(msgspec.json.encode(told).decode())
        else:
            err.print(problem.text(lang.value), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(UNUSABLE)
    if as_json:
        print(msgspec.json.encode({"ok": True, "file": str(path)}).decode())
        return
    made = Words("Made", "已生成").pick(lang)
    out.print(f"[green]{made}[/green] {path} (0600)", highlight=False, soft_wrap=True)
    for words in (PURPOSE, BACKUP):
        out.print(words.pick(lang), highlight=False)


def make_master(path: Path) -> None:
    """Whole and on disk, or not there at all. FileExistsError: one is there; else OSError."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY)
        try:
            os.fchmod(descriptor, OWNER_ONLY)
            owner = path.parent.stat()
            if owner.st_uid != os.geteuid():
                # Made by root: it must be the panel's, or the panel cannot read it.
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            os.write(descriptor, secrets.token_bytes(MASTER_BYTES).hex().encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        # A link, unlike a rename, does not replace what another has made in the meantime.
        os.link(fresh, path)
        fresh.unlink()
        os.fsync(folder)
    finally:
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        os.close(folder)


def _hindrance(data: Path) -> Problem | None:
    path = data / MASTER
    if path.is_symlink() or path.exists():
        return _there(path)
    if not data.is_dir():
        return _problem(
            str(data),
            "--data",
            "(absent)",
            Phrase("the panel's data directory", "主机的数据目录"),
            Phrase(
                "name it with --data, or make it: install -d -m 700 " + str(data),
                "用 --data 指定，或创建：install -d -m 700 " + str(data),
            ),
        )
    if (data / GENERATIONS).exists():
        return _problem(
            str(path),
            MASTER,
            f"(absent, but {GENERATIONS} is there)",
            Phrase(
                "the master the nodes were paired with: they refuse another",
                "节点配对时所用的主密钥：节点不接受其他主密钥",
            ),
            Phrase(
                f"restore {MASTER} from its backup. If there is none: remove {GENERATIONS}, reset"
                " every node to factory, make a new master and pair them again",
                f"从备份恢复 {MASTER}。若无备份：删除 {GENERATIONS}，将所有节点恢复出厂，"
                "生成新主密钥后重新配对",
            ),
        )
    return None


def _there(path: Path) -> Problem:
    return _problem(
        str(path),
        MASTER,
        "(not shown)",
        Phrase(
            "no master yet: a new one locks every paired node out",
            "尚无主密钥：替换会使所有已配对节点失联",
        ),
        Phrase(
            "keep it and back it up; `tocsin-edge bus rekey NODE` renews a node's key",
            "保留并备份；如需更换单个节点的密钥，用 `tocsin-edge bus rekey NODE`",
        ),
    )


def _unwritable(path: Path, error: OSError) -> Problem:
    return _problem(
        str(path),
        MASTER,
        f"({error.strerror})",
        Phrase("a directory the panel's user can write", "主机用户可写的目录"),
        Phrase(
            "run it as the user the panel runs as: sudo -u tocsin tocsin-edge bus new-master …",
            "以运行主机的用户执行：sudo -u tocsin tocsin-edge bus new-master …",
        ),
    )


def _problem(file: str, key: str, value: str, expected: Phrase, mend: Phrase) -> Problem:
    return Problem(file, key, value, expected.en, mend.en, expected.zh, mend.zh)
