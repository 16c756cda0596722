"""fault_stage - a universe to break, devices that count, the checks that every fault must pass, and the matrix.

A cell of the matrix is a function that breaks something and returns what happened in words; see cell().
"""
import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
import traceback

import srup5
from fault_page import FaultPage
from universe import ACTION_OK, TOP, Monitor, Universe, until

COMMAND_S = 3  # how long the server waits for an answer
KILLS = 3  # of one process before holdfastd is started anew: its pause before a restart doubles each time
SETTLE_S = 0.3  # in which paho sends again what was under way
CELLS = []


@dataclasses.dataclass
class Cell:
    """One row of the matrix."""

    name: str
    process: str
    moment: str
    promised: str
    long: bool
    run: object
    stage: str
    happened: str = "did not run"
    good: bool = False


def cell(process, moment, promised, *, long=False, stage="caged"):
    """Makes a function a cell. stage: which universe it wants; long: only with --long."""
    def take(function):
        CELLS.append(Cell(function.__name__, process, moment, promised, long, function, stage))
        return function
    return take


class Meter:
    """A device of the reference kind that reports 1, 2, 3 ... and knows which of them the broker acknowledged."""

    def __init__(self, universe, name="meter"):
        self.u, self.device, self.sent, self.stopping = universe, universe.joined(name), [], False
        self.thread, self.pubacks = None, set()
        self.device.link.client.max_inflight_messages_set(1000)
        self.device.link.client.on_publish = lambda _client, _userdata, mid: self.pubacks.add(mid)

    def say(self, count=1):
        for _ in range(count):
            self.sent.append(self.device.send_data("COUNT", len(self.sent) + 1).mid)

    def acked(self):
        """The numbers whose PUBACK came; what is said while the broker is away waits in the client."""
        return {i + 1 for i, mid in enumerate(self.sent) if mid in self.pubacks}

    def wait_acked(self):
        until(lambda: f"{len(self.acked())} of {len(self.sent)} acknowledged", lambda: len(self.acked()) == len(self.sent))

    def stored(self):
        """What the server has, in the order in which it came."""
        rows = self.u.query("SELECT r.number FROM reading r JOIN series s ON r.series = s.id WHERE s.device = ? AND s.name = 'COUNT' "
                            "ORDER BY r.id", self.u.key_of(self.device.identity))
        return [int(number) for number, in rows]

    @contextlib.contextmanager
    def pouring(self, pause_s=0.004):
        """Reports all the time while the block runs; not while the broker is away, and old readings go first, as with our devices:
        paho would send new ones before what it still owes."""
        def pour():
            while not self.stopping:
                if self.device.link.closed.is_set():
                    until("the meter is back", lambda: self.stopping or not self.device.link.closed.is_set())
                    time.sleep(SETTLE_S)
                    continue
                self.say()
                time.sleep(pause_s)

        self.stopping, self.thread = False, threading.Thread(target=pour, daemon=True)
        self.thread.start()
        try:
            yield
        finally:
            self.stopping = True
            self.thread.join()

    def actions(self):
        """The token of every ACTION that arrived, repeats too."""
        headers = [srup5.decode_header(m.payload) for m in list(self.device.link.messages)]
        return [h.token for h in headers if h.code == srup5.CODES["ACTION"] and h.sender_id == int(self.u.server_id, 16)]


