#!/usr/bin/python3
"""broker_story - attacks on a real mosquitto with the plugin: who gets in, who may use which topic, who is cut off.

HOLDFAST_BIN: the directory of the programs; the plugin is taken from its ../lib. HOLDFAST_PORT_BASE: the broker listens
at +883, without it at any free port. HOLDFAST_BROKER_WRAP: a command put before mosquitto, such as valgrind.
Arguments: names of tests (default all). Prints "ok NAME" for each that passed; last line "N passed, N failed".
"""
import resource
import signal
import socket
import ssl
import sys
import time
import traceback
import warnings

from cryptography.x509.oid import ExtendedKeyUsageOID
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from broker_stage import (ALICE, BOB, CAROL, CONF, DEADLINE_S, EVENTS, KICKED, KNOWN, NOT_AUTHORIZED, OK, PASSED_ON,
                          REFERENCE, SERVER, SERVER2, TABLE, Authority, Client, Control, Stage)


def B1_revoke_live_session():
    with Stage() as stage:
        control = Control(stage).listen()
        alice = stage.join(ALICE, clean=False)
        old = stage.join(CAROL, f"SRUP Client: {CAROL}", version=4, clean=False)
        bob = stage.join(BOB)
        assert control.publish(f"SRUP/{ALICE}", b"before") == OK and alice.message()[1] == b"before"
        begin = time.monotonic()
        assert control.change(f"revoke {ALICE}", f"revoke {CAROL}") == OK
        took = time.monotonic() - begin
        assert took < 1, took
        assert control.publish(f"SRUP/{ALICE}", b"after") == NOT_AUTHORIZED
        assert alice.wait("disconnect") == KICKED
        assert alice.wait("closed") and old.wait("closed")
        assert alice.messages == [b"before"]
        control.event("kicked", ALICE), control.event("off", ALICE), control.event("kicked", CAROL)
        stage.refused(ALICE, clean=False)
        stage.refused(CAROL, f"SRUP Client: {CAROL}", version=4)
        control.event("refused unknown", ALICE)
        assert control.publish(f"SRUP/{BOB}", b"on") == OK and bob.message()[1] == b"on"


def B1_session_and_queue_gone():
    """The purge: a clean connect of the control identity under the victim's client id ends its kept session."""
    with Stage() as stage:
        control = Control(stage).listen()
        alice = stage.join(ALICE, clean=False)
        alice.close()
        control.event("off", ALICE)
        assert control.publish(f"SRUP/{ALICE}", b"queued") == OK
        assert control.change(f"revoke {ALICE}") == OK
        Control(stage, client_id=ALICE).close()
        assert control.change(f"put {ALICE} device joined {SERVER}") == OK
        again = stage.join(ALICE, clean=False)
        assert not again.present
        assert control.publish(f"SRUP/{ALICE}", b"new") == OK and again.message()[1] == b"new"


def B1_revoked_stays_out_after_broker_kill():
    with Stage() as stage:
        control = Control(stage)
        control.fill(KNOWN, 1)
        stage.join(ALICE)
        assert control.change(f"revoke {ALICE}") == OK
        stage.kill()
        stage.start()
        stage.refused(ALICE)
        stage.join(BOB)
        # A snapshot written before the revocation came: its journal does not go on, but still takes away.
        stage.kill()
        stage.snapshot(KNOWN, 2)
        stage.start()
        stage.refused(ALICE)
        stage.kill()
        stage.start()
        stage.refused(ALICE)
        stage.join(BOB)


def B1_revoke_between_reset_and_commit():
    with Stage() as stage:
        control = Control(stage)
        alice = stage.join(ALICE)
        assert control.change("reset", *KNOWN[:3]) == OK
        assert control.change(f"revoke {ALICE}") == OK and alice.wait("closed")
        stage.snapshot(KNOWN, 7)
        assert control.change(*KNOWN[3:], "commit 7") == OK
        stage.refused(ALICE)
        stage.kill()
        stage.start()
        stage.refused(ALICE)
        stage.join(BOB)


