"""models/nano/recipe/make.sh: every stage made small on a CPU; what is done stays done, and what was stopped goes on."""
import io
import glob
import os
import subprocess
import tarfile
import tempfile
import unittest

from program import PATIENCE, PROGRAM, environment

MAKE = os.path.join(os.path.dirname(__file__), "..", "..", "models", "nano", "recipe", "make.sh")
STAGES = ["data", "sft", "short", "long", "presets", "scores", "plots"]


def make(work, *words):
    return subprocess.run([MAKE, "--smoke", "--work", work, "--program", PROGRAM, *words], env=environment(), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=PATIENCE, check=False, text=True)


class Make(unittest.TestCase):
    def test_all_stages(self):
        with tempfile.TemporaryDirectory() as work:
            def read(*names):
                with open(os.path.join(work, *names), encoding="utf-8") as file:
                    return file.read()

            stopped = make(work, "--seconds", "0", "data", "sft")
            self.assertEqual(stopped.returncode, 3, stopped.stdout)
            self.assertEqual(os.listdir(os.path.join(work, "done")), ["data"])

            made = make(work)
            self.assertEqual(made.returncode, 0, made.stdout)
            self.assertIn("data: done before", made.stdout)
            self.assertEqual(sorted(os.listdir(os.path.join(work, "done"))), sorted(STAGES))
            for run in ("short", "long"):  # the policy was changed, not only sampled
                self.assertIn('"kl/k3"', read("runs", run, "updates.jsonl"))
            self.assertEqual(len(glob.glob(os.path.join(work, "results", "presets", "*.jsonl"))), 9)
            self.assertIn("sorting", read("docs", "plots.md"))
            self.assertIn("### presets", read("docs", "plots.md"))
            for figure in ("learning", "agreement", "budget", "tasks", "presets"):
                self.assertIn("</svg>", read("docs", f"nano_{figure}.svg"))

            pieces = sorted(glob.glob(os.path.join(work, "out", "long.tar.gz.*")))
            self.assertGreater(len(pieces), 1)
            for piece in glob.glob(os.path.join(work, "out", "*")):
                self.assertLess(os.path.getsize(piece), 16_000_000)
            whole = b""
            for piece in pieces:
                with open(piece, "rb") as file:
                    whole += file.read()
            with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
                names = {os.path.basename(name) for name in archive.getnames()}
            self.assertLessEqual({"model.safetensors", "config.json", "tokenizer.json", "updates.jsonl", "long_metrics.jsonl"}, names)

            again = make(work)
            self.assertEqual(again.returncode, 0, again.stdout)
            self.assertEqual(again.stdout.count("done before"), len(STAGES), again.stdout)

    def test_what_cannot_be_made_is_said(self):
        with tempfile.TemporaryDirectory() as work:
            self.assertIn("unknown stage cispo", make(work, "cispo").stdout)
            self.assertIn("unknown flag", make(work, "--fast").stdout)
            self.assertIn("wants a value", make(work, "--seconds").stdout)
            early = make(work, "scores")
            self.assertNotEqual(early.returncode, 0)
            self.assertIn("sft is not made yet", early.stdout)


if __name__ == "__main__":
    unittest.main()
