"""fault_kills - each process killed at each moment that matters. Cells of fault_story.py."""
import contextlib
import signal
import time

from fault_page import FAIL, KILL, POWER, SQLITE_BUSY, SQLITE_FULL, SQLITE_IOERR
from fault_stage import cell
from universe import until

SEQUENCE_STEP = 16  # between two messages of our devices
SERVER, SIGNER, BROKER = "holdfast-server", "holdfast-signer", "mosquitto"
READING, COMMIT = "step INSERT INTO reading", "exec COMMIT"
KEPT = "every acknowledged reading is stored, once"
ONCE = "the action is done at most once; the command ends"


# ---- server ----------------------------------------------------------------------------------------


@cell("server", "idle", "it is replaced; the next message is taken both ways")
def server_idle(s):
    s.kill(SERVER)
    return "replaced"


@cell("server", "under load", KEPT)
def server_under_load(s):
    with s.meter.pouring():
        for _ in range(2):
            time.sleep(0.4)
            s.kill(SERVER)
    return f"{len(s.meter.acked())} acknowledged, none lost"


@cell("server", "just before COMMIT of readings", KEPT)
def server_before_commit(s):
    with s.struck(SERVER, KILL, COMMIT, after=READING):
        s.meter.say(20)
        s.meter.wait_acked()
    return "20 acknowledged, delivered again, stored once"


@cell("server", "after COMMIT, before the acknowledgements leave", KEPT)
def server_after_commit(s):
    with s.struck(SERVER, KILL, COMMIT, after=READING, late=True):
        s.meter.say(20)
        s.meter.wait_acked()
    return "20 acknowledged, repeats recognised"


@cell("server", "COMMIT fails: disk full, I/O error, busy", KEPT)
def server_commit_fails(s):
    old = s.u.child(SERVER)
    for code in (SQLITE_FULL, SQLITE_IOERR, SQLITE_BUSY):
        with s.page.rule("server", FAIL, COMMIT, after=READING, value=code, times=2) as rule:
            s.meter.say(10)
            s.meter.wait_acked()
            until("COMMIT failed twice", lambda: rule.fired == 2)  # pylint: disable=cell-var-from-loop
            s.sound()
    assert s.u.child(SERVER) == old
    return "6 transactions failed, 30 readings stored, the server lives"


@cell("server", "power cut after the acknowledgements left, under load", KEPT)
def server_power_cut(s):
    with s.meter.pouring(), s.struck(SERVER, POWER, "write socket", after=READING, late=True, nth=20):
        pass
    return f"{len(s.meter.acked())} acknowledged, none lost"


@cell("server", "a command's COMMIT fails", "the caller reads 503, nothing is sent")
def command_commit_fails(s):
    before = s.u.query("SELECT COUNT(*) FROM command")
    with s.page.rule("server", FAIL, COMMIT, after="step INSERT INTO command", value=SQLITE_FULL) as rule:
        reply = s.u.api.post(f"/devices/{s.monitor.id}/actions", {"action": 1}, 503)
        assert rule.fired == 1
    assert "nothing was changed" in reply["message"], reply
    assert s.u.query("SELECT COUNT(*) FROM command") == before
    return reply["message"]


def strike_order(s, *rule, **more):
    """A command during whose request the server dies: the caller gets no answer."""
    with s.struck(SERVER, *rule, **more), contextlib.suppress(OSError):
        s.order()
        raise AssertionError("the command was answered")


@cell("server", "just before COMMIT of a command", "no command, no action")
def command_before_commit(s):
    before, led = s.u.query("SELECT COUNT(*) FROM command"), len(s.monitor.lines("led "))
    strike_order(s, KILL, COMMIT, after="step INSERT INTO command")
    assert s.u.query("SELECT COUNT(*) FROM command") == before and len(s.monitor.lines("led ")) == led
    return "no trace of it"


@cell("server", "after COMMIT of a command, before its answer leaves", ONCE)
def command_after_commit(s):
    led = len(s.monitor.lines("led "))
    strike_order(s, KILL, COMMIT, after="step INSERT INTO command", late=True)
    newest = s.u.query("SELECT MAX(id) FROM command")[0][0]
    state, done = s.outcome(newest), len(s.monitor.lines("led ")) - led
    assert (state, done) == ("answered", 1), (state, done)
    return "answered, done once"