def B2_registered_may_only_ask():
    with Stage() as stage:
        control = Control(stage)
        carol = stage.join(CAROL)
        own, ask = f"SRUP/{CAROL}", f"SRUP/servers/{SERVER}/{CAROL}"
        assert control.publish(own, b"answer") == OK and carol.message()[1] == b"answer"
        assert carol.publish(ask) in PASSED_ON
        for topic in (own, f"SRUP/servers/{SERVER}/{ALICE}", f"SRUP/servers/99/{CAROL}", f"SRUP/{ALICE}"):
            assert carol.publish(topic) == NOT_AUTHORIZED, topic
        for topic in (f"SRUP/servers/{SERVER}/{CAROL}", f"SRUP/{ALICE}", f"{own}/#"):
            assert carol.subscribe(topic) == NOT_AUTHORIZED, topic
        assert control.change(f"put {CAROL} device joined {SERVER}") == OK
        assert carol.publish(own) in PASSED_ON
        assert control.change(f"put {CAROL} device registered -") == OK
        assert carol.publish(own) == NOT_AUTHORIZED


def B3_foreign_topics_refused():
    own = f"SRUP/{ALICE}"
    with Stage() as stage:
        Control(stage)
        bob, alice, old = stage.join(BOB), stage.join(ALICE), stage.join(ALICE, f"SRUP Client: {ALICE}", version=4)
        for topic in ("#", "+", "+/+", "SRUP/#", "SRUP/+", f"{own}/#", f"+/{ALICE}", f"SRUP/{BOB}", "$SYS/#",
                      "$SYS/broker/version", f"$share/g/{own}", "$share/g/#", "$CONTROL/#", TABLE, EVENTS,
                      "$holdfast/#", f"SRUP/servers/{SERVER}/{ALICE}", f"SRUP/servers/{SERVER}/+",
                      f"SRUP/servers/{SERVER}/#", "SRUP/servers/#", "other", own.upper(), f"SRUP/0{ALICE[1:]}"):
            assert alice.subscribe(topic) == NOT_AUTHORIZED, topic
            assert old.subscribe(topic) == 0x80, topic
        for topic in (f"SRUP/{BOB}", f"SRUP/servers/{SERVER}/{BOB}", f"SRUP/servers/{SERVER}", TABLE,
                      "$CONTROL/dynamic-security/v1", EVENTS, "$SYS/broker/connection/x/state", f"$share/g/{own}",
                      "other", f"{own}/", f"/{own}"):
            assert alice.publish(topic) == NOT_AUTHORIZED, topic
        assert alice.publish(TABLE, f"put {ALICE} server joined -\n") == NOT_AUTHORIZED
        assert alice.publish(own, b"kept", retain=True) == NOT_AUTHORIZED
        assert alice.publish(own, b"mine") in PASSED_ON
        assert alice.message()[1] == b"mine" and old.message()[1] == b"mine" and not bob.messages


def B3_wills_refused():
    """On its own topic too: at a lost connection, when another connection takes over, and after a delay."""
    own = f"SRUP/{ALICE}"
    with Stage() as stage:
        control = Control(stage).listen()
        hears = stage.join(SERVER, f"{SERVER}/in")
        assert hears.subscribe("SRUP/+") == 1
        for topic in (own, f"SRUP/{BOB}", TABLE):
            stage.join(ALICE, will=(topic, f"put {BOB} device registered -\n", 1)).cut()
            control.event("refused will", ALICE, topic.encode().hex())
        stage.join(ALICE, will=(own, b"last", 1, True)).cut()
        control.event("refused retained", ALICE)
        first = stage.join(ALICE, will=(own, b"last", 1))
        stage.join(ALICE)
        first.wait("closed")
        control.event("refused will", ALICE)
        delayed = Properties(PacketTypes.WILLMESSAGE)
        delayed.WillDelayInterval = 1
        stage.join(ALICE, clean=False, will=(own, b"last", 1, False, delayed)).cut()
        control.event("refused will", ALICE)
        assert control.publish(own, b"marker") == OK
        hears.message()
        assert hears.messages == [b"marker"]


