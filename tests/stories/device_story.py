#!/usr/bin/python3
"""device_story - airmonitor as a process, with a fake KeyEx, a real broker and a C2 server of the reference kind.

HOLDFAST_BIN: the directory of the programs. HOLDFAST_PORT_BASE: the ports +443 and +883 are used. Arguments: names of
tests (default all). Prints "ok NAME" for each that passed; last line "N passed, N failed".
"""
import signal
import subprocess
import sys
import time

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from device_stage import (ACTION_FAIL, ACTION_OK, ACTION_UNKNOWN, BIN, DATA_UNKNOWN, DEADLINE_S, HTTPS_PORT, LED_OFF,
                          LED_ON, LED_TOGGLE, SAMPLE, Stage, run, until)
from fake_keyex import Authority
import srup5


# --- joins ----------------------------------------------------------------------------------------------------------

def simple_join():
    with Stage() as stage:
        monitor = stage.joined("--join", "simple")
        fields = stage.server.expect("DATA").fields
        assert fields["data_id"] in (b"LED", b"ALARM"), fields
        assert monitor.lines("join asked") == [f'join asked server={stage.keyex.server_id} what="simple"']
        assert stage.keyex.requests[:2] == ["status", "get_key"]
        assert stage.keyex.devices[monitor.id]["type"] == "airmonitor"


def moderated_join_by_code():
    with Stage() as stage:
        stage.ask_moderated()
        monitor = stage.monitor().start("--keyex-key", stage.dir / "keyex_pub.pem")
        line = monitor.wait_line("join waiting code=")
        device = monitor.id
        assert line.endswith(stage.codes[device]) and monitor.code == stage.codes[device]
        assert (monitor.dir / "code.txt").stat().st_mode & 0o777 == 0o600
        assert not stage.sent_by(device).keys() & {0} and not monitor.lines("joined")
        stage.server.finish_join(device)
        monitor.wait_line("joined server=")
        until(lambda: monitor.code is None, "the code is gone")


def refused_join_is_asked_again():
    with Stage() as stage:
        stage.ask_moderated()
        monitor = stage.monitor().start("--join", "moderated")
        monitor.wait_line("join waiting code=")
        first = monitor.code
        stage.server.finish_join(monitor.id, srup5.JOIN_FAILED)
        assert "error=DENIED" in monitor.wait_line("join failed")
        monitor.wait_line("join waiting code=", 2)
        assert monitor.code not in (None, first)


def joined_stays_joined():
    with Stage() as stage:
        monitor = stage.joined()
        device = monitor.id
        assert monitor.stop() == 0
        monitor.start().wait_line("joined server=", 2)
        assert monitor.id == device and len(monitor.lines("join asked")) == 1 and len(monitor.lines("registered")) == 1


# --- commands -------------------------------------------------------------------------------------------------------

def actions():
    with Stage() as stage:
        monitor = stage.joined()
        device, act = monitor.id, stage.server.send_action
        assert stage.command(act, device, LED_ON) == ACTION_OK
        assert stage.command(act, device, LED_TOGGLE) == ACTION_OK
        assert stage.command(act, device, LED_OFF) == ACTION_OK
        assert stage.command(act, device, 3) == ACTION_UNKNOWN
        assert monitor.lines("led") == ["led on", "led off", "led off"]


def lamp_of_the_board():
    with Stage() as stage:
        lamp = stage.dir / "lamp"
        lamp.mkdir()
        monitor = stage.joined("--led", lamp)
        assert stage.command(stage.server.send_action, monitor.id, LED_ON) == ACTION_FAIL
        (lamp / "brightness").write_text("")
        assert stage.command(stage.server.send_action, monitor.id, LED_ON) == ACTION_OK
        assert (lamp / "brightness").read_text() == "1\n"


def settings_outlive_a_restart():
    with Stage() as stage:
        monitor = stage.joined()
        device, put = monitor.id, stage.server.send_data
        assert stage.command(put, device, "PM25-LIMIT", 1.5) == ACTION_OK
        assert stage.command(put, device, "PM25-LIMIT", -1.0) == ACTION_FAIL
        assert stage.command(put, device, "PM25-LIMIT", 7) == ACTION_FAIL
        assert stage.command(put, device, "NOTHING", 1) == DATA_UNKNOWN
        assert monitor.wait_line("alarm raised").endswith("limit=1.5")
        monitor.stop(signal.SIGKILL)
        monitor.start().wait_line("alarm raised", 2)


