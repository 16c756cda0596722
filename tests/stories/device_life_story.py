#!/usr/bin/python3
"""device_life_story - how an airmonitor leaves, comes back, renews its certificate, and survives what happens to it.

As device_story.py: fake KeyEx, a real broker, a C2 server of the reference kind. HOLDFAST_BIN: the directory of the
programs. HOLDFAST_PORT_BASE: the ports +443 and +883 are used. Arguments: names of tests (default all). Prints "ok NAME"
for each that passed; last line "N passed, N failed".
"""
import datetime
import signal
import sys
import time

from device_stage import ACTION_OK, LED_TOGGLE, Stage, run, shim, until
import srup5

YEAR_S = 366 * 86400


def _toggles(stage, monitor):
    """The very next honest command is done; answers to earlier ones may still come in."""
    before, token = len(monitor.lines("led")), srup5.new_token()
    stage.server.counters[int(monitor.id, 16)] += 100
    stage.server.send(monitor.id, "ACTION", token, action_id=LED_TOGGLE)
    while (answer := stage.server.expect("RESPONSE").fields)["token"] != token:
        pass
    assert answer["status"] == ACTION_OK and len(monitor.lines("led")) > before


def _numbers_are_unique(stage, device):
    """No sequence id stands on two messages; how many were heard."""
    sent = stage.sent_by(device)
    assert all(len(payloads) == 1 for payloads in sent.values())
    return len(sent)


def _heard(stage, device, name):
    """What was published on a device's topic, of that type, each once."""
    found = [m.payload for m in list(stage.spy.messages) if m.topic == f"SRUP/{device}"]
    return [payload for payload in dict.fromkeys(found) if srup5.decode(payload).name == name]


def _broker_returns(stage, device):
    """With those who listen, before the device: a reference server subscribes to its devices at their joins only."""
    stage.start_broker()
    for link, topic in ((stage.server.link, f"SRUP/{device}/#"), (stage.spy, "#")):
        until(lambda link=link: not link.closed.is_set() and link.client.is_connected(), "they are back")
        assert link.subscribe(topic)


# --- leaving ----------------------------------------------------------------------------------------------------------

def resign_and_rejoin():
    with Stage() as stage:
        monitor = stage.joined()
        device = monitor.id
        assert "taken by the airmonitor" in monitor.wish("resign")
        assert monitor.wait_line("left server=").endswith('what="own wish"')
        stage.server.expect("RESIGN_REQ")
        assert device not in stage.server.devices
        monitor.stop()
        monitor.start().wait_line("online", 2)
        time.sleep(1)
        heard = len(stage.sent_by(device))
        time.sleep(1)
        assert len(stage.sent_by(device)) == heard and len(monitor.lines("join asked")) == 1
        assert "taken" in monitor.wish("rejoin")
        monitor.wait_line("joined server=", 2)
        assert monitor.id == device and len(stage.keyex.devices) == 1
        _toggles(stage, monitor)
        _numbers_are_unique(stage, device)


def a_wish_waits_for_a_start_and_for_the_broker():
    with Stage() as stage:
        monitor = stage.joined()
        monitor.stop()
        assert "nobody runs" in monitor.wish("resign")
        stage.stop_broker()
        monitor.start().wait_trouble("next try in")
        assert "is refused: that is not possible" in monitor.wish("rejoin", status=1)
        monitor.stop(signal.SIGKILL)
        assert not monitor.lines("left")
        _broker_returns(stage, monitor.id)
        monitor.start().wait_line("left server=")
        stage.server.expect("RESIGN_REQ")


def terminated_by_the_server():
    with Stage() as stage:
        monitor = stage.joined()
        device = monitor.id
        stage.server.counters[int(device, 16)] += 100
        stage.server.send_terminate(device)
        assert monitor.wait_line("left server=").endswith('what="the server\'s command"')
        monitor.stop(signal.SIGKILL)
        monitor.start().wait_line("online", 2)
        time.sleep(1)
        assert len(monitor.lines("join asked")) == 1
        monitor.wish("rejoin")
        monitor.wait_line("joined server=", 2)
        for payload in _heard(stage, device, "TERMINATE_CMD"):
            stage.server.publish(f"SRUP/{device}", payload)
        monitor.wait_line("message refused error=REPLAY")
        _toggles(stage, monitor)


