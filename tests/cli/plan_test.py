"""plan: what fits where and how fast, from a config alone."""
import json
import os
import shutil
import tempfile
import unittest

from program import TESTDATA, run

M1 = os.path.join(TESTDATA, "m1", "config.json")
# All given: nothing depends on the machine, and nothing is measured.
ELSEWHERE = ("--gpu", "0", "--ram", "512GB", "--disk", "2TB", "--bandwidth", "100GB/s")


class Plan(unittest.TestCase):
    def ok(self, *words):
        process = run("plan", *words)
        self.assertEqual(process.returncode, 0, process.stderr)
        return process.stdout.decode()

    def fails(self, code, *words):
        process = run("plan", *words)
        self.assertEqual(process.returncode, code, process.stdout)
        return process.stderr.decode()

    def test_the_published_model(self):
        report = json.loads(self.ok(M1, *ELSEWHERE, "--json"))
        self.assertEqual(report["parameters"], 456_089_655_296)
        self.assertEqual(report["kv_bytes"], 2_684_354_560)
        self.assertEqual(report["state_bytes"], 587_202_560)
        self.assertEqual(report["memory_bytes"], {"gpu": 0, "ram": 512 * 10**9, "disk": 2 * 10**12})
        self.assertFalse(report["measured"])
        rows = {row["recipe"]: row for row in report["recipes"]}
        self.assertLessEqual({"bf16", "q8", "experts-int8", "q6", "q5", "q4", "mxfp4"}, set(rows))
        self.assertEqual(rows["bf16"]["weight_bytes"], 912_210_767_872)
        self.assertTrue(rows["bf16"]["fits"])
        self.assertFalse(rows["bf16"]["fits_in_memory"])
        self.assertGreater(rows["bf16"]["tiers"]["disk"]["expert_bytes"], 0)
        self.assertIsNone(rows["bf16"]["tokens_per_second_empty"])  # nobody said how fast the disk is
        q4 = rows["q4"]
        self.assertEqual(q4["weight_bytes"], 243_660_500_992)
        self.assertEqual(q4["tiers"]["ram"]["weight_bytes_per_token"], 25_771_116_928)
        self.assertAlmostEqual(q4["tokens_per_second_empty"], 100e9 / (25_771_116_928 + 293_601_280), places=9)
        self.assertAlmostEqual(q4["tokens_per_second_full"],
                               100e9 / (25_771_116_928 + 293_601_280 + 2_684_354_560), places=9)
        # q8 takes 484.6 GB; of 512 GB a twentieth and the sequence are left out, which leaves 483.1.
        self.assertFalse(rows["q8"]["fits_in_memory"])
        self.assertEqual(report["chosen"], report["best"])
        self.assertTrue(rows[report["best"]]["fits_in_memory"])

    def test_the_best_changes_with_memory(self):
        best = {}
        for ram in ("2TB", "600GB", "300GB", "100GB"):
            report = json.loads(self.ok(M1, *ELSEWHERE, "--ram", ram, "--json"))
            best[ram] = report["best"]
        self.assertEqual(best["2TB"], "bf16")
        self.assertEqual(best["600GB"], "q8")
        self.assertIsNotNone(best["300GB"])
        self.assertIsNone(best["100GB"])
        self.assertIn("read from the disk", " ".join(report["notes"]))

    def test_a_gpu_takes_what_every_token_reads(self):
        report = json.loads(self.ok(M1, *ELSEWHERE, "--gpu", "80GB", "--gpu-bandwidth", "2TB/s", "--type",
                                    "experts=q4,attention=q8,head=bf16,embedding=q8", "--json"))
        row = report["recipes"][-1]
        self.assertEqual(row["recipe"], report["chosen"])
        self.assertEqual(row["tiers"]["ram"]["dense_bytes"], 0)
        self.assertGreater(row["tiers"]["gpu"]["experts"], 0)
        self.assertGreater(row["tokens_per_second_empty"], 1)
        self.assertIn("as a whole and in bfloat16", " ".join(report["notes"]))

    def test_table(self):
        stdout = self.ok(os.path.dirname(M1), *ELSEWHERE, "--type", "q4", "-c", "1000")
        self.assertRegex(stdout, r"(?m)^456 B parameters, 80 layers; a sequence of 1000 tokens")
        self.assertRegex(stdout, r"(?m)^q4 +4\.27 +244 GB +memory +- +25\.8 GB +- +- +3\.8\d? ")
        self.assertRegex(stdout, r"(?m)^bf16 +16\.00 +912 GB +disk too ")
        self.assertRegex(stdout, r"(?m)^ram +11\.3 GB +231 GB +2560 ")

    def test_measured_on_this_machine(self):
        report = json.loads(self.ok("nano", "--gpu", "0", "--ram", "1GB", "--disk", "1GB", "--json"))
        self.assertTrue(report["measured"])
        for row in report["recipes"]:
            self.assertGreater(row["tiers"]["ram"]["bytes_per_second"], 0)
            self.assertGreater(row["tokens_per_second_empty"], row["tokens_per_second_full"])

    def test_errors(self):
        self.assertIn('"q3" in "q3" is no format', self.fails(1, M1, *ELSEWHERE, "--type", "q3"))
        self.assertIn("fits no matrix", self.fails(1, M1, *ELSEWHERE, "--type", "q4,banana=q8"))
        self.assertIn('--ram: "-1GB" is no amount of memory', self.fails(2, M1, "--ram=-1GB"))
        self.assertIn("--bandwidth: \"0\", expected more than nothing", self.fails(2, M1, "--bandwidth", "0"))
        self.assertIn("--ctx-size: -1 is not", self.fails(2, M1, "--ctx-size", "-1"))
        self.assertIn("nowhere: no such folder", self.fails(1, "nowhere"))
        self.assertIn("no MODEL given", self.fails(2))
        with tempfile.TemporaryDirectory() as folder:
            self.assertIn("holds no config.json", self.fails(1, folder))
            broken = os.path.join(folder, "broken.json")
            with open(broken, "w", encoding="utf-8") as out:
                out.write("{")
            self.assertIn("broken.json", self.fails(1, broken))
            shutil.copy(M1, os.path.join(folder, "config.json"))
            short = json.loads(self.ok(folder, *ELSEWHERE, "--disk", "100GB", "--json"))
            self.assertFalse(any(row["fits"] for row in short["recipes"]))
            self.assertIn("more of disk", " ".join(short["notes"]))


if __name__ == "__main__":
    unittest.main()
