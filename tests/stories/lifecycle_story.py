#!/usr/bin/python3
"""lifecycle_story - devices that go and come again, and stores that go back in time, with everything real: holdfastd, signer,
broker, `holdfast`, devices of the reference kind and an airmonitor. One universe.

HOLDFAST_BIN: the directory of the programs. HOLDFAST_PORT_BASE: the ports +443 and +883 are used. Arguments: names of
tests (default all). Prints "ok NAME" for each that passed; last line "N passed, N failed".
"""
import os
import shutil
import signal
import sys
import time

from universe import ACTION_OK, JOIN_ACCEPTED, SENSOR, RestError, Universe, run, until

DEREGISTER_S = 4


class Story:
    """Each test brings its own devices."""

    def __init__(self, universe):
        self.u = universe
        self.u.api.put("/types/sensor", {**SENSOR, "actions": [{"id": 7, "name": "beep"},
                                                               {"id": 9, "name": "wipe", "dangerous": True}]})

    def wait_state(self, device, state):
        until(f"{device} is {state}", lambda: self.u.api.state(device) == state)

    def joins_again(self, device):
        device.server_id = self.u.server_id  # its program says so
        if self.u.server_id not in device.remote_keys:
            device.fetch_key(self.u.server_id)
        device.send_simple_join()
        assert device.wait_status() == JOIN_ACCEPTED
        self.u.report(device, 3, "COUNT")

    def is_out(self, device):
        """Revoked, for KeyEx and broker too."""
        self.wait_state(device.identity, "revoked")
        link = device.link_as()
        assert not link.let_in(3)
        link.close()
        try:
            device.keyex.get_key(device.identity)
            raise AssertionError("KeyEx still serves it")
        except RestError as error:
            assert error.status == 404, error

    # -- going

    def resigns_and_joins_again(self):
        device = self.u.joined("resigns")
        command = self.u.api.post(f"/devices/{device.identity}/actions", {"action": "beep"}, 202)["command"]
        device.expect("ACTION")
        device.send_resign()
        self.wait_state(device.identity, "registered")
        shown = self.u.json("device", "show", device.identity)
        assert shown["left_ms"] and shown["left_why"] == "the device left", shown
        ended = self.u.api.get(f"/commands/{command}")
        assert (ended["state"], ended["answer"]) == ("unknown", "the device left"), ended
        assert self.u.api.events(device.identity)[-1] == "device.resigned"
        self.u.api.post(f"/devices/{device.identity}/actions", {"action": "beep"}, 409)
        after = self.u.api.cursor(device.identity)
        device.server_id = self.u.server_id
        device.send_data("COUNT", 1)  # the broker takes it from nobody who has not joined
        self.joins_again(device)
        assert [r["value"] for r in self.u.api.readings(device.identity, after=after)] == [3]
        assert self.u.api.get(f"/devices/{device.identity}")["left_ms"] is None

    def is_let_go(self):
        device = self.u.joined("terminated")
        self.u.cli("device", "terminate", device.identity, want=2, says="--yes")
        self.u.cli("device", "terminate", device.identity, "--yes", says="was told")
        device.expect("TERMINATE_CMD")
        assert self.u.api.state(device.identity) == "registered" and device.server_id is None
        self.u.cli("device", "terminate", device.identity, "--yes", want=1, says="has not joined")
        assert self.u.api.events(device.identity).count("device.terminated") == 1
        self.joins_again(device)

    def is_let_go_while_it_is_away(self):
        device = self.u.joined("away")
        device.close()
        until("it is offline", lambda: not self.u.api.get(f"/devices/{device.identity}")["online"])
        self.u.cli("device", "terminate", device.identity, "--yes", want=4, says="not connected")
        assert self.u.api.state(device.identity) == "registered"

    def deregisters_itself(self):
        device = self.u.joined("deregisters")
        device.send_deregister()
        self.is_out(device)
        shown = self.u.json("device", "show", device.identity)
        assert shown["left_why"] == "deregistered by the device", shown
        assert self.u.api.events(device.identity)[-1] == "device.deregistered"

    def is_deregistered_and_goes(self):
        device = self.u.joined("told-to-go")
        done = self.u.json("device", "deregister", device.identity, "--yes")
        assert done["told"] and done["revoked_by_ms"], done
        device.expect("DEREGISTER_CMD")
        device.close()
        self.is_out(device)
        assert self.u.json("device", "show", device.identity)["left_why"] == "deregistered by the server"

    def is_deregistered_and_stays(self):
        """Also over a restart of the server: what is due stands in the database."""
        device = self.u.joined("stays")
        self.u.cli("device", "deregister", device.identity, "--yes", says="was told to go")
        self.u.cli("device", "deregister", device.identity, "--yes", want=1, says="already")
        self.u.kill_child("holdfast-server")
        device.expect("DEREGISTER_CMD")
        until("it is up", self.u.up)
        self.is_out(device)

    # -- a device's counter

    def starts_with_low_numbers_again(self):
        """A device of the reference kind that was not saved; and its clone would look the same."""
        device = self.u.joined("forgetful")
        for value in range(80):
            device.send_data("COUNT", value)
        captured = device.build("DATA", self.u.server_id, data_id=b"COUNT", data=(4711).to_bytes(4, "little"))
        device.publish(device.topic, captured)
        until("all are stored", lambda: [r["value"] for r in self.u.api.readings(device.identity, limit=1)] == [4711])
        after, refused = self.u.api.cursor(device.identity), self.u.refused("REPLAY")
        device.counters.clear()
        for value in range(5):
            device.send_data("COUNT", value)
        until("they are refused", lambda: self.u.refused("REPLAY") == refused + 5)
        alerts = [a for a in self.u.api.get("/alerts")["alerts"] if a["device"] == device.identity]
        assert [a["kind"] for a in alerts] == ["stepped-back"], alerts
        assert self.u.metrics()["messages_stepped_back_total"] == 1
        self.u.cli("device", "show", device.identity, says="holdfast device reset-counter")
        self.u.serves()

        self.u.cli("device", "reset-counter", device.identity, want=2, says="--yes")
        self.u.cli("device", "reset-counter", device.identity, "--yes")
        shown = self.u.json("device", "show", device.identity)
        assert shown["generation"] == 1 and shown["stepped_back_ms"] is None, shown
        device.counters.clear()
        self.u.report(device, 11, "COUNT")
        device.publish(device.topic, captured)
        self.u.report(device, 12, "COUNT")
        assert [r["value"] for r in self.u.api.readings(device.identity, after=after)] == [11, 12]
        self.u.api.post(f"/devices/{device.identity}/actions", {"action": "beep"}, 202)
        device.expect("ACTION")
        assert "device.counter-reset" in self.u.api.events(device.identity)

    # -- the server's database

    def R1_a_restored_database_is_noticed(self):
        """Revoked stays revoked, and the next message is taken in both directions."""
        victim, honest = self.u.joined("victim"), self.u.joined("kept")
        database, copy, mark = self.u.dir / "db/holdfast.db", self.u.dir / "copy.db", self.u.dir / "broker/mark"
        self.u.stop()
        shutil.copy(database, copy)
        old_mark = mark.read_text() if mark.exists() else ""
        self.u.start()
        assert self.u.json("device", "revoke", victim.identity, "--yes")["confirmed"]
        for _ in range(3):
            self.u.report(self.u.connected(honest), 1, "COUNT")
            self.u.api.post(f"/devices/{honest.identity}/actions", {"action": "beep"}, 202)
            honest.expect("ACTION")
        until("the mark moves", lambda: mark.exists() and mark.read_text() != old_mark)
        self.u.restart()  # the newer table no longer names whom it keeps out
        self.u.stop()
        shutil.copy(copy, database)
        for tail in ("-wal", "-shm"):
            (self.u.dir / f"db/holdfast.db{tail}").unlink(missing_ok=True)
        self.u.start()

        assert self.u.api.get("/status")["database"]["restored_ms"]
        self.u.cli("status", says="RESTORED")
        assert self.u.metrics()["database_restored"] == 1
        shown = self.u.json("device", "show", victim.identity)
        assert (shown["state"], shown["left_why"]) == ("revoked", "revoked before the database was restored"), shown
        assert "database.restored" in [e["event"] for e in self.u.api.get("/events?limit=1000")["events"]]
        self.is_out(victim)
        self.u.connected(honest)
        dropped = len(honest.dropped)
        self.u.api.post(f"/devices/{honest.identity}/actions", {"action": "beep"}, 202)
        honest.expect("ACTION")
        assert len(honest.dropped) == dropped, honest.dropped
        self.u.report(honest, 2, "COUNT")
        alert = next(a for a in self.u.api.get("/alerts")["alerts"] if a["kind"] == "database-restored")
        self.u.cli("alert", "clear", str(alert["alert"]))
        self.u.restart()
        assert self.u.api.get("/status")["database"]["restored_ms"] is None

    # -- gaps

    def a_killed_broker_leaves_a_counted_gap(self):
        """What it had acknowledged and not delivered is gone; the device's next message tells."""
        monitor = self.u.joined_monitor("gap", interval_ms=100)
        self.u.api.next_reading(monitor.id, 0, "PM25")
        assert self.u.api.get(f"/devices/{monitor.id}")["gaps"]["count"] == 0
        parent = self.u.process.pid
        os.kill(parent, signal.SIGSTOP)  # it would start them anew at once
        try:
            self.u.kill_child("holdfast-server")
            time.sleep(1.5)
            self.u.kill_child("mosquitto")
        finally:
            os.kill(parent, signal.SIGCONT)
        until("it is up", self.u.up)
        gaps = until("a gap", lambda: (g := self.u.api.get(f"/devices/{monitor.id}")["gaps"])["count"] and g)
        assert gaps["missed"] > 0 and gaps["last_ms"], gaps
        assert self.u.metrics()["device_messages_missed"] >= gaps["missed"]
        after = self.u.api.cursor(monitor.id)
        self.u.api.next_reading(monitor.id, after, "PM25")
        assert self.u.api.get(f"/devices/{monitor.id}")["gaps"]["count"] == gaps["count"]
        monitor.stop()

    # -- faults that were mended

    def the_outbox_does_not_stall_behind_a_stopped_signer(self):
        monitor = self.u.joined_monitor("patient")
        signer = self.u.child("holdfast-signer")
        os.kill(signer, signal.SIGSTOP)
        try:
            commands = [self.u.api.post(f"/devices/{monitor.id}/actions", {"action": 2}, 202)["command"] for _ in range(300)]
        finally:
            os.kill(signer, signal.SIGCONT)
        ends = [self.u.api.final(command) for command in commands]
        wrong = [e for e in ends if (e["state"], e["status"]) != ("answered", ACTION_OK)]
        assert not wrong, (len(wrong), wrong[0])
        monitor.stop()

    def a_revocation_is_confirmed_after_many_access_calls(self):
        """Each call waits for the broker; none may keep its place in the table of those who wait."""
        busy, victim = self.u.registered("busy"), self.u.joined("revoked-after")
        body = busy.access_body()
        for _ in range(300):
            reply = busy.keyex.request("POST", "access", body)
            assert reply.status == 200, reply
        assert self.u.json("device", "revoke", victim.identity, "--yes")["confirmed"]

    # -- actions

    def a_dangerous_action_is_confirmed(self):
        device, done = self.u.joined("careful"), []
        device.on_action = done.append
        self.u.api.post(f"/devices/{device.identity}/actions", {"action": "wipe"}, 428)
        self.u.api.post(f"/devices/{device.identity}/actions", {"action": 9, "confirmed": 1}, 428)
        self.u.cli("action", device.identity, "wipe", want=2, says="dangerous")
        self.u.cli("action", device.identity, "wipe", "--yes", "--wait", "0", want=4)
        until("it is done", lambda: done == [9])
        self.u.cli("action", device.identity, "beep", "--wait", "0", want=4)
        until("the other needs none", lambda: done == [9, 7])


def main():
    with Universe(deregister_s=DEREGISTER_S, commands_open_max=1000) as universe:
        story = Story(universe)
        names = [n for n in vars(Story) if not n.startswith("_") and n not in ("wait_state", "joins_again", "is_out")]
        return run([(name, getattr(story, name)) for name in names])


if __name__ == "__main__":
    sys.exit(main())
