"""run, forward, inspect and tokenize against the golden checkpoints and a scripted model."""
import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

import scripted_model
from program import PATIENCE, PROGRAM, TESTDATA, environment, golden, run

WORDS = ["<think>\n", "I ", "wonder", "\n</think>\n\n", "Hello", ", 世", "界", "! ", "Bye", "."]


def read_safetensors(path):
    """{name: (shape, list of numbers)} of F32 and integer tensors."""
    formats = {"F32": "f", "F64": "d", "I64": "q", "I32": "i"}
    out = {}
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    for name, info in header.items():
        if name != "__metadata__":
            begin, end = info["data_offsets"]
            out[name] = (info["shape"], [x for (x,) in struct.iter_unpack("<" + formats[info["dtype"]], data[begin:end])])
    return out


class ModelTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="minimax_model_test_")
        cls.scripted = os.path.join(cls.folder.name, "scripted")
        os.mkdir(cls.scripted)
        scripted_model.write(cls.scripted, WORDS)
        cls.io = read_safetensors(os.path.join(golden("m1-tiny"), "io.safetensors"))
        cls.ids = cls.io["input_ids"][1]
        cls.ids_file = os.path.join(cls.folder.name, "ids.json")
        with open(cls.ids_file, "w", encoding="utf-8") as file:
            json.dump(cls.ids, file)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def ok(self, *words, stdin="", env=None):
        process = run(*words, stdin=stdin, env=env)
        self.assertEqual(process.returncode, 0, process.stderr.decode())
        return process.stdout.decode()

    def fails(self, code, *words, stdin="", env=None):
        process = run(*words, stdin=stdin, env=env)
        self.assertEqual(process.returncode, code, process.stderr.decode())
        self.assertNotIn("terminate", process.stderr.decode())
        return process.stderr.decode()

    def forward(self, *flags, ids=None):
        out = os.path.join(self.folder.name, "out.safetensors")
        self.ok("forward", golden("m1-tiny"), "--ids", ids or self.ids_file, "--out", out, *flags)
        return read_safetensors(out)


class Forward(ModelTest):
    def test_logits_and_hidden_states_are_the_golden_ones(self):
        got = self.forward("--hidden")
        shape, logits = got["logits"]
        self.assertEqual(shape, [len(self.ids), 160])
        expected = self.io["logits"][1]
        mean = sum(expected) / len(expected)
        deviation = (sum((x - mean) ** 2 for x in expected) / len(expected)) ** 0.5
        for row, position in enumerate(self.io["logit_positions"][1]):
            for column in range(160):
                self.assertLess(abs(logits[position * 160 + column] - expected[row * 160 + column]), 2e-5 * deviation)
        names = sorted(name for name in got if name.startswith("hidden."))
        self.assertEqual(names, sorted(name for name in self.io if name.startswith("hidden.") and name[7:].isdigit()))
        for name in names:
            shape, hidden = got[name]
            expected = self.io[name][1]
            scale = max(map(abs, expected))
            for row, position in enumerate(self.io["hidden_positions"][1]):
                for column in range(shape[1]):
                    self.assertLess(abs(hidden[position * shape[1] + column] - expected[row * shape[1] + column]),
                                    1e-4 * scale, name)

    def test_every_way_gives_the_same_bits(self):
        whole = self.forward()["logits"]
        for flags in (["--chunk", "50"], ["--decode-from", "590"], ["--chunk", "64", "--decode-from", "530", "-t", "1"],
                      ["--decode-from", "9999"]):
            self.assertEqual(self.forward(*flags)["logits"], whole, flags)
        batch = self.forward("--decode-from", "570", ids=json.dumps([self.ids, self.ids[:7], self.ids[:300]]))
        self.assertEqual(sorted(batch), ["logits.0", "logits.1", "logits.2"])
        self.assertEqual(batch["logits.0"], whole)
        self.assertEqual(batch["logits.1"], ([7, 160], whole[1][:7 * 160]))
        self.assertEqual(batch["logits.2"], ([300, 160], whole[1][:300 * 160]))

    def test_errors(self):
        model = golden("m1-tiny")
        self.assertIn("no --ids given", self.fails(2, "forward", model, "--out", "x"))
        self.assertIn("no --out given", self.fails(2, "forward", model, "--ids", "[1]"))
        self.assertIn("id 160, expected 0 to 159", self.fails(1, "forward", model, "--ids", "[1,160]", "--out", "x"))
        self.assertIn("no ids", self.fails(1, "forward", model, "--ids", "[]", "--out", "x"))
        self.assertIn("[1]", self.fails(1, "forward", model, "--ids", "[1,-1]", "--out", "x"))
        self.assertIn("sequence 1 is no ids", self.fails(1, "forward", model, "--ids", "[[1],[]]", "--out", "x"))
        self.assertIn("nowhere.json", self.fails(1, "forward", model, "--ids", "nowhere.json", "--out", "x"))
        self.assertIn("/nowhere/o", self.fails(1, "forward", model, "--ids", "[1]", "--out", "/nowhere/o"))


