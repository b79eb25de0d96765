"""Training on two processes equals training on one."""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

from pico import PICO
from program import PATIENCE, PROGRAM, environment, run

RECIPE = PICO + """[held_out]
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


# An untrained model's answers of eight tokens, right when their last byte is even.
POLICY = """
batches = 2
[model]
checkpoint = "one/checkpoints/step-000006"
[[verifier]]
name = "even"
command = "{python} {folder}/even.py"
[[problems.file]]
path = "problems.jsonl"
[rollout]
prompts = 3
group_size = 4
window = 8
[updates]
minibatches = 2
rate = 1e-3
warmup = 1
[optimizer]
balance = 0.1
[[evaluate]]
path = "problems.jsonl"
samples = 2
"""

EVEN = """
import json, sys
for line in sys.stdin:
    text = json.loads(line)["text"].encode()
    print(json.dumps({"score": 1 if text and text[-1] % 2 == 0 else 0}), flush=True)
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
    @staticmethod
    def two_processes(folder, *arguments, program=PROGRAM):
        """On any machine: fewer cores than processes, none that may be bound to, no reading of one another. Under
        AddressSanitizer without its search for leaks: Open MPI and what it opens have dozens."""
        return subprocess.run(
            ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", "2", program, *arguments],
            capture_output=True, timeout=PATIENCE, check=False,
            env=environment(OMPI_MCA_mpi_yield_when_idle="1", OMPI_MCA_btl_vader_single_copy_mechanism="none",
                            ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0", TMPDIR=folder))

    def test_equal_one(self):
        with tempfile.TemporaryDirectory() as folder:
            probe = self.two_processes(folder, program="true")
            if probe.returncode != 0:
                self.skipTest(f"mpirun starts nothing on this machine: {probe.stderr.decode()}")

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
            two = self.two_processes(folder, "train", "sft", path("recipe.toml"), "--out", path("two"), "--threads", "1")
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

            # One that fails does not leave the other waiting, and says why.
            torn = subprocess.run(["mpirun", "--allow-run-as-root", "--oversubscribe",
                                   "-n", "1", PROGRAM, "train", "sft", path("recipe.toml"), "--out", path("torn"), ":",
                                   "-n", "1", PROGRAM, "train", "sft", path("recipe.toml"), "--out", "/dev/null/torn"],
                                  capture_output=True, timeout=PATIENCE, check=False,
                                  env=environment(OMPI_MCA_mpi_yield_when_idle="1", TMPDIR=folder))
            self.assertNotEqual(torn.returncode, 0)
            self.assertIn(b"/dev/null/torn", torn.stderr)

            # Reinforcement learning from that model: every sample is that of one process alone.
            with open(path("even.py"), "w", encoding="utf-8") as file:
                file.write(EVEN)
            with open(path("policy.toml"), "w", encoding="utf-8") as file:
                file.write(POLICY.format(python=sys.executable, folder=folder))
            with open(path("problems.jsonl"), "w", encoding="utf-8") as file:
                for number in range(5):
                    file.write(json.dumps({"messages": [{"role": "user", "content": f"{number}?"}],
                                           "verifier": {"name": "even"}}) + "\n")
            done = run("train", "rl", path("policy.toml"), "--out", path("rl-one"))
            self.assertEqual(done.returncode, 0, done.stderr)
            two = self.two_processes(folder, "train", "rl", path("policy.toml"), "--out", path("rl-two"), "--threads", "1")
            self.assertEqual(two.returncode, 0, two.stderr)
            expected, got = metrics(path("rl-one")), metrics(path("rl-two"))
            self.assertEqual([line["step"] for line in got], [0, 1, 2])
            # The first batch is sampled by the same weights. Later ones need not be: an update differs by roundings.
            for name in ("reward/mean", "len/mean", "entropy/mean", "group/tried", "group/kept", "mismatch/tokens",
                         "mismatch/same_bits", "mismatch/pearson", "ratio/p99"):
                self.assertIn(name, expected[1])
                self.assertAlmostEqual(expected[1][name], got[1][name], delta=1e-9, msg=name)
            for name in ("heldout/problems.greedy", "heldout/problems.avg"):
                self.assertEqual(expected[0][name], got[0][name])
            self.assertEqual(got[1]["mismatch/same_bits"], 1)
            for name in ("loss/policy", "loss/aux", "grad/norm", "moe/load_cv", "moe/router_entropy", "kl/k3"):
                self.assertAlmostEqual(expected[1][name], got[1][name], delta=1e-4 * abs(expected[1][name]) + 1e-9, msg=name)
            with open(path("rl-one", "updates.jsonl"), encoding="utf-8") as one, \
                 open(path("rl-two", "updates.jsonl"), encoding="utf-8") as other:
                self.assertEqual(len(one.readlines()), len(other.readlines()))


if __name__ == "__main__":
    unittest.main()
