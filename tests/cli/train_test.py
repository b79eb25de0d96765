"""`minimax train ...`, started as a person would."""
import json
import os
import struct
import tempfile
import unittest

from program import golden, run


def read_safetensors(path):
    """{name: (dtype, shape, bytes)} of a file."""
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, info in header.items():
        begin, end = info["data_offsets"]
        tensors[name] = (info["dtype"], info["shape"], data[8 + length + begin:8 + length + end])
    return tensors


def floats(tensor):
    dtype, _, data = tensor
    assert dtype == "F32", dtype
    return struct.unpack(f"<{len(data) // 4}f", data)


class TrainGrad(unittest.TestCase):
    """Gradients against float64 results of another implementation."""

    def check(self, loss, loss_name, more=()):
        model = golden("m1-tiny-grad")
        io = os.path.join(model, "io.safetensors")
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "grads.safetensors")
            done = run("train", "grad", model, "--io", io, "--loss", loss, "--out", out, "--json", *more)
            self.assertEqual(done.returncode, 0, done.stderr)
            summary = json.loads(done.stdout)
            got = read_safetensors(out)
        want = read_safetensors(os.path.join(model, f"grads_{loss}.safetensors"))
        self.assertEqual(sorted(got), sorted(want))
        for name, tensor in want.items():
            self.assertEqual(got[name][1], tensor[1], name)
            expected, found = floats(tensor), floats(got[name])
            norm = sum(x * x for x in expected) ** 0.5
            error = sum((x - y) ** 2 for x, y in zip(expected, found)) ** 0.5
            self.assertLess(error, 1e-5 * norm, name)
        values = read_safetensors(io)
        scalar = struct.unpack("<d", values[loss_name][2])[0]
        self.assertAlmostEqual(summary["loss"], scalar, delta=1e-5)
        return summary, values

    def test_cross_entropy(self):
        summary, values = self.check("ce", "ce_loss")
        self.assertEqual(summary["tokens"], values["input_ids"][1][0])

    def test_cispo(self):
        summary, values = self.check("cispo", "cispo_loss", ["--checkpoint-layers"])
        self.assertAlmostEqual(summary["clip_fraction"], struct.unpack("<d", values["cispo_clip_fraction"][2])[0],
                               delta=1e-9)

    def test_says_what_is_missing(self):
        done = run("train", "grad", golden("m1-tiny-grad"), "--out", "x")
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"no --io given", done.stderr)


class TrainData(unittest.TestCase):
    """Problems with verifiable answers."""

    def lines(self, *words):
        done = run("train", "data", *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_conversations(self):
        lines = self.lines("--task", "chain_sum", "--level", "2-3", "--count", "6", "--seed", "5")
        self.assertEqual([line["level"] for line in lines], [2, 3] * 3)
        for line in lines:
            user, answer = line["messages"]
            self.assertEqual(user["role"], "user")
            self.assertEqual(str(eval(user["content"].rstrip("="))), answer["content"])  # digits and signs only
            self.assertIn("=", answer["reasoning_content"])
        self.assertEqual(lines, self.lines("--task", "chain_sum", "--level", "2-3", "--count", "6", "--seed", "5"))

    def test_problems_hold_no_solution(self):
        lines = self.lines("--problems", "--count", "17", "--instructions", "--split", "heldout")
        self.assertEqual(len({line["task"] for line in lines}), 17)
        self.assertTrue(lines[16]["tools"])  # tool_dialogue
        for line in lines[:16]:
            self.assertEqual([message["role"] for message in line["messages"]], ["system", "user"])
            self.assertEqual(line["split"], "heldout")
            self.assertIn("gold", line)

    def test_file_and_errors(self):
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "x.jsonl")
            self.assertEqual(self.lines("--count", "3", "--out", out), [])
            with open(out, encoding="utf-8") as file:
                self.assertEqual(len(file.readlines()), 3)
        for words, says in ((["--task", "chess"], b"no task \"chess\""), (["--level", "6"], b"a level from 1 to 5")):
            done = run("train", "data", *words)
            self.assertEqual(done.returncode, 2)
            self.assertIn(says, done.stderr)

    def test_list(self):
        done = run("train", "data", "--list")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"countdown", done.stdout)


class Verbs(unittest.TestCase):
    """Verbs of two words."""

    def test_first_word_alone(self):
        done = run("train")
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"train: say what: ", done.stderr)
        self.assertIn(b"grad", done.stderr)

    def test_wrong_second_word(self):
        done = run("train", "gard")
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"did you mean grad?", done.stderr)

    def test_help(self):
        for words in (["train", "--help"], ["help", "train"]):
            done = run(*words)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(b"train grad", done.stdout)
        for words in (["train", "grad", "--help"], ["help", "train", "grad"]):
            done = run(*words)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(b"minimax train grad MODEL", done.stdout)


if __name__ == "__main__":
    unittest.main()