class Run(ModelTest):
    def test_greedy_ids_are_the_golden_ones(self):
        greedy = self.io["greedy_ids"][1]
        flags = ["run", golden("m1-tiny"), "--ids", "-", "--max-tokens", str(len(greedy)), "--temperature", "0", "--json"]
        answer = json.loads(self.ok(*flags, stdin=json.dumps(self.ids)))
        self.assertEqual(answer["ids"], greedy)
        self.assertEqual(len(answer["logprobs"]), len(greedy))
        self.assertTrue(all(-10 < x < 0 for x in answer["logprobs"]))
        self.assertEqual(answer["finish_reason"], "length")

    def test_a_seed_repeats(self):
        flags = ["run", golden("m1-tiny"), "--ids", "[1,2,3]", "-n", "12"]
        once = self.ok(*flags, "--seed", "5")
        self.assertEqual(len(once.split()), 12)
        self.assertEqual(self.ok(*flags, env={"MINIMAX_SEED": "5"}), once)
        self.assertNotEqual(self.ok(*flags, "--seed", "6"), once)
        self.assertNotEqual(self.ok(*flags), self.ok(*flags))

    def test_prompt_by_word_file_and_stdin(self):
        said = "Hello, 世界! Bye.\n"
        prompt = os.path.join(self.folder.name, "prompt.txt")
        with open(prompt, "w", encoding="utf-8") as file:
            file.write("Hi")
        self.assertEqual(self.ok("run", self.scripted, "Hi"), said)
        self.assertEqual(self.ok("run", self.scripted, "several", "words"), said)
        self.assertEqual(self.ok("run", self.scripted, "-", stdin="Hi"), said)
        self.assertEqual(self.ok("run", self.scripted, stdin="Hi"), said)
        self.assertEqual(self.ok("run", self.scripted, "--file", prompt), said)
        self.assertEqual(self.ok("run", "-m", self.scripted, "Hi"), said)
        self.assertEqual(self.ok("run", "Hi", env={"MINIMAX_MODEL": self.scripted}), said)
        # A folder on the command line comes before one in the environment.
        self.assertEqual(self.ok("run", self.scripted, "Hi", env={"MINIMAX_MODEL": golden("m1-tiny")}), said)
        self.assertIn("8 layers", self.ok("inspect", golden("m1-tiny"), env={"MINIMAX_MODEL": "/nowhere"}))

    def test_raw_shows_everything(self):
        self.assertEqual(self.ok("run", self.scripted, "--raw", "x\n"), "".join(WORDS) + "\n")

    def test_json_has_text_and_reasoning(self):
        answer = json.loads(self.ok("run", self.scripted, "Hi", "--json"))
        self.assertEqual(answer["text"], "Hello, 世界! Bye.")
        self.assertEqual(answer["reasoning"], "I wonder")
        self.assertEqual(answer["finish_reason"], "stop_token")
        self.assertEqual(answer["ids"], [*range(300, 310), 258])

    def test_stops(self):
        def text(*flags):
            answer = json.loads(self.ok("run", self.scripted, "Hi", "--json", *flags))
            return answer["text"], answer["finish_reason"]

        self.assertEqual(text("--stop", "界! B"), ("Hello, 世", "stop_string"))
        self.assertEqual(text("--stop", "no", "--stop", "!"), ("Hello, 世界", "stop_string"))
        self.assertEqual(text("--stop-id", "307"), ("Hello, 世界", "stop_token"))
        self.assertEqual(text("--max-tokens", "6"), ("Hello, 世", "length"))
        self.assertEqual(text("--logit-bias", "308=-100", "--temp", "0", "-n", "8"), ("Hello, 世界! ", "length"))

    def test_without_a_tokenizer(self):
        for words in (["run", golden("m1-tiny"), "Hi"], ["chat", golden("m1-tiny")]):
            message = self.fails(1, *words, stdin="Hi\n")
            self.assertRegex(message, "^error: .*no tokenizer.*--ids '\\[1, 2, 3\\]'")
            self.assertEqual(message.count("\n"), 1)

    def test_errors(self):
        self.assertIn("no such folder", self.fails(1, "run", "/nowhere", "Hi"))
        self.assertIn("holds no config.json", self.fails(1, "run", self.folder.name, "Hi"))
        self.assertIn("is a file", self.fails(1, "run", self.ids_file, "Hi"))
        self.assertIn("prompt is empty", self.fails(1, "run", self.scripted, stdin=""))
        self.assertIn("no MODEL", self.fails(2, "run"))
        self.assertIn("expected one of them", self.fails(2, "run", self.scripted, "Hi", "--ids", "[1]"))
        self.assertIn("temperature", self.fails(2, "run", self.scripted, "Hi", "--temp", "-1"))
        self.assertIn("context", self.fails(1, "run", self.scripted, "Hi", "--ctx-size", "4"))
        process = run("run", "/nowhere", "Hi", "--json")
        self.assertEqual(json.loads(process.stdout)["error"]["kind"], "not found")

    def test_says_where_the_built_in_model_was_looked_for(self):
        # A copy of the program, far from the models of its source tree.
        with tempfile.TemporaryDirectory() as folder:
            program = shutil.copy(PROGRAM, os.path.join(folder, "minimax"))
            for words in (["chat"], ["serve"], ["chat", "nano"], ["run", "nano", "Hi"]):
                process = subprocess.run([program, *words], stdin=subprocess.DEVNULL, capture_output=True,
                                         env=environment(), timeout=PATIENCE, check=False)
                message = process.stderr.decode()
                self.assertEqual(process.returncode, 1, message)
                self.assertEqual(message.count("\n"), 1)
                self.assertIn(os.path.join(folder, "models"), message)
                self.assertIn("minimax run testdata/golden/m1-tiny --ids", message)


