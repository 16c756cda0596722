#!/usr/bin/python3
"""enrol - what one version-5 enrolment costs the server in CPU time, user and system, of server and signer process.

One enrolment = the four requests of the reference's client (status, register, validate, access), keys and CSR
ready-made (RSA-2048). The clients' own CPU does not count; neither does the broker's, which has no part in it.

  server-cpu-ms         each request on a TLS connection of its own, as the reference's client makes them
  server-cpu-ms-no-tls  the same requests on one connection that is kept: no handshakes; what is left of TLS is the
                        encryption of a few kilobytes
  tls-share             what the handshakes are of the first figure, in percent
No peer: the reference's KeyEx takes 87 ms without TLS, a published figure, for comparison only. CPU times of short
bursts of work rise when others use the machine (cold caches, interrupts): measure on an idle one.
"""
import os
import statistics
import sys
import time

import stage

BLOCK, BLOCKS, BLOCKS_SMOKE = 10, 8, 1  # enrolments a block; blocks each way
QUIET_S = 0.3
TARGET_MS = 5
NOTES = {
    "server-cpu-ms": "CPU of server + signer an enrolment, four TLS connections; no peer (87 published, without TLS)",
    "server-cpu-ms-no-tls": "the same requests on one kept connection, so without handshakes",
    "tls-share": "of the first row, the handshakes",
}


class Bench:
    """A universe and the two kinds of client."""

    def __init__(self, universe):
        children = universe.children()
        self.pids = [children["holdfast-server"], children["holdfast-signer"]]
        self.ways = {keep: universe.https(keep) for keep in (False, True)}

    def cpu_ns(self):
        """So far, once the server has nothing more to do."""
        time.sleep(QUIET_S)
        return sum(map(stage.cpu_ns, self.pids))

    def block_ms(self, clients, keep):
        """CPU ms for each enrolment of a block."""
        self.ways[keep].ask("GET", "/KeyEx/register/status", 200)  # the kept connection's only handshake
        before = self.cpu_ns()
        for client in clients:
            stage.enrol(self.ways[keep], client, "airmonitor")
        return (self.cpu_ns() - before) / 1e6 / len(clients)


def measure(blocks):
    """Medians of the blocks, ours with and without handshakes in turns."""
    clients = stage.identities(2 * blocks * BLOCK)
    took = {False: [], True: []}
    with stage.Universe() as universe:
        bench = Bench(universe)
        for first in range(0, len(clients), BLOCK):
            keep = first // BLOCK % 2 == 1
            took[keep].append(bench.block_ms(clients[first:first + BLOCK], keep))
    return statistics.median(took[False]), statistics.median(took[True])


def main():
    """Runs it."""
    options = stage.options(__doc__)
    full, kept = measure(BLOCKS_SMOKE if options.smoke else BLOCKS)
    rows = [stage.row("enrol", "server-cpu-ms", "ms", full, TARGET_MS),
            stage.row("enrol", "server-cpu-ms-no-tls", "ms", kept),
            stage.row("enrol", "tls-share", "%", 100 * (full - kept) / full)]
    stage.show(rows, options.json, NOTES)
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
