"""Training on two processes equals training on one."""
import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

from program import PROGRAM, environment, run

RECIPE = """
tokenizer = "tokenizer"
[model]
shape = "pico"
layers = 2
softmax_every = 2
hidden = 32
heads = 2
ffn = 48
[[data]]
path = "chats.jsonl"
[held_out]
share = 0.1
every = 2
[batch]
tokens = 400
pass_tokens = 100
context = 96
[schedule]
steps = 6
rate = 1e-3
[checkpoints]
every = 3
"""


def metrics(folder):
    with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def weights(folder):
    with open(os.path.join(folder, "checkpoints", "step-000006", "model.safetensors"), "rb") as file:
        data = file.read()
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    return struct.unpack(f"<{(len(data) - begin) // 4}f", data[begin:])


@unittest.skipUnless(shutil.which("mpirun") and os.path.exists(os.path.join(os.path.dirname(PROGRAM),
                                                                            "libminimax_mpi.so")), "no MPI here")
class TwoProcesses(unittest.TestCase):
    def test_equal_one(self):
        with tempfile.TemporaryDirectory() as folder:
            def path(*names):
                return os.path.join(folder, *names)

            with open(path("chats.jsonl"), "w", encoding="utf-8") as file:
                for a in range(9):
                    for b in range(9):
                        file.write(json.dumps({"messages": [{"role": "user", "content": f"{a}+{b}"},
                                                            {"role": "assistant", "content": str(a + b)}]}) + "\n")
            with open(path("recipe.toml"), "w", encoding="utf-8") as file:
                file.write(RECIPE)
            done = run("train", "tokenizer", path("chats.jsonl"), "--kind", "chat", "--tokens", "280", "--out",
                       path("tokenizer"))
            self.assertEqual(done.returncode, 0, done.stderr)
            done = run("train", "sft", path("recipe.toml"), "--out", path("one"))
            self.assertEqual(done.returncode, 0, done.stderr)
            two = subprocess.run(
                ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2", PROGRAM, "train", "sft",
                 path("recipe.toml"), "--out", path("two"), "--threads", "1"],
                capture_output=True, env=environment(OMPI_MCA_mpi_yield_when_idle="1", TMPDIR=folder), timeout=240,
                check=False)
            self.assertEqual(two.returncode, 0, two.stderr)
            expected, got = metrics(path("one")), metrics(path("two"))
            self.assertEqual([line["step"] for line in got], list(range(1, 7)))  # one of them writes
            for one, other in zip(expected, got):
                self.assertEqual(one["targets"], other["targets"])
                self.assertEqual(one["tokens"], other["tokens"])
                for name in ("loss", "grad/norm", "loss/aux"):
                    self.assertAlmostEqual(one[name], other[name], delta=1e-4 * abs(one[name]), msg=name)
            self.assertAlmostEqual(expected[-1]["held_out/loss"], got[-1]["held_out/loss"], delta=1e-4)
            # AdamW turns a gradient that is nothing but rounding into a whole step, so single weights may differ by
            # steps; the sum may not.
            before, after = weights(path("one")), weights(path("two"))
            difference = sum((x - y) ** 2 for x, y in zip(before, after)) ** 0.5
            self.assertLess(difference, 1e-3 * sum(x * x for x in before) ** 0.5)


if __name__ == "__main__":
    unittest.main()
