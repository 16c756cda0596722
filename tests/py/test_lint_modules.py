"""Seeds one violation of each kind into a small tree and expects tools/lint/modules to name it."""

import concurrent.futures
import pathlib
import subprocess
import tempfile
import unittest

LINT = pathlib.Path(__file__).resolve().parents[2] / "tools" / "lint" / "modules"

CLEAN = {
    "modules.txt": "# module | prefix | may use | portable | libraries\n"
                   "lib/base | hf_ | - | yes | -\n"
                   "lib/wire | hf_wire_ | lib/base | yes | -\n"
                   "lib/seal | hf_seal_ | lib/base | yes | -\n"
                   "server/os | os_ | lib/base | no | -\n",
    "lib/base/base.h": "#ifndef B\n#define B\nint hf_one(void);\n#endif\n",
    "lib/base/base.c": '#include "base/base.h"\n\nint hf_one(void)\n{\n\treturn 1;\n}\n',
    "lib/base/base_internal.h": "int hf_hidden(void);\n",
    "lib/wire/wire.h": "int hf_wire_two(void);\n",
    "lib/wire/wire.c": '#include "base/base.h"\n#include "wire/wire.h"\n\nint hf_wire_two(void)\n{\n\treturn hf_one() + 1;\n}\n',
    "lib/seal/seal.h": "int hf_seal_three(void);\n",
    "lib/seal/seal.c": '#include "seal/seal.h"\n\nint hf_seal_three(void)\n{\n\treturn 3;\n}\n',
    "server/os/os.c": "#include <stdio.h>\n\nint os_put(void);\nint os_put(void)\n{\n\treturn puts(\"\");\n}\n",
}


def append(name, text):
    return {name: CLEAN[name] + text}


def swap(name, old, new):
    assert old in CLEAN[name]
    return {name: CLEAN[name].replace(old, new)}


# What is done to the clean tree, and what the check must say about it.
SEEDS = {
    "include of a module that may not be used": (append("lib/seal/seal.c", '#include "wire/wire.h"\n'), "may not use lib/wire"),
    "include of a private header": (append("lib/wire/wire.c", '#include "base/base_internal.h"\n'), "is private to lib/base"),
    "include without the module": (append("lib/wire/wire.c", '#include "wire.h"\n'), "written as module/file.h"),
    "system header in a portable module": (append("lib/wire/wire.c", "#include <stdio.h>\n"), "<stdio.h> in a portable module"),
    "export without prefix": (append("lib/wire/wire.c", "int loose(void);\nint loose(void)\n{\n\treturn 0;\n}\n"),
                              "exports loose without its prefix hf_wire_"),
    "export with another module's prefix": (append("lib/base/base.c", "int hf_wire_x;\n"), "exports hf_wire_x without its prefix"),
    "portable module that needs malloc": (
        append("lib/wire/wire.c", "void *malloc(size_t);\nvoid *hf_wire_p(void);\nvoid *hf_wire_p(void)\n{\n\treturn malloc(1);\n}\n")
        | {"lib/base/base.h": "#include <stddef.h>\n" + CLEAN["lib/base/base.h"]}, "needs malloc"),
    "portable module with an extension": (append("lib/wire/wire.c", "int *hf_wire_v(void);\nint *hf_wire_v(void)\n{\n\treturn ({0;});\n}\n"),
                                          "does not compile freestanding"),
    "link edge": (swap("lib/seal/seal.c", "return 3", "extern int hf_wire_two(void);\n\treturn hf_wire_two()"),
                  "links to hf_wire_two of lib/wire"),
    "dependency below its user": (swap("modules.txt", "lib/wire | hf_wire_ | lib/base", "lib/wire | hf_wire_ | lib/seal"),
                                  "does not stand above it"),
    "portable uses what is not": (append("modules.txt", "lib/late | hf_late_ | server/os | yes | -\n"), "which is not"),
    "portable with a library": (append("modules.txt", "lib/late | hf_late_ | - | yes | libssl\n"), "more than a header"),
    "row without its columns": (append("modules.txt", "lib/late | hf_late_ | -\n"), "five columns"),
    "two rows": (append("modules.txt", "lib/wire | hf_wire_ | lib/base | yes | -\n"), "two rows"),
    "folder without a row": ({"lib/extra/extra.c": "int x;\n"}, "holds code but has no row"),
    "header that needs another": ({"lib/seal/more.h": "uint8_t hf_seal_byte(void);\n"}, "does not compile alone as C11"),
    "header that is no C++": ({"lib/seal/more.h": "int hf_seal_new(int new);\n"}, "does not compile alone as C++17"),
    "file too long": (append("lib/seal/seal.h", "\n" * 600), "lines, at most 600"),
    "function too long": (swap("lib/seal/seal.c", "\treturn 3;\n", ";\n" * 60 + "\treturn 3;\n"), "a function of"),
}


def build(root, files):
    """Writes the tree and archives of what compiles."""
    for name, text in (CLEAN | files).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "build/archive").mkdir(parents=True)
    for folder in ("lib/base", "lib/wire", "lib/seal", "server/os"):
        objects = []
        for source in sorted((root / folder).glob("*.c")):
            objects.append(root / "build" / (source.name + ".o"))
            subprocess.run(["gcc", "-w", f"-I{root}/lib", f"-I{root}/{folder}", "-c", source, "-o", objects[-1]], check=True)
        archive = root / "build/archive" / (folder.replace("/", "_") + ".a")
        subprocess.run(["ar", "rc", archive, *objects], check=True)


def lint(files):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        build(root, files)
        command = [LINT, "--root", root, "--build", root / "build"]
        return subprocess.run(command, capture_output=True, text=True, check=False)


class Modules(unittest.TestCase):
    def test_clean(self):
        run = lint({})
        self.assertEqual((run.returncode, run.stdout.splitlines()[-1]), (0, "modules: 4 modules, no violation"), run.stdout)

    def test_each_kind_is_found(self):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            runs = list(pool.map(lint, [files for files, _ in SEEDS.values()]))
        for run, (kind, (_, wanted)) in zip(runs, SEEDS.items()):
            with self.subTest(kind):
                self.assertEqual(run.returncode, 1, run.stdout + run.stderr)
                self.assertIn(wanted, run.stdout)

    def test_not_built(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            build(root, {})
            (root / "build/archive/lib_wire.a").unlink()
            command = [LINT, "--root", root, "--build", root / "build"]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertIn("lib/wire: is not built", run.stdout)


if __name__ == "__main__":
    unittest.main()