def strike_outbox(s, name, *rule, **more):
    """A command on whose way the process dies, first to the airmonitor, then to a device that counts what arrives: how the first
    ended, how often it was done, how often the second arrived."""
    led, heard = len(s.monitor.lines("led ")), len(s.meter.actions())
    orders = []
    for device in (None, s.meter.device.identity):
        with s.struck(name, *rule, **more):
            orders.append(s.order(device))
    state, _ = [s.outcome(order) for order in orders]
    done, got = len(s.monitor.lines("led ")) - led, len(s.meter.actions()) - heard
    assert done <= 1 and got <= 1, (done, got)
    assert (state == "answered") <= (done == 1), (state, done)
    assert state != "expired" or done == 0, "it ended as never sent, and was done"
    return state, done, got


@cell("server", "just before COMMIT that takes a command off the outbox", "it is sent after all; once")
def outbox_before_commit(s):
    state, done, got = strike_outbox(s, SERVER, KILL, COMMIT, after="step DELETE FROM outbox")
    assert (state, done, got) == ("answered", 1, 1), (state, done, got)
    return "answered, done once"


@cell("server", "between the outbox' COMMIT and the publish", ONCE)
def outbox_before_publish(s):
    state, done, got = strike_outbox(s, SERVER, KILL, "publish SRUP/")
    assert (state, done, got) == ("unknown", 0, 0), (state, done, got)
    return f"{state}, done {done} times"


@cell("server", "between a publish and its PUBACK", ONCE)
def outbox_after_publish(s):
    with quiet(s):  # so that the next that is written to a socket is the command
        state, done, got = strike_outbox(s, SERVER, KILL, "write socket", after="publish SRUP/", late=True)
    assert (state, done, got) == ("answered", 1, 1), (state, done, got)
    return f"{state}, done {done} times; the other arrived {got} times"


# ---- signer ----------------------------------------------------------------------------------------


@cell("signer", "idle", "both are replaced; the next message is taken both ways")
def signer_idle(s):
    server = s.u.child(SERVER)
    s.kill(SIGNER)
    until("a new server too", lambda: s.u.child(SERVER) not in (None, server))
    return "replaced, the server with it"


@cell("signer", "under load, with commands under way", KEPT)
def signer_under_load(s):
    with s.meter.pouring():
        time.sleep(0.4)
        orders = [s.order() for _ in range(10)]
        s.kill(SIGNER)
    states = [s.outcome(order) for order in orders]
    return f"{len(s.meter.acked())} acknowledged, none lost; commands: " + ", ".join(
        f"{states.count(word)} {word}" for word in sorted(set(states)))


@cell("signer", "a command is signed, the signature has not left", "it is signed anew and sent; once")
def signer_before_answer(s):
    state, done, got = strike_outbox(s, SIGNER, KILL, "send")
    assert (state, done, got) == ("answered", 1, 1), (state, done, got)
    return "answered, done once"


# ---- joins and registrations -------------------------------------------------------------------------


def strike_join(s, name, *rule, **more):
    """A join that is approved while the server dies; the airmonitor."""
    box = s.another(name)
    box.wait_line("join waiting code=")
    with s.struck(SERVER, *rule, **more):
        try:
            s.u.api.post(f"/devices/{box.id}/join/approve", {"code": box.code})
        except OSError:
            pass
    return box


@cell("server", "just before COMMIT of a join's approval", "the join still waits; approving again lets it in")
def join_before_commit(s):
    box = strike_join(s, "join-early", KILL, COMMIT, after="step DELETE FROM join_request")
    assert s.u.api.state(box.id) == "registered"
    s.u.api.post(f"/devices/{box.id}/join/approve", {"code": until("a code", lambda: box.code)})
    box.wait_line("joined server=")
    box.stop()
    return "waited on, let in"


@cell("server", "after COMMIT of a join's approval, before the caller hears", "the device is in and is told")
def join_after_commit(s):
    box = strike_join(s, "join-late", KILL, COMMIT, after="step DELETE FROM join_request", late=True)
    box.wait_line("joined server=")
    box.stop()
    return "told after the restart"


