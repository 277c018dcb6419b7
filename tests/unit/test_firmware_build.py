"""The image's build: what goes in, what is too large, and that a node would take it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from firmware import build
from firmware.node.image import header_length, parse_header
from firmware.node.verify import read_key, verify
from firmware.node.version import VERSION
from provisioning import firmware_signing


@pytest.fixture(scope="module")
def rp2040() -> list[tuple[str, bytes]]:
    return build.contents("rp2040")


@pytest.fixture(scope="module")
def unix() -> list[tuple[str, bytes]]:
    return build.contents("unix")


def test_the_image_holds_what_the_node_imports_and_nothing_else(
    rp2040: list[tuple[str, bytes]],
) -> None:
    names = {path for path, _ in rp2040}
    assert {"firmware/main.mpy", "firmware/node/loops.mpy", "firmware/node/update.mpy"} <= names
    assert {"protocols/osdp/peripheral.mpy", "firmware/boards/rp2040.mpy"} <= names
    for path in ("firmware/boards/unix_sim.mpy", "firmware/boot.mpy", "firmware/build.mpy"):
        assert path not in names
    assert not any("provisioning" in path or "dc09" in path for path in names)


@pytest.mark.parametrize("board", ["rp2040", "unix"])
def test_the_firmware_keeps_its_ceilings(board: str, request: pytest.FixtureRequest) -> None:
    files: list[tuple[str, bytes]] = request.getfixturevalue(board)
    image = build.assemble(files, board)
    found = build.measure(board, files, image)
    ceilings = build.read_ceilings(board)
    assert build.over(found, ceilings) == []
    # A ceiling far above what is there holds nothing; one of a file that is gone says nothing.
    assert set(ceilings) == set(found)
    for name, ceiling in ceilings.items():
        assert ceiling <= found[name] * 1.5 + 256, name
    if board == "unix":
        assert found["heap_running_bytes"] > found["heap_import_bytes"] > 20_000
    header = parse_header(image[: header_length(image)])
    assert header is not None
    assert (header.board, header.version) == (board, VERSION)


def test_a_figure_above_its_ceiling_stops_the_build(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = build.CEILINGS.read_text()
    low = tomllib.loads(text)["rp2040"]["agreed"]["firmware/main.mpy"]
    path = tmp_path / "ceilings.toml"
    path.write_text(text.replace(f'"firmware/main.mpy" = {low}', '"firmware/main.mpy" = 300'))
    monkeypatch.setattr(build, "read_ceilings", lambda board: _read(board, path))
    assert build.main(["--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert "above its ceilings" in told
    assert "firmware/main.mpy" in told
    assert "ceiling 300" in told
    assert not (tmp_path / "out").exists()


_read = build.read_ceilings


def test_a_ceiling_is_raised_only_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "ceilings.toml"
    path.write_text(
        '[unix.agreed]\n"a.mpy" = 10\n[unix.raised."a.mpy"]\nto = 20\nreason = "more"\n'
    )
    with pytest.raises(build.BuildError, match=r"a\.mpy is raised without saying why"):
        build.read_ceilings("unix", path)
    path.write_text(path.read_text().replace("more", "a second table of resistors"))
    assert build.read_ceilings("unix", path) == {"a.mpy": 20}
    assert build.over({"a.mpy": 21}, {"a.mpy": 20}) == ["a.mpy: 21 bytes, ceiling 20 (+1)"]
    assert "no ceiling" in build.over({"b.mpy": 1}, {"a.mpy": 20})[0]


def test_a_file_that_does_not_compile_is_named(tmp_path: Path) -> None:
    (build.ROOT / ".pytest_cache").mkdir(exist_ok=True)
    wrong = build.ROOT / ".pytest_cache" / "wrong.py"
    wrong.write_text("def broken(:\n")
    with pytest.raises(build.BuildError, match=r"wrong\.py"):
        build.compile_file(wrong, "rp2040")


def test_an_image_no_node_would_take_is_not_built() -> None:
    with pytest.raises(build.BuildError, match="a node would refuse this image"):
        build.assemble([("firmware/big.py", b"x" * 300_000)], "unix")
    with pytest.raises(build.BuildError, match="a node would refuse this image"):
        build.assemble([("../boot.py", b"x")], "unix")
    with pytest.raises(build.BuildError, match="different byte code versions"):
        build.assemble([("a.mpy", b"M\x06\x00"), ("b.mpy", b"M\x05\x00")], "unix")


def test_the_command_builds_and_signs(tmp_path: Path) -> None:
    key, _, node = firmware_signing.make_key(tmp_path / "maker")
    assert build.main(["--key", str(key), "--out", str(tmp_path), "--security", "4"]) == 0
    number = ".".join(str(part) for part in VERSION)
    data = (tmp_path / f"tocsin-node-rp2040-{number}.img").read_bytes()
    size = header_length(data)
    header = parse_header(data[:size])
    assert header is not None
    assert (header.security, header.total) == (4, len(data))
    assert verify(read_key(node.read_bytes()), data[size : size + 384], data[:size])
