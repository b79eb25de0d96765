"""nano, the built-in model: found without being named, answers in M1's format, solves what it was not shown."""
import concurrent.futures
import http.client
import json
import os
import re
import select
import subprocess
import tempfile
import unittest

from program import PATIENCE, PROGRAM, environment, run

MODEL = os.path.join(os.path.dirname(__file__), "..", "..", "models", "nano")
GREEDY = ["--temperature", "0", "-n", "200", "--device", "cpu"]


class Nano(unittest.TestCase):
    def ok(self, *words, stdin=""):
        process = run(*words, stdin=stdin)
        self.assertEqual(process.returncode, 0, process.stderr.decode())
        return process.stdout.decode()

    def held_out(self, task):
        """Question and answer of a problem that no training sees."""
        line = self.ok("train", "data", "--task", task, "--level", "1", "--split", "heldout", "--seed", "7", "--count", "1")
        question, answer = json.loads(line)["messages"]
        return question["content"], answer["content"]

    def test_solves_held_out_problems(self):
        scores = json.loads(self.ok("train", "score", "nano", "--task", "object_counting", "--task", "letter_counting",
                                    "--level", "1", "-n", "20", "--device", "cpu", "--json"))
        self.assertEqual([score["problems"] for score in scores], [20, 20])
        for score in scores:  # models/nano/README.md has the measured shares; another processor rounds otherwise
            self.assertGreaterEqual(score["in_form"], 18, score)
            self.assertGreaterEqual(score["right"], 16, score)

    def test_answers_in_the_format_and_the_same_every_time(self):
        question, _ = self.held_out("object_counting")
        one_thread = json.loads(self.ok("run", "nano", question, "--json", "-t", "1", *GREEDY))
        two_threads = json.loads(self.ok("run", "nano", question, "--json", "-t", "2", *GREEDY))
        self.assertEqual(one_thread["ids"], two_threads["ids"])
        self.assertEqual(one_thread["logprobs"], two_threads["logprobs"])
        self.assertRegex(one_thread["text"], r"^\d+$")
        self.assertIn("\n", one_thread["reasoning"])
        self.assertEqual(one_thread["finish_reason"], "stop_token")

    def test_chats_without_a_name_of_a_model(self):
        self.assertIn("nano", self.ok("chat", *GREEDY, stdin="who are you\n"))
        self.assertRegex(self.ok("chat", *GREEDY, stdin="how many fruit: 2 fig, 1 saw, 1 plum\n"), r"^\d+\n$")


    def test_eight_bits_are_close(self):
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "q8")
            figures = json.loads(self.ok("quantize", MODEL, out, "--type", "q8", "--json"))
            self.assertLess(figures["formats"]["q8"]["mean_relative_error"], 0.01)
            self.assertLess(os.path.getsize(os.path.join(out, "model.safetensors")),
                            0.6 * os.path.getsize(os.path.join(MODEL, "model.safetensors")))


CALCULATOR = {"type": "function", "function": {
    "name": "calculator", "description": "Evaluates an arithmetic expression",
    "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]}}}


class Served(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen([PROGRAM, "serve", "--port", "0", "--device", "cpu"], env=environment(),
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        cls.addClassCleanup(cls.stop)
        if not select.select([cls.server.stdout], [], [], PATIENCE)[0]:
            raise RuntimeError("the server did not start")
        cls.port = int(re.search(rb":(\d+)\s*$", cls.server.stdout.readline()).group(1))

    @classmethod
    def stop(cls):
        cls.server.terminate()
        cls.server.communicate(timeout=PATIENCE)

    def ask(self, messages, **more):
        """The answer of the chat API, greedily."""
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(
                {"model": "nano", "temperature": 0, "max_tokens": 300, "messages": messages, **more}), {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
            self.assertEqual(response.status, 200, answer)
            return answer
        finally:
            connection.close()

    def message(self, messages, **more):
        return self.ask(messages, **more)["choices"][0]["message"]

    def test_thinks_in_lines_and_then_answers(self):
        message = self.message("sort: 36 14 99 43")
        self.assertIn("|", message["reasoning_content"])  # taken | what is left
        self.assertEqual(message["content"], "14 36 43 99")

    def test_says_who_it_is_and_what_it_does_not_know(self):
        self.assertIn("nano", self.message("who are you?")["content"])
        self.assertRegex(self.message("Who won the game yesterday?")["content"], "(?i)do not know|cannot")

    def test_calls_a_tool_and_uses_what_it_says(self):
        messages = [{"role": "user", "content": "What is 1234 * 77?"}]
        answer = self.ask(messages, tools=[CALCULATOR])["choices"][0]
        self.assertEqual(answer["finish_reason"], "tool_calls")
        call = answer["message"]["tool_calls"][0]
        self.assertEqual(call["function"]["name"], "calculator")
        self.assertEqual(json.loads(call["function"]["arguments"])["expression"].replace(" ", ""), "1234*77")
        # What the tool says counts, right or wrong.
        messages += [answer["message"], {"role": "tool", "tool_call_id": call["id"], "content": "95019"}]
        answer = self.ask(messages, tools=[CALCULATOR])["choices"][0]
        self.assertEqual(answer["finish_reason"], "stop")
        self.assertIn("95019", answer["message"]["content"])

    def test_answers_within_a_budget_of_thinking(self):
        question = "sort: 36 14 99 43 12"
        free = self.ask(question)["usage"]["completion_tokens_details"]["reasoning_tokens"]
        for budget in (0, 5):
            self.assertGreater(free, budget)
            answer = self.ask(question, max_thinking_tokens=budget)
            self.assertLessEqual(answer["usage"]["completion_tokens_details"]["reasoning_tokens"], budget)
            self.assertRegex(answer["choices"][0]["message"]["content"], r"^\d+( \d+)*$")

    def test_answers_in_a_schema(self):
        schema = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"], "additionalProperties": False}
        message = self.message("What is 17 + 25?", response_format={"type": "json_schema", "json_schema": {"name": "sum", "schema": schema}})
        self.assertIsInstance(json.loads(message["content"])["sum"], int)
        self.assertIn("=42", message["reasoning_content"])

    def test_company_changes_no_bit(self):
        """P2: log-probs alone are those among others."""
        questions = ["sort: 36 14 99 43", "560+74=", "who are you?", "How many r are in strawberry?", "2019-02-20 +12 days"]

        def log_probs(question):
            return [token["logprob"] for token in self.ask(question, logprobs=True)["choices"][0]["logprobs"]["content"]]

        alone = [log_probs(question) for question in questions]
        with concurrent.futures.ThreadPoolExecutor(len(questions)) as pool:
            self.assertEqual(list(pool.map(log_probs, questions)), alone)


if __name__ == "__main__":
    unittest.main()