@cell("server", "between a join's approval and the publish that tells the device", "the device is told all the same")
def join_before_publish(s):
    box = strike_join(s, "join-told", KILL, "publish SRUP/")
    box.wait_line("joined server=")
    box.stop()
    return "told after the restart"


@cell("broker", "while a join is approved", "the device is told once it is back")
def join_without_broker(s):
    box = s.another("join-broker")
    box.wait_line("join waiting code=")
    s.kill(BROKER)
    with contextlib.suppress(AssertionError):  # it may have asked anew meanwhile, with another code
        s.u.api.post(f"/devices/{box.id}/join/approve", {"compared": True})
    until("it is in", lambda: box.lines("joined server=") or approve_again(s, box))
    box.stop()
    return "let in"


def approve_again(s, box):
    """The box came back before it was let in, so it asked anew."""
    s.u.api.call("POST", f"/api/v1/devices/{box.id}/join/approve", {"compared": True})
    return False


@cell("server", "a simple join, before COMMIT and before its answer leaves", "the device is in and is told")
def simple_join(s):
    for number, rule in enumerate(((COMMIT, "step UPDATE identity SET state"), ("publish SRUP/", ""))):
        device = s.u.registered(f"simple-{number}")
        with s.struck(SERVER, KILL, rule[0], after=rule[1]):
            device.send_simple_join()
        assert device.wait_status() == 0x50
        device.close()
    return "both let in"


REGISTER_STEPS = {"register": "step INSERT INTO identity", "validate": "step UPDATE identity SET state",
                  "access": "step INSERT INTO certificate"}


@cell("server", "register, validate, access: before and after COMMIT of each", "the device registers in the end")
def registering(s):
    for step, sql in REGISTER_STEPS.items():
        for late in (False, True):
            s.fresh()
            with s.struck(SERVER, KILL, COMMIT, after=sql, late=late):
                box = s.another(f"box-{step}-{late}")
            box.wait_line("join waiting code=")
            assert len(box.lines("registered id=")) == 1
            box.stop()
    return "6 devices registered"


@cell("signer", "a device's certificate is made, but has not left", "the device registers in the end")
def registering_without_signer(s):
    with s.struck(SIGNER, KILL, "send"):
        box = s.another("box-signer")
    box.wait_line("join waiting code=")
    box.stop()
    return "registered"


# ---- device ------------------------------------------------------------------------------------------


def back(s, **more):
    """Starts the airmonitor that has died; it must come in without registering again."""
    known = len(s.monitor.lines("joined server="))
    s.monitor.process.wait(30)
    s.monitor.start(interval_ms=100, **more)
    s.monitor.wait_line("joined server=", known + 1)
    assert len(s.monitor.lines("registered id=")) == 1


@cell("device", "idle, then under load", "no sequence id is used twice")
def device_killed(s):
    for _ in range(3):
        s.monitor.stop(signal.SIGKILL)
        back(s)
    return "3 times back, nothing refused"


def strike_device(s, *rule, **more):
    """A command on whose way the airmonitor dies: the command's end, how often the lamp switched."""
    led = len(s.monitor.lines("led "))
    with s.page.rule("airmonitor", *rule, **more) as set_rule:
        order = s.order()
        until("the device is struck", lambda: set_rule.fired)
        back(s)
    state, done = s.outcome(order), len(s.monitor.lines("led ")) - led
    assert done <= 1 and (state == "answered") <= (done == 1), (state, done)
    return state, done


@cell("device", "a command's sequence id is not stored yet", ONCE)
def device_before_store(s):
    with quiet(s):
        state, done = strike_device(s, KILL, "rename store.hf")
    assert done == 0, done
    return f"{state}, done {done} times"


@cell("device", "a command's sequence id is stored, the action is not done yet", ONCE)
def device_after_store(s):
    with quiet(s):
        state, done = strike_device(s, KILL, "rename store.hf", late=True)
    assert (state, done) == ("unknown", 0), (state, done)
    return f"{state}, done {done} times"


@cell("device", "the action is done, its answer has not left", ONCE)
def device_before_answer(s):
    with quiet(s):
        state, done = strike_device(s, KILL, "publish SRUP/", after="rename store.hf")
    assert (state, done) == ("unknown", 1), (state, done)
    return f"{state}, done {done} times"


