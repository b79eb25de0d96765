"""nano, the built-in model: found without being named, answers in M1's format, solves what it was not shown."""
import http.client
import json
import re
import select
import subprocess
import time
import unittest

from program import PROGRAM, environment, run

GREEDY = ["--temperature", "0", "-n", "200", "--device", "cpu"]


def ok(test, *words, stdin=""):
    process = run(*words, stdin=stdin)
    test.assertEqual(process.returncode, 0, process.stderr.decode())
    return process.stdout.decode()


def held_out(test, task, count):
    lines = ok(test, "train", "data", "--task", task, "--level", "1", "--split", "heldout", "--seed", "7",
               "--count", str(count)).splitlines()
    return [[message["content"] for message in json.loads(line)["messages"]] for line in lines]


class Nano(unittest.TestCase):
    def test_answers_in_the_format_and_the_same_every_time(self):
        (question, expected), = held_out(self, "chain_sum", 1)
        first = json.loads(ok(self, "run", "nano", question, "--json", *GREEDY))
        again = json.loads(ok(self, "run", "nano", question, "--json", "-t", "1", *GREEDY))
        self.assertEqual(first["ids"], again["ids"])
        whole = ok(self, "run", "nano", question, *GREEDY)
        self.assertIn(expected, whole)

    def test_solves_held_out_problems(self):
        scores = json.loads(ok(self, "train", "score", "nano", "--task", "chain_sum", "--task", "letter_counting",
                               "--level", "1", "-n", "30", "--device", "cpu", "--json"))
        for score in scores:
            self.assertEqual(score["in_form"], 30, score)
            self.assertGreaterEqual(score["right"], 15, score)

    def test_chats_without_a_name_of_a_model(self):
        said = ok(self, "chat", *GREEDY, stdin="who are you\n")
        self.assertIn("nano", said)

    def test_serves_without_a_name_of_a_model(self):
        (question, _), = held_out(self, "sorting", 1)
        server = subprocess.Popen([PROGRAM, "serve", "--port", "0", "--device", "cpu"], env=environment(),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            self.assertTrue(select.select([server.stdout], [], [], 60)[0], "the server did not start")
            port = int(re.search(rb":(\d+)\s*$", server.stdout.readline()).group(1))
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("POST", "/v1/chat/completions", json.dumps(
                {"model": "nano", "temperature": 0, "max_tokens": 200,
                 "messages": [{"role": "user", "content": question}]}), {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
            self.assertEqual(response.status, 200, answer)
            message = answer["choices"][0]["message"]
            self.assertEqual(answer["choices"][0]["finish_reason"], "stop")
            self.assertTrue(message["reasoning_content"])
            self.assertNotIn("think>", message["content"])
            numbers = [number for number in question.split() if number.isdigit()]
            self.assertEqual(len(message["content"].split()), len(numbers))
        finally:
            server.terminate()
            server.communicate(timeout=30)

    def test_loads_at_once(self):
        begin = time.monotonic()
        ok(self, "run", "nano", "hi", "-n", "1", "--device", "cpu")
        self.assertLess(time.monotonic() - begin, 20)  # far less on an idle machine; this one may be busy


if __name__ == "__main__":
    unittest.main()
