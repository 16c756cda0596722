#!/usr/bin/python3
"""device_attack_story - attacks on a real airmonitor: by other clients of a whole universe, and by the broker itself.

What version 5 holds and what it does not is in docs/security.md (M4, M12). HOLDFAST_BIN: the directory of the programs.
HOLDFAST_PORT_BASE: the ports +443 and +883 are used. Arguments: names of tests (default all). Prints "ok NAME" for each
that passed; last line "N passed, N failed".
"""
import random
import sys
import time

from cryptography.hazmat.primitives.asymmetric import rsa

from device_stage import LED_ON, LED_TOGGLE, Stage, run
from universe import Universe, until
import srup5


def _action(stage, device, **wrong):
    """An ACTION of the server for a device, with parts of it wrong; takes the next number."""
    stage.server.counters[int(device, 16)] += 100
    fields = {"sequence_id": stage.server.next_sequence(device), "sender_id": int(stage.server.identity, 16),
              "token": srup5.new_token(), "action_id": LED_TOGGLE}
    key = wrong.pop("key", stage.server.identity_key)
    return srup5.encode("ACTION", {**fields, **wrong}, key)


def _done(stage, monitor, raw):
    """Publishes one message and then an honest one; how often the lamp was switched before that."""
    before = len(monitor.lines("led"))
    stage.server.publish(f"SRUP/{monitor.id}", raw)
    token = srup5.new_token()
    stage.server.publish(f"SRUP/{monitor.id}", _action(stage, monitor.id, token=token))
    while stage.server.expect("RESPONSE").fields["token"] != token:
        pass
    return len(monitor.lines("led")) - before - 1


def M12_device_and_a_broker_that_repeats_reorders_and_injects():
    """The broker has no plugin: whoever is on it may publish what it likes wherever it likes, as a broker that was taken over."""
    with Stage() as stage:
        monitor = stage.joined(interval_ms=1000)
        device, topic = monitor.id, f"SRUP/{monitor.id}"
        honest = [_action(stage, device) for _ in range(12)]
        stranger = rsa.generate_private_key(65537, 2048)
        bad = [_action(stage, device, key=stranger), _action(stage, device, sender_id=int(device, 16) ^ 1),
               _action(stage, device, sender_id=int(device, 16) ^ 1, key=stranger)]
        for raw in honest:
            at = random.randrange(len(raw))
            bad.append(raw[:at] + bytes([raw[at] ^ 1 << random.randrange(8)]) + raw[at + 1:])
        for raw in bad:
            stage.server.publish(topic, raw)
        for raw in honest + bad + honest[::-1] + honest:  # in order, again, backwards
            stage.server.publish(topic, raw)
        stage.server.publish(topic, _action(stage, device, action_id=LED_ON))
        until("the last one is done", lambda: len(monitor.lines("led")) >= len(honest) + 1)
        time.sleep(0.5)
        assert len(monitor.lines("led")) == len(honest) + 1
        refused = [line.split("error=")[1].split()[0] for line in monitor.lines("message refused")]
        assert {"REPLAY", "SIGNATURE", "DENIED"} <= set(refused) and len(refused) >= 2 * len(honest), set(refused)


def M12_device_takes_a_held_back_message_once_or_never():
    """Held back and given later: done once while its number is within the window, never once it is not, and never twice."""
    with Stage() as stage:
        monitor = stage.joined(interval_ms=60000)
        stage.server.counters[int(monitor.id, 16)] += 100000  # its own numbers are far below
        late, soon = _action(stage, monitor.id), _action(stage, monitor.id)
        assert _done(stage, monitor, soon) == 1
        assert _done(stage, monitor, late) == 0  # more than 64 below
        last = srup5.decode(_action(stage, monitor.id)).fields["sequence_id"]
        high, below = _action(stage, monitor.id, sequence_id=last + 60), _action(stage, monitor.id, sequence_id=last + 20)
        before = len(monitor.lines("led"))
        for raw in (high, below, below, high):
            stage.server.publish(f"SRUP/{monitor.id}", raw)
        until("both are done", lambda: len(monitor.lines("led")) >= before + 2)
        time.sleep(0.3)
        assert len(monitor.lines("led")) == before + 2


def M4_other_clients_cannot_write_to_a_device():
    """A device, joined or not, hands a captured command for it to another: refused by the broker, nothing arrives."""
    with Universe(c2=["second"]) as u:
        u.put_sensor()
        monitor, accomplice, fresh = u.joined_monitor(), u.joined("accomplice"), u.registered("fresh", "thing")
        u.api.post(f"/devices/{accomplice.identity}/actions", {"action": 1}, 202)
        accomplice.expect("ACTION")
        raw = next(m.payload for m in accomplice.link.messages if srup5.decode(m.payload).name == "ACTION")
        before, refused = len(monitor.lines()), u.metrics()["broker_refused_total"]
        for device in (accomplice, fresh):
            for topic in (f"SRUP/{monitor.id}", f"SRUP/{monitor.id}/", f"SRUP/servers/{u.server_id}/{monitor.id}"):
                for retain in (False, True):
                    device.link.publish(topic, raw, 1, retain)
                    device.link.closed.wait(0.1)
                    u.connected(device)
            link = device.link_as(f"{device.identity}", will=(f"SRUP/{monitor.id}", raw, 1, False))
            if link.let_in(3):
                link.drop()
            link.close()
        until("they are counted", lambda: u.metrics()["broker_refused_total"] >= refused + 8)
        number = u.api.post(f"/devices/{monitor.id}/actions", {"action": 1}, 202)["command"]
        assert u.api.final(number)["status"] == 0x20
        lines = monitor.lines()[before:]
        assert [line for line in lines if line.startswith("led")] == ["led on"], lines
        assert not [line for line in lines if line.startswith("message refused")], lines


def M4_a_strange_server_is_refused_by_the_device():
    """A C2 server of the universe may write to every device, to answer joins: the device takes nothing of its own making."""
    with Universe(c2=["second"]) as u:
        monitor, server = u.joined_monitor(), u.reference_server("second")
        server.register()
        server.connect()
        before = len(monitor.lines("led"))
        for name, more in (("ACTION", {"action_id": 1}), ("ID_REQ", {}), ("TERMINATE_CMD", {}), ("DEREGISTER_CMD", {}),
                           ("RESPONSE", {"status": srup5.JOIN_ACCEPTED}), ("JOIN_CMD", {"device_id": int(monitor.id, 16)})):
            server.send(monitor.id, name, **more)
        monitor.wait_line("message refused error=DENIED", 6)
        fields = {"sequence_id": 2**40, "sender_id": int(u.server_id, 16), "token": b"x"}
        for name, more in (("ACTION", {"action_id": 1}), ("TERMINATE_CMD", {}), ("DEREGISTER_CMD", {})):
            server.publish(f"SRUP/{monitor.id}", srup5.encode(name, {**fields, **more}, server.identity_key))
        monitor.wait_line("message refused error=SIGNATURE", 3)
        number = u.api.post(f"/devices/{monitor.id}/actions", {"action": 1}, 202)["command"]
        assert u.api.final(number)["status"] == 0x20 and len(monitor.lines("led")) == before + 1
        assert not monitor.lines("left") + monitor.lines("deregistered") + monitor.lines("offline")


def main():
    return run(globals())


if __name__ == "__main__":
    sys.exit(main())