class Chat(ModelTest):
    def test_every_line_of_a_pipe_is_a_question(self):
        said = self.ok("chat", self.scripted, stdin="one\ntwo \\\nmore\n\n/think off\nthree")
        self.assertEqual(said, "Hello, 世界! Bye.\n" * 2 + "(thinking is folded)\n" + "Hello, 世界! Bye.\n")

    def test_saves_and_loads(self):
        file = os.path.join(self.folder.name, "talk.json")
        self.ok("chat", self.scripted, "--system", "Be kind.", stdin=f"one\n/save {file}\n")
        with open(file, encoding="utf-8") as saved:
            messages = json.load(saved)["messages"]
        self.assertEqual(messages, [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "one"},
                                    {"role": "assistant", "content": "Hello, 世界! Bye.", "reasoning_content": "I wonder"}])
        self.ok("chat", self.scripted, "--load", file, stdin=f"two\n/save {file}\n")
        with open(file, encoding="utf-8") as saved:
            self.assertEqual([message["content"] for message in json.load(saved)["messages"]],
                             ["Be kind.", "one", "Hello, 世界! Bye.", "two", "Hello, 世界! Bye."])

    def test_bad_commands_do_not_end_it(self):
        process = run("chat", self.scripted, stdin="/sev x\n/set temprature 1\n/set top-p 2\n/load /nowhere\nhi\n")
        errors = process.stderr.decode()
        self.assertEqual(process.returncode, 1)
        self.assertIn("unknown command /sev; did you mean /se", errors)
        self.assertIn("unknown name temprature; did you mean temperature?", errors)
        self.assertIn("/set top-p: 2 is not between 0 and 1", errors)
        self.assertIn("/nowhere", errors)
        self.assertEqual(process.stdout.decode(), "Hello, 世界! Bye.\n")