def B3_servers_hear_their_own_devices():
    with Stage() as stage:
        control = Control(stage)
        assert control.change(f"put {BOB} device joined {REFERENCE}") == OK
        first, second = stage.join(SERVER, f"{SERVER}/in"), stage.join(SERVER2, f"{SERVER2}/in")
        third = stage.join(REFERENCE, f"SRUP Client: {REFERENCE}", version=4)
        for server, topic, code in (
                (first, "SRUP/+", 1), (first, f"SRUP/servers/{SERVER}/+", 1), (second, "SRUP/+", 1),
                (second, f"SRUP/servers/{SERVER}/+", NOT_AUTHORIZED), (first, "SRUP/#", NOT_AUTHORIZED),
                (first, "#", NOT_AUTHORIZED), (first, EVENTS, NOT_AUTHORIZED),
                (third, f"SRUP/servers/{REFERENCE}/#", 1), (third, f"SRUP/{BOB}/#", 1),
                (third, f"SRUP/{ALICE}/#", 0x80), (third, f"SRUP/servers/{SERVER}/#", 0x80), (third, "SRUP/+", 0x80)):
            assert server.subscribe(topic) == code, (topic, code)
        for topic in (f"SRUP/{ALICE}", TABLE, EVENTS):
            assert first.publish(topic) == NOT_AUTHORIZED, topic
        alice, bob, carol = stage.join(ALICE), stage.join(BOB), stage.join(CAROL)
        assert alice.publish(f"SRUP/{ALICE}", b"a") in PASSED_ON and bob.publish(f"SRUP/{BOB}", b"b") in PASSED_ON
        assert carol.publish(f"SRUP/servers/{SERVER}/{CAROL}", b"c") == OK
        assert control.change(f"put {CAROL} device joined {SERVER2}") == OK
        assert carol.publish(f"SRUP/{CAROL}", b"d") == OK
        heard = (first.message()[1], first.message()[1], second.message()[1], third.message()[1])
        assert heard == (b"a", b"c", b"d", b"b")
        third.publish(f"SRUP/{BOB}", b"do")
        assert [bob.message()[1], bob.message()[1]] == [b"b", b"do"]


def B4_foreign_client_id_refused():
    with Stage() as stage:
        control = Control(stage).listen()
        bob = stage.join(BOB)
        for version in (4, 5):
            for client_id in (BOB, f"SRUP Client: {BOB}", "other", f"{ALICE}/x", f"{ALICE} ", "holdfast-control",
                              f"SRUP Client:{ALICE}"):
                stage.refused(ALICE, client_id, version=version)
            stage.refused(SERVER, SERVER, version=version)
            stage.refused(SERVER, f"{SERVER2}/in", version=version)
            stage.refused(SERVER, f"{SERVER}/", version=version)
        control.event("refused client-id", ALICE, BOB.encode().hex())
        assert control.publish(f"SRUP/{BOB}", b"still") == OK and bob.message()[1] == b"still"
        assert bob.publish(f"SRUP/{BOB}") in PASSED_ON
        for client_id in (ALICE, f"SRUP Client: {ALICE}"):
            stage.join(ALICE, client_id).close()
        # Only the certificate says who it is.
        alice = stage.join(ALICE, username="holdfast-control")
        assert alice.publish(TABLE, f"revoke {BOB}\n") == NOT_AUTHORIZED and alice.subscribe(EVENTS) == NOT_AUTHORIZED


def B6_no_table_nobody_enters():
    with Stage(table=None) as stage:
        for name, client_id in ((ALICE, ALICE), (SERVER, f"{SERVER}/in"), (REFERENCE, REFERENCE)):
            stage.refused(name, client_id)
        control = Control(stage).listen()
        control.event("refused no-table", ALICE)
        assert control.change(f"put {ALICE} device joined {SERVER}") == NOT_AUTHORIZED
        assert control.change("commit 1") == NOT_AUTHORIZED
        assert control.change("reset", *KNOWN) == OK
        stage.refused(ALICE)
        assert control.change("commit 1") == OK
        stage.join(ALICE)
        # The snapshot was never written: after a restart there is no table again.
        stage.kill()
        stage.start()
        stage.refused(ALICE)
        for generation, lines, end in ((1, KNOWN, "end 5"), (1, KNOWN, "put 1 device"), ("x", KNOWN, None),
                                       (1, KNOWN + ["revoke 1"], None)):
            stage.kill()
            stage.snapshot(lines, generation, end)
            stage.start()
            stage.refused(ALICE)
        Control(stage).fill(KNOWN, 2)
        stage.join(ALICE)


