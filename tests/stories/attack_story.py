#!/usr/bin/python3
"""attack_story - attacks on a whole universe; each must fail, and afterwards the server must still serve an honest device.

The attacks are in attack_messages.py, attack_broker.py, attack_web.py and attack_keyex.py. HOLDFAST_BIN: the directory of the programs.
HOLDFAST_PORT_BASE: the ports +443 and +883 are used. Arguments: names of tests (default all). Prints "ok NAME" for each
that passed; last line "N passed, N failed".
"""
import sys

from universe import Universe, run
from attack_broker import BrokerAttacks
from attack_keyex import KeyexAttacks
from attack_messages import MessageAttacks
from attack_web import WebAttacks


def and_then_serves(universe, attack):
    """The attack, and proof that the server does its work."""
    def test():
        try:
            attack()
        finally:
            universe.serves()
    return test


def main():
    with Universe(c2=["second", "third"], action_timeout_s=4, http_timeout_s=3, registrations_max=60, rate_keyex=0, rate_login=0) as universe:
        universe.put_sensor()
        universe.serves()
        tests = []
        for kind in (MessageAttacks, BrokerAttacks, WebAttacks, KeyexAttacks):
            room = kind(universe)
            tests += [(name, and_then_serves(universe, getattr(room, name))) for name in vars(kind) if not name.startswith("_")]
        code = run(tests)
        if code:
            universe.complain()
    return code


if __name__ == "__main__":
    sys.exit(main())