class Inspect(ModelTest):
    def test_says_what_is_there(self):
        said = self.ok("inspect", golden("m1-tiny"))
        for part in ("8 layers (7 lightning, 1 softmax)", "927,680", "8 of width 48, 2 for each token", "3 of 3 files"):
            self.assertIn(part, said)
        self.assertRegex(said, "loads +yes")
        report = json.loads(self.ok("inspect", golden("m1-tiny"), "--json", "--tensors"))
        self.assertTrue(report["loads"])
        self.assertEqual(report["parameters"], 927680)
        self.assertEqual(len(report["tensors"]), report["expected_tensors"])

    def test_broken_folders(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertRegex(self.ok("inspect", folder), "loads +no")
            for name in ("config.json", "model.safetensors.index.json"):
                os.symlink(os.path.join(golden("m1-tiny"), name), os.path.join(folder, name))
            said = self.ok("inspect", folder, "--filter", "layers.7.*norm")
            self.assertIn("0 of 3 files here", said)
            self.assertRegex(said, "loads +no")
            report = json.loads(self.ok("inspect", folder, "--json"))
            self.assertFalse(report["loads"])
            self.assertEqual(report["parameters"], 927680)
            self.assertTrue(report["problems"])
        self.assertIn("no such folder", self.fails(1, "inspect", "/nowhere"))

    def test_filters(self):
        said = self.ok("inspect", golden("m1-tiny"), "--filter", "*experts.3.w1.weight")
        self.assertEqual(said.count("experts.3.w1.weight"), 8)
        self.assertNotIn("lm_head", said.split("tensor", 1)[1])


class Tokenize(ModelTest):
    def test_there_and_back(self):
        folder = os.path.join(TESTDATA, "tokenizer")
        text = "Hello, 世界! naïve\ncafé 👍  x = 1\r\n\x00"
        ids = self.ok("tokenize", folder, "--json", stdin=text)
        self.assertEqual(list(json.loads(ids)), ["ids"])
        self.assertEqual(self.ok("tokenize", folder, "--decode", stdin=ids), text)
        self.assertEqual(self.ok("tokenize", folder, "--decode", stdin=json.dumps(json.loads(ids)["ids"])), text)
        self.assertEqual(self.ok("tokenize", folder, text[:8]), " ".join(map(str, json.loads(self.ok("tokenize", folder, "--json", text[:8]))["ids"])) + "\n")
        self.assertIn('"世界"', self.ok("tokenize", folder, "--pieces", "世界").replace(" ", ""))
        self.assertEqual(run("tokenize", folder, "--decode", stdin=self.ok("tokenize", folder, "--json", stdin=b"a\xffb")).stdout, b"a\xffb")

    def test_specials_only_when_asked(self):
        folder = os.path.join(TESTDATA, "tokenizer")
        plain = json.loads(self.ok("tokenize", folder, "--json", "<end_of_sentence>"))["ids"]
        self.assertNotIn(200020, plain)
        special = self.ok("tokenize", folder, "--json", "--special", "<end_of_sentence>")
        self.assertEqual(json.loads(special)["ids"], [200020])
        self.assertEqual(self.ok("tokenize", folder, "--decode", stdin=special), "")
        self.assertEqual(self.ok("tokenize", folder, "--decode", "--special", stdin=special), "<end_of_sentence>")

    def test_errors(self):
        folder = os.path.join(TESTDATA, "tokenizer")
        self.assertIn("/nowhere", self.fails(1, "tokenize", "/nowhere", "x"))
        self.assertIn("300000", self.fails(1, "tokenize", folder, "--decode", stdin="[300000]"))
        self.assertIn("standard input", self.fails(1, "tokenize", folder, "--decode", stdin="[1,"))


class Pipes(ModelTest):
    def test_a_closed_pipe_ends_it_quietly(self):
        with subprocess.Popen([PROGRAM, "inspect", golden("m1-tiny"), "--tensors"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=environment()) as process:
            process.stdout.close()
            self.assertEqual(process.stderr.read(), b"")


if __name__ == "__main__":
    unittest.main()