def deregister_and_begin_anew():
    with Stage() as stage:
        monitor = stage.joined()
        device = monitor.id
        assert stage.command(stage.server.send_data, device, "PM25-LIMIT", 1.5) == ACTION_OK
        size = (monitor.dir / "store.hf").stat().st_size
        monitor.wish("deregister")
        assert monitor.wait_line("deregistered id=") == f'deregistered id={device} what="own wish"'
        stage.server.expect("DEREGISTER_REQ")
        assert size > 2000 and (monitor.dir / "store.hf").stat().st_size < 100
        asked = len(stage.keyex.requests)
        monitor.stop(signal.SIGKILL)
        assert monitor.start().wait_line("deregistered", 2) == 'deregistered what="earlier"'
        time.sleep(1)
        assert len(stage.keyex.requests) == asked and len(monitor.lines("online")) == 1
        monitor.wish("rejoin")
        monitor.wait_line("joined server=", 2)
        assert monitor.id != device and len(stage.keyex.devices) == 2
        assert not monitor.lines("alarm raised")[2:]  # the limit is its own again
        _toggles(stage, monitor)


def deregistered_by_the_server():
    with Stage() as stage:
        monitor = stage.joined()
        device = monitor.id
        stage.server.counters[int(device, 16)] += 100
        stage.server.send_deregister(device)
        assert monitor.wait_line("deregistered id=").endswith('what="the server\'s command"')
        monitor.stop()
        monitor.start().wait_line("deregistered", 2)
        assert len(stage.keyex.devices) == 1


def killed_while_it_is_wiped():
    """kill -9 at file operations all through the wiping: it goes on at the next start, or is whole."""
    ends = set()
    with Stage() as stage:
        library = shim(stage.dir)
        for n in (1, 2, 4, 5, 7, 8, 11, 14, 18, 22, 26, 30, 33):
            monitor = stage.monitor(f"device{n}").start()
            monitor.wait_line("joined server=")
            monitor.stop()
            monitor.wish("deregister")
            monitor.start(env={"LD_PRELOAD": library, "HF_SHIM_KILL": str(n)})
            assert monitor.wait_end() == -signal.SIGKILL, n
            ends.add(bool(monitor.lines("leaving")))
            monitor.start().wait_line("deregistered")
            assert (monitor.dir / "store.hf").stat().st_size < 100
            assert "joined" not in monitor.lines()[-1]
            monitor.stop()
    assert ends == {False, True}


# --- certificates -----------------------------------------------------------------------------------------------------

def certificates_are_renewed_in_time():
    """With certificates of half a minute: over two of their ends it stays joined and no reading is lost."""
    with Stage() as stage:
        stage.keyex.life = datetime.timedelta(seconds=24)
        begin = time.monotonic()
        monitor = stage.joined(interval_ms=100)
        device = monitor.id
        renewed = until(lambda: len(monitor.lines("certificate renewed")) and time.monotonic(), "renewed")
        assert 12 < renewed - begin < 20, renewed - begin
        monitor.wait_line("joined server=", 2)
        time.sleep(max(0, begin + 25 - time.monotonic()))  # what it began with is over now
        stage.stop_broker()
        _broker_returns(stage, device)
        monitor.wait_line("joined server=", 3)
        _toggles(stage, monitor)
        assert len(monitor.lines("join asked")) == len(monitor.lines("registered")) == 1
        assert monitor.stop() == 0
        sent = int(monitor.wait_line("stopped").split("readings_sent=")[1].split()[0])
        assert "dropped=0" in monitor.wait_line("stopped") and sent > 500
        _numbers_are_unique(stage, device)


def an_expired_certificate_is_renewed_at_once():
    """Switched off past its end: the broker refuses it, KeyEx still knows the key. KeyEx comes back late."""
    with Stage() as stage:
        stage.keyex.life = datetime.timedelta(seconds=2)
        monitor = stage.joined()
        monitor.stop()
        time.sleep(2)
        stage.keyex.life = datetime.timedelta(days=30)
        monitor.start()
        monitor.wait_line("certificate renewed")
        monitor.wait_line("joined server=", 2)
        assert "the time of our certificate is over" in monitor.err.read_text()
        assert len(monitor.lines("join asked")) == len(monitor.lines("registered")) == 1
        _toggles(stage, monitor)


# --- what happens to it -----------------------------------------------------------------------------------------------

