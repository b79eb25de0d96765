"""The other endpoints: completions, responses, messages, tokens, sessions, metrics."""
import json
import os
import tempfile
import unittest

from server import HELLO, THINKING, Server, ServerTest, model, serve, wait_until

TOOL = {"name": "f", "description": "d",
        "input_schema": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}}
CALL = [*THINKING, "Now", ".\n", "<tool_calls>\n", '{"name": "f", "arguments": ', '{"x": 3', "}}", "\n</tool_calls>"]


class Completions(ServerTest):
    def test_text_and_ids(self):
        ids = self.server.post("/tokenize", {"content": "hi\n"})["tokens"]
        for prompt in ("hi\n", ids, ["hi\n"], [ids]):
            answer = self.server.post("/v1/completions", {"prompt": prompt, "max_tokens": 100})
            self.assertEqual(answer["object"], "text_completion")
            self.assertEqual(answer["choices"][0]["text"], "<think>\nLet me see.\n</think>\n\nHello there! Bye")
            self.assertEqual(answer["choices"][0]["finish_reason"], "stop")

    def test_sixteen_tokens_unless_told(self):
        answer = self.server.post("/v1/completions", {"prompt": "hi\n", "ignore_eos": True})
        self.assertEqual(answer["usage"]["completion_tokens"], 16)

    def test_several_prompts_and_answers(self):
        answer = self.server.post("/v1/completions", {"prompt": ["a\n", "b\n"], "n": 2, "max_tokens": 2})
        self.assertEqual([choice["index"] for choice in answer["choices"]], [0, 1, 2, 3])
        self.assertEqual({choice["text"] for choice in answer["choices"]}, {"<think>\nLet"})
        self.assertEqual(answer["usage"]["completion_tokens"], 8)
        events, done = self.server.events("/v1/completions", {"prompt": ["a\n", "b\n"], "n": 2, "max_tokens": 2,
                                                             "stream": True})
        self.assertTrue(done)
        for index in range(4):
            text = "".join(choice["text"] for _, chunk in events for choice in chunk["choices"]
                           if choice["index"] == index)
            self.assertEqual(text, "<think>\nLet")

    def test_echo_with_log_probs_as_harnesses_want_it(self):
        answer = self.server.post("/v1/completions", {"prompt": "abc\n", "max_tokens": 0, "echo": True, "logprobs": 1})
        choice = answer["choices"][0]
        self.assertEqual(choice["text"], "abc\n")
        logprobs = choice["logprobs"]
        self.assertEqual("".join(logprobs["tokens"]), "abc\n")
        self.assertEqual(logprobs["text_offset"], [0, 1, 2, 3])
        self.assertIsNone(logprobs["token_logprobs"][0])
        self.assertTrue(all(value <= 0 for value in logprobs["token_logprobs"][1:]))
        self.assertEqual([len(top or {}) for top in logprobs["top_logprobs"]], [0, 1, 1, 1])
        # The log-prob of a token is the same where it was generated and where it stands in a prompt.
        generated = self.server.post("/v1/completions", {"prompt": "abc\n", "max_tokens": 3, "logprobs": 0, "echo": True,
                                                         "temperature": 1.0, "seed": 3})["choices"][0]
        ids = self.server.post("/tokenize", {"content": "abc\n"})["tokens"]
        self.assertEqual(generated["logprobs"]["token_logprobs"][1:4], logprobs["token_logprobs"][1:])
        self.assertEqual(len(generated["logprobs"]["tokens"]), len(ids) + 3)

    def test_best_of(self):
        answer = self.server.post("/v1/completions", {"prompt": "abc", "max_tokens": 4, "best_of": 4, "n": 1,
                                                      "temperature": 2, "seed": 1})
        self.assertEqual(len(answer["choices"]), 1)
        self.assertEqual(answer["usage"]["completion_tokens"], 16)
        # A stop string ends each of them where it stands.
        answer = self.server.post("/v1/completions", {"prompt": "abc\n", "max_tokens": 40, "best_of": 3, "stop": "there"})
        self.assertEqual(answer["choices"][0]["text"], "<think>\nLet me see.\n</think>\n\nHello ")
        self.assertEqual((answer["choices"][0]["finish_reason"], answer["choices"][0]["stop_reason"]), ("stop", "there"))
        self.assertEqual(answer["usage"]["completion_tokens"], 3 * 8)

    def test_wrong_fields_are_named(self):
        for body, param in (({}, "prompt"), ({"prompt": []}, "prompt"), ({"prompt": {"a": 1}}, "prompt"),
                            ({"prompt": [1, "a"]}, "prompt[1]"), ({"prompt": "a", "suffix": "b"}, "suffix"),
                            ({"prompt": "a", "max_tokens": 0}, "max_tokens"),
                            ({"prompt": "a", "logprobs": 50}, "logprobs")):
            status, error = self.server.refused("/v1/completions", body)
            self.assertEqual((status, error["param"]), (400, param), body)
        for body, param in (({"prompt": [5, 100000]}, "prompt[1]"), ({"prompt": [[5], [100000]]}, "prompt[1][0]"),
                            ({"prompt": [[]]}, "prompt[0]"), ({"prompt": "a", "n": 3, "best_of": 2}, "best_of"),
                            ({"prompt": "a", "stream_options": {"include_obfuscation": 1}}, "stream_options.include_obfuscation"),
                            ({"prompt": "a", "user": 1}, "user")):
            status, error = self.server.refused("/v1/completions", body)
            self.assertEqual((status, error["param"]), (400, param), body)

    def test_special_tokens_in_text_are_text(self):
        text = "<end_of_sentence>"
        plain = self.server.post("/tokenize", {"content": text})
        self.assertGreater(plain["count"], 1)
        self.assertEqual(self.server.post("/tokenize", {"content": text, "parse_special": True})["tokens"], [258])
        self.assertEqual(self.server.post("/detokenize", {"tokens": plain["tokens"]})["content"], text)

    def test_tokenize_messages_is_what_a_request_counts(self):
        messages = [{"role": "user", "content": "hi"}]
        count = self.server.post("/tokenize", {"messages": messages})["count"]
        usage = self.server.post("/v1/chat/completions", {"messages": messages, "max_tokens": 1})["usage"]
        self.assertEqual(count, usage["prompt_tokens"])
        prompt = self.server.post("/apply-template", {"messages": messages})["prompt"]
        self.assertEqual(self.server.post("/tokenize", {"content": prompt, "parse_special": True})["count"], count)
        counted = self.server.post("/v1/messages/count_tokens", {"messages": messages})
        self.assertEqual(counted["input_tokens"], count)

    def test_models(self):
        status, answer, _ = self.server.ask("GET", "/v1/models")
        self.assertEqual(status, 200)
        name = answer["data"][0]["id"]
        self.assertEqual(self.server.ask("GET", "/v1/models/" + name)[1]["id"], name)
        self.assertEqual(self.server.ask("GET", "/v1/models/other")[0], 404)


