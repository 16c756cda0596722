#!/usr/bin/python3
"""main_story - the main job of Holdfast from the first registration to the revocation, with everything real: holdfastd,
signer, broker, `holdfast`, airmonitor. One universe; each test goes on from where the one before stopped.

HOLDFAST_BIN: the directory of the programs. HOLDFAST_PORT_BASE: the ports +443 and +883 are used. Arguments: names of
tests (default all; a later one needs the earlier). Prints "ok NAME" for each that passed; last line "N passed, N failed".
"""
import json
import signal
import subprocess
import sys
import threading
import time

from universe import ACTION_OK, ACTION_UNKNOWN, BIN, DEADLINE_S, SENSOR, URL, RestError, Universe, run, until


class Flood:
    """A reference server that publishes numbered messages on the topic of a device, as fast as the broker takes them."""

    def __init__(self, server, device):
        self.server, self.topic, self.sent, self.stopping = server, f"SRUP/{device}", 0, False
        self.thread = threading.Thread(target=self._pour, daemon=True)
        self.thread.start()

    def _pour(self):
        while not self.stopping:
            self.server.link.client.publish(self.topic, b"flood %d" % (self.sent + 1), 0)
            self.sent += 1
            time.sleep(0.0005)

    def stop(self):
        self.stopping = True
        self.thread.join(DEADLINE_S)

    @staticmethod
    def numbers(link):
        """Which of them a device heard."""
        return [int(m.payload.split()[1]) for m in list(link.messages) if m.payload.startswith(b"flood ")]