def M3_device_killed_at_every_file_operation():
    """kill -9 at the n-th file operation of a start with commands coming in; then all of them are repeated, twice."""
    with Stage() as stage:
        library, monitor = shim(stage.dir), stage.joined(interval_ms=100)
        device = monitor.id
        monitor.stop()
        for n in range(1, 17):
            monitor.start(interval_ms=100, env={"LD_PRELOAD": library, "HF_SHIM_KILL": str(n)})
            while monitor.process.poll() is None:
                stage.server.counters[int(device, 16)] += 100
                stage.server.send_action(device, LED_TOGGLE)
                time.sleep(0.03)
            assert monitor.wait_end() == -signal.SIGKILL
            joined = len(monitor.lines("joined server="))
            monitor.start(interval_ms=100).wait_line("joined server=", joined + 1)
            captured = _heard(stage, device, "ACTION")
            for payload in captured:  # before anything newer, which would make them too old
                stage.server.publish(f"SRUP/{device}", payload)
            _toggles(stage, monitor)
            done = len(monitor.lines("led"))
            assert done <= len(captured) + 1
            for payload in captured:
                stage.server.publish(f"SRUP/{device}", payload)
            _toggles(stage, monitor)
            assert len(monitor.lines("led")) == done + 1
            assert monitor.stop() == 0
        assert _numbers_are_unique(stage, device) > 100


def a_silent_broker_is_noticed():
    """Stopped, not ended: the connection stays half open. The keepalive finds out, and readings wait."""
    with Stage() as stage:
        monitor = stage.joined("--keepalive-s", "5", interval_ms=1000)
        device = monitor.id
        stage.broker.send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        monitor.wait_line("offline")
        assert time.monotonic() - begin < 15
        stage.broker.send_signal(signal.SIGCONT)
        until(lambda: len(monitor.lines("joined server=")) > 1, "joined again")
        _toggles(stage, monitor)
        assert monitor.stop() == 0 and "dropped=0" in monitor.wait_line("stopped")
        _numbers_are_unique(stage, device)


def the_clock_jumps_while_it_runs():
    """To 1970, 2038 and 2100 and back: readings, commands and the connection do not mind, and it asks KeyEx at most once."""
    with Stage() as stage:
        clock = stage.dir / "clock"
        clock.write_text("0")
        library = shim(stage.dir)
        monitor = stage.monitor().start(interval_ms=100, env={"LD_PRELOAD": library, "HF_SHIM_CLOCK": clock})
        monitor.wait_line("joined server=")
        device, asked = monitor.id, len(stage.keyex.requests)
        for wrong in (-57 * YEAR_S, 12 * YEAR_S, 75 * YEAR_S, 7000 * YEAR_S, -3600, 0):
            clock.write_text(str(wrong))
            heard = len(stage.sent_by(device))
            until(lambda heard=heard: len(stage.sent_by(device)) > heard + 20, "readings go on")
            _toggles(stage, monitor)
        time.sleep(5)
        assert len(stage.keyex.requests) <= asked + 1 and len(monitor.lines("certificate not renewed")) <= 1
        assert len(monitor.lines("offline")) == 0 and len(monitor.lines("join asked")) == 1
        assert monitor.stop() == 0


def the_clock_is_wrong_at_the_start():
    """TLS needs the time: with a wrong clock nobody is trusted; it tries on, keeps what it has, and is back once it is right."""
    with Stage() as stage:
        clock = stage.dir / "clock"
        monitor, library = stage.joined(), shim(stage.dir)
        monitor.stop()
        for number, wrong in enumerate((-57 * YEAR_S, 12 * YEAR_S)):
            clock.write_text(str(wrong))
            asked = len(stage.keyex.requests)
            monitor.start(env={"LD_PRELOAD": library, "HF_SHIM_CLOCK": clock})
            monitor.wait_trouble(("not yet valid", "has expired")[number])
            time.sleep(6)
            assert len(stage.keyex.requests) == asked and len(monitor.lines("certificate not renewed")) <= 1
            clock.write_text("0")
            monitor.wait_line("joined server=", number + 2)
            _toggles(stage, monitor)
            monitor.stop()
        assert len(monitor.lines("registered")) == len(monitor.lines("join asked")) == 1


def main():
    return run(globals())


if __name__ == "__main__":
    sys.exit(main())