def identification():
    with Stage() as stage:
        monitor = stage.joined(interval_ms=5000)
        stage.server.counters[int(monitor.id, 16)] += 100
        stage.server.send_id_request(monitor.id)
        while (fields := stage.server.expect("DATA").fields)["data_id"] != srup5.IDENTIFICATION_ID:
            pass  # readings
        assert fields["data"].startswith(b"Holdfast airmonitor ")


# --- attacks and accidents ------------------------------------------------------------------------------------------

def M3_device_killed_over_and_over():
    """kill -9 while readings leave: no sequence id ever stands on two messages,."""
    with Stage() as stage:
        monitor = stage.joined(interval_ms=100)
        device = monitor.id
        for life in range(12):
            time.sleep(0.1 + life * 0.03)
            monitor.stop(signal.SIGKILL)
            monitor.start(interval_ms=100).wait_line("joined server=", life + 2)
            assert stage.command(stage.server.send_action, device, LED_TOGGLE) == ACTION_OK
        sent = stage.sent_by(device)
        assert len(sent) > 60, len(sent)
        assert all(len(payloads) == 1 for payloads in sent.values())


def M3_device_replay_after_kill():
    with Stage() as stage:
        monitor = stage.joined()
        device = monitor.id
        assert stage.command(stage.server.send_action, device, LED_TOGGLE) == ACTION_OK
        actions_seen = [m.payload for m in stage.spy.messages if srup5.decode(m.payload).name == "ACTION"]
        monitor.stop(signal.SIGKILL)
        monitor.start().wait_line("joined server=", 2)
        for _ in range(3):
            stage.server.publish(f"SRUP/{device}", actions_seen[-1])
        monitor.wait_line("message refused error=REPLAY", 3)
        assert len(monitor.lines("led")) == 1
        assert stage.command(stage.server.send_action, device, LED_TOGGLE) == ACTION_OK


def M2_device_forged_highest_sequence():
    with Stage() as stage:
        monitor = stage.joined()
        device, stranger = monitor.id, rsa.generate_private_key(65537, 2048)
        for sequence in (2**64 - 1, 2**63):
            fields = {"sequence_id": sequence, "sender_id": int(stage.keyex.server_id, 16), "token": b"x",
                      "action_id": LED_ON}
            stage.server.publish(f"SRUP/{device}", srup5.encode("ACTION", fields, stranger))
        monitor.wait_line("message refused error=SEQUENCE")
        monitor.wait_line("message refused error=SIGNATURE")
        assert not monitor.lines("led")
        assert stage.command(stage.server.send_action, device, LED_ON) == ACTION_OK


def readings_wait_while_the_broker_is_gone():
    with Stage() as stage:
        monitor = stage.joined(interval_ms=100)
        device = monitor.id
        until(lambda: len(stage.sent_by(device)) > 5, "some readings")
        stage.stop_broker()
        monitor.wait_line("offline")
        time.sleep(1)
        before = len(stage.sent_by(device))
        stage.start_broker()
        monitor.wait_line("joined server=", 2)
        until(lambda: len(stage.sent_by(device)) > before + 40, "what was kept: ten samples of four, and more")
        assert all(len(payloads) == 1 for payloads in stage.sent_by(device).values())
        assert monitor.stop() == 0
        assert "dropped=0" in monitor.wait_line("stopped")


def K9_device_refuses_a_strange_broker():
    """Right name but another CA; right CA but another name, or a certificate that is for clients."""
    with Stage() as stage:
        monitor = stage.joined()
        keyex = stage.keyex
        strange = Authority("strange CA")
        keyex._leaf(strange, "strange", "localhost", ExtendedKeyUsageOID.SERVER_AUTH)
        keyex._leaf(keyex.broker_ca, "client", "localhost", ExtendedKeyUsageOID.CLIENT_AUTH)
        for leaf, trouble in (("strange", "unable to get local issuer certificate"),
                              ("client", "unsuitable certificate purpose")):
            stage.stop_broker()
            stage.start_broker(leaf)
            monitor.wait_trouble(f"the broker's certificate is refused: {trouble}")
        assert len(monitor.lines("online")) == 1