class Responses(ServerTest):
    words = CALL
    tools = [{"type": "function", "name": "f", "parameters": TOOL["input_schema"]}]

    def test_items(self):
        answer = self.server.post("/v1/responses", {"input": "hi", "instructions": "Be brief.", "tools": self.tools})
        self.assertEqual((answer["object"], answer["status"]), ("response", "completed"))
        self.assertEqual([item["type"] for item in answer["output"]], ["reasoning", "message", "function_call"])
        self.assertEqual(answer["output"][0]["content"][0]["text"], "Let me see.")
        self.assertEqual(answer["output"][1]["content"][0]["text"], "Now.")
        self.assertEqual(json.loads(answer["output"][2]["arguments"]), {"x": 3})
        self.assertGreater(answer["usage"]["output_tokens_details"]["reasoning_tokens"], 0)

        # The result goes back by the id of the response, or with all items.
        result = {"type": "function_call_output", "call_id": answer["output"][2]["call_id"], "output": "4"}
        by_id = self.server.post("/v1/responses", {"input": [result], "previous_response_id": answer["id"],
                                                   "instructions": "Be brief.", "tools": self.tools})
        by_items = self.server.post("/v1/responses", {
            "input": [{"role": "user", "content": "hi"}, *answer["output"], result], "instructions": "Be brief.",
            "tools": self.tools})
        self.assertEqual(by_id["usage"]["input_tokens"], by_items["usage"]["input_tokens"])
        self.assertEqual(by_id["previous_response_id"], answer["id"])
        self.assertEqual(self.server.ask("GET", "/v1/responses/" + answer["id"])[1], answer)
        self.assertEqual(self.server.ask("DELETE", "/v1/responses/" + answer["id"])[0], 200)
        status, error = self.server.refused("/v1/responses", {"input": "hi", "previous_response_id": answer["id"]})
        self.assertEqual((status, error["param"]), (404, "previous_response_id"))

    def test_stream_adds_up_to_the_whole(self):
        events, _ = self.server.events("/v1/responses", {"input": "hi", "tools": self.tools, "stream": True})
        kinds = [name for name, _ in events]
        self.assertEqual(kinds[:2], ["response.created", "response.in_progress"])
        self.assertEqual(kinds[-1], "response.completed")
        self.assertEqual([data["sequence_number"] for _, data in events], list(range(len(events))))
        self.assertTrue(all(name == data["type"] for name, data in events))
        final = events[-1][1]["response"]["output"]
        for index, kind in enumerate(("reasoning_text", "output_text", "function_call_arguments")):
            deltas = "".join(data["delta"] for name, data in events if name == f"response.{kind}.delta"
                             and data["output_index"] == index)
            whole = final[index].get("arguments") or final[index]["content"][0]["text"]
            self.assertEqual(deltas, whole)
        done = [data["item"] for name, data in events if name == "response.output_item.done"]
        self.assertEqual(done, final)

    def test_too_long_is_incomplete(self):
        answer = self.server.post("/v1/responses", {"input": "hi", "max_output_tokens": 3})
        self.assertEqual((answer["status"], answer["incomplete_details"]),
                         ("incomplete", {"reason": "max_output_tokens"}))

    def test_a_format(self):
        answer = self.server.post("/v1/responses", {
            "input": "hi", "temperature": 1.5, "max_output_tokens": 300, "text": {"format": {
                "type": "json_schema", "name": "n", "schema": {"enum": ["red", "blue"]}}}})
        message = [item for item in answer["output"] if item["type"] == "message"][0]
        self.assertIn(json.loads(message["content"][0]["text"]), ("red", "blue"))


