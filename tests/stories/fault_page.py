"""fault_page - the control page of the shim tests/faults: which process fails at which moment.

The bytes are those of tests/faults/page.h. HOLDFAST_BIN: faults.so lies in ../lib beside it.
"""
import contextlib
import mmap
import os
import struct

from universe import BIN

SHIM = BIN.parent / "lib/faults.so"
HEAD = struct.Struct("<qII")
RULE = struct.Struct("<32s96s96sIIIIiIIIQ")
RULES = 8
OFF, KILL, POWER, STOP, FAIL = range(5)
SQLITE_BUSY, SQLITE_IOERR, SQLITE_FULL = 5, 10, 13


class Rule:
    """One rule of the page while it is set."""

    def __init__(self, page, number):
        self.page, self.at = page, HEAD.size + number * RULE.size

    def write(self, *fields):
        self.page[self.at:self.at + RULE.size] = RULE.pack(*fields)

    @property
    def fired(self):
        """How often it has struck."""
        return RULE.unpack(self.page[self.at:self.at + RULE.size])[10]


class FaultPage:
    """A page in a file, and the environment of the processes that obey it."""

    def __init__(self, path):
        with open(path, "w+b") as file:
            file.write(bytes(HEAD.size + RULES * RULE.size))
            file.flush()
            self.page = mmap.mmap(file.fileno(), HEAD.size + RULES * RULE.size)
        self.used = 0
        # AddressSanitizer wants to be loaded first; the shim before it does no harm.
        self.env = {**os.environ, "LD_PRELOAD": str(SHIM), "HOLDFAST_FAULTS": str(path),
                    "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}

    @contextlib.contextmanager
    def rule(self, process, action, at, *, after="", late=False, nth=1, times=1, value=0):
        """Sets a rule, see page.h; it goes when the block ends."""
        rule = Rule(self.page, self.used)
        self.used += 1
        try:
            for now in (OFF, action):  # a process that looks meanwhile sees no half of it
                rule.write(process.encode(), after.encode(), at.encode(), now, late, nth, times, value, 0, 0, 0, 0)
            with self.tracking() if action == POWER else contextlib.nullcontext():
                yield rule
        finally:
            self.used -= 1
            rule.write(b"", b"", b"", OFF, 0, 0, 0, 0, 0, 0, 0, 0)

    def _head(self):
        return list(HEAD.unpack(self.page[:HEAD.size]))

    def _put(self, head):
        self.page[:HEAD.size] = HEAD.pack(*head)

    @contextlib.contextmanager
    def tracking(self):
        """Unsynced writes are remembered, so that a cut of power can take them back."""
        clock, before, _ = self._head()
        self._put([clock, 1, 0])
        try:
            yield
        finally:
            self._put([self._head()[0], before, 0])

    def jump(self, seconds):
        """The wall clock of all processes from now on, in seconds off the real one."""
        self._put([seconds, *self._head()[1:]])