def K9_device_refuses_a_broker_of_another_name():
    """The broker is found by a name or address that its certificate does not have."""
    with Stage(with_server=False) as stage:
        stage.keyex.broker = "mqtt://127.1"  # the same machine, but not what the certificate says
        stage.monitor().start().wait_trouble("certificate is refused: ")
    with Stage(with_server=False) as stage:
        stage.keyex.broker = "127.0.0.1"
        stage.monitor().start().wait_line("online")


def wrong_keyex_key_is_refused():
    with Stage(with_server=False) as stage:
        other = stage.dir / "other.pem"
        other.write_bytes(srup5.public_pem(rsa.generate_private_key(65537, 2048)))
        monitor = stage.monitor().start("--keyex-key", other)
        assert 'what="validate" error=SIGNATURE' in monitor.wait_line("registration failed")
        assert not monitor.lines("registered")


def strange_web_certificate_is_refused():
    with Stage(with_server=False) as stage:
        monitor = stage.monitor().start("--ca", stage.dir / "broker_ca.crt")
        assert "error=UNREACHABLE" in monitor.wait_line("registration failed")
        monitor.wait_trouble("certificate")
        assert not stage.keyex.requests


def half_made_registration_is_made_anew():
    with Stage(with_server=False) as stage:
        stage.keyex.broken["access"] = 500
        monitor = stage.monitor().start()
        monitor.wait_line('registration failed what="access" error=BUSY')
        stage.keyex.broken.clear()
        monitor.wait_line("registered id=")
        assert len(stage.keyex.devices) == 2


def damaged_store_is_refused_not_reset():
    with Stage() as stage:
        monitor = stage.joined()
        monitor.stop()
        store = monitor.dir / "store.hf"
        data = bytearray(store.read_bytes())
        data[100] ^= 1
        store.write_bytes(data)
        assert monitor.start().wait_end() == 1
        assert "is damaged" in monitor.err.read_text() and store.read_bytes() == data


def one_process_a_directory():
    with Stage() as stage:
        monitor = stage.joined()
        second = stage.monitor("second")
        second.dir = monitor.dir
        assert second.start().wait_end() == 1
        assert "another process uses the directory" in second.err.read_text()


def SIGTERM_ends_it_at_any_time():
    with Stage(with_server=False) as stage:
        stage.keyex.close()
        monitor = stage.monitor().start()
        monitor.wait_line("registration failed")
        begin = time.monotonic()
        assert monitor.stop() == 0 and time.monotonic() - begin < 2
        assert monitor.lines("stopped")


def usage():
    base = ["--server", f"https://localhost:{HTTPS_PORT}", "--ca", "/dev/null", "--data", "/nonexistent/x"]
    cases = [([], 2, "--server, --ca and --data are needed"), (base, 2, "one of --replay and --iio is needed"),
             ([*base, "--replay", SAMPLE, "--iio", "x"], 2, "one of --replay and --iio is needed"),
             ([*base, "--join", "never"], 2, "--join takes"), ([*base, "--interval-ms", "99"], 2, "out of range"),
             ([*base, "--broker-port", "70000"], 2, "out of range"), ([*base, "--keepalive-s", "4"], 2, "out of range"),
             (["--resign"], 2, "--data is needed"), (["--data", "/x", "--resign", "--rejoin"], 2, "one wish at a time"),
             (["--data", "/nonexistent/x", "--resign"], 1, "holds no device"), ([*base, "more"], 2, "no such argument: more"),
             (["--nonsense"], 2, "unrecognized option"), ([*base, "--replay", "/none.csv"], 1, "cannot read /none.csv"),
             ([*base, "--replay", SAMPLE], 1, "cannot make the directory /nonexistent/x"),
             ([*base, "--replay", SAMPLE, "--ca", "/none.crt"], 1, "cannot read the CA file /none.crt"),
             ([*base, "--replay", SAMPLE, "--server", "http://x"], 1, "must look like https://"),
             (["--help"], 0, "usage: airmonitor"), (["--version"], 0, "airmonitor ")]
    for arguments, status, text in cases:
        done = subprocess.run([BIN / "airmonitor", *arguments], capture_output=True, text=True, timeout=DEADLINE_S)
        assert done.returncode == status and text in done.stdout + done.stderr, (arguments, done)


def main():
    return run(globals())


if __name__ == "__main__":
    sys.exit(main())