class Stage:
    """A universe whose processes obey a fault page, with a Meter and an airmonitor that have joined."""

    def __init__(self, disk=None, **settings):
        """disk: the database lies on a file system of that size."""
        self.settings, self.disk = {"action_timeout_s": COMMAND_S, **settings}, disk
        self.u = self.page = self.meter = self.monitor = None
        self.led, self.killed, self.lost, self.read = True, 0, 0, 0

    def __enter__(self):
        self.u = Universe(**self.settings)
        self.page = FaultPage(self.u.dir / "faults.page")
        self.u.env = self.page.env
        try:
            if self.disk:
                self._mount()
            self.u.start()
            self.u.put_sensor()
            self.meter, self.monitor = Meter(self.u), self.u.joined_monitor(interval_ms=100)
        except BaseException:
            self.u.__exit__(*sys.exc_info())
            raise
        return self

    def _mount(self):
        folder = self.u.dir / "db"
        folder.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.disk},mode=700", "tmpfs", folder], check=True)

    def __exit__(self, *why):
        if self.disk:
            self.u.stop()
            subprocess.run(["umount", self.u.dir / "db"], check=False)
        self.u.__exit__(*why)

    # -- breaking

    def kill(self, name):
        """kill -9 of a child; returns once another one has taken its place."""
        old = self.u.child(name)
        os.kill(old, signal.SIGKILL)
        self.replaced(name, old)

    def replaced(self, name, old):
        """Waits for a new child, and that it serves."""
        self.killed += 1
        until(f"a new {name}", lambda: self.u.child(name) not in (None, old))
        until("it is up", self.u.up)

    @contextlib.contextmanager
    def struck(self, name, *rule, **more):
        """Sets a rule for a child that kills it; the block provokes it, and at the end another one has taken its place."""
        old = self.u.child(name)
        with self.page.rule(name.removeprefix("holdfast-"), *rule, **more) as set_rule:
            yield set_rule
            until(f"{name} is struck by {rule}", lambda: set_rule.fired)
            self.replaced(name, old)

    def parent_frozen(self):
        """Nothing is started anew while the block runs."""
        return self.frozen(self.u.process.pid)

    @contextlib.contextmanager
    def frozen(self, pid):
        """A process that does not move while the block runs."""
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    # -- asking

    def order(self, device=None):
        """Asks the airmonitor, or another device, for something; the id of the command."""
        self.led = not self.led
        device, action = (device, 7) if device else (self.monitor.id, 1 if self.led else 2)
        return self.u.api.post(f"/devices/{device}/actions", {"action": action}, 202)["command"]

    def outcome(self, command):
        """How a command ended; it must end."""
        done = self.u.api.final(command)
        assert done["state"] in ("answered", "expired", "unknown"), done
        return done["state"]

    def act(self):
        """A command that must be answered, and done exactly once."""
        before = len(self.monitor.lines("led "))
        done = self.u.api.final(self.order())
        assert done["state"] == "answered" and done["status"] == ACTION_OK, done
        assert len(self.monitor.lines("led ")) == before + 1, "an action was done twice"

    # -- what must hold after every fault

    def sound(self):
        """Nothing acknowledged is lost, nothing is stored or done twice, and the next honest message is taken in both directions."""
        self.u.connected(self.meter.device)
        until("the airmonitor is online", lambda: self.u.api.get(f"/devices/{self.monitor.id}")["online"])
        self.meter.say()
        self.meter.wait_acked()
        until(self.missing, lambda: len(self.meter.stored()) >= len(self.meter.sent) - self.lost)
        stored = self.meter.stored()
        assert len(stored) == len(set(stored)), "a reading was stored twice"
        assert stored[-1] == len(self.meter.sent), (stored[-5:], len(self.meter.sent))
        tokens = self.meter.actions()
        assert len(tokens) == len(set(tokens)), "an action left twice"
        self.act()
        assert not self.quarrels(), f"{len(self.quarrels())} honest messages were refused: {self.quarrels()[-1]}"

    def missing(self):
        gone = sorted(set(range(1, len(self.meter.sent) + 1)) - set(self.meter.stored()))
        return f"{len(gone)} readings are missing ({self.lost} may be): {gone[:20]}"

    def quarrels(self):
        """Lines about honest messages that the server took for attacks, since the last look."""
        lines = (self.u.dir / "log/holdfastd.log").read_text().splitlines()[self.read:]
        return [line for line in lines if "error=REPLAY" in line or "error=SIGNATURE" in line or "error=SEQUENCE" in line]

    def revive(self):
        """A cell that did not hold must not spoil the next ones."""
        if not self.monitor.alive:
            self.monitor.start(interval_ms=100)

    def fresh(self):
        """A short pause before the next restart of a process: holdfastd itself starts anew."""
        if self.killed < KILLS:
            return
        self.killed = 0
        self.u.restart()
        self.sound()

    def another(self, name, **more):
        """One more airmonitor, running, with its own room; rules call it by its name."""
        monitor = Monitor(self.u, name)
        monitor.env = {**self.page.env, "HOLDFAST_FAULTS_NAME": name}
        self.u._open.append(monitor)  # pylint: disable=protected-access
        return monitor.start(**more)


# ---- the matrix ----------------------------------------------------------------------------------


def choose(arguments):
    """The cells that the command line asks for: --only NAME..., --long, --list."""
    only = arguments[arguments.index("--only") + 1:] if "--only" in arguments else []
    unknown = set(only) - {c.name for c in CELLS}
    if unknown:
        sys.exit(f"no such cell: {' '.join(sorted(unknown))}; --list names them")
    return [c for c in CELLS if c.name in only or (not only and (not c.long or "--long" in arguments))]


def play(stage, chosen):
    """Runs cells on one stage; each prints its line."""
    for row in chosen:
        began = time.monotonic()
        try:
            stage.revive()
            stage.fresh()
            stage.read = len((stage.u.dir / "log/holdfastd.log").read_text().splitlines())
            row.happened = row.run(stage)
            stage.sound()
            row.good = True
        except Exception as error:  # whatever it was, the others run
            row.happened = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            print(traceback.format_exc()[-3000:], flush=True)
            stage.u.complain()
        print(f"{'ok' if row.good else 'not ok'} {row.name} ({time.monotonic() - began:.1f} s)", flush=True)


def table(rows):
    """The matrix as lines of text."""
    head = ("process", "moment", "promised", "happened")
    cells = [(r.process, r.moment, r.promised, ("" if r.good else "NOT OK: ") + r.happened) for r in rows]
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(3)]
    return ["  ".join([*(text.ljust(width) for text, width in zip(line, widths)), line[3]]) for line in [head, *cells]]


def markdown(rows):
    """The matrix as a page, beside the build."""
    path = TOP / "build/fault-matrix.md"
    lines = [f"| {r.process} | {r.moment} | {r.promised} | {'' if r.good else '**NOT OK** '}{r.happened} |" for r in rows]
    path.write_text("# Fault matrix\n\n| Process | Moment | Promised | Happened |\n|---|---|---|---|\n" + "\n".join(lines) + "\n")
    return path


def report(rows):
    """Prints the matrix and the count; the exit status."""
    print("\n".join(table(rows)))
    print(f"matrix: {markdown(rows)}")
    failed = sum(not r.good for r in rows)
    print(f"{len(rows) - failed} passed, {failed} failed", flush=True)
    return 1 if failed or not rows else 0
