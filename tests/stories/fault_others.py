"""fault_others - full disks, locked and broken databases, a silent broker, half-open connections, clocks that jump, certificates
that end, descriptors that run out. Cells of fault_story.py."""
import contextlib
import os
import pathlib
import resource
import shutil
import socket
import sqlite3
import ssl
import threading
import time

from fault_kills import BROKER, KEPT, SERVER, is_out, victim
from fault_stage import cell
from links import open_tls
from universe import BASE, HTTPS, MQTT, until

DAY_S = 86400
SECONDS_BEFORE = 3
RELAY = BASE + 1000


def cpu_s(pid):
    """Processor time of a process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def log_lines(s, text, since=0):
    return [line for line in (s.u.dir / "log/holdfastd.log").read_text().splitlines()[since:] if text in line]


def log_length(s):
    return len((s.u.dir / "log/holdfastd.log").read_text().splitlines())


class Clock:
    """Calls the API all the time while the block runs, and keeps the longest wait for an answer."""

    def __init__(self, s):
        self.s, self.longest, self.count, self.stopping = s, 0, 0, False

    def __enter__(self):
        self.thread = threading.Thread(target=self._ask, daemon=True)
        self.thread.start()
        return self

    def _ask(self):
        while not self.stopping:
            began = time.monotonic()
            with contextlib.suppress(OSError):
                self.s.u.api.call("GET", "/api/v1/status")
            self.longest = max(self.longest, time.monotonic() - began)
            self.count += 1
            time.sleep(0.02)

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join()


# ---- database ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def full_disk(s):
    """Fills the file system of the database; the meter goes on reporting until it shows."""
    filler, block = s.u.dir / "db/filler", bytes(4096)
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(block)
    try:
        before = s.u.metrics()["turns_failed_total"]
        for _ in range(200):
            s.meter.say(20)
            if s.u.metrics()["turns_failed_total"] > before:
                break
        else:
            raise AssertionError("the disk does not get full")
        yield
    finally:
        filler.unlink()


@cell("disk", "full: a revocation, and readings", "nothing is changed and the caller reads why; with space again all arrives",
      stage="small")
def disk_full(s):
    device, server = victim(s, "disk-full"), s.u.child(SERVER)
    with full_disk(s):
        s.meter.say(50)
        s.u.cli("device", "revoke", device.identity, "--yes", want=1, says="the database did not take it; nothing was changed")
        # read from the file: an HTTP answer of a turn that fails is 503, whatever it asked
        assert s.u.query("SELECT state FROM identity WHERE id = ?", s.u.key_of(device.identity)) == [("joined",)]
        assert len(s.meter.stored()) < len(s.meter.sent)
        with Clock(s) as clock:
            time.sleep(2)
    s.meter.wait_acked()
    until(s.missing, lambda: len(s.meter.stored()) == len(s.meter.sent))
    s.u.report(s.u.connected(device), 5, "COUNT")
    assert s.u.child(SERVER) == server and clock.longest < 2, clock.longest
    device.close()
    return f"rc 1, still joined; {len(s.meter.sent)} readings stored in the end; longest HTTP answer {clock.longest:.1f} s"


@cell("database", "locked by another process for 4 s", "calls end within 2 s with a reason, nothing is lost")
def database_locked(s):
    began = time.monotonic()
    with contextlib.closing(sqlite3.connect(s.u.dir / "db/holdfast.db", isolation_level=None)) as other, Clock(s) as clock:
        other.execute("BEGIN EXCLUSIVE")
        s.meter.say(20)
        reply = s.u.api.post(f"/devices/{s.monitor.id}/actions", {"action": 1}, 503)
        time.sleep(max(0, began + 4 - time.monotonic()))
        other.execute("ROLLBACK")
    assert clock.longest < 2, f"an HTTP answer took {clock.longest:.1f} s"
    assert "database" in reply["message"], reply
    return f"503: {reply['message']}; longest HTTP answer {clock.longest:.1f} s"


@cell("database", "the file is overwritten while the server runs", "a sentence, restarts with growing pauses; restored, it serves",
      stage="broken")
def database_broken(s):
    path, begin = s.u.dir / "db/holdfast.db", log_length(s)
    keep = s.u.dir / "kept"
    s.u.stop()
    shutil.copytree(path.parent, keep)
    s.u.start()
    with s.parent_frozen():
        s.u.kill_child(SERVER)
        until("the server is gone", lambda: s.u.child(SERVER) is None)
        for name in path.parent.iterdir():
            name.unlink()
        path.write_bytes(b"this is no database " * 1000)
        begin = log_length(s)
    time.sleep(5)
    starts, why = log_lines(s, "child.started child=server", begin), log_lines(s, "open the database", begin)
    assert 2 <= len(starts) <= 8, starts
    assert why and "backup" in why[0], why
    path.unlink()
    for name in keep.iterdir():
        shutil.copy(name, path.parent / name.name)
    until("it serves again", s.u.up)
    return f"{len(starts)} starts in 5 s; " + why[0].split('why="')[1].rstrip('"')


@cell("database", "pages are overwritten under the running server", "turns fail, HTTP goes on, no busy loop; nothing is said that was not done",
      stage="broken")
def database_pages(s):
    path, keep = s.u.dir / "db/holdfast.db", s.u.dir / "pages"
    s.u.restart()
    s.u.connected(s.meter.device)
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    keep.write_bytes(path.read_bytes())
    with open(path, "r+b") as file:
        file.write(b"\xa5" * path.stat().st_size)
    pid, begin = s.u.child(SERVER), log_length(s)
    spent = cpu_s(pid)
    s.meter.say(5)
    time.sleep(3)
    spent, lines = cpu_s(pid) - spent, log_length(s) - begin
    assert spent < 1.5 and lines < 300, (spent, lines)
    assert s.u.child(SERVER) == pid
    s.u.kill_child(SERVER)
    with s.parent_frozen():
        until("the server is gone", lambda: s.u.child(SERVER) is None)
        for name in path.parent.glob("holdfast.db-*"):
            name.unlink()
        path.write_bytes(keep.read_bytes())
    s.replaced(SERVER, pid)
    return f"{lines} log lines and {spent:.1f} s of processor in 3 s; restored"


# ---- broker and network ----------------------------------------------------------------------------------


def silent_broker(s, seconds):
    """The broker does not move for a while: HTTP goes on, a command waits and is done at most once."""
    led, heartbeat = len(s.monitor.lines("led ")), []
    with s.frozen(s.u.child(BROKER)), Clock(s) as clock:
        s.meter.say(10)
        order = s.order()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            heartbeat.append(s.u.api.get("/status")["broker"]["up"])
            time.sleep(0.5)
    until("it is up", s.u.up, 60)
    s.u.connected(s.meter.device)
    until("the airmonitor is back", lambda: s.u.api.get(f"/devices/{s.monitor.id}")["online"], 90)
    state = s.outcome(order)
    time.sleep(1)
    done = len(s.monitor.lines("led ")) - led
    assert done <= 1 and clock.longest < 2, (done, clock.longest)
    return state, done, heartbeat, clock


@cell("broker", "silent for 4 s (SIGSTOP)", "HTTP answers, commands are accepted and end, all recovers")
def broker_silent(s):
    state, done, _, clock = silent_broker(s, 4)
    return f"longest HTTP answer {clock.longest:.1f} s; the command: {state}, done {done} times"


@cell("broker", "silent for 75 s, longer than twice the keepalive", "it is noticed and shown; all recovers", long=True)
def broker_silent_long(s):
    state, done, up, _ = silent_broker(s, 75)
    assert False in up, "nobody noticed"
    return f"noticed; the command: {state}, done {done} times"


class Relay:
    """A port that leads to the broker until it is told to stall: then both ends keep a connection on which nothing moves."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", RELAY))
        self.stalled, self.open = False, [self.listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", MQTT))
                self.open += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                while self.stalled:
                    time.sleep(0.05)
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)

    def close(self):
        for one in self.open:
            one.close()


