"""The keys one node may hold, and libosdp's session for each: which is tried, which is settled."""

from __future__ import annotations

from dataclasses import dataclass

from edge.adapters.osdp_keys import NodeKeys
from edge.adapters.osdp_session import Session
from edge.bus.bus_types import NodeId


@dataclass(frozen=True, slots=True)
class Credential:
    """A key to try. `pairing`: with it the default key may be replaced."""

    generation: int
    pairing: bool = False


class Credentials:
    """Of one node; `session` belongs to `current`. In clear text there is one without a key."""

    def __init__(self, node: NodeId, keys: NodeKeys, *, clear_text: bool) -> None:
        self._node = node
        self._keys = keys
        self._clear_text = clear_text
        self._sessions: dict[Credential, Session] = {}
        self._order = [Credential(0)]
        if not clear_text:
            self._order = self._candidates()
        self.session = self._open(self.current)

    @property
    def current(self) -> Credential:
        """What is tried now, or works."""
        return self._order[0]

    def rotate(self) -> None:
        """This key was refused: the next one, if there is another."""
        if len(self._order) > 1:
            self._order.append(self._order.pop(0))
            self._use()

    def settle(self) -> None:
        """This key works: enforced from now on, the others are over."""
        self.session.enforce()
        try:
            self._keys.commit(self._node.bus, self._node.address, self.current.generation)
        except OSError:
            # Not kept: after a restart both keys are tried, and this one works then as now.
            return
        settled = Credential(self.current.generation)
        self._sessions = {settled: self.session}
        self._order = [settled]

    def begin(self) -> tuple[int, bytes]:
        """The node's next key, kept as pending. OSError."""
        generation = self._keys.begin(self._node.bus, self._node.address)
        return generation, self._keys.key(self._node.bus, self._node.address, generation)

    def pair(self) -> None:
        """Try the next key with the default key behind it, and the others. OSError."""
        generation, _ = self.begin()
        self._order = [Credential(generation, pairing=True), *self._candidates()]
        self._use()

    def renewed(self, key: bytes) -> None:
        """The node took the pending key in the present session."""
        self.session.key = key
        self._order = self._candidates()
        self._sessions = {self.current: self.session}

    def uncertain(self) -> None:
        """Whether the node took the pending key is not known, or pairing is over: anew."""
        self._sessions = {c: s for c, s in self._sessions.items() if not c.pairing}
        self._order = self._candidates()
        self._use()

    def replace(self) -> None:
        """A fresh session: this one's address is no longer ours."""
        self._sessions = {}
        self.session = self._open(self.current)

    def _candidates(self) -> list[Credential]:
        tried = self._keys.candidates(self._node.bus, self._node.address)
        return [Credential(generation) for generation in tried]

    def _use(self) -> None:
        self.session = self._open(self.current)
        self.session.reset()

    def _open(self, credential: Credential) -> Session:
        session = self._sessions.get(credential)
        if session is None:
            key = None
            if not self._clear_text:
                key = self._keys.key(self._node.bus, self._node.address, credential.generation)
            session = Session(self._node.address, key, enforce=not credential.pairing)
            self._sessions[credential] = session
        return session