@contextlib.contextmanager
def quiet(s):
    """The airmonitor without readings, so that only what is asked of it counts."""
    known = len(s.monitor.lines("joined server="))
    s.monitor.stop()
    s.monitor.start(interval_ms=3600000)
    s.monitor.wait_line("joined server=", known + 1)
    time.sleep(0.3)  # its first sample is on its way
    try:
        yield
    finally:
        s.monitor.stop()
        known = len(s.monitor.lines("joined server="))
        s.monitor.start(interval_ms=100)
        s.monitor.wait_line("joined server=", known + 1)


@cell("device", "each write of its store during a registration, also a power cut", "it registers in the end, once")
def device_registering(s):
    box, count = s.another("box-power"), 0
    for action in (KILL, POWER):
        for nth in range(1, 7, 1 if action == KILL else 2):
            box.stop(signal.SIGKILL)
            name = f"box-power-{action}-{nth}"
            with s.page.rule(name, action, "sync store.hf", late=action == KILL, nth=nth) as rule:
                box = s.another(name)
                until("it is struck", lambda: rule.fired)  # pylint: disable=cell-var-from-loop
                box.process.wait(30)
            box.start()
            box.wait_line("join waiting code=")
            count += 1
    box.stop()
    return f"killed at {count} writes, registered each time"


# ---- broker ------------------------------------------------------------------------------------------


@cell("broker", "idle", "everybody comes back by himself")
def broker_idle(s):
    s.kill(BROKER)
    return "replaced"


@cell("broker", "under load", "what the server committed stays; the rest are gaps")
def broker_under_load(s):
    with s.meter.pouring():
        time.sleep(0.5)
        before = set(s.meter.stored())
        s.kill(BROKER)
        s.u.connected(s.meter.device)
    return count_gaps(s, before)


@cell("broker", "readings in its memory that no server has seen", "exactly these are gaps, and counted")
def broker_memory(s):
    before, old, (gaps, newest) = set(s.meter.stored()), s.u.child(BROKER), gaps_of(s)
    with s.parent_frozen():
        s.u.kill_child(SERVER)
        until("the server is gone", lambda: s.u.child(SERVER) is None)
        s.meter.say(25)
        s.meter.wait_acked()
        time.sleep(1)  # the airmonitor reports too
        s.u.kill_child(BROKER)
    s.replaced(BROKER, old)
    words = count_gaps(s, before)
    assert words.startswith("25 "), words
    heard = gaps_of(s)[1]
    until("the airmonitor is heard again", lambda: gaps_of(s)[1] > heard)
    missed, lost = gaps_of(s)[0]["missed"] - gaps["missed"], missing_ids(s, newest)
    assert missed == lost > 0, (missed, lost)
    return f"{words}; of the airmonitor's the server counts {missed}, as many as are missing"