@cell("network", "a device vanishes without FIN", "the broker frees its place; it may come back at once")
def half_open(s):
    device, relay = victim(s, "half-open"), Relay()
    device.close()
    device.mqtt_port = RELAY
    link = device.link_as(keepalive_s=2)
    try:
        assert link.let_in()
        until("it is online", lambda: s.u.api.get(f"/devices/{device.identity}")["online"])
        began, relay.stalled = time.monotonic(), True
        until("it is freed", lambda: not s.u.api.get(f"/devices/{device.identity}")["online"], 15)
        freed = time.monotonic() - began
        device.mqtt_port = MQTT
        device.connect()
        s.u.report(s.u.connected(device), 3, "COUNT")
    finally:
        link.close()
        relay.close()
        device.close()
    return f"freed after {freed:.1f} s with a keepalive of 2 s, back at once"


@cell("network", "an airmonitor's connection stalls", "it notices by its keepalive and comes back", long=True)
def half_open_airmonitor(s):
    relay = Relay()
    s.monitor.stop()
    known = len(s.monitor.lines("joined server="))
    s.monitor.start("--broker-port", str(RELAY), interval_ms=1000)
    s.monitor.wait_line("joined server=", known + 1)
    began, relay.stalled = time.monotonic(), True
    until("it notices", lambda: "next try" in s.monitor.err.read_text(), 150)
    noticed, relay.stalled = time.monotonic() - began, False
    until("it is back", lambda: len(s.monitor.lines("joined server=")) > known + 1, 90)
    s.monitor.stop()
    relay.close()
    s.monitor.start(interval_ms=100)
    s.monitor.wait_line("joined server=", known + 3)
    return f"noticed after {noticed:.0f} s"


