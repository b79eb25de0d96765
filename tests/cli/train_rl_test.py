"""`minimax train rl`, started as a person would: a recipe, a verifier of one's own, a run folder, a resume."""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

from program import PATIENCE, PROGRAM, environment, run

SFT = """
tokenizer = "tokenizer"
[model]
shape = "pico"
layers = 2
hidden = 32
[[data]]
path = "data.jsonl"
[batch]
tokens = 256
context = 256
[schedule]
steps = 1
"""

RL = """
batches = 3
evaluate_every = 2
audit_share = 1.0
[model]
checkpoint = "sft/checkpoints/step-000001"
[[verifier]]
name = "even"
command = "{python} even.py"
[[problems.file]]
path = "problems.jsonl"
[rollout]
prompts = 2
group_size = 4
window = 8
[updates]
minibatches = 2
rate = 1e-3
[checkpoints]
every = 1
keep_last = 3
[[evaluate]]
task = "chain_sum"
level = 1
count = 2
"""

# Right when the last byte of the answer is even: about half of what an untrained model writes.
EVEN = """
import json, sys
for line in sys.stdin:
    text = json.loads(line)["text"].encode()
    print(json.dumps({"score": 1 if text and text[-1] % 2 == 0 else 0}), flush=True)
"""


class TrainRl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        at = cls.at
        with open(at("sft.toml"), "w", encoding="utf-8") as file:
            file.write(SFT)
        with open(at("rl.toml"), "w", encoding="utf-8") as file:
            file.write(RL.format(python=sys.executable))
        with open(at("even.py"), "w", encoding="utf-8") as file:
            file.write(EVEN)
        with open(at("problems.jsonl"), "w", encoding="utf-8") as file:
            for number in range(5):
                file.write(json.dumps({"messages": [{"role": "user", "content": f"{number}?"}],
                                       "verifier": {"name": "even"}}) + "\n")
        cls.check(run("train", "data", "--task", "chain_sum", "--count", "50", "--out", at("data.jsonl")))
        cls.check(run("train", "tokenizer", at("data.jsonl"), "--kind", "chat", "--tokens", "260", "--out",
                      at("tokenizer")))
        cls.check(run("train", "sft", at("sft.toml"), "--out", at("sft")))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def at(cls, name):
        return os.path.join(cls.folder.name, name)

    @staticmethod
    def check(done):
        assert done.returncode == 0, done.stderr

    def lines(self, *names):
        with open(os.path.join(self.folder.name, *names), encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def weights(self, name, batch):
        with open(self.at(f"{name}/checkpoints/step-{batch:06}/model.safetensors"), "rb") as file:
            return file.read()

    def test_runs_and_resumes_with_the_same_bits(self):
        # The verifier is found beside the recipe only when the run starts there.
        os.chdir(self.folder.name)
        self.check(run("train", "rl", "rl.toml", "--out", "whole"))
        metrics = self.lines("whole", "metrics.jsonl")
        self.assertEqual([line["step"] for line in metrics], [0, 1, 2, 3])
        trained = [line for line in metrics if "mismatch/same_bits" in line]
        self.assertTrue(trained)
        for line in trained:
            self.assertEqual(line["mismatch/same_bits"], 1)
        self.assertIn("heldout/chain_sum.1.greedy", metrics[0])
        self.assertEqual({row["score"]["why"] for row in self.lines("whole", "attempts.jsonl")},
                         {"correct", "wrong_value"})
        self.assertTrue(os.path.exists("whole/report.html"))
        self.check(run("train", "rl", "rl.toml", "--out", "parts", "--batches", "1"))
        self.check(run("train", "rl", "rl.toml", "--out", "parts", "--resume"))
        self.assertEqual(self.weights("parts", 3), self.weights("whole", 3))
        self.assertNotEqual(self.weights("whole", 1), self.weights("whole", 3))
        again = run("train", "rl", "rl.toml", "--out", "whole")
        self.assertEqual(again.returncode, 1)
        self.assertIn(b"a run has been here already", again.stderr)

    def test_killed_and_resumed(self):
        os.chdir(self.folder.name)
        self.check(run("train", "rl", "rl.toml", "--out", "unhurt"))
        process = subprocess.Popen([PROGRAM, "train", "rl", "rl.toml", "--out", "killed"], env=environment(),
                                   stderr=subprocess.DEVNULL)
        while not os.path.exists("killed/metrics.jsonl") and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.check(run("train", "rl", "rl.toml", "--out", "killed", "--resume"))
        self.assertEqual(self.weights("killed", 3), self.weights("unhurt", 3))
        self.assertEqual([line["step"] for line in self.lines("killed", "metrics.jsonl")],
                         [line["step"] for line in self.lines("unhurt", "metrics.jsonl")])

    def test_live_page_and_interrupt(self):
        os.chdir(self.folder.name)
        process = subprocess.Popen([PROGRAM, "train", "rl", "rl.toml", "--batches", "1000000", "--out", "live", "--ui", "0"],
                                   env=environment(), stderr=subprocess.PIPE)
        try:
            for line in process.stderr:
                if match := re.search(rb"http://127\.0\.0\.1:\d+/", line):
                    break
            url = match.group().decode()
            # Somebody must read what is said, or the pipe fills.
            reader = threading.Thread(target=process.stderr.read)
            reader.start()

            def has_a_batch():
                if not os.path.exists("live/metrics.jsonl"):
                    return False
                with open("live/metrics.jsonl", "rb") as file:
                    return b"reward/mean" in file.read()
            while not has_a_batch():
                self.assertIsNone(process.poll())
                time.sleep(0.01)
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                self.assertIn(b'fetch("body")', answer.read())
            with urllib.request.urlopen(url + "body", timeout=PATIENCE) as answer:
                self.assertIn(b"reward", answer.read())
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=PATIENCE)
            reader.join()
            process.stderr.close()
        self.assertEqual(process.returncode, 0)
        self.assertTrue(os.listdir("live/checkpoints"))
        self.assertTrue(os.path.exists("live/report.html"))

    def test_verifies_in_processes_that_may_die(self):
        os.chdir(self.folder.name)
        with open("sums.toml", "w", encoding="utf-8") as file:
            file.write(RL.format(python=sys.executable).replace(
                '[[problems.file]]\npath = "problems.jsonl"', '[[problems.task]]\ntask = "chain_sum"'))
        process = subprocess.Popen([PROGRAM, "train", "rl", "sums.toml", "--batches", "1000000", "--out", "dying"],
                                   env=environment(), stderr=subprocess.DEVNULL)

        def verifiers():
            found = set()
            for entry in os.listdir("/proc"):
                try:
                    with open(f"/proc/{entry}/stat", encoding="utf-8") as file:
                        if int(file.read().rsplit(")", 1)[1].split()[1]) != process.pid:
                            continue
                    with open(f"/proc/{entry}/cmdline", "rb") as file:
                        if b"\0verify\0" in file.read():
                            found.add(int(entry))
                except (OSError, ValueError):
                    continue  # no process, or one that has just ended
            return found
        try:
            killed = set()
            while len(killed) < 5:  # each of which is replaced, and the run goes on
                self.assertIsNone(process.poll())
                for pid in verifiers() - killed:
                    os.kill(pid, signal.SIGSEGV)
                    killed.add(pid)
                time.sleep(0.01)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=PATIENCE)
        self.assertEqual(process.returncode, 0)
        self.assertTrue(os.listdir("dying/checkpoints"))
        self.assertEqual(verifiers(), set())

    def test_scores_lines(self):
        done = run("train", "data", "--task", "addition", "--problems", "--count", "1")
        self.check(done)
        problem = json.loads(done.stdout)
        right = str(problem["gold"]["answer"])
        requests = [{"problem": problem, "text": f"<think>so</think>{right}"},
                    {"problem": problem, "text": "<think>so</think>nothing"},
                    {"problem": {**problem, "verifier": {"name": "nobody"}},
                     "text": f"<think>so</think>{right}"}]
        done = run("train", "verify", stdin="".join(json.dumps(request) + "\n" for request in requests) + "no json\n")
        self.check(done)
        scores = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([score["score"] for score in scores], [1, 0, None, None])
        self.assertIn('"nobody" does not exist', scores[2]["why"])

    def test_names_a_verifier_that_nobody_has(self):
        os.chdir(self.folder.name)
        with open("typo.jsonl", "w", encoding="utf-8") as file:
            file.write(json.dumps({"id": "q1", "messages": [{"role": "user", "content": "?"}],
                                   "verifier": {"name": "evn"}}) + "\n")
        with open("typo.toml", "w", encoding="utf-8") as file:
            file.write(RL.format(python=sys.executable).replace("problems.jsonl", "typo.jsonl"))
        done = run("train", "rl", "typo.toml")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b'typo.jsonl: problem q1 asks for verifier "evn"', done.stderr)

    def test_says_why_a_verifier_gives_no_scores(self):
        os.chdir(self.folder.name)
        with open("dead.toml", "w", encoding="utf-8") as file:
            file.write(RL.format(python=sys.executable).replace("even.py", "missing.py"))
        done = run("train", "rl", "dead.toml", "--batches", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, rb"verifiers failed on 1 of the attempts, as: .*problems\.jsonl:\d+: .+")

    def test_names_what_is_wrong_in_a_recipe(self):
        for line, says in (("batchs = 3", b"batchs"), ("batches = 0", b"batches"),
                           ("[loss]\npreset = \"ppo\"", b"preset"), ("[[problems.task]]\ntask = \"chess\"", b"chess")):
            path = self.at("wrong.toml")
            recipe = RL.format(python="python3")
            with open(path, "w", encoding="utf-8") as file:
                file.write(line + "\n" + recipe.replace("batches = 3", "") if "[" not in line else recipe + line + "\n")
            done = run("train", "rl", path)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(says, done.stderr)


if __name__ == "__main__":
    unittest.main()