class Story:
    """The universe and who lives in it."""

    def __init__(self, universe):
        self.u, self.monitor, self.probe = universe, None, None
        self.device = None  # id of the airmonitor
        self.told_probe = 0  # the last number that the probe saw

    def registers_by_itself(self):
        self.monitor = self.u.monitor().start()
        self.monitor.wait_line("join waiting code=")
        self.device = self.monitor.id
        shown = self.u.json("device", "show", self.device)
        assert (shown["type"], shown["state"], shown["joined_ms"]) == ("airmonitor", "registered", None), shown
        assert shown["certificate_not_after_ms"] > shown["registered_ms"] + 89 * 86400000, shown
        until("it is online", lambda: self.u.json("device", "show", self.device)["online"])

    def waits_for_a_person(self):
        (join,) = self.u.json("join", "list")["joins"]
        assert (join["device"], join["type"], join["kind"]) == (self.device, "airmonitor", "moderated"), join
        assert self.monitor.code not in json.dumps(join)
        assert (self.monitor.dir / "code.txt").stat().st_mode & 0o777 == 0o600
        self.u.api.post(f"/devices/{self.device}/actions", {"action": 1}, 409)
        assert self.u.api.readings(self.device) == []

    def wrong_code_is_refused(self):
        right = self.monitor.code
        wrong = ("0" if right[0] != "0" else "1") + right[1:]
        reply = self.u.api.post(f"/devices/{self.device}/join/approve", {"code": wrong}, 409)
        assert reply["error"] == "MISMATCH", reply
        self.u.cli("join", "approve", self.device, wrong, want=1, says="not the code")
        assert self.u.api.state(self.device) == "registered" and not self.monitor.lines("joined")
        assert self.u.api.events(self.device).count("join.mismatch") == 2

    def right_code_lets_it_in(self):
        self.u.cli("join", "approve", self.device, self.monitor.code)
        self.monitor.wait_line("joined server=" + self.u.server_id)
        assert self.u.json("device", "show", self.device)["state"] == "joined"
        until("its code is gone", lambda: self.monitor.code is None)
        assert self.u.json("join", "list")["joins"] == []

    def does_what_it_is_told(self):
        done = self.u.json("action", self.device, "led-on")
        assert (done["state"], done["status"], done["what"]) == ("answered", ACTION_OK, "1 led-on"), done
        self.monitor.wait_line("led on")
        assert self.u.api.act(self.device, 2)["status"] == ACTION_OK
        self.monitor.wait_line("led off")
        self.u.cli("action", self.device, "no-such-action", want=1, says="no action of that name")
        assert self.u.api.act(self.device, 99)["status"] == ACTION_UNKNOWN

    def readings_are_there(self):
        first = self.u.api.next_reading(self.device, 0, "PM25")
        assert (first["kind"], first["unit"], type(first["value"])) == ("double", "ug/m3", float), first
        until("two temperatures", lambda: len(self.u.api.readings(self.device, series="TEMP")) >= 2)
        got = self.u.json("data", "get", self.device, "--series", "TEMP", "--limit", "2")["readings"]
        assert len(got) == 2 and all(r["data"] == "TEMP" and r["unit"] == "C" for r in got), got
        after = self.u.api.cursor(self.device)
        later = self.u.api.readings(self.device, after=after, wait_ms=10000)
        assert later and all(r["cursor"] > after for r in later), later

    def readings_can_be_followed(self):
        out = self.u.dir / "follow.out"
        command = [BIN / "holdfast", "data", "follow", self.device, "--series", "PM25", "--limit", "1", "--server", URL,
                   "--ca", self.u.keys / "web_ca.crt", "--token-file", self.u.dir / "admin.token"]
        with open(out, "wb") as file:
            follow = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
        try:
            until(lambda: f"five lines in {out.read_text()!r}", lambda: out.read_text().count("PM25") >= 5)
            assert follow.poll() is None
            follow.send_signal(signal.SIGINT)
            assert follow.wait(DEADLINE_S) in (0, -signal.SIGINT)
        finally:
            follow.kill()
            follow.wait()

    def a_limit_raises_an_alarm(self):
        done = self.u.json("data", "send", self.device, "PM25-LIMIT", "1")
        assert (done["state"], done["status"]) == ("answered", ACTION_OK), done
        alert = until("an alert", lambda: [a for a in self.u.json("alert", "list")["alerts"] if not a["cleared_ms"]])[0]
        assert (alert["device"], alert["kind"]) == (self.device, "alarm"), alert
        self.monitor.wait_line("alarm raised")
        assert self.u.api.readings(self.device, series="ALARM")[-1]["value"] == 1
        self.u.api.post(f"/devices/{self.device}/data", {"data": "PM25-LIMIT", "value": 100000}, 400)
        self.u.cli("data", "send", self.device, "PM25-LIMIT", "900")
        until("it clears", lambda: all(a["cleared_ms"] for a in self.u.json("alert", "list")["alerts"]))
        self.u.api.post(f"/alerts/{alert['alert']}/clear", {}, 409)

    def says_what_it_is(self):
        done = self.u.json("identify", self.device)
        assert done["state"] == "answered" and "airmonitor" in done["answer"], done

    def profiles_can_be_put(self):
        path = self.u.dir / "sensor.json"
        path.write_text(json.dumps(SENSOR))
        self.u.cli("type", "put", path)
        assert [t["name"] for t in self.u.json("type", "list")["types"]] == ["airmonitor", "sensor"]
        path.write_text(json.dumps({**SENSOR, "actions": [{"id": 256, "name": "no"}]}))
        self.u.cli("type", "put", path, want=1, says="0 to 255")
        self.probe = self.u.joined("probe")
        assert self.u.report(self.probe, 17, "COUNT")["kind"] == "int32"

    def tokens_limit_what_one_may(self):
        made = self.u.json("token", "new", "porch", "--role", "viewer", "--scope", f"device:{self.device}", "--days", "1")
        path = self.u.dir / "porch.token"
        path.write_text(made["token"] + "\n")
        path.chmod(0o600)
        seen = json.loads(self.u.cli("device", "list", "--json", token_file=path).out)["devices"]
        assert [d["id"] for d in seen] == [self.device], seen
        self.u.cli("device", "show", self.probe.identity, want=1, token_file=path)
        self.u.cli("action", self.device, "led-on", want=1, token_file=path)
        assert made["token"] not in self.u.cli("token", "list", "--json").out
        self.u.cli("token", "revoke", str(made["id"]), "--yes")
        self.u.cli("device", "list", want=1, says="token", token_file=path)

    def events_tell_the_story(self):
        events = self.u.api.events(self.device)
        wanted = ["keyex.registering", "keyex.certified", "join.requested", "join.mismatch", "join.accepted", "command.issued",
                  "alert.raised", "alert.cleared"]
        places = [events.index(e) for e in wanted]
        assert places == sorted(places), events
        assert "token.made" in self.u.cli("event", "list").out

    # -- crashes

    def newest_sequence(self, device):
        """The highest number that the server took from a device; numbers here stay far below 2^63."""
        return self.u.query("SELECT MAX(sequence) FROM inbound WHERE device = ?", self.u.key_of(device))[0][0]

    def a_restart_keeps_everything(self):
        before = {word: self.u.json(*word.split()) for word in ("alert list", "type list", "token list")}
        events, newest, after = self.u.api.events(self.device), self.newest_sequence(self.device), self.u.api.cursor(self.device)
        last = self.u.api.final(self.u.api.post(f"/devices/{self.device}/identify", {}, 202)["command"])["command"]
        self.told_probe = self.probe.counters[int(self.u.server_id, 16)]
        self.u.restart()
        for word, was in before.items():
            assert self.u.json(*word.split()) == was, word
        assert self.u.api.events(self.device)[:len(events)] == events
        assert self.u.api.state(self.device) == "joined"
        self.u.api.next_reading(self.device, max(after, self.u.api.cursor(self.device)), "PM25")
        assert self.newest_sequence(self.device) > newest and len(self.monitor.lines("registered")) == 1
        done = self.u.api.act(self.device, "led-on")
        assert done["status"] == ACTION_OK and done["command"] > last, done
        assert self.u.refused("REPLAY") == 0

    def the_numbers_of_the_server_continue(self):
        """Also towards a device of the reference kind, which drops whatever does not exceed all that it saw."""
        self.u.connected(self.probe)
        self.u.api.post(f"/devices/{self.probe.identity}/actions", {"action": "beep"}, 202)
        assert self.probe.expect("ACTION").fields["sequence_id"] > self.told_probe
        assert self.probe.dropped == [], self.probe.dropped

    def a_killed_server_goes_on(self):
        for _ in range(2):
            self.u.restart(signal.SIGKILL)
            self.u.report(self.u.connected(self.probe), time.monotonic() // 1)
            self.u.api.post(f"/devices/{self.probe.identity}/actions", {"action": 7}, 202)
            self.probe.expect("ACTION")
        self.u.api.next_reading(self.device, self.u.api.cursor(self.device), "PM25")
        assert self.u.refused("REPLAY") == 0 and self.probe.dropped == []

    def a_killed_server_process_is_replaced(self):
        """The broker and its sessions stay; the new server learns who is online."""
        old = self.u.child("holdfast-server")
        sent = len(self.probe.link.messages)
        self.u.kill_child("holdfast-server")
        until("a new server", lambda: self.u.child("holdfast-server") not in (None, old))
        until("it is up", self.u.up)
        self.u.connected(self.probe)
        until("the monitor is online", lambda: self.u.json("device", "show", self.device)["online"])
        self.u.report(self.probe, time.monotonic() // 1)
        assert self.u.api.act(self.device, "led-on")["status"] == ACTION_OK
        assert not self.probe.link.closed.is_set() and len(self.probe.link.messages) >= sent

    def a_killed_device_repeats_no_number(self):
        self.monitor.stop(signal.SIGKILL)
        for turn in range(4):
            newest, replays, known = self.newest_sequence(self.device), self.u.refused("REPLAY"), len(self.monitor.lines("joined"))
            self.monitor.start(interval_ms=100)
            self.monitor.wait_line("joined server=", known + 1)
            after = self.u.api.cursor(self.device)
            self.u.api.next_reading(self.device, after, "PM25")
            assert self.u.api.act(self.device, 2)["status"] == ACTION_OK
            assert self.newest_sequence(self.device) > newest and self.u.refused("REPLAY") == replays, turn
            self.monitor.stop(signal.SIGKILL)
        fresh = self.u.query("SELECT COUNT(*), COUNT(DISTINCT sequence) FROM inbound WHERE device = ?", self.u.key_of(self.device))
        assert fresh[0][0] == fresh[0][1] and len(self.monitor.lines("registered")) == 1
        self.monitor.start()
        self.monitor.wait_line("joined server=", len(self.monitor.lines("joined")) + 1)

    # -- revocation

    def B1_revoke_live_session(self):
        """Nothing that was published after the command returned reaches it, and it cannot come back."""
        flooder = self.u.reference_server("second")
        flooder.register()
        flooder.connect()
        victim = self.probe
        flood = Flood(flooder, victim.identity)
        try:
            until("the flood arrives", lambda: len(Flood.numbers(victim.link)) > 100)
            done = self.u.json("device", "revoke", victim.identity, "--yes")
            last = flood.sent + 1  # this one may have left just before
            assert (done["state"], done["confirmed"]) == ("revoked", True), done
            assert victim.link.closed.wait(DEADLINE_S)
            until("more is poured out", lambda: flood.sent > last + 500)
            assert max(Flood.numbers(victim.link)) <= last, (last, max(Flood.numbers(victim.link)))
        finally:
            flood.stop()
        for client_id in (None, victim.identity):
            again = victim.link_as(client_id)
            assert not again.let_in(3)
            again.close()
        assert not self.u.json("device", "show", victim.identity)["online"]
        for step in (victim.keyex.get_key, victim.keyex.get_type):
            try:
                step(victim.identity)
                raise AssertionError("KeyEx still serves it")
            except RestError as error:
                assert error.status == 404, error
        for path, body in (("validate", victim.validate_body()), ("access", victim.access_body()), ("register", victim.register_body())):
            assert victim.keyex.request("POST", path, body).status in (400, 403), path

    def B1_revoked_airmonitor_is_out(self):
        assert self.u.json("device", "revoke", self.device, "--yes")["confirmed"]
        after = self.u.api.cursor(self.device)
        self.monitor.stop()
        self.monitor.start()
        time.sleep(3)  # it tries
        assert self.u.api.cursor(self.device) == after and not self.u.json("device", "show", self.device)["online"]
        assert self.u.api.state(self.device) == "revoked"
        self.u.cli("action", self.device, "1", want=1, says="revoked")

    def B6_broker_restart_lets_nobody_in(self):
        """mosquitto alone is killed: whoever may comes back, whoever may not stays out, also before the server has come back."""
        other = self.u.joined("other")
        old = self.u.child("mosquitto")
        self.u.kill_child("mosquitto")
        revoked = self.probe.link_as()
        end = time.monotonic() + 3
        while time.monotonic() < end:
            assert not revoked.let_in(1)
            revoked.close()
        until("a new broker", lambda: self.u.child("mosquitto") not in (None, old))
        until("it is up", self.u.up)
        self.u.report(self.u.connected(other), 1, "COUNT")
        other.close()
        until("it is gone", lambda: not self.u.api.get(f"/devices/{other.identity}")["online"])

    def B1_a_restart_revives_nobody(self):
        self.u.restart()
        time.sleep(2)
        again = self.probe.link_as()
        assert not again.let_in(3)
        again.close()
        assert self.u.api.state(self.device) == self.u.api.state(self.probe.identity) == "revoked"
        assert self.u.json("status")["devices"]["online"] == 0

    def stops_in_order(self):
        assert self.monitor.stop() in (0, 1)
        assert self.u.stop() == 0


def main():
    with Universe(c2=["second"]) as universe:
        story = Story(universe)
        tests = [name for name, value in vars(Story).items() if callable(value) and name not in ("__init__", "newest_sequence")]
        code = run([(name, getattr(story, name)) for name in tests])
        if code:
            universe.complain()
    return code


if __name__ == "__main__":
    sys.exit(main())
