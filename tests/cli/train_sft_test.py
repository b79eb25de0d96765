"""`minimax train tokenizer` and `minimax train sft`: from texts to a model that answers."""
import json
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

from program import PATIENCE, PROGRAM, environment, run

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
[batch]
tokens = 256
pass_tokens = 256
context = 128
[schedule]
steps = {steps}
rate = 1e-2
warmup = 5
[checkpoints]
every = 5
[[sample]]
prompt = "color of sky?"
max_tokens = 12
"""

FACTS = {"sky": "blue", "grass": "green", "snow": "white", "coal": "black", "blood": "red"}


class Sft(unittest.TestCase):
    """One folder with data and a tokenizer for all tests."""

    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.folder = cls.holder.name
        with open(cls.path("chats.jsonl"), "w", encoding="utf-8") as file:
            for thing, color in FACTS.items():
                for mark in ("?", " ?", "?!", "...", "??", "?!?", "!?", "!!"):
                    file.write(json.dumps({"messages": [
                        {"role": "user", "content": f"color of {thing}{mark}"},
                        {"role": "assistant", "content": color}]}) + "\n")
        done = run("train", "tokenizer", cls.path("chats.jsonl"), "--kind", "chat", "--digits", "single",
                   "--tokens", "300", "--out", cls.path("tokenizer"), "--json")
        assert done.returncode == 0, done.stderr
        cls.tokenizer = json.loads(done.stdout)

    @classmethod
    def tearDownClass(cls):
        cls.holder.cleanup()

    @classmethod
    def path(cls, *names):
        return os.path.join(cls.folder, *names)

    def recipe(self, steps):
        path = self.path(f"recipe_{steps}.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(RECIPE.format(steps=steps))
        return path

    def test_tokenizer(self):
        self.assertEqual(self.tokenizer["merges"], 44)
        self.assertEqual(self.tokenizer["vocab"], 300 + self.tokenizer["special"])
        done = run("tokenize", self.path("tokenizer"), "color of snow? 2024", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_trained_model_answers(self):
        out = self.path("answers")
        done = run("train", "sft", self.recipe(60), "--out", out)
        self.assertEqual(done.returncode, 0, done.stderr)
        model = os.path.join(out, "checkpoints", "step-000060")
        for thing, color in FACTS.items():
            answer = run("run", model, f"color of {thing}?", "--temp", "0", "--max-tokens", "12", "--quiet")
            self.assertEqual(answer.returncode, 0, answer.stderr)
            self.assertEqual(answer.stdout.decode().strip(), color)
        with open(os.path.join(out, "samples.jsonl"), encoding="utf-8") as file:
            self.assertEqual(json.loads(file.readlines()[-1])["text"], "blue")
        with open(os.path.join(out, "report.html"), encoding="utf-8") as file:
            self.assertIn("<title>Loss</title>", file.read())

    def test_adapters(self):
        base, out, merged = self.path("base"), self.path("adapted"), self.path("merged")
        self.assertEqual(run("train", "sft", self.recipe(4), "--out", base).returncode, 0)
        model = os.path.join(base, "checkpoints", "step-000004")
        recipe = self.path("lora.toml")
        with open(recipe, "w", encoding="utf-8") as file:
            text = RECIPE.format(steps=6)
            begin, end = text.index("[model]"), text.index("[[data]]")
            file.write(text[:begin] + f'[model]\ncheckpoint = "{model}"\n' + text[end:] + "[lora]\nrank = 4\n")
        done = run("train", "sft", recipe, "--out", out)
        self.assertEqual(done.returncode, 0, done.stderr)
        trained = os.path.join(out, "checkpoints", "step-000006")
        done = run("train", "merge", model, "--adapter", trained, "--out", merged)
        self.assertEqual(done.returncode, 0, done.stderr)
        answers = [run("run", *words, "sky", "--raw", "--temp", "0", "--max-tokens", "8", "--ignore-eos", "--json")
                   for words in ([trained], [merged], [model, "--adapter", trained], [model])]
        for answer in answers:
            self.assertEqual(answer.returncode, 0, answer.stderr)
        results = [(json.loads(answer.stdout)["ids"], json.loads(answer.stdout)["logprobs"]) for answer in answers]
        self.assertEqual(results[0], results[1])  # to the bit, merged or while loading
        self.assertEqual(results[0], results[2])
        self.assertNotEqual(results[0], results[3])

    def test_killed_and_resumed(self):
        recipe = self.recipe(16)
        whole, parts = self.path("whole"), self.path("parts")
        self.assertEqual(run("train", "sft", recipe, "--out", whole).returncode, 0)
        for _ in range(20):  # killed whenever, again and again
            process = subprocess.Popen([PROGRAM, "train", "sft", recipe, "--out", parts, "--resume"],
                                       env=environment(), stderr=subprocess.DEVNULL)
            before = os.path.getsize(os.path.join(parts, "metrics.jsonl")) if os.path.exists(
                os.path.join(parts, "metrics.jsonl")) else 0
            for _ in range(200):  # until it has done a few steps
                metrics = os.path.join(parts, "metrics.jsonl")
                if process.poll() is not None or (
                        os.path.exists(metrics) and os.path.getsize(metrics) > before + 6 * 250):
                    break
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            if process.wait() == 0:
                break
        self.assertEqual(run("train", "sft", recipe, "--out", parts, "--resume").returncode, 0)
        for name in ("model.safetensors", "optimizer.safetensors"):
            with open(os.path.join(whole, "checkpoints", "step-000016", name), "rb") as file:
                expected = file.read()
            with open(os.path.join(parts, "checkpoints", "step-000016", name), "rb") as file:
                self.assertEqual(file.read(), expected, name)

    def test_interrupt_saves(self):
        out = self.path("interrupted")
        process = subprocess.Popen([PROGRAM, "train", "sft", self.recipe(100000), "--out", out], env=environment(),
                                   stderr=subprocess.PIPE)
        while not os.path.exists(os.path.join(out, "metrics.jsonl")):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 0, errors)
        self.assertIn(b"--resume", errors)
        self.assertTrue(os.listdir(os.path.join(out, "checkpoints")))

    def test_live_page(self):
        out = self.path("live")
        process = subprocess.Popen([PROGRAM, "train", "sft", self.recipe(100000), "--out", out, "--ui", "0"],
                                   env=environment(), stderr=subprocess.PIPE)
        try:
            for line in process.stderr:
                if match := re.search(rb"http://127\.0\.0\.1:\d+/", line):
                    break
            url = match.group().decode()
            while not os.path.exists(os.path.join(out, "metrics.jsonl")):
                time.sleep(0.01)
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                self.assertIn(b'fetch("body")', answer.read())
            with urllib.request.urlopen(url + "body", timeout=PATIENCE) as answer:
                self.assertIn(b"<title>Loss</title>", answer.read())
            with self.assertRaises(urllib.error.HTTPError):
                urllib.request.urlopen(url + "recipe.toml", timeout=PATIENCE)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 0)

    def test_says_what_is_wrong(self):
        path = self.path("wrong.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(RECIPE.format(steps=3).replace("rate", "rat"))
        done = run("train", "sft", path)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b'"schedule.rat" is unknown; did you mean "rate"?', done.stderr)


if __name__ == "__main__":
    unittest.main()