class Messages(ServerTest):
    words = CALL

    def body(self, **more):
        return {"model": "any", "max_tokens": 100, "system": [{"type": "text", "text": "Be brief."}],
                "messages": [{"role": "user", "content": "hi"}], "tools": [TOOL], **more}

    def test_blocks(self):
        answer = self.server.post("/v1/messages", self.body())
        self.assertEqual((answer["type"], answer["role"], answer["stop_reason"]), ("message", "assistant", "tool_use"))
        kinds = [block["type"] for block in answer["content"]]
        self.assertEqual(kinds, ["thinking", "text", "tool_use"])
        self.assertEqual(answer["content"][1]["text"], "Now.")
        self.assertEqual(answer["content"][2]["input"], {"x": 3})
        turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": answer["content"]},
                 {"role": "user", "content": [{"type": "tool_result", "tool_use_id": answer["content"][2]["id"],
                                               "content": [{"type": "text", "text": "four"}]}]}]
        again = self.server.post("/v1/messages", self.body(messages=turns))
        usage = again["usage"]
        self.assertGreater(usage["input_tokens"] + usage["cache_read_input_tokens"], answer["usage"]["input_tokens"])

    def test_stream(self):
        events, _ = self.server.events("/v1/messages", self.body(stream=True))
        kinds = [name for name, _ in events]
        self.assertEqual(kinds[0], "message_start")
        self.assertEqual(kinds[-2:], ["message_delta", "message_stop"])
        starts = [data["content_block"]["type"] for name, data in events if name == "content_block_start"]
        self.assertEqual(starts, ["thinking", "text", "tool_use"])
        text = "".join(data["delta"].get("text", "") for name, data in events if name == "content_block_delta")
        self.assertEqual(text, "Now.")
        arguments = "".join(data["delta"].get("partial_json", "") for name, data in events
                            if name == "content_block_delta")
        self.assertEqual(json.loads(arguments), {"x": 3})
        self.assertEqual(events[-2][1]["delta"]["stop_reason"], "tool_use")

    def test_stops_and_choices(self):
        answer = self.server.post("/v1/messages", self.body(stop_sequences=["w"], tools=[]))
        self.assertEqual((answer["stop_reason"], answer["stop_sequence"]), ("stop_sequence", "w"))
        answer = self.server.post("/v1/messages", self.body(max_tokens=2))
        self.assertEqual(answer["stop_reason"], "max_tokens")
        # One call: of several the last could be cut off by max_tokens, and would be text.
        one = {"type": "tool", "name": "f", "disable_parallel_tool_use": True}
        answer = self.server.post("/v1/messages", self.body(thinking={"type": "disabled"}, max_tokens=200, temperature=1.5,
                                                            tool_choice=one))
        self.assertEqual([block["type"] for block in answer["content"] if block["type"] != "tool_use"], [])
        self.assertIsInstance(answer["content"][0]["input"]["x"], int)

    def test_errors_have_their_shape(self):
        status, answer, _ = self.server.ask("POST", "/v1/messages", {"messages": [{"role": "user", "content": "x"}]})
        self.assertEqual((status, answer["type"], answer["error"]["type"]), (400, "error", "invalid_request_error"))
        self.assertIn("max_tokens", answer["error"]["message"])


