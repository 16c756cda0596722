#!/usr/bin/python3
"""reference_story - devices and C2 servers of the reference kind (pySRUP's part) in a universe of Holdfast, unchanged.

HOLDFAST_BIN: the directory of the programs. HOLDFAST_PORT_BASE: the ports +443 and +883 are used. Arguments: names of
tests (default all). Prints "ok NAME" for each that passed; last line "N passed, N failed".
"""
import struct
import sys
import threading
import time

from universe import JOIN_ACCEPTED, JOIN_FAILED, JOIN_REFUSED, URL, RestError, Universe, run, until


class Story:
    """Each test brings its own devices into the one universe."""

    def __init__(self, universe):
        self.u = universe
        self.u.put_sensor()

    # --- registration -------------------------------------------------------------------------------------------------

    def registers_unchanged(self):
        device = self.u.device("plain", "thing")
        device.register()
        shown = self.u.api.get(f"/devices/{device.identity}")
        assert (shown["id"], shown["type"], shown["state"]) == (device.identity, "thing", "registered"), shown
        assert device.server_id == self.u.server_id and device.broker == "localhost"
        assert device.keyex.get_key(self.u.server_id) == device.remote_keys[self.u.server_id]
        assert device.keyex.get_type(device.identity) == "thing"
        device.connect()

    def registers_with_a_slash_behind_the_url(self):
        device = self.u.device("slash", "thing", url=URL + "/")
        device.register()
        device.connect()
        assert self.u.api.state(device.identity) == "registered"

    def registers_with_a_short_id(self):
        """One id in sixteen has fewer than sixteen digits."""
        device = self.u.device("short", "sensor", identity="4a7")
        device.register()
        device.connect()
        device.send_simple_join()
        assert device.wait_status() == JOIN_ACCEPTED
        self.u.report(device, 5, "COUNT")

    def a_second_registration_is_refused_with_400(self):
        device = self.u.device("twice", "thing")
        device.new_identity()
        device.rest_register()
        for _ in range(2):
            assert device.keyex.request("POST", "register", device.register_body()).status == 400
        device.rest_validate()
        device.rest_access()  # what was begun can be finished all the same

    def unknown_peers_are_404(self):
        device = self.u.device("nobody")
        for path in ("get_key/4242", "get_type/4242", "c2_check/4242"):
            assert device.keyex.request("GET", path).status == 404, path

    # --- joins --------------------------------------------------------------------------------------------------------

    def simple_join_is_accepted_where_the_type_says_so(self):
        device = self.u.joined("simple")
        assert device.joined and self.u.api.state(device.identity) == "joined"
        assert self.u.api.events(device.identity)[-1] == "join.accepted"

    def others_are_refused_and_join_by_code(self):
        device = self.u.registered("human", "thing")
        device.send_simple_join()
        assert device.wait_status() == JOIN_REFUSED
        code = device.wait_value()
        assert len(code) == 32 and code == device.value
        self.u.cli("join", "approve", device.identity, "0" * 32, want=1, says="not the code")
        self.u.cli("join", "approve", device.identity, code)
        assert device.wait_status() == JOIN_ACCEPTED and self.u.api.state(device.identity) == "joined"

    def whoever_compared_may_say_so(self):
        device = self.u.registered("compared", "thing")
        device.send_human_join()
        device.wait_value()
        self.u.cli("join", "approve", device.identity, "--i-compared")
        assert device.wait_status() == JOIN_ACCEPTED

    def a_refused_human_join_fails(self):
        device = self.u.registered("turned-away", "thing")
        device.send_human_join()
        device.wait_value()
        self.u.cli("join", "refuse", device.identity)
        assert device.wait_status() == JOIN_FAILED and self.u.api.state(device.identity) == "registered"

    def three_wrong_codes_end_a_join(self):
        device = self.u.registered("guessed", "thing")
        device.send_human_join()
        device.wait_value()
        for digit in "123":
            self.u.api.post(f"/devices/{device.identity}/join/approve", {"code": digit * 32}, 409)
        assert device.wait_status() == JOIN_FAILED
        self.u.api.post(f"/devices/{device.identity}/join/approve", {"code": device.value}, 404)
        assert "join-mismatch" in [a["kind"] for a in self.u.api.get("/alerts")["alerts"] if a["device"] == device.identity]

    def observed_joins_are_not_answered(self):
        """Not built yet: refused and counted, the device may ask otherwise."""
        device, before = self.u.registered("observed", "sensor"), self.u.refused("TYPE")
        device.send_observed_join("4242")
        until("it is refused", lambda: self.u.refused("TYPE") == before + 1)
        device.send_simple_join()
        assert device.wait_status() == JOIN_ACCEPTED

    # --- commands and data --------------------------------------------------------------------------------------------

    def actions_reach_it(self):
        device, done = self.u.joined("actor"), []
        device.on_action = done.append
        self.u.api.post(f"/devices/{device.identity}/actions", {"action": "beep"}, 202)
        self.u.api.post(f"/devices/{device.identity}/actions", {"action": 200}, 202)
        until("both", lambda: done == [7, 200])

    def data_is_stored_by_kind(self):
        device = self.u.joined("reporter")
        assert self.u.report(device, -40000, "COUNT")["kind"] == "int32"
        got = self.u.report(device, 12.5, "PM25")
        assert (got["kind"], got["unit"]) == ("double", "ug/m3"), got
        assert self.u.report(device, "gr\u00fc\u00df dich", "NOTE")["kind"] == "text"
        after = self.u.api.cursor(device.identity)
        device.send("DATA", data_id=b"LEVEL", data=struct.pack("<f", 0.25))
        got = self.u.api.next_reading(device.identity, after, "LEVEL")
        assert (got["kind"], got["value"]) == ("float", 0.25), got
        after = self.u.api.cursor(device.identity)
        device.send_data("UNHEARD-OF", 258)
        got = self.u.api.next_reading(device.identity, after, "UNHEARD-OF")
        assert (got["kind"], got["value"]) == ("bytes", "02010000"), got

    def settings_reach_it(self):
        device, heard = self.u.joined("listener"), []
        device.on_data = lambda name, value: heard.append((name, value))
        for body in ({"data": "LIMIT", "value": 12.5}, {"data": "WORD", "value": "on"}, {"data": "N", "value": -3},
                     {"data": "RAW", "value": "00ff", "kind": "hex"}):
            self.u.api.post(f"/devices/{device.identity}/data", body, 202)
        until("all four", lambda: len(heard) == 4)
        assert heard == [(b"LIMIT", struct.pack("<d", 12.5)), (b"WORD", b"on"), (b"N", struct.pack("<i", -3)), (b"RAW", b"\0\xff")]

    def says_what_it_is(self):
        device = self.u.joined("named")
        done = self.u.json("identify", device.identity)
        assert (done["state"], done["answer"]) == ("answered", "pySRUP version 2.0"), done

    def an_action_right_after_another_is_not_lost(self):
        """The reference takes a number for its answer inside the handler, and drops what does not exceed it."""
        device, done = self.u.joined("hurried"), []
        device.on_action = done.append
        base = f"/devices/{device.identity}"
        for number in range(5):
            self.u.api.post(base + "/identify", {}, 202)
            self.u.api.post(base + "/actions", {"action": number}, 202)
        until(lambda: f"five actions, not {done}; dropped {device.dropped}", lambda: len(done) == 5)
        assert done == list(range(5)) and device.dropped == []

    def an_action_that_crosses_readings_is_not_lost(self):
        device, done = self.u.joined("crossing"), []
        device.on_action = done.append
        talker = threading.Thread(target=lambda: [(device.send_data("COUNT", n), time.sleep(0.02)) for n in range(100)])
        talker.start()
        for number in range(20):
            self.u.api.post(f"/devices/{device.identity}/actions", {"action": number}, 202)
        talker.join()
        until(lambda: f"twenty actions, not {done}", lambda: len(done) == 20)
        assert device.dropped == []
        until("all readings", lambda: len(self.u.api.readings(device.identity, series="COUNT", limit=1000)) == 100)

    def what_never_answers_is_given_up(self):
        """The reference has no answer to an action: the command ends as unknown, which is the truth."""
        device = self.u.joined("silent")
        done = self.u.api.act(device.identity, 7)
        assert (done["state"], done["status"]) == ("unknown", None), done

    # --- restarts of the reference ------------------------------------------------------------------------------------

    def with_saved_counters_it_goes_on(self):
        device = self.u.joined("saved")
        self.u.report(device, 1, "COUNT")
        device.save()
        device.close()
        again = self.u.device("saved")
        again.connect()
        self.u.report(again, 2, "COUNT")

    def without_saved_counters_it_is_a_replay(self):
        """It begins with 1 again (a trait of the reference); it must register anew."""
        device = self.u.joined("unsaved")
        self.u.report(device, 1, "COUNT")
        device.close()
        again, before = self.u.device("unsaved"), self.u.refused("REPLAY")
        again.broker = "localhost"
        again.connect()
        again.send_data("COUNT", 2)
        until("it is refused", lambda: self.u.refused("REPLAY") == before + 1)
        assert [r["value"] for r in self.u.api.readings(device.identity, series="COUNT")] == [1]

    # --- a C2 server of the reference kind ----------------------------------------------------------------------------

    def a_reference_server_registers(self):
        server = self.u.reference_server("second")
        assert server.check() == 404
        server.keyex.call("POST", "c2/", 201, server.register_body())
        assert server.check() == 200
        server.register()  # knows itself registered now
        assert server.keyex.request("GET", f"C_check/{server.identity}").status == 200
        server.connect()

    def a_reference_server_accepts_as_far_as_its_rights_go(self):
        """It hears the join and answers it. But who controls a device is decided by our server, which knows of no such join:
        the broker lets that server not hear the device, and the device not speak. There is no way around, on purpose."""
        server = self.u.reference_server("third")
        server.register()
        server.connect()
        device, done = self.u.registered("foreign", "sensor"), []
        device.on_action = done.append
        device.server_id = server.identity
        device.fetch_key(server.identity)
        device.send_simple_join()
        assert device.wait_status() == JOIN_ACCEPTED and server.types[device.identity] == "sensor"
        until("the server thinks so too", lambda: server.devices == {device.identity})
        assert self.u.api.state(device.identity) == "registered"
        assert server.link.subscribe(f"SRUP/{device.identity}/#") == (0x80,)
        server.send_action(device.identity, 9)
        until("it hears its server", lambda: done == [9])
        before = self.u.metrics()["broker_refused_total"]
        device.send_data("COUNT", 1)
        until("the broker refuses", lambda: self.u.metrics()["broker_refused_total"] > before)
        time.sleep(0.5)
        assert [m.topic for m in server.link.messages] == [f"SRUP/servers/{server.identity}/{device.identity}"]

    def a_reference_server_rules_no_device_of_ours(self):
        """It may publish on the topic, but the device believes only its own server."""
        server, device, done = self.u.reference_server("third"), self.u.joined("loyal"), []
        server.register()
        server.connect()
        device.on_action = done.append
        server.send_action(device.identity, 9)
        until("it is dropped", lambda: [d.reason for d in device.dropped] == ["key"])
        assert done == []
        try:
            server.keyex.get_key("4242")
            raise AssertionError("no such key")
        except RestError as error:
            assert error.status == 404


def main():
    with Universe(c2=["second", "third"], action_timeout_s=4) as universe:
        story = Story(universe)
        code = run([(name, getattr(story, name)) for name in vars(Story) if not name.startswith("_")])
        if code:
            universe.complain()
    return code


if __name__ == "__main__":
    sys.exit(main())