# ---- clock and certificates --------------------------------------------------------------------------------


def jumped(s, seconds, *, meanwhile=lambda: None):
    """The clock of all processes jumps; traffic both ways goes on, also over new connections; then it jumps back."""
    s.page.jump(seconds)
    try:
        s.sound()
        meanwhile()
        s.kill(BROKER)  # everybody has to connect anew, with the certificates of another day
        s.sound()
    finally:
        s.page.jump(0)
    s.sound()


def joins(s, name):
    """A device registers and joins while the clock is wrong."""
    def join():
        box = s.another(name)
        box.wait_line("join waiting code=")
        s.u.api.post(f"/devices/{box.id}/join/approve", {"code": box.code})
        box.wait_line("joined server=")
        box.stop()
    return join


@cell("clock", "two days ahead, and back", "traffic goes on; the server's certificates are renewed; joins work", stage="free")
def clock_ahead(s):
    jumped(s, 2 * DAY_S, meanwhile=joins(s, "box-ahead"))
    return "traffic went on, over new connections too"


@cell("clock", "one hour back, and forth", "traffic goes on; joins work", stage="free")
def clock_back(s):
    jumped(s, -3600, meanwhile=joins(s, "box-back"))
    return "traffic went on, over new connections too"


def far(s, when):
    """The clock jumps beyond every certificate: what is up goes on, the log says what has ended, nothing hangs."""
    begin, began = log_length(s), time.time()
    with Clock(s) as clock:
        s.page.jump(when - int(time.time()))
        try:
            for _ in range(2):
                s.meter.say(5)
                until(s.missing, lambda: len(s.meter.stored()) >= len(s.meter.sent) - s.lost)
                s.act()
                told = until("the log tells", lambda: log_lines(s, "certificate.bad", begin), 15)
                until("the time has come", lambda: time.time() - began > SECONDS_BEFORE)
        finally:
            s.page.jump(0)
    assert clock.longest < 2, clock.longest
    return f"connections go on; the log names {len(told)} certificates"


@cell("clock", "to 2038-01-19 03:14:00 and over the 32 bits", "what is connected goes on; the log says what has ended", stage="free")
def clock_2038(s):
    return far(s, (1 << 31) - SECONDS_BEFORE)


@cell("clock", "to the year 2100", "what is connected goes on; the log says what has ended", stage="free")
def clock_2100(s):
    return far(s, 4102444800)


def refusal(device):
    """The TLS alert with which the broker answers a device's certificate."""
    try:
        with open_tls("localhost", MQTT, device.tls_context()) as connection:
            connection.recv(1)
    except ssl.SSLError as error:
        return error.reason
    return "no alert"


@cell("certificate", "a device's ends while it is connected", "the next connection is refused, and the device reads why", stage="free")
def certificate_ends(s):
    device = victim(s, "ended")
    s.page.jump(31 * DAY_S)
    try:
        s.u.report(device, 4, "COUNT")
        until("the server's own are renewed", lambda: log_lines(s, "server.renewed"))
        why = refusal(device)
        assert "expired" in why.lower(), why
        until("the broker's log has it", lambda: "certificate verify failed" in (s.u.dir / "log/mosquitto.log").read_text())
        shown = s.u.json("device", "show", device.identity)
        assert shown["certificate_not_after_ms"] < (time.time() + 31 * DAY_S) * 1000, shown
    finally:
        s.page.jump(0)
    s.sound()
    device.close()
    return f"refused, the device reads {why}; device show has the date"


# ---- descriptors ---------------------------------------------------------------------------------------------


@cell("server", "no descriptor left for new connections", "it goes on; with room again it takes them")
def descriptors(s):
    pid, begin = s.u.child(SERVER), log_length(s)
    used = len(os.listdir(f"/proc/{pid}/fd"))
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 8, hard))
    many = []
    try:
        spent = cpu_s(pid)
        for _ in range(40):
            many.append(socket.create_connection(("127.0.0.1", HTTPS)))
        s.meter.say(10)
        until(s.missing, lambda: len(s.meter.stored()) >= len(s.meter.sent) - s.lost)
        time.sleep(2)
        spent = cpu_s(pid) - spent
        lines = log_length(s) - begin
    finally:
        for one in many:
            one.close()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
    assert spent < 1 and lines < 200, (spent, lines)
    assert s.u.child(SERVER) == pid
    until("it answers", s.u.up)
    return f"10 readings stored meanwhile, {spent:.1f} s of processor, {lines} log lines"