def B6_restart_from_snapshot_and_journal():
    """Known devices come back before the server does, with the changes since the snapshot."""
    with Stage() as stage:
        control = Control(stage)
        control.fill(KNOWN, 1)
        assert control.change("put d00d device registered -", f"put {CAROL} device joined {SERVER}", f"del {BOB}") == OK
        stage.kill()
        with open(stage.folder / "journal", "a", encoding="ascii") as f:
            f.write(f"del {ALICE}")  # torn: no LF
        stage.ca.leaf("d00d")
        stage.start()
        stage.join(ALICE)
        assert stage.join(CAROL).publish(f"SRUP/{CAROL}") in PASSED_ON
        stage.refused(BOB)
        stage.join("d00d")
        assert stage.folder.joinpath("journal").read_text().endswith(f"del {BOB}\n")


def B6_without_ticks_nobody_enters():
    """With per_listener_settings mosquitto calls no tick, which the plugin counts on."""
    with Stage(conf=CONF.replace("per_listener_settings false", "per_listener_settings true")) as stage:
        stage.refused(ALICE)
        stage.refused("holdfast-control")
        stage.logged("reason=settings")


def commit_kicks_who_lost_rights():
    with Stage() as stage:
        control = Control(stage).listen()
        alice, bob, carol = stage.join(ALICE), stage.join(BOB), stage.join(CAROL)
        control.fill([*KNOWN[:3], f"put {BOB} device registered -", KNOWN[5]], 2)
        assert alice.wait("closed") and bob.wait("closed")
        stage.refused(ALICE)
        stage.join(BOB)
        assert control.publish(f"SRUP/{CAROL}", b"here") == OK and carol.message()[1] == b"here"
        assert stage.folder.joinpath("journal").read_text() == "holdfast-journal 1 2\n"


def presence_events():
    """On at the first connection of an identity, off after its last; a new listener hears of all who are here."""
    with Stage() as stage:
        control = Control(stage).listen()
        alice = stage.join(ALICE)
        again = stage.join(ALICE)  # takes over: neither off nor a second on
        assert alice.wait("closed")
        second = stage.join(ALICE, f"SRUP Client: {ALICE}")
        again.close()
        bob = stage.join(BOB)
        expected = [f"on {name} {name.encode().hex()}" for name in (ALICE, BOB)]
        assert [control.event("o") for _ in range(2)] == expected
        late = Control(stage, "holdfast-control/late").listen()
        assert sorted(late.event("o").split()[1] for _ in range(2)) == [ALICE, BOB]
        second.cut()
        bob.close()
        stage.join(BOB)
        assert [late.event("o").split()[:2] for _ in range(3)] == [["off", ALICE], ["off", BOB], ["on", BOB]]


def control_payload_refused():
    bad = ("", "\n", "put", f"put {ALICE}", f"put {ALICE} device joined -", f"put {ALICE} device registered {SERVER}",
           f"put {ALICE} root joined -", "put 0 device registered -", f"put {ALICE}  device registered -",
           f"revoke {ALICE} ", f"revoke {ALICE}\r", f"revoke {ALICE.upper()}", "reset\nreset", f"del {BOB}\nreset",
           "commit", "commit 3", "end 1", "holdfast-table 1 1", f"revoke {ALICE}\n\n", f"revoke {ALICE}\0")
    with Stage() as stage:
        control = Control(stage).listen()
        alice, old = stage.join(ALICE), Control(stage, "old", version=4)
        for text in bad:
            assert control.publish(TABLE, f"revoke {BOB}\n{text}\n" if text else "") == NOT_AUTHORIZED, text
            control.event("refused control -")
        assert control.publish(TABLE, f"del {BOB}\n" * 3500) == NOT_AUTHORIZED  # over 64 KiB
        control.event("refused control -", b"TOO_BIG".hex())
        assert control.publish(TABLE, f"revoke {ALICE}\n", retain=True) == NOT_AUTHORIZED
        assert control.publish(TABLE, f"revoke {ALICE}\n", qos=0) is None
        control.event("refused control -", b"INPUT".hex())
        assert control.publish(TABLE + "/x", f"revoke {ALICE}\n") == NOT_AUTHORIZED
        old.mqtt.publish(TABLE, "nonsense\n", 1)  # 3.1.1 cannot say no: it ends
        assert old.wait("closed") and old.heard["puback"].empty()
        control.mqtt.publish(TABLE, b"x" * 100000, 1)  # over max_packet_size
        assert control.wait("closed")
        assert alice.publish(f"SRUP/{ALICE}") in PASSED_ON
        stage.join(BOB)


