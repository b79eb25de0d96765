"""doctor and bench: what the machine has and how fast it is."""
import json
import unittest

from program import golden, run


def text(process):
    return process.stdout.decode(), process.stderr.decode()


class Doctor(unittest.TestCase):
    def test_table(self):
        stdout, stderr = text(run("doctor"))
        for word in ("processor", "kernels", "threads", "memory", "huge pages", "mlock limit", "disk", "GPU"):
            self.assertIn("\n" + word, "\n" + stdout)
        self.assertEqual(stderr, "")

    def test_json(self):
        process = run("doctor", "--json", "--threads", "3")
        report = json.loads(process.stdout)
        self.assertEqual(process.returncode, 0)
        self.assertEqual(report["threads"], 3)
        self.assertEqual(report["kernels"], report["usable_kernels"][0])
        self.assertEqual(report["usable_kernels"][-1], "generic")
        self.assertGreater(report["memory_total_bytes"], report["memory_available_bytes"])

    def test_forced_instruction_sets(self):
        report = json.loads(run("doctor", "--json", env={"MINIMAX_ISA": "generic"}).stdout)
        self.assertEqual(report["kernels"], "generic")
        self.assertEqual(len(report["usable_kernels"]) > 1,
                         any("MINIMAX_ISA" in finding["what"] for finding in report["findings"]))
        broken = run("doctor", env={"MINIMAX_ISA": "sse9"})
        self.assertEqual(broken.returncode, 1)
        self.assertRegex(text(broken)[0], "problem: MINIMAX_ISA=sse9: expected one of .*generic\n    unset MINIMAX_ISA")


class Bench(unittest.TestCase):
    def check_figure(self, figure, rounds):
        self.assertEqual(len(figure["values"]), rounds)
        self.assertLessEqual(0, figure["min"])
        self.assertLessEqual(figure["min"], figure["median"])
        self.assertLessEqual(figure["median"], figure["max"])

    def check_report(self, process, rounds, threads):
        self.assertEqual(process.returncode, 0, process.stderr)
        report = json.loads(process.stdout)
        self.assertEqual([ceiling["threads"] for ceiling in report["ceilings"]], threads)
        for ceiling in report["ceilings"]:
            self.check_figure(ceiling["read_bytes_per_second"], rounds)
            self.check_figure(ceiling["float32_flops_per_second"], rounds)
        self.check_figure(report["prefill"]["tokens_per_second"], rounds)
        self.check_figure(report["prefill"]["share_of_ceiling"], rounds)
        self.check_figure(report["decode"]["weight_bytes_per_second"], rounds)
        self.assertLess(report["decode"]["weight_bytes_per_token"], 2 * report["model"]["parameters"] + 100_000)
        return report

    def test_model_as_json(self):
        process = run("bench", golden("m1-tiny"), "-p", "20", "-n", "3", "-r", "1", "-t", "1", "--json")
        self.check_report(process, 1, [1])

    def test_synthetic_as_json(self):
        process = run("bench", "--synthetic=tiny", "-p", "20", "-n", "3", "-r", "2", "-t", "2", "--json")
        report = self.check_report(process, 2, [1, 2])
        self.assertEqual(report["model"]["parameters"], 29_775_872)

    def test_table(self):
        process = run("bench", "--synthetic", "tiny", "--layers", "1", "-p", "9", "-n", "2", "-r", "1", "-t", "1")
        stdout, stderr = text(process)
        self.assertEqual(process.returncode, 0, stderr)
        self.assertRegex(stdout, "(?m)^prompt of 9 .* GFLOP/s .* % of float32 multiply-add$")
        self.assertRegex(stdout, "(?m)^answer of 2 .* GB/s .* % of memory read$")
        self.assertRegex(stderr, "medians of 1 rounds")

    def test_errors(self):
        for words, code, message in (
                (("--synthetic", "huge"), 2, '--synthetic: "huge" is not one of tiny, s8, m1-layer2'),
                ((golden("m1-tiny"), "--synthetic", "tiny"), 2, "give a MODEL or --synthetic, not both"),
                (("-p", "0"), 2, "--prompt: 0 is not between 1"),
                (("no-such-folder",), 1, "no-such-folder"),
                (("--synthetic", "s8", "--layers", "900"), 1, "needs .* TB of memory, .* are available; --layers N")):
            process = run("bench", *words, "-r", "1")
            self.assertEqual(process.returncode, code)
            self.assertRegex(text(process)[1], message)


if __name__ == "__main__":
    unittest.main()