class State(unittest.TestCase):
    def test_health_metrics_and_names_of_others(self):
        with serve(HELLO, "--vllm-metrics") as server:
            self.assertEqual(server.ask("GET", "/health")[0], 200)
            self.assertEqual(server.ask("GET", "/ready")[0], 200)
            server.chat()
            server.chat()
            server.expect_metric("minimax_requests_finished_total", 2)
            self.assertEqual(server.metric("minimax_generated_tokens_total"), 2 * (len(HELLO) + 1))
            self.assertEqual(server.metric("vllm:generation_tokens_total"), 2 * (len(HELLO) + 1))
            for more in ({"max_tokens": 3}, {"stop": "there"}):
                server.chat(**more)
            server.expect_metric("minimax_requests_finished_total", 4)
            _, text, _ = server.ask("GET", "/metrics")
            for reason, count in (("stop_token", 2), ("stop_string", 1), ("length", 1), ("cancelled", 0), ("error", 0)):
                self.assertIn('minimax_answers_finished_total{reason="%s"} %d\n' % (reason, count), text)
            for reason, count in (("stop", 3), ("length", 1), ("abort", 0), ("error", 0)):
                self.assertRegex(text, 'vllm:request_success_total\\{.*finished_reason="%s"\\} %d\n' % (reason, count))
            self.assertEqual(server.metric("minimax_request_seconds_count"), 4)
            self.assertEqual(server.metric("minimax_requests_running"), 0)
            self.assertGreater(server.metric("minimax_prefix_cache_hit_tokens_total"), 0)
            _, text, headers = server.ask("GET", "/metrics")
            self.assertTrue(headers["content-type"].startswith("text/plain; version=0.0.4"))
            for line in text.splitlines():
                self.assertRegex(line, r"^(# (HELP|TYPE) \S+ .+|[a-z0-9_:]+(\{.*\})? [-+0-9.e]+)$")
            self.assertIn('minimax_http_requests_total{path="/v1/chat/completions",status="200"} 4', text)

    def test_sessions_outlive_the_server(self):
        with tempfile.TemporaryDirectory() as folder, model(HELLO) as weights:
            flags = ("--session-folder", folder)
            server = Server(weights, *flags)
            first = [{"role": "user", "content": "y" * 200}]
            answer = server.post("/v1/chat/completions", {"messages": first, "session": "tea"})
            listed = server.ask("GET", "/v1/sessions")[1]["data"]
            self.assertEqual([(one["id"], one["in_memory"], one["saved"]) for one in listed], [("tea", True, False)])
            saved = server.post("/v1/sessions/tea/save", "")
            self.assertTrue(os.path.getsize(os.path.join(folder, "tea.session")) == saved["bytes"] > 0)
            self.assertEqual(server.end(), 0)

            server = Server(weights, *flags)
            turns = [*first, {"role": "assistant", "content": answer["choices"][0]["message"]["content"],
                              "reasoning_content": answer["choices"][0]["message"]["reasoning_content"]},
                     {"role": "user", "content": "more"}]
            usage = server.post("/v1/chat/completions", {"messages": turns, "session": "tea"})["usage"]
            self.assertGreaterEqual(usage["prompt_tokens_details"]["cached_tokens"], answer["usage"]["prompt_tokens"])
            self.assertEqual(server.ask("DELETE", "/v1/sessions/tea")[0], 200)
            self.assertEqual(server.ask("DELETE", "/v1/sessions/tea")[0], 404)
            self.assertEqual(os.listdir(folder), [])
            for path in ("/v1/sessions/..%2Fx/save", "/v1/sessions/.hidden/save"):
                self.assertEqual(server.ask("POST", path, "")[0], 400)
            with open(os.path.join(folder, "rubbish.session"), "wb") as file:
                file.write(b"no session at all")
            for path, code in (("/v1/sessions/nobody/restore", 404), ("/v1/sessions/nobody/save", 404),
                               ("/v1/sessions/rubbish/restore", 400)):
                status, answer, _ = server.ask("POST", path, "")
                self.assertEqual(status, code)
                self.assertNotIn(folder, answer["error"]["message"])
                self.assertIn(path.split("/")[3], answer["error"]["message"])
            self.assertEqual(server.end(), 0)

    def test_a_template_of_ones_own(self):
        with tempfile.NamedTemporaryFile("w", suffix=".jinja") as file:
            file.write("{% for message in messages %}[{{ message.role }}] {{ message.content }}\n{% endfor %}"
                       "{% if mood %}({{ mood }}){% endif %}{% if add_generation_prompt %}[assistant]\n{% endif %}")
            file.flush()
            with serve(HELLO, "--chat-template", file.name) as server:
                messages = [{"role": "user", "content": "hi <end_of_sentence>"}]
                prompt = server.post("/apply-template", {"messages": messages, "chat_template_kwargs": {"mood": "gay"}})
                self.assertEqual(prompt["prompt"], "[user] hi <end_of_sentence>\n(gay)[assistant]\n")
                tokens = server.post("/tokenize", {"messages": messages})["tokens"]
                self.assertNotIn(258, tokens)  # the end of a sentence that a user writes is text
                self.assertEqual(server.chat()["choices"][0]["message"]["content"], "Hello there! Bye")

    def test_a_running_request_ends_its_thinking(self):
        with serve(["<think>\n", " a", " b", " c"], endless=True) as server:
            connection = server.connect()
            connection.request("POST", "/v1/chat/completions", json.dumps({
                "messages": [{"role": "user", "content": "hi"}], "stream": True, "n": 128, "max_tokens": 20000,
                "include_reasoning": False, "stop": [" c"]}))  # thinks for minutes, and says nothing until told to
            response = connection.getresponse()
            line = response.readline()
            request = json.loads(line[6:])["id"]
            wait_until(lambda: server.metric("minimax_generated_tokens_total") > 100, lambda: "it does not think")
            answer = server.post("/v1/chat/completions/control", {"id": request, "action": "reasoning_end"})
            self.assertTrue(answer["success"])
            chunks = [json.loads(line[6:]) for line in response if line.startswith(b"data: {")]
            contents = [""] * 128
            for chunk in chunks:
                for choice in chunk["choices"]:
                    contents[choice["index"]] += choice["delta"].get("content") or ""
            self.assertEqual(set(contents), {"<think>\n a b"})  # the only words it has, as an answer
            connection.close()
            self.assertEqual(server.ask("POST", "/v1/chat/completions/control",
                                        {"id": request, "action": "reasoning_end"})[0], 404)

    def test_a_running_request_is_cancelled(self):
        with serve(["<think>\n", " a", " b", " c"], endless=True) as server:
            connection = server.connect()
            connection.request("POST", "/v1/chat/completions", json.dumps({
                "messages": [{"role": "user", "content": "hi"}], "stream": True, "n": 128, "max_tokens": 20000,
                "include_reasoning": False}))
            response = connection.getresponse()
            request = json.loads(response.readline()[6:])["id"]
            server.post("/v1/chat/completions/control", {"id": request, "action": "cancel"})
            self.assertIn(b"[DONE]", response.read())
            connection.close()
            server.expect_metric("minimax_requests_cancelled_total", 1)


if __name__ == "__main__":
    unittest.main()
