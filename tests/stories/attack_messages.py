"""attack_messages - attacks by signed, forged and broken messages, and at the broker. Uses universe.py. Run by attack_story.py.

The attacker is a registered device at worst; what it must not do is named by the ids of docs/security.md.
"""
import contextlib
import struct
import time

import srup5
from links import REFUSED
from universe import ACTION_FAIL, ACTION_OK, DATA_UNKNOWN, JOIN_ACCEPTED, until

TOP_SEQUENCE = 2**64 - 1


class MessageAttacks:
    """On one universe. A test leaves its devices as they are; names of devices are used once."""

    def __init__(self, universe):
        self.u = universe

    def _facts(self):
        """What no refused message may change; an unanswered command may well be given up meanwhile."""
        return self.u.query("SELECT COUNT(*), MAX(id) FROM reading"), self.u.query("SELECT id, state = 'answered', status FROM command"), \
            self.u.query("SELECT id, state FROM identity ORDER BY id")

    def _total(self):
        return sum(n for name, n in self.u.metrics().items() if name.startswith("messages_refused_total"))

    @contextlib.contextmanager
    def _refused(self, error=None, times=1):
        """What happens inside is refused so many times (for that reason), counted, and changes nothing."""
        count = (lambda: self.u.refused(error)) if error else self._total
        before, facts = count(), self._facts()
        yield
        until(lambda: f"{times} refusals, not {count() - before}; {self.u.metrics()}", lambda: count() >= before + times)
        assert count() == before + times, (error, count() - before, times)
        now = self._facts()
        assert now == facts, [pair for pair in zip(facts, now) if pair[0] != pair[1]]

    @staticmethod
    def _data(device, value=1, sequence=None, key=None, sender=None, **options):
        """A DATA message of a device, with parts of it wrong."""
        sequence = device.next_sequence(device.server_id) if sequence is None else sequence
        payload = srup5.lp(b"COUNT") + srup5.lp(struct.pack("<i", value))
        options = {"code": srup5.CODES["DATA"], "token": srup5.new_token(), "payload": payload, **options}
        return srup5.assemble(sequence_id=sequence, sender_id=int(sender or device.identity, 16),
                              key=key or device.identity_key, **options)

    def _counts(self, device):
        return [r["value"] for r in self.u.api.readings(device.identity, series="COUNT", limit=1000)]

    # --- M1, M2: form and forged numbers --------------------------------------------------------------------------------

    def M1_short_packet_server(self):
        device = self.u.joined("m1")
        whole = self._data(device)
        with self._refused("SHORT", len(whole)):
            for size in range(len(whole)):
                device.publish(device.topic, whole[:size])
        lies = []
        for at in (18, 20 + 36, 20 + 36 + 2 + 256, len(whole) - 6):  # token, signature, data id, data
            for length in (0xFFFF, 0x8000, struct.unpack(">H", whole[at:at + 2])[0] + 1):
                lies.append(whole[:at] + struct.pack(">H", length) + whole[at + 2:])
        with self._refused(None, len(lies)):
            for raw in lies:
                device.publish(device.topic, raw)
        join = device.build("JOIN_REQ", device.server_id)
        with self._refused("SHORT", len(join)):
            for size in range(len(join)):
                device.publish(f"SRUP/servers/{device.server_id}/{device.identity}", join[:size])
        self.u.report(device, 7, "COUNT")

    def M1_longest_packet(self):
        """The longest data is stored; what is longer ends at the broker, with the connection that it came on."""
        device = self.u.joined("m1-long")
        after = self.u.api.cursor(device.identity)
        device.publish(device.topic, self._data(device, payload=srup5.lp(b"NOTE") + srup5.lp(b"x" * 65535)))
        assert len(self.u.api.next_reading(device.identity, after, "NOTE")["value"]) == 65535
        facts = self._facts()
        device.close()
        link = device.link_as()
        assert link.let_in()
        link.publish(device.topic, b"x" * 70000, 0)
        assert link.closed.wait(10) and self._facts() == facts
        link.close()
        device.connect()
        self.u.report(device, 1, "COUNT")

    def M2_forged_sequence_keeps_the_real_sender(self):
        """Whoever signs badly moves no mark, whatever number it names and on whichever connection it comes."""
        victim, thief = self.u.joined("m2-victim"), self.u.joined("m2-thief")
        server_topic = f"SRUP/servers/{thief.server_id}/{thief.identity}"
        for number in (TOP_SEQUENCE, TOP_SEQUENCE - 2**32, 2**63, 2**40):
            reason = "SIGNATURE" if number <= TOP_SEQUENCE - 2**32 else "SEQUENCE"
            with self._refused(reason):
                victim.publish(victim.topic, self._data(victim, sequence=number, key=thief.identity_key))
            with self._refused("DENIED"):
                thief.publish(thief.topic, self._data(victim, sequence=number, key=thief.identity_key))
            with self._refused("DENIED"):
                raw = srup5.assemble(srup5.CODES["JOIN_REQ"], number, int(victim.identity, 16), srup5.new_token(), b"",
                                     thief.identity_key)
                thief.publish(server_topic, raw)
            self.u.report(victim, number % 1000, "COUNT")
        with self._refused("SEQUENCE"):
            victim.publish(victim.topic, self._data(victim, sequence=0))
        self.u.report(victim, 5, "COUNT")

    # --- M3: replay -----------------------------------------------------------------------------------------------------

    def _replay(self, device, raw):
        """The same bytes again: taken as a redelivery, not stored again."""
        repeated, facts = self.u.metrics()["messages_repeated_total"], self._facts()
        device.publish(device.topic, raw)
        until("it is counted", lambda: self.u.metrics()["messages_repeated_total"] == repeated + 1)
        now = self._facts()
        assert now == facts, [pair for pair in zip(facts, now) if pair[0] != pair[1]]

    def M3_replay_at_once(self):
        device, thief = self.u.joined("m3"), self.u.joined("m3-thief")
        raw = self._data(device, 77)
        device.publish(device.topic, raw)
        until("it is stored", lambda: self._counts(device) == [77])
        for _ in range(3):
            self._replay(device, raw)
        with self._refused("DENIED"):
            thief.publish(thief.topic, raw)
        number = srup5.decode(raw).fields["sequence_id"]
        with self._refused("REPLAY", 2):  # its number again, well signed, but another message
            device.publish(device.topic, self._data(device, 78, sequence=number))
            device.publish(device.topic, self._data(device, 77, sequence=number))  # the same but for its token
        for n in range(200):
            device.send_data("COUNT", n)
        until("all are stored", lambda: len(self._counts(device)) == 201)
        self._replay(device, raw)
        with self._refused("REPLAY"):
            device.publish(device.topic, self._data(device, 80, sequence=number))

    def M3_replay_after_server_restart(self):
        device = self.u.joined("m3-restart")
        sent = [self._data(device, n) for n in range(100)]
        for raw in sent:
            device.publish(device.topic, raw)
        until("all are stored", lambda: len(self._counts(device)) == 100)
        for restart in (lambda: self.u.restart(), lambda: self.u.restart(9)):
            restart()
            self.u.connected(device)
            for raw in (sent[0], sent[50], sent[99]):
                self._replay(device, raw)
            number = srup5.decode(sent[99]).fields["sequence_id"]
            with self._refused("REPLAY", 2):
                device.publish(device.topic, self._data(device, 5000, sequence=number))
                device.publish(device.topic, self._data(device, 5001, sequence=number - 60))
        assert sorted(self._counts(device)) == list(range(100))

    def M3_honest_message_after_restart(self):
        """Either way, also after kill -9: the very next one is taken."""
        device = self.u.joined("m3-honest")
        self.u.report(device, 1, "COUNT")
        for number, signal in enumerate((15, 9, 9)):
            self.u.restart(signal)
            self.u.connected(device)
            replays = self.u.refused("REPLAY")
            self.u.report(device, 10 + number, "COUNT")
            self.u.api.post(f"/devices/{device.identity}/actions", {"action": number}, 202)
            assert device.expect("ACTION").fields["action_id"] == number
            assert self.u.refused("REPLAY") == replays and device.dropped == []

    # --- M6, M9 ---------------------------------------------------------------------------------------------------------

    def _command(self, device):
        """A command that waits for its answer, and its token."""
        number = self.u.api.post(f"/devices/{device.identity}/actions", {"action": "beep"}, 202)["command"]
        token = device.expect("ACTION").fields["token"]
        until("it is sent", lambda: self.u.api.get(f"/commands/{number}")["state"] == "sent")
        return number, token

    def M6_foreign_token(self):
        """Never issued, another device's, of another kind, used, expired."""
        device, other = self.u.joined("m6"), self.u.joined("m6-other")
        number, token = self._command(device)
        with self._refused("NOT_FOUND"):
            device.send("RESPONSE", srup5.new_token(), status=ACTION_OK)
        with self._refused("NOT_FOUND"):
            other.send("RESPONSE", token, status=ACTION_OK)
        for status in (JOIN_ACCEPTED, DATA_UNKNOWN, 0x00, 0x10, 0x60, 0x77):
            with self._refused("NOT_FOUND"):
                device.send("RESPONSE", token, status=status)
        device.send("RESPONSE", token, status=ACTION_OK)
        assert self.u.api.final(number)["status"] == ACTION_OK
        with self._refused("NOT_FOUND"):
            device.send("RESPONSE", token, status=ACTION_FAIL)
        late, token = self._command(device)
        assert self.u.api.final(late)["state"] == "unknown"
        with self._refused("NOT_FOUND"):
            device.send("RESPONSE", token, status=ACTION_OK)
        with self._refused("NOT_FOUND"):  # nobody asked what it is
            device.send("DATA", data_id=srup5.IDENTIFICATION_ID, data=b"I am the house")
        assert (self.u.api.get(f"/commands/{number}")["status"], self.u.api.get(f"/commands/{late}")["status"]) == (ACTION_OK, None)

    def M6_join_answer_of_a_device_joins_nobody(self):
        device = self.u.registered("m6-join", "thing")
        device.send_human_join()
        device.wait_value()
        token = device.link.messages[-1].payload[20:56]
        for topic in (device.topic, f"SRUP/servers/{device.server_id}/{device.identity}"):
            device.publish(topic, device.build("RESPONSE", device.server_id, token, status=JOIN_ACCEPTED))
        time.sleep(0.5)
        assert self.u.api.state(device.identity) == "registered"

    def M9_wrong_versions_types_trailing_empty_token(self):
        device = self.u.joined("m9")

        def wrong(reason, *messages):
            with self._refused(reason, len(messages)):
                for raw in messages:
                    device.publish(device.topic, raw)

        wrong("VERSION", *(self._data(device, version=v) for v in (0, 1, 4, 6, 127, 255)))
        unknown = (0x15, 0x20, 0x22, 0x23, 0x2A, 0x2B, 0x2D, 0x30, 0x7F, 0xFF)
        wrong("TYPE", *(self._data(device, code=code) for code in unknown))
        wrong("TRAILING", self._data(device) + b"\0", self._data(device) + self._data(device))
        wrong("TOKEN", self._data(device, token=b""))
        wrong("TOO_BIG", self._data(device, token=b"t" * 65), self._data(device, token=b"t" * 65000))
        wrong("SIGNATURE", self._data(device, signature=b"\0" * 256), self._data(device, signature=b"\xff" * 256),
              self._data(device, signature=b""), self._data(device, signature=b"\1"), self._data(device, signature=b"\1" * 512),
              self._data(device, signature=bytes(255) + b"\1"), self._data(device)[:-1] + b"\x7f")
        self.u.report(device, 9, "COUNT")

    def M9_what_only_servers_say(self):
        """Well signed by a device, of types that a server sends, or on the wrong topic: nothing happens."""
        device, facts = self.u.joined("m9-types"), self._facts()
        fields = {"ACTION": {"action_id": 1}, "ID_REQ": {}, "TERMINATE_CMD": {}, "DEREGISTER_CMD": {}, "ACTIVATE": {},
                  "JOIN_CMD": {"device_id": int(device.identity, 16)}, "HM_JOIN_RESP": {"encrypted": b"x" * 332},
                  "INIT": {"url": b"https://localhost/", "digest": b"0" * 64}, "JOIN_REQ": {}, "HM_JOIN_REQ": {}}
        with self._refused(None, len(fields)):
            for name, more in fields.items():
                device.publish(device.topic, device.build(name, device.server_id, **more))
        with self._refused(None):
            device.publish(f"SRUP/servers/{device.server_id}/{device.identity}", self._data(device))
        assert self._facts() == facts and self.u.api.state(device.identity) == "joined"

    # --- broker ---------------------------------------------------------------------------------------------------------

    def _filters(self, device, other):
        server = self.u.server_id
        return ["#", "+", "+/#", "SRUP/#", "SRUP/+", f"SRUP/{other.identity}", f"SRUP/{other.identity}/#", f"SRUP/{device.identity}/#",
                f"SRUP/servers/{server}/#", f"SRUP/servers/{server}/+", f"SRUP/servers/{server}/{device.identity}",
                f"SRUP/servers/{server}/{other.identity}", f"SRUP/{server}", "$SYS/#", "$SYS/broker/version",
                f"$share/g/SRUP/{other.identity}", f"$share/g/SRUP/{device.identity}", "$share/g/#", "$CONTROL/#",
                "$CONTROL/holdfast/v1", "$CONTROL/dynamic-security/v1", "$holdfast/v1/events", "$holdfast/#"]

    def _cannot_subscribe(self, device, other):
        for topic in self._filters(device, other):
            granted = device.link.subscribe(topic)
            assert granted is None or set(granted) == {REFUSED}, (topic, granted)
            if granted is None:
                self.u.connected(device)

    def _cannot_publish(self, device, other, topics):
        """Witness is what the other device hears: only the action that the server sends it afterwards."""
        heard, before, facts = len(other.link.messages), self.u.metrics(), self._facts()[0]
        for topic in topics:
            for retain in (False, True):
                device.link.publish(topic, b"put ffff device joined ffff\n" if "CONTROL" in topic else self._data(device), 1, retain)
                if device.link.closed.wait(0.05):
                    self.u.connected(device)
        self.u.api.post(f"/devices/{other.identity}/actions", {"action": 3}, 202)
        other.expect("ACTION")
        assert [m.payload[1] for m in other.link.messages[heard:]] == [srup5.CODES["ACTION"]]
        after = self.u.metrics()
        assert after["broker_refused_total"] > before["broker_refused_total"] and self._facts()[0] == facts
        assert after["messages_received_total"] == before["messages_received_total"]

    def B2_a_registered_device_may_only_ask_to_join(self):
        device, other = self.u.registered("b2", "thing"), self.u.joined("b2-other")
        assert device.link.subscribe(device.topic) == (1,)
        self._cannot_subscribe(device, other)
        server = self.u.server_id
        self._cannot_publish(device, other, [device.topic, other.topic, f"SRUP/servers/{server}/{other.identity}",
                                             f"SRUP/servers/{server}", "$CONTROL/holdfast/v1", "$holdfast/v1/events"])
        device.send_human_join()
        assert device.wait_value()

    def B3_a_joined_device_stays_at_its_own(self):
        device, other = self.u.joined("b3"), self.u.joined("b3-other")
        self._cannot_subscribe(device, other)
        server = self.u.server_id
        self._cannot_publish(device, other, [other.topic, other.topic + "/x", f"SRUP/servers/{server}/{other.identity}",
                                             f"SRUP/{server}", "SRUP", "/", "x", "$SYS/broker/version", "$CONTROL/holdfast/v1",
                                             "$CONTROL/dynamic-security/v1", "$holdfast/v1/events", "$share/g/x"])
        self.u.report(device, 3, "COUNT")
        other.close()
        other.connect()
        time.sleep(0.3)
        assert not other.link.messages  # nothing was retained for it

    def B3_a_will_elsewhere_is_refused(self):
        device, other = self.u.joined("b3-will"), self.u.joined("b3-will-other")
        device.close()
        for topic in (other.topic, f"SRUP/servers/{self.u.server_id}/{other.identity}", "$CONTROL/holdfast/v1", "x"):
            for retain in (False, True):
                link = device.link_as(will=(topic, self._data(device), 1, retain))
                if link.let_in():
                    link.drop()
                    time.sleep(0.2)
                link.close()
        self.u.api.post(f"/devices/{other.identity}/actions", {"action": 3}, 202)
        other.expect("ACTION")
        assert [m.payload[1] for m in other.link.messages] == [srup5.CODES["RESPONSE"], srup5.CODES["ACTION"]]
        device.connect()
        self.u.report(device, 4, "COUNT")

    def B4_another_client_id_is_refused(self):
        device, other = self.u.joined("b4"), self.u.joined("b4-other")
        server = self.u.server_id
        for name in (f"SRUP Client: {other.identity}", other.identity, f"{server}/data", f"{server}/control", f"{server}/out",
                     "holdfast-control", "", "x", f"{device.identity}/data", device.identity.upper() + "0", f"{other.identity} "):
            link = device.link_as(name)
            assert not link.let_in(3), name
            link.close()
        assert not other.link.closed.is_set()
        self.u.report(other, 4, "COUNT")
        self.u.report(self.u.connected(device), 4, "COUNT")
