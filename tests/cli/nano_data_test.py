"""What nano learns from: the generators give the same bytes again, right answers, and nothing of the questions held out."""
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import unittest

from program import PATIENCE, PROGRAM, environment

RECIPE = os.path.join(os.path.dirname(__file__), "..", "..", "models", "nano", "recipe")


def make(*words, stdin=""):
    process = subprocess.run([sys.executable, "-B", os.path.join(RECIPE, "make_conversations.py"), *words], input=stdin.encode(),
                             capture_output=True, timeout=PATIENCE, check=True)
    return [json.loads(line) for line in process.stdout.decode().splitlines()]


def turn(record):
    question, answer = record["messages"][-2:]
    return question["content"], answer["reasoning_content"], answer["content"]


class Data(unittest.TestCase):
    def test_the_same_again(self):
        for kind in ("talk", "plain", "problems", "tools"):
            first = make(kind, "--count", "50", "--seed", "3")
            self.assertEqual(len(first), 50)
            self.assertEqual(first, make(kind, "--count", "50", "--seed", "3"))
            self.assertNotEqual(first, make(kind, "--count", "50", "--seed", "4"))

    def test_answers_are_right(self):
        """What the working ends with is the answer, and each of its equations holds."""
        checked = 0
        for record in make("plain", "--count", "3000", "--seed", "5"):
            _, thinking, answer = turn(record)
            for left, value in re.findall(r"^(-?[\d+*/-]+)=(-?\d+)$", thinking, re.M):
                self.assertEqual(eval(left), int(value), record)  # digits and signs alone, by the pattern
            if record["task"] in ("story", "expression", "power", "product"):
                self.assertEqual(thinking.rsplit("=", 1)[1], answer, record)
                checked += 1
            if record["task"] == "difference":
                digits = [int(line.split("w")[1].split()[0]) for line in thinking.splitlines() if " w" in line]
                value = sum(digit * 10**place for place, digit in enumerate(digits))
                self.assertEqual(-value if "minus" in thinking else value, int(answer), record)
                checked += 1
            if record["task"] == "letters_in":
                self.assertEqual(re.findall(r"\d+", thinking)[-1], answer, record)
                checked += 1
        self.assertGreater(checked, 1000)

    def test_held_out_questions_are_never_learned(self):
        learned = {turn(record)[1:] + (turn(record)[0].lower(),) for record in make("plain", "--count", "20000", "--seed", "1")}
        held_out = {turn(record)[1:] + (turn(record)[0].lower(),) for record in make("plain", "--count", "2000", "--seed", "1", "--heldout")}
        stories = {one for one in held_out if "how many" in one[2] and len(one[2]) > 60}
        self.assertGreater(len(stories), 100)
        self.assertFalse(stories & learned)

    def test_calls_fit_their_schemas(self):
        calls = 0
        for record in make("tools", "--count", "500", "--seed", "6"):
            schemas = {one["function"]["name"]: one["function"]["parameters"] for one in record["tools"]}
            for message in record["messages"]:
                for call in message.get("tool_calls", []):
                    arguments = json.loads(call["function"]["arguments"])
                    parameters = schemas[call["function"]["name"]]
                    self.assertEqual(set(arguments), set(parameters["properties"]))
                    for key, value in arguments.items():
                        kind = {"string": str, "integer": int, "number": (int, float)}[parameters["properties"][key]["type"]]
                        self.assertIsInstance(value, kind, record)
                    calls += 1
        self.assertGreater(calls, 400)

    def test_small_talk_is_judged(self):
        """manners.py takes what was taught for a question, and neither another topic's answer nor one that repeats itself."""
        sys.path.insert(0, RECIPE)
        import talk  # the recipe's own
        rng = random.Random(1)
        for kind, (_, _, answers) in talk.TOPICS.items():
            for answer in answers:
                self.assertTrue(talk.fits(kind, talk.fill(answer, rng)), answer)
        requests = []
        for kind, answer, finished, _ in (judged := [
                ("greeting", "Hello! I am small, but I can multiply, sort numbers and divide. Try: 560+74=", True, 1),
                ("greeting", "Hello! I am small, but I can multiply, multiply and divide. Try: 560+74=", True, 0),
                ("greeting", "Hello! I am small, but I can multiply, fly and divide. Try: 560+74=", True, 0),
                ("unknown", "Hello! I am small, but I can multiply, sort numbers and divide. Try: 560+74=", True, 0),
                ("bye", "Goodbye!", True, 1), ("bye", "Goodbye!", False, 0),
                ("how to divide", "Yes, I can divide. Write it like this:\nWhat is 96 / 8?", True, 1),
                ("how to multiply", "Yes, I can divide. Write it like this:\nWhat is 96 / 8?", True, 0)]):
            requests.append(json.dumps({"problem": {"gold": {"answer": kind}}, "text": answer, "answer": answer, "finished": finished}))
        process = subprocess.run([sys.executable, "-B", os.path.join(RECIPE, "manners.py")], input="\n".join(requests) + "\n", text=True,
                                 capture_output=True, timeout=PATIENCE, check=True)
        self.assertEqual([json.loads(line)["score"] for line in process.stdout.splitlines()], [score for _, _, _, score in judged])
        questions = make("chats", "--count", "40", "--seed", "2")
        self.assertEqual({one["verifier"]["name"] for one in questions}, {"manners"})

    def test_cut_thinking_and_old_turns_are_not_learned(self):
        lines = "\n".join(json.dumps(record) for record in make("plain", "--count", "200", "--seed", "7"))
        for record in make("cut", stdin=lines):
            self.assertEqual(record["messages"][-1]["learn"], "answer")
        several = make("turns", stdin=lines)
        self.assertTrue(any(len(record["messages"]) > 4 for record in several))
        for record in several:
            answers = [message for message in record["messages"] if message["role"] == "assistant"]
            self.assertIn("reasoning_content", answers[-1])
            for answer in answers[:-1]:
                self.assertTrue("reasoning_content" in answer or answer["learn"] == "nothing")

    def test_the_whole_is_made_and_read(self):
        with tempfile.TemporaryDirectory() as folder:
            data = os.path.join(folder, "data")
            subprocess.run([os.path.join(RECIPE, "make_data.sh"), data, PROGRAM, "1"], env=environment(), capture_output=True,
                           timeout=PATIENCE, check=True)
            with open(os.path.join(RECIPE, "supervised.toml"), encoding="utf-8") as file:
                recipe = file.read()
            changed = {'shape = "micro"\nffn = 192': 'shape = "pico"', "tokens = 32768\npass_tokens = 34816": "tokens = 1024\npass_tokens = 2048",
                       "tokens = 65536": "tokens = 1024", "max_tokens = 100": "max_tokens = 4"}
            for old, new in changed.items():
                self.assertIn(old, recipe)
                recipe = recipe.replace(old, new)
            with open(os.path.join(folder, "recipe.toml"), "w", encoding="utf-8") as file:
                file.write(recipe)
            process = subprocess.run([PROGRAM, "train", "sft", os.path.join(folder, "recipe.toml"), "--steps", "1", "--device", "cpu",
                                      "--out", os.path.join(folder, "run")],
                                     env=environment(), capture_output=True, timeout=PATIENCE, check=False)
            self.assertEqual(process.returncode, 0, process.stderr.decode())


if __name__ == "__main__":
    unittest.main()
