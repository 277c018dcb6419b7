"""Small signed images, and a flash memory whose supply fails on demand. Both runtimes.

The key is for tests alone: it signs nothing that a real node would take.
"""

import hashlib

from firmware.node.flash import Flash
from firmware.node.image import SOURCES, pack_header
from firmware.node.slots import Slots
from firmware.node.update import Updater
from firmware.node.verify import encoded_block

MODULUS = int(
    "e171a10e98d7db4537a8092df83270d8ecf025e018164d66393039cd919f75a98024e8312e14ddc61437035909"
    "aa032fb623ae01b7aa30c83300681ec97c9b9e065dda8778f265d7745984a0fe195659a5a00469f0eb0f85b642"
    "66de2045a82965b2447dcf24e14750436a0724dbcdf9baebc0a663b2dbd54a5c4dd74b37896fcbf743ccf35b2e"
    "e74c820e3a4ebd8e4e23ca88022bdfafe86f08bb32fc76c488bae1430873a2679039a194242988b03bc57500a5"
    "9fd33af5905e0a984db570de728768cbbdf08052ae8c578019733aa510a9fbd7ac39905f6534c28a00be275eec"
    "4e161af84b61d92dd9d30bad81056eab65d503f16b531fd9ea7379425356399bacf5e23834513410c87f2a8f08"
    "fc4603d119407c88f4ea547d97eabb252fa5f33466ddf0c00ebdc6254fd82b94b99c3fcf614cfca585848747a7"
    "d397e1cae7ac062d3a3732a89783a43b3f65da081fde07c3cc4d7cda83f715fbe2119e8dffd3aba656c6298f4c"
    "5c6bd1b620280658d97170a5b3176b4d2359126ba33ceea9",
    16,
)
_EXPONENT = int(
    "0056742e192117a634f3d9290e7cd5eec94176255ef6f16f2966e27ef96ef76dd4215519a238ac3424ee2f5200"
    "ba7ddf89b64a8c3039f4ddddc0ec4e63f6393a4cd0b7e8421555cbe98a1267bb6918baa6fee1d99464857155d0"
    "a7c3c139d0418a3c181235ca667caf08b147b7ce3e68f4fe48606c5ad93756f194a56ca0c9305ca04c8ffd79df"
    "653fba612593a2f72bdb5f0f95e78e0935188640f561932aa9db141e44af2f32d88e22c6c521541af48e1ec375"
    "e3706c01f033acc8f70b7366b21b93e19b1f5d7bc1647342a56b425f2f58cccb1d74a7a4628adb1e1a23be4353"
    "5cc9fac7a9d370bd9817470fb38ad768d6670459ce1cea4fdd2c54b29f98418911416885f7a7f841b3c9d44a60"
    "27642dce7bfcb2283c477b79de0f9d871dde665d4ac8a1922c72451710c04d26bccddcaa61cd97d0115e7d289c"
    "a9e5979314cbb065b9d9a60bfef65581759fa96545f1fe7eff81ccf9962c911a3d747e0e3ae7d6e62860c029b0"
    "19097a00bd271abf613e702a4650c34ede8076b3b9c8ec21",
    16,
)

BOARD = "test"


def sign(header):
    block = int.from_bytes(encoded_block(hashlib.sha256(header).digest()), "big")
    return pow(block, _EXPONENT, MODULUS).to_bytes(384, "big")


def image(files, board=BOARD, version=(1, 2, 3), security=0, mpy=SOURCES, signed=True):
    """A whole container of `files`: (path, contents) pairs."""
    body = b"".join([data for _, data in files])
    table = [(path, len(data), hashlib.sha256(data).digest()) for path, data in files]
    header = pack_header(board, version, security, mpy, hashlib.sha256(body).digest(), table)
    return header + (sign(header) if signed else bytes(384)) + body


FIRST = image([("main.py", b"first"), ("node/part.py", b"")])
SECOND = image([("main.py", b"second!"), ("node/more.py", b"x" * 5)], version=(2, 0, 0), security=3)


class PowerCut(BaseException):
    """The supply is gone: nothing after this point happened."""


class CutFlash(Flash):
    """A file system in memory. After `budget` bytes and operations the supply fails."""

    def __init__(self, files=None, folders=None, budget=-1):
        super().__init__("")
        self.files = files if files is not None else {}
        self.folders = folders if folders is not None else set()
        self.budget = budget
        self.spent = 0

    def restarted(self, budget=-1):
        return CutFlash(self.files, self.folders, budget)

    def copied(self, budget=-1):
        return CutFlash(dict(self.files), set(self.folders), budget)

    def _spend(self):
        if self.spent == self.budget:
            raise PowerCut
        self.spent += 1

    def read(self, path, limit):
        data = self.files.get(path)
        return data if data is not None and len(data) <= limit else None

    def size(self, path):
        return len(self.files[path]) if path in self.files else -1

    def copy(self, path, offset, length, sink):
        data = self.files.get(path)
        if data is None or offset + length > len(data):
            return False
        for start in range(offset, offset + length, 64):
            if not sink.take(data[start : min(start + 64, offset + length)]):
                return False
        return True

    def write(self, path, data, append=False):
        if "/" in path and path.rsplit("/", 1)[0] not in self.folders:
            return False
        self._spend()
        old = self.files.get(path, b"") if append else b""
        room = len(data) if self.budget < 0 else min(len(data), self.budget - self.spent)
        self.spent += room
        self.files[path] = old + bytes(data[:room])
        if room < len(data):
            raise PowerCut
        return True

    def rename(self, old, new):
        self._spend()
        if old not in self.files:
            return False
        self.files[new] = self.files.pop(old)
        return True

    def remove(self, path):
        if path in self.files:
            self._spend()
            del self.files[path]
        return True

    def folder(self, path):
        if path not in self.folders:
            self._spend()
            self.folders.add(path)
        return True

    def is_folder(self, path):
        return path in self.folders

    def list(self, path):
        start = path + "/"
        names = list(self.files) + list(self.folders)
        below = [name[len(start) :] for name in names if name[: len(start)] == start]
        return [name for name in below if "/" not in name]


class BrokenFlash(CutFlash):
    """Takes nothing any more."""

    def write(self, path, data, append=False):
        return False


def node(flash, running=0):
    """The slots and the receiver of a node that runs from `running`."""
    slots = Slots(flash, BOARD, 6, MODULUS)
    return slots, Updater(slots, running)


def send(updater, data, part=100, kind=1):
    """Transfers `data` in order; the last status."""
    status = 0
    for offset in range(0, len(data), part):
        status, _ = updater.file_part(kind, len(data), offset, data[offset : offset + part])
    return status


def started(flash):
    """Restarts the node on `flash`: what boot chooses, and the receiver of that."""
    slots = Slots(flash, BOARD, 6, MODULUS)
    slot = slots.choose()
    return slot, slots, Updater(slots, slot)


def proven(updater):
    """Runs the updater until it would confirm itself."""
    updater.tick(0, True, True)
    updater.tick(5000, True, True)


def contents(flash, slot):
    """main.py of the slot, b"" of the built-in."""
    return flash.files.get("slots/" + ("", "a", "b")[slot] + "/main.py", b"")