def missing_ids(s, since):
    """How many sequence ids of the airmonitor are not there, between those that are."""
    rows = s.u.query("SELECT sequence FROM inbound WHERE device = ? AND sequence >= ? ORDER BY sequence", s.u.key_of(s.monitor.id), since)
    numbers = [number for number, in rows]
    return sum((b - a) // SEQUENCE_STEP - 1 for a, b in zip(numbers, numbers[1:]))


def gaps_of(s):
    """The airmonitor's gaps as the server counts them, and the newest sequence id that it has."""
    newest = s.u.query("SELECT MAX(sequence) FROM inbound WHERE device = ?", s.u.key_of(s.monitor.id))[0][0]
    return s.u.json("device", "show", s.monitor.id)["gaps"], newest


def count_gaps(s, before):
    """What the broker took with it: the readings that it had acknowledged and the server never saw."""
    s.u.connected(s.meter.device)
    s.meter.say()
    s.meter.wait_acked()
    until("the newest is stored", lambda: s.meter.stored()[-1:] == [len(s.meter.sent)])
    stored = set(s.meter.stored())
    assert before <= stored, sorted(before - stored)
    gone = len(s.meter.sent) - len(stored) - s.lost
    s.lost += gone
    return f"{gone} gaps; {len(before)} committed before, all there"


# ---- parent --------------------------------------------------------------------------------------------


def end_of_parent(s):
    """kill -9 of holdfastd; its children must follow, and a new one starts at once."""
    children = [s.u.child(name) for name in (SERVER, SIGNER, BROKER)]
    s.u.process.kill()
    s.u.process.wait()
    until("the children are gone", lambda: not any(lives(pid) for pid in children), 10)
    s.u.start()
    s.killed = 0


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@cell("parent", "idle", "its children end; a new start works at once")
def parent_idle(s):
    end_of_parent(s)
    return "3 children ended, started anew"


@cell("parent", "under load", "its children end; what was committed stays")
def parent_under_load(s):
    with s.meter.pouring():
        time.sleep(0.4)
        before = set(s.meter.stored())
        end_of_parent(s)
    return count_gaps(s, before)


# ---- revocation ----------------------------------------------------------------------------------------


def victim(s, name):
    """A device that has joined and may be revoked."""
    device = s.u.joined(name)
    s.u.connected(device)
    return device


def is_out(s, device):
    """A revoked device is refused: by the broker now, and once everything is up again."""
    for client_id in (None, device.identity):
        again = device.link_as(client_id)
        assert not again.let_in(2), "a revoked device was let in"
        again.close()
    assert s.u.api.state(device.identity) == "revoked"


@cell("server", "just before COMMIT of a revocation", "nothing was changed, and the caller gets no answer")
def revoke_before_commit(s):
    device = victim(s, "revoke-early")
    with s.struck(SERVER, KILL, COMMIT, after="step UPDATE identity SET state"), contextlib.suppress(OSError):
        s.u.api.post(f"/devices/{device.identity}/revoke")
        raise AssertionError("the revocation was answered")
    assert s.u.api.state(device.identity) == "joined"
    s.u.report(s.u.connected(device), 7, "COUNT")
    device.close()
    return "still joined, still served"


@cell("server", "after COMMIT of a revocation, before the broker hears", "the device is out once the server is back")
def revoke_after_commit(s):
    device = victim(s, "revoke-late")
    with s.struck(SERVER, KILL, "publish $CONTROL/"), contextlib.suppress(OSError):
        s.u.api.post(f"/devices/{device.identity}/revoke")
        raise AssertionError("the revocation was answered")
    until("its session is cut", device.link.closed.is_set)
    is_out(s, device)
    return "cut and refused"


def revoke_anyhow(s, device):
    """What the caller learns of a revocation during which the broker dies: it holds, confirmed or not."""
    done = s.u.api.call("POST", f"/api/v1/devices/{device.identity}/revoke", {})
    assert done.status in (200, 202) and done.json["state"] == "revoked", done
    return done.json["confirmed"]


JOURNAL_MOMENTS = (("write journal", False), ("sync journal", False), ("sync journal", True))


@cell("broker", "around the journal's append and sync during a revocation", "the device is out, confirmed or not", stage="free")
def revoke_journal(s):
    answers = []
    for number, (at, late) in enumerate(JOURNAL_MOMENTS):
        device = victim(s, f"revoke-journal-{number}")
        with s.struck(BROKER, KILL, at, late=late):
            answers.append(revoke_anyhow(s, device))
        is_out(s, device)
        s.u.connected(s.meter.device)
    return f"killed at {len(answers)} points, confirmed: {answers}, refused each time"


@cell("broker", "power cut after a revocation was confirmed, with the server gone", "the device stays out", stage="free")
def revoke_power_cut(s):
    device, old = victim(s, "revoke-power"), s.u.child(BROKER)
    with s.page.tracking():
        assert revoke_anyhow(s, device)
        server = s.u.child(SERVER)
        with s.frozen(server):  # it must not repair what the broker forgot
            with s.page.rule("mosquitto", POWER, "write socket", late=True) as rule:
                s.meter.say()
                until("the power is cut", lambda: rule.fired)
            until("a new broker", lambda: s.u.child(BROKER) not in (None, old))
            again = device.link_as()
            end = time.monotonic() + 2
            while time.monotonic() < end:
                assert not again.let_in(1), "a revoked device was let in"
                again.close()
    s.replaced(BROKER, old)
    is_out(s, device)
    count_gaps(s, set())  # the reading that cut the power
    return "refused by the broker alone"
