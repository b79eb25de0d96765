"""quantize, calibrate, perplexity and verify on nano; --quant; quantized files that are damaged."""
import json
import os
import shutil
import struct
import tempfile
import unittest

from program import golden, run

TEXT = ("The cat sat on the mat. A bird sings in the tree, and the dog runs home. "
        "Add 12 and 30: 42. Sort 5, 3, 9: 3, 5, 9. ") * 12


class QuantizeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="minimax_quantize_test_")
        cls.text = cls.path("text.txt")
        with open(cls.text, "w", encoding="utf-8") as file:
            file.write(TEXT)
        cls.q4 = cls.path("q4")
        process = run("quantize", "nano", cls.q4, "--type", "q4", "--json")
        assert process.returncode == 0, process.stderr.decode()
        cls.figures = json.loads(process.stdout)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def path(cls, *names):
        return os.path.join(cls.folder.name, *names)

    def ok(self, *words):
        process = run(*words)
        self.assertEqual(process.returncode, 0, process.stderr.decode())
        return process.stdout.decode()

    def fails(self, code, *words):
        process = run(*words)
        self.assertEqual(process.returncode, code, process.stderr.decode())
        self.assertNotIn("terminate", process.stderr.decode())
        return process.stderr.decode()

    def logits(self, model, *flags):
        out = self.path("logits.safetensors")
        self.ok("forward", model, "--ids", json.dumps(list(range(60, 140))), "--out", out, *flags)
        with open(out, "rb") as file:
            return file.read()

    def test_a_quantized_folder_is_a_model(self):
        self.assertLess(self.figures["bits_per_weight"], 7)
        self.assertLessEqual({"q4", "q8"}, set(self.figures["formats"]))
        report = json.loads(self.ok("inspect", self.q4, "--json"))
        self.assertTrue(report["loads"], report["problems"])
        self.assertEqual(report["warnings"], [])
        self.assertIn("perplexity", self.ok("perplexity", self.q4, "--text", self.text))
        self.ok("run", self.q4, "Add 2 and 3.", "-n", "8", "--temperature", "0")
        self.assertIn("files are as SHA256SUMS says", self.ok("verify", self.q4))

    def test_quantized_at_load_is_the_same_to_the_bit(self):
        self.assertEqual(self.logits("nano", "--quant", "q4"), self.logits(self.q4))
        self.assertEqual(self.logits(self.q4), self.logits(self.q4, "--chunk", "7", "--decode-from", "60"))
        self.assertIn("no format", self.fails(1, "run", "nano", "hi", "--quant", "q3"))

    def test_verify_tells_how_far_it_is(self):
        svg = self.path("errors.svg")
        report = json.loads(self.ok("verify", self.q4, "--against", "nano", "--text", self.text, "--svg", svg, "--json"))
        text = report["text"]
        self.assertGreater(text["divergence"], 0)
        self.assertLess(text["divergence"], 1)
        self.assertGreater(text["same_top"], 0.6)
        self.assertGreater(text["hidden_error"][1], 0)
        by_name = {tensor["name"]: tensor for tensor in report["tensors"]}
        expert = by_name["model.layers.0.block_sparse_moe.experts.0.w1.weight"]
        self.assertEqual(expert["format"], "q4")
        self.assertTrue(0.03 < expert["relative_error"] < 0.15)
        self.assertEqual(by_name["model.norm.weight"]["relative_error"], 0)
        with open(svg, encoding="utf-8") as file:
            self.assertIn("hidden states", file.read())
        same = json.loads(self.ok("verify", "nano", "--against", "nano", "--text", self.text, "--json"))
        self.assertEqual(same["text"]["divergence"], 0)
        table = self.ok("verify", self.q4, "--against", "nano", "--text", self.text)
        self.assertIn("same likeliest token", table)
        self.assertIn("layer 6", table)

    def test_calibration_changes_the_bytes_and_keeps_the_model(self):
        statistics = self.path("calibration.safetensors")
        self.ok("calibrate", "nano", "--text", self.text, "--out", statistics)
        out = self.path("calibrated")
        self.ok("quantize", "nano", out, "--type", "q4", "--calibration", statistics)
        report = json.loads(self.ok("verify", out, "--against", "nano", "--text", self.text, "--json"))
        self.assertLess(report["text"]["divergence"], 1)
        self.assertNotEqual(self.logits(out), self.logits(self.q4))

    def test_perplexity_of_windows(self):
        whole = json.loads(self.ok("perplexity", "nano", "--text", self.text, "--json"))
        self.assertGreater(whole["perplexity"], 1)
        self.assertGreater(whole["standard_error"], 0)
        short = json.loads(self.ok("perplexity", "nano", "--text", self.text, "--window", "16", "--json"))
        self.assertGreater(short["perplexity"], whole["perplexity"])
        self.assertGreater(short["windows"], whole["windows"])
        few = json.loads(self.ok("perplexity", "nano", "--text", self.text, "--tokens", "100", "--json"))
        self.assertEqual(few["tokens"], 99)

    def test_conversations_are_windows_of_which_answers_count(self):
        data = self.path("talk.jsonl")
        self.ok("train", "data", "--task", "sorting", "--count", "20", "--split", "heldout", "--out", data)
        found = json.loads(self.ok("perplexity", "nano", "--text", data, "--json"))
        self.assertEqual(found["windows"], 20)
        self.assertLess(found["perplexity"], 1.5)  # what it was trained to write
        self.assertGreater(found["tokens"], 20 * 10)

    def test_recipes_and_targets(self):
        tiny = golden("m1-tiny")
        recipe = self.path("recipe.txt")
        with open(recipe, "w", encoding="utf-8") as file:
            file.write("# tiny\nexperts = q5\nlayers\\.[0-1]\\..*w2 = q6  # the first\nattention = mxfp4\nhead = bf16\n")
        figures = json.loads(self.ok("quantize", tiny, self.path("mixed"), "--recipe", recipe, "--json"))
        self.assertLessEqual({"BF16", "q5", "q6", "mxfp4"}, set(figures["formats"]))
        self.logits(self.path("mixed"))
        sizes = {}
        for kind in ("keep", "experts-int8", "q8", "mxfp4"):
            sizes[kind] = json.loads(self.ok("quantize", tiny, self.path(kind), "--type", kind, "--json"))["bytes"]
            self.logits(self.path(kind))
        self.assertLess(sizes["q8"], sizes["keep"])
        memory = str(2 * sizes["keep"] + 10**7)
        fitted = json.loads(self.ok("quantize", tiny, self.path("fit"), "--fit", memory, "-c", "64", "--json"))
        self.assertEqual(fitted["recipe"], "keep")
        self.assertIn("(--ctx-size) takes 17.4 MB by itself",
                      self.fails(1, "quantize", tiny, self.path("none"), "--fit", "10KB"))
        self.assertIn("more than the", self.fails(1, "quantize", tiny, self.path("none"), "--fit", "620KB", "-c", "1"))
        self.assertIn("fits no matrix", self.fails(1, "quantize", tiny, self.path("none"), "--type", "q4,foo=q8"))
        self.assertIn("one of --type", self.fails(2, "quantize", tiny, self.path("none")))
        self.assertIn("no OUT", self.fails(2, "quantize", tiny, "--type", "q4"))

    def test_folders_are_not_written_over(self):
        self.assertIn("there is a model already", self.fails(1, "quantize", "nano", self.q4, "--type", "q4"))
        self.assertIn("is quantized already", self.fails(1, "quantize", self.q4, self.path("again"), "--type", "q4"))

    def test_damaged_files(self):
        broken = self.path("broken")
        shutil.copytree(self.q4, broken)
        weights = os.path.join(broken, "model.safetensors")
        with open(weights, "r+b") as file:
            file.seek(-100, os.SEEK_END)
            file.write(b"\0\1\2\3")
        self.assertIn("model.safetensors has other bytes", self.fails(1, "verify", broken))
        with open(weights, "r+b") as file:
            file.truncate(os.path.getsize(weights) - 64)
        self.assertIn("model.safetensors", self.fails(1, "forward", broken, "--ids", "[1, 2]", "--out", self.path("o")))
        shutil.copy(os.path.join(self.q4, "model.safetensors"), weights)
        with open(weights, "r+b") as file:  # q4 says it is q5, of other lengths
            length = struct.unpack("<Q", file.read(8))[0]
            header = file.read(length).replace(b"experts.0.w1.weight.q4", b"experts.0.w1.weight.q5", 1)
            file.seek(8)
            file.write(header)
        message = self.fails(1, "forward", broken, "--ids", "[1, 2]", "--out", self.path("o"))
        self.assertIn("experts.0.w1.weight.q5", message)
        self.assertIn("expected [", message)
        os.remove(os.path.join(broken, "SHA256SUMS"))
        self.assertIn("no SHA256SUMS", self.fails(1, "verify", broken))


if __name__ == "__main__":
    unittest.main()
