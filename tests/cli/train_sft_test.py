"""`minimax train tokenizer` and `minimax train sft`: from texts to a model that answers."""
import json
import os
import re
import resource
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import event_file
from pico import PICO
from program import PATIENCE, PROGRAM, environment, run

RECIPE = PICO + """[held_out]
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

    def test_event_files(self):
        recipe, out = self.path("events.toml"), self.path("events")
        with open(recipe, "w", encoding="utf-8") as file:
            file.write("tensorboard = true\n" + RECIPE.format(steps=3))
        self.assertEqual(run("train", "sft", recipe, "--out", out).returncode, 0)
        folder = os.path.join(out, "tensorboard")
        name, = os.listdir(folder)
        self.assertTrue(name.startswith("events.out.tfevents."))
        version, events = event_file.scalars(os.path.join(folder, name))
        self.assertEqual(version, "brain.Event:2")
        with open(os.path.join(out, "metrics.jsonl"), encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        self.assertEqual([step for _, step, _ in events], [1, 2, 3])
        for line, (wall, step, values) in zip(lines, events):
            self.assertEqual(line.pop("step"), step)
            self.assertLess(abs(wall - time.time()), 24 * 3600)
            self.assertEqual(set(values), set(line))
            for tag, value in values.items():
                self.assertAlmostEqual(value, line[tag], delta=1e-6 * abs(line[tag]))
        with open(os.path.join(folder, name), "rb") as file:
            data = bytearray(file.read())
        for place in (3, 9, 40, len(data) - 1):  # a length, its sum, a message, its sum
            broken = bytearray(data)
            broken[place] ^= 1
            with self.assertRaises(ValueError):
                list(event_file.records(bytes(broken)))

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
        scores = [run("train", "score", *words, "--task", "chain_sum", "--level", "1", "-n", "20", "--max-tokens", "40",
                      "--samples", "1", "--json") for words in ([trained], [model, "--adapter", trained], [model])]
        for score in scores:
            self.assertEqual(score.returncode, 0, score.stderr)
        self.assertEqual(scores[0].stdout, scores[1].stdout)
        self.assertNotEqual(scores[0].stdout, scores[2].stdout)

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

    def test_killed_in_the_middle_of_a_checkpoint(self):
        def recipe(name, steps):
            text = RECIPE.format(steps=steps).replace("warmup = 5", 'warmup = 0\ndecay = "constant"')
            text = text.replace("every = 5", "every = 1\nkeep_last = 1000000").split("[[sample]]")[0]
            with open(self.path(name), "w", encoding="utf-8") as file:
                file.write(text)
            return self.path(name)

        out, whole = self.path("half"), self.path("half-whole")
        checkpoints = os.path.join(out, "checkpoints")
        process = subprocess.Popen([PROGRAM, "train", "sft", recipe("half.toml", 1000000), "--out", out],
                                   env=environment(), stderr=subprocess.DEVNULL)
        give_up = time.monotonic() + PATIENCE

        def half_written():
            try:
                return [name for name in os.listdir(checkpoints) if name.startswith(".step-")]
            except FileNotFoundError:
                return []
        while True:  # stopped while one is being written, and not the first
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), give_up)
            if half_written() and len(os.listdir(checkpoints)) > 3:
                process.send_signal(signal.SIGSTOP)
                os.waitpid(process.pid, os.WUNTRACED)
                if half_written():
                    break
                process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGKILL)
        process.wait()
        last = max(int(name[5:]) for name in os.listdir(checkpoints) if not name.startswith("."))
        self.assertIn(f".step-{last + 1:06}", os.listdir(checkpoints))
        done = run("train", "sft", recipe("half.toml", last + 3), "--out", out, "--resume")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"going on after step {last}".encode(), done.stderr)
        self.assertEqual(half_written(), [])
        self.assertEqual(run("train", "sft", recipe("half.toml", last + 3), "--out", whole).returncode, 0)
        for name in ("model.safetensors", "optimizer.safetensors"):
            files = [open(os.path.join(folder, "checkpoints", f"step-{last + 3:06}", name), "rb") for folder in (out, whole)]
            self.assertEqual(files[0].read(), files[1].read(), name)
            for file in files:
                file.close()
        with open(os.path.join(out, "metrics.jsonl"), encoding="utf-8") as file:
            self.assertEqual([json.loads(line)["step"] for line in file], list(range(1, last + 4)))

    def test_disk_full(self):
        """A file that may not grow plays a disk that is full: an error that names it, and a run that can go on."""
        def no_room():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))

        out = self.path("full")
        done = subprocess.run([PROGRAM, "train", "sft", self.recipe(10), "--out", out], env=environment(),
                              capture_output=True, timeout=PATIENCE, check=False, preexec_fn=no_room)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, rb"model\.safetensors.*: .*(File too large|cannot)")
        self.assertEqual([name for name in os.listdir(os.path.join(out, "checkpoints")) if not name.startswith(".")], [])
        done = run("train", "sft", self.recipe(10), "--out", out, "--resume")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(os.listdir(os.path.join(out, "checkpoints"))), ["step-000005", "step-000010"])

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
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                self.assertIn(b'fetch("body")', answer.read())
            body = b""
            while b"<title>Loss</title>" not in body:  # once there is something to show
                self.assertIsNone(process.poll(), body)
                with urllib.request.urlopen(url + "body", timeout=PATIENCE) as answer:
                    body = answer.read()
                time.sleep(0.01)
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
