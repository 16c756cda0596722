#!/usr/bin/python3
"""footprint - what base, wire, seal, peer and node take of a small device: a Cortex-M4, gcc -Os, --gc-sections.

The image keeps every function that node.h declares (benches/footprint_main.c). Its map says how many bytes each module
has in it; crypto library, libc and libgcc are other archives and not counted. The stack is the longest way through the
call graph that the compiler writes with the frame of every function (-fcallgraph-info=su): an upper bound, on all paths,
from any function of node.h down to a call into the port or the application, whose own frames come on top.

  cortex-m4-code-bytes    code and constants, all modules
  cortex-m4-ram-bytes     initialised and zeroed memory, all modules, and one struct hf_node
  cortex-m4-stack-bytes   the deepest stack
  MODULE-code-bytes, MODULE-constant-bytes, MODULE-ram-bytes     of these, by module
  reading-bytes           one reading that waits, of the ring that the application gives: not counted above
  work-bytes              least memory for message buffers, which the application gives: not counted above
"""
import collections
import os
import pathlib
import re
import subprocess
import sys

import stage

BUILD = stage.TOP / "build/m4"
MODULES = ("base", "wire", "seal", "peer", "node")
CODE_MAX, RAM_MAX, STACK_MAX = 24 * 1024, 4 * 1024, 2 * 1024
KINDS = {"text": "code", "rodata": "constant", "data": "ram", "bss": "ram"}
SECTION = re.compile(r"^ \.(text|rodata|data|bss)\S*(?:\n +| +)0x[0-9a-f]+ +0x([0-9a-f]+) archive/lib_(\w+)\.a\(", re.M)
NODE = re.compile(r'^node: \{ title: "([^"]+)" label: "[^"]*?\\n(\d+) bytes \((\w+)(?:,\w+)?\)', re.M)
EDGE = re.compile(r'^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', re.M)
# Functions that call through a table of node's own, and what those are called. Every other pointer leads out of node.
TABLES = {"hf_node_fire": r"hf_node_do_\w+", "hf_node_receive": r"hf_node_take_\w+", "hf_node_on_http": r".*register\.c:take_\w+"}


def run(*command):
    """Its output; what it said to stderr if it fails."""
    done = subprocess.run(command, cwd=stage.TOP, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"footprint: {' '.join(command[:3])} failed\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def build():
    """The image, and the compiler's call graphs on the way."""
    run("tools/setup", "build", "machines")
    run("cmake", "--preset", "m4")
    run("cmake", "--build", "--preset", "m4", "--target", "footprint")


def sizes():
    """Bytes by (module, kind)."""
    found = collections.Counter()
    text = (BUILD / "footprint.map").read_text().partition("Linker script and memory map")[2]
    for section, size, module in SECTION.findall(text):
        if module not in MODULES:
            sys.exit(f"footprint: the image holds module {module}")
        found[module, KINDS[section]] += int(size, 16)
    return found


def objects():
    """Bytes of the instances in footprint_main.c, by name."""
    lines = run("arm-none-eabi-nm", "-S", str(BUILD / "bin/footprint")).splitlines()
    return {line.split()[3]: int(line.split()[1], 16) for line in lines if " footprint_" in line}


# ---- stack ---------------------------------------------------------------------------------------


def call_graph():
    """Bytes of each function's frame, and whom it calls."""
    frames, calls = {}, collections.defaultdict(set)
    for module in MODULES:
        for path in sorted((BUILD / f"CMakeFiles/lib_{module}.dir").rglob("*.ci")):
            text = path.read_text()
            for name, size, kind in NODE.findall(text):
                if kind != "static" and kind != "dynamic,bounded":
                    sys.exit(f"footprint: the frame of {name} has no fixed size")
                frames[name] = int(size)
            for caller, callee in EDGE.findall(text):
                calls[caller].add(callee)
    for caller, pattern in TABLES.items():
        targets = {name for name in frames if re.fullmatch(pattern, name)}
        if not targets or "__indirect_call" not in calls[caller]:
            sys.exit(f"footprint: {caller} calls no {pattern}: TABLES is out of date")
        calls[caller] |= targets
    return frames, calls


def deepest(frames, calls, name, above=()):
    """Bytes of stack from name down, and the way there."""
    if name in above:
        sys.exit(f"footprint: recursion: {' '.join(above + (name,))}")
    ways = [deepest(frames, calls, callee, above + (name,)) for callee in sorted(calls[name]) if callee in frames]
    below, way = max(ways, default=(0, ()))
    return frames[name] + below, (name, *way)


def stack():
    """The deepest of all entries; functions that nobody calls must be public, or a table is missing in TABLES."""
    frames, calls = call_graph()
    entries = set(re.findall(r"\b(hf_node_\w+)\(", (stage.TOP / "lib/node/node.h").read_text()))
    reached, more = set(), set(entries)
    while more:
        reached |= more
        more = {callee for name in more for callee in calls[name] if callee in frames} - reached
    lost = {name for name in frames if name.startswith("hf_node_") or "lib/node/" in name} - reached
    if lost:
        sys.exit(f"footprint: nobody calls {' '.join(sorted(lost))}: TABLES is out of date")
    return max(deepest(frames, calls, name) for name in entries if name in frames)


def main():
    """Measures, and says by which way the stack goes deepest."""
    options = stage.options(__doc__)
    build()
    size, one, (depth, way) = sizes(), objects(), stack()
    total = {kind: sum(size[module, kind] for module in MODULES) for kind in ("code", "constant", "ram")}
    instance = one["footprint_node"]
    notes = {"cortex-m4-code-bytes": "code and constants of base, wire, seal, peer, node",
             "cortex-m4-ram-bytes": f"static memory {total['ram']}, one struct hf_node {instance}",
             "cortex-m4-stack-bytes": " > ".join(pathlib.Path(name).name for name in way),
             "reading-bytes": "one reading in the ring (the application's memory)",
             "work-bytes": "message buffers (the application's memory)"}
    rows = [stage.row("footprint", "cortex-m4-code-bytes", "bytes", total["code"] + total["constant"], CODE_MAX),
            stage.row("footprint", "cortex-m4-ram-bytes", "bytes", total["ram"] + instance, RAM_MAX),
            stage.row("footprint", "cortex-m4-stack-bytes", "bytes", depth, STACK_MAX)]
    for module in MODULES:
        for kind in ("code", "constant", "ram"):
            rows.append(stage.row("footprint", f"{module}-{kind}-bytes", "bytes", size[module, kind]))
            notes[f"{module}-{kind}-bytes"] = ""
    rows += [stage.row("footprint", "reading-bytes", "bytes", one["footprint_reading"]),
             stage.row("footprint", "work-bytes", "bytes", one["footprint_work"])]
    stage.show(rows, options.json, notes)
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