def revoke_with_full_disk():
    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))
    with Stage(ready=small_files) as stage:
        control = Control(stage).listen()
        alice = stage.join(ALICE)
        ids = iter(range(0x1000, 0x2000))
        while control.change(f"put {next(ids):x} device registered -") == OK:
            pass
        control.event("refused control -", b"IO".hex())
        assert stage.folder.joinpath("journal").read_text().endswith("\n")
        mixed = (f"put {CAROL} device joined {SERVER}", f"revoke {ALICE}", f"put {BOB} server joined -")
        assert control.change(*mixed) == NOT_AUTHORIZED
        assert alice.wait("closed")
        stage.refused(ALICE)
        assert stage.join(CAROL).publish(f"SRUP/{CAROL}") == NOT_AUTHORIZED
        stage.join(BOB)
        stage.logged("reason=control")
        stage.process.kill()  # valgrind cannot write its report under this limit
        stage.process.wait(DEADLINE_S)
        stage.start()


def reload_keeps_sessions():
    """SIGHUP makes mosquitto ask about everybody again, kept sessions without connection included."""
    with Stage() as stage:
        control = Control(stage).listen()
        alice, bob = stage.join(ALICE), stage.join(BOB, clean=False)
        bob.close()
        control.event("off", BOB)
        for _ in range(3):
            stage.process.send_signal(signal.SIGHUP)
            stage.logged("holdfast counts")
            assert alice.publish(f"SRUP/{ALICE}") in PASSED_ON  # a SIGHUP before the reload's end would be forgotten
        assert control.publish(f"SRUP/{BOB}", b"kept") == OK
        bob = Client(stage, BOB, clean=False)
        assert bob.connected() and bob.present and bob.message()[1] == b"kept"
        assert control.event("on") == f"on {BOB} {BOB.encode().hex()}"


def K9_certificates_refused():
    with Stage() as stage:
        control = Control(stage).listen()
        stage.refused(ALICE, keys=False)
        other = Authority(stage.folder, "other")
        bad = [other.leaf("wrong-ca", [ALICE]), stage.ca.leaf("old", [ALICE], days=-1),
               stage.ca.leaf("for-servers", [ALICE], usage=ExtendedKeyUsageOID.SERVER_AUTH)]
        told = {stage.ca.leaf("no-usage", [ALICE], usage=None): "purpose", stage.ca.leaf("two", [ALICE, BOB]): "name",
                stage.ca.leaf("same", [ALICE, ALICE]): "name", stage.ca.leaf("nul", [f"{ALICE}\0x"]): "name",
                stage.ca.leaf("upper", [ALICE.upper()]): "name", stage.ca.leaf("zero", ["0" + ALICE[:-1]]): "name",
                stage.ca.leaf("long", ["a" * 64]): "name", stage.ca.leaf("almost", ["holdfast-control\0"]): "name"}
        for keys in bad:
            stage.refused(ALICE, keys=keys)
            stage.refused(ALICE, keys=keys, version=4)
        for keys, word in told.items():
            stage.refused(ALICE, keys=keys)
            control.event("refused", word)
        stage.join(ALICE)


def K9_old_tls_refused():
    warnings.simplefilter("ignore", DeprecationWarning)  # python says so of the old versions
    with Stage() as stage:
        for version, fits in ((ssl.TLSVersion.TLSv1, False), (ssl.TLSVersion.TLSv1_1, False),
                              (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)):
            context = ssl.create_default_context(cafile=str(stage.folder / "ca.crt"))
            context.load_cert_chain(stage.folder / f"{ALICE}.crt", stage.folder / f"{ALICE}.key")
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
            try:
                with socket.create_connection(("127.0.0.1", stage.port), DEADLINE_S) as s:
                    context.wrap_socket(s, server_hostname="localhost").close()
                done = True
            except (ssl.SSLError, ConnectionError):
                done = False
            assert done == fits, version


def main():
    tests = [value for name, value in globals().items()
             if callable(value) and getattr(value, "__module__", "") == "__main__" and name != "main"]
    chosen = [t for t in tests if not sys.argv[1:] or t.__name__ in sys.argv[1:]]
    failed = 0
    for test in chosen:
        try:
            test()
            print(f"ok {test.__name__}", flush=True)
        except Exception:  # whatever it was, the others run
            failed += 1
            print(f"FAILED {test.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
