"""/v1/chat/completions: what a client may send, and what it reads."""
import json
import unittest

from server import HELLO, THINKING, ServerTest, serve

WEATHER = {"name": "get_weather", "description": "Weather of a city.",
           "parameters": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
                          "required": ["city"], "additionalProperties": False}}
CALL = [*THINKING, "Looking", ".\n", "<tool_calls>\n", '{"name": "get_weather", "arguments": ', '{"city": "Paris"', "}}",
        "\n</tool_calls>"]


def joined(events, key, index=0):
    return "".join(choice["delta"].get(key) or "" for _, chunk in events for choice in chunk["choices"]
                   if choice["index"] == index)


class Chat(ServerTest):
    flags = ("--name", "m1", "--name", "other")

    def test_whole_answer(self):
        answer = self.server.chat()
        self.assertEqual(answer["object"], "chat.completion")
        self.assertEqual(answer["model"], "m1")
        self.assertRegex(answer["id"], "^chatcmpl-[0-9A-Za-z]{24}$")
        choice = answer["choices"][0]
        self.assertEqual(choice["message"]["content"], "Hello there! Bye")
        self.assertEqual(choice["message"]["reasoning_content"], "Let me see.")
        self.assertEqual(choice["message"]["reasoning"], "Let me see.")
        self.assertEqual(choice["finish_reason"], "stop")
        usage = answer["usage"]
        self.assertEqual(usage["completion_tokens"], len(HELLO) + 1)
        self.assertEqual(usage["total_tokens"], usage["prompt_tokens"] + usage["completion_tokens"])
        self.assertEqual(usage["completion_tokens_details"]["reasoning_tokens"], 4)
        self.assertGreater(answer["timings"]["predicted_per_second"], 0)

    def test_stream_says_the_same(self):
        events, done = self.server.events("/v1/chat/completions", {
            "messages": [{"role": "user", "content": "hi"}], "stream": True, "stream_options": {"include_usage": True}})
        self.assertTrue(done)
        self.assertEqual(events[0][1]["choices"][0]["delta"], {"role": "assistant", "content": ""})
        self.assertEqual(joined(events, "content"), "Hello there! Bye")
        self.assertEqual(joined(events, "reasoning_content"), "Let me see.")
        self.assertEqual(joined(events, "reasoning"), "Let me see.")
        reasons = [chunk["choices"][0]["finish_reason"] for _, chunk in events[:-1]]
        self.assertEqual([reason for reason in reasons if reason], ["stop"])
        last = events[-1][1]
        self.assertEqual(last["choices"], [])
        self.assertEqual(last["usage"]["completion_tokens"], len(HELLO) + 1)
        self.assertEqual(len({chunk["id"] for _, chunk in events}), 1)

    def test_second_time_the_prompt_is_cached(self):
        self.server.chat("a question of some length, so that it fills more than one page of the cache")
        usage = self.server.chat("a question of some length, so that it fills more than one page of the cache")["usage"]
        self.assertEqual(usage["prompt_tokens_details"]["cached_tokens"], usage["prompt_tokens"])

    def test_next_turn_computes_only_what_is_new(self):
        first = [{"role": "user", "content": "x" * 100}]
        answer = self.server.post("/v1/chat/completions", {"messages": first})
        turns = [*first, {"role": "assistant", "content": answer["choices"][0]["message"]["content"]},
                 {"role": "user", "content": "more"}]
        usage = self.server.post("/v1/chat/completions", {"messages": turns})["usage"]
        self.assertGreaterEqual(usage["prompt_tokens_details"]["cached_tokens"], 64)

    def test_content_as_parts_and_unknown_fields(self):
        answer = self.server.post("/v1/chat/completions", {
            "model": "anything", "messages": [
                {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
                {"role": "user", "content": [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]}],
            "user": "u", "store": None, "metadata": {"a": "b"}, "some_future_field": {"x": [1]}, "temperature": None,
            "service_tier": "auto", "max_completion_tokens": None, "modalities": ["text"]})
        self.assertEqual(answer["choices"][0]["message"]["content"], "Hello there! Bye")

    def test_limits(self):
        for field in ("max_tokens", "max_completion_tokens"):
            answer = self.server.chat(**{field: 8})
            self.assertEqual(answer["choices"][0]["finish_reason"], "length")
            self.assertEqual(answer["choices"][0]["message"]["content"], "Hello there")
            self.assertEqual(answer["usage"]["completion_tokens"], 8)

    def test_stop_strings_end_the_content_not_the_thinking(self):
        for stop in ("there", ["nothing", "there"], ["e", "there"]):
            answer = self.server.chat(stop=stop)["choices"][0]
            self.assertEqual(answer["message"]["reasoning"], "Let me see.")
            self.assertEqual(answer["message"]["content"], "H" if stop == ["e", "there"] else "Hello ")
            self.assertEqual(answer["finish_reason"], "stop")
        self.assertEqual(self.server.chat(stop="there")["choices"][0]["stop_reason"], "there")

    def test_n_and_seed(self):
        def texts(**more):
            answer = self.server.chat(temperature=40, top_p=1, max_tokens=12, **more)
            return [str(choice["message"]) for choice in answer["choices"]]
        first = texts(n=3, seed=5)
        self.assertEqual(len(first), 3)
        self.assertEqual(len(set(first)), 3)
        self.assertEqual(texts(n=3, seed=5), first)
        self.assertNotEqual(texts(n=3, seed=6), first)
        self.assertEqual(texts(n=1, seed=5), first[:1])

    def test_n_in_a_stream(self):
        events, _ = self.server.events("/v1/chat/completions", {
            "messages": [{"role": "user", "content": "hi"}], "n": 2, "stream": True})
        for index in (0, 1):
            self.assertEqual(joined(events, "content", index), "Hello there! Bye")
        ends = [choice for _, chunk in events for choice in chunk["choices"] if choice["finish_reason"]]
        self.assertEqual(sorted(choice["index"] for choice in ends), [0, 1])

    def test_logprobs_are_of_the_content(self):
        answer = self.server.chat(logprobs=True, top_logprobs=2)
        content = answer["choices"][0]["logprobs"]["content"]
        self.assertEqual([token["token"] for token in content], ["Hello", " there", "!", " Bye"])
        for token in content:
            self.assertEqual(bytes(token["bytes"]).decode(), token["token"])
            self.assertEqual(len(token["top_logprobs"]), 2)
            self.assertEqual(token["top_logprobs"][0]["token"], token["token"])  # temperature 0
            self.assertLessEqual(token["logprob"], 0)
        events, _ = self.server.events("/v1/chat/completions", {
            "messages": [{"role": "user", "content": "hi"}], "stream": True, "logprobs": True})
        streamed = [token["token"] for _, chunk in events for choice in chunk["choices"] if choice["logprobs"]
                    for token in choice["logprobs"]["content"]]
        self.assertEqual(streamed, ["Hello", " there", "!", " Bye"])

    def test_logit_bias(self):
        bye = 300 + HELLO.index(" Bye")
        answer = self.server.chat(logit_bias={str(bye): -100}, max_tokens=20)
        self.assertNotIn("Bye", answer["choices"][0]["message"]["content"])

    def test_no_thinking_under_every_name(self):
        for more in ({"max_thinking_tokens": 0}, {"thinking_token_budget": 0}, {"thinking_budget_tokens": 0},
                     {"reasoning": {"max_tokens": 0}}, {"reasoning": {"enabled": False}}, {"reasoning_effort": "none"},
                     {"chat_template_kwargs": {"enable_thinking": False}},
                     {"chat_template_kwargs": {"thinking_budget": 0}}, {"thinking": {"type": "disabled"}}):
            answer = self.server.chat(max_tokens=30, **more)
            self.assertNotIn("reasoning", answer["choices"][0]["message"], more)
            self.assertEqual(answer["usage"]["completion_tokens_details"]["reasoning_tokens"], 0, more)
            # The empty block is the prompt's: of a small max_tokens all are the answer's.
            answer = self.server.chat(max_tokens=2, logit_bias={"300": -100}, **more)
            self.assertTrue(answer["choices"][0]["message"]["content"], more)
            self.assertEqual(answer["usage"]["completion_tokens"], 2, more)

    def test_no_block_in_the_middle_of_an_answer(self):
        body = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hi,"}],
                "continue_final_message": True, "add_generation_prompt": False, "max_tokens": 3}
        usual = self.server.post("/v1/chat/completions", body)
        without = self.server.post("/v1/chat/completions", {**body, "max_thinking_tokens": 0})
        self.assertEqual(usual["usage"]["prompt_tokens"], without["usage"]["prompt_tokens"])
        self.assertEqual(usual["choices"][0]["message"], without["choices"][0]["message"])

    def test_a_budget_is_kept_exactly(self):
        answer = self.server.chat(max_thinking_tokens=2, max_tokens=30)
        self.assertEqual(answer["choices"][0]["message"]["reasoning"], "Let me")
        self.assertEqual(answer["usage"]["completion_tokens_details"]["reasoning_tokens"], 2)

    def test_reasoning_where_it_is_wanted(self):
        message = self.server.chat(separate_reasoning=False)["choices"][0]["message"]
        self.assertEqual(message["content"], "<think>\nLet me see.\n</think>\n\nHello there! Bye")
        for more in ({"include_reasoning": False}, {"reasoning": {"exclude": True}}):
            message = self.server.chat(**more)["choices"][0]["message"]
            self.assertNotIn("reasoning", message)
            self.assertEqual(message["content"], "Hello there! Bye")

    def test_an_answer_is_gone_on_with(self):
        messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hi,\n"}]
        answer = self.server.post("/v1/chat/completions", {
            "messages": messages, "continue_final_message": True, "add_generation_prompt": False, "max_tokens": 3})
        self.assertEqual(answer["choices"][0]["finish_reason"], "length")

    def test_wrong_fields_are_named(self):
        user = [{"role": "user", "content": "hi"}]
        for body, param in (
                ({"messages": "hi"}, "messages"), ({}, "messages"), ({"messages": []}, "messages"),
                ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
                ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
                ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].type"),
                ({"messages": user, "temperature": "hot"}, "temperature"),
                ({"messages": user, "temperature": -1}, "temperature"), ({"messages": user, "top_p": 2}, "top_p"),
                ({"messages": user, "n": 0}, "n"), ({"messages": user, "n": "two"}, "n"),
                ({"messages": user, "stream": "yes"}, "stream"), ({"messages": user, "stop": 7}, "stop"),
                ({"messages": user, "max_tokens": 1.5}, "max_tokens"), ({"messages": user, "seed": "x"}, "seed"),
                ({"messages": user, "logit_bias": {"x": 1}}, "logit_bias.x"),
                ({"messages": user, "logit_bias": {"5": 1000}}, "logit_bias.5"),
                ({"messages": user, "top_logprobs": 2}, "logprobs"),
                ({"messages": user, "tools": [{"type": "web_search"}]}, "tools[0].type"),
                ({"messages": user, "tool_choice": "required"}, "tool_choice"),
                ({"messages": user, "modalities": ["text", "audio"]}, "modalities[1]"),
                ({"messages": user, "response_format": {"type": "xml"}}, "response_format.type"),
                ({"messages": user, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
                ({"messages": user, "reasoning_effort": "huge"}, "reasoning_effort"),
                ({"messages": user, "session": "../etc"}, "session")):
            status, error = self.server.refused("/v1/chat/completions", body)
            self.assertEqual((status, error["param"], error["type"]), (400, param, "invalid_request_error"), body)
            self.assertIn("expected", error["message"])

    def test_ids_outside_the_vocabulary_are_named(self):
        user = [{"role": "user", "content": "hi"}]
        for more, param in (({"logit_bias": {"512": 1}}, "logit_bias.512"), ({"logit_bias": {"5": 1, "05": 1}}, "logit_bias.05"),
                            ({"stop_token_ids": [3, 512]}, "stop_token_ids[1]"), ({"stop_token_ids": [-1]}, "stop_token_ids[0]"),
                            ({"n": 2, "best_of": 1}, "best_of")):
            status, error = self.server.refused("/v1/chat/completions", {"messages": user, **more})
            self.assertEqual((status, error["param"]), (400, param), more)
            self.assertIn("expected", error["message"])

    def test_messages_as_the_sdk_types_them(self):
        user = {"role": "user", "content": "hi"}
        call = {"name": "f", "arguments": '{"a": 1}'}
        for messages, parts in (
                ([user, {"role": "assistant", "content": None}, user], []),
                ([user, {"role": "assistant"}, user], []),
                ([user, {"role": "assistant", "content": None, "refusal": "I may not."}, user], ["I may not."]),
                ([user, {"role": "assistant", "content": [{"type": "refusal", "refusal": "Not that."},
                                                          {"type": "text", "text": "But this."}]}, user],
                 ["Not that.", "But this."]),
                ([user, {"role": "assistant", "content": None, "function_call": call},
                  {"role": "function", "name": "f", "content": "done"}], ['"f"', '{"a": 1}', "done"]),
                ([user, {"role": "assistant", "function_call": call, "audio": None},
                  {"role": "function", "name": "f", "content": None}], ['"f"'])):
            prompt = self.server.post("/apply-template", {"messages": messages})["prompt"]
            for part in parts:
                self.assertIn(part, prompt)
            self.server.post("/v1/chat/completions", {"messages": messages, "max_tokens": 1})
        for message, param in (({"role": "function", "content": "x"}, "name"),
                               ({"role": "user", "content": None}, "content"),
                               ({"role": "user", "content": [{"type": "refusal", "refusal": "x"}]}, "content[0].type"),
                               ({"role": "assistant", "content": 1}, "content"), ({"role": "assistant", "refusal": 1}, "refusal"),
                               ({"role": "assistant", "content": [{"type": "refusal"}]}, "content[0].refusal"),
                               ({"role": "assistant", "audio": {"id": "a"}}, "audio"),
                               ({"role": "assistant", "function_call": {"name": "f", "arguments": 1}}, "function_call.arguments"),
                               ({"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {}}]},
                                "tool_calls[0].type")):
            status, error = self.server.refused("/v1/chat/completions", {"messages": [user, message]})
            self.assertEqual((status, error["param"]), (400, "messages[1]." + param), message)

    def test_events_are_filled_up(self):
        body = {"messages": [{"role": "user", "content": "hi"}], "stream": True}
        events, _ = self.server.events("/v1/chat/completions", {**body, "stream_options": {"include_obfuscation": True}})
        sizes = {len(f"data: {json.dumps(chunk, separators=(',', ':'))}") % 64 for _, chunk in events}
        self.assertTrue(all(chunk["obfuscation"] for _, chunk in events))
        self.assertEqual(len(sizes), 1, sizes)
        self.assertEqual(joined(events, "content"), "Hello there! Bye")
        events, _ = self.server.events("/v1/chat/completions", body)
        self.assertFalse(any("obfuscation" in chunk for _, chunk in events))

    def test_bodies_that_are_no_requests(self):
        for body in ("", "{", "[]", "null", '{"messages": [}', "\xff\xfe", "[" * 100000, '{"a": 1e999}'):
            status, error = self.server.refused("/v1/chat/completions", body)
            self.assertEqual(status, 400, body[:20])
            self.assertTrue(error["message"])

    def test_a_prompt_that_does_not_fit(self):
        status, error = self.server.refused("/v1/chat/completions",
                                            {"messages": [{"role": "user", "content": "x" * 40000}]})
        self.assertEqual(status, 400)
        self.assertIn("40", error["message"])


class Tools(ServerTest):
    words = CALL

    def check(self, message):
        self.assertEqual(len(message["tool_calls"]), 1)
        call = message["tool_calls"][0]
        self.assertEqual(call["function"]["name"], "get_weather")
        self.assertEqual(json.loads(call["function"]["arguments"]), {"city": "Paris"})
        return call

    def test_wrapped_and_bare(self):
        for tools in ([{"type": "function", "function": WEATHER}], [WEATHER]):
            choice = self.server.chat(tools=tools)["choices"][0]
            self.assertEqual(choice["finish_reason"], "tool_calls")
            self.assertEqual(choice["message"]["content"], "Looking.")
            self.assertRegex(self.check(choice["message"])["id"], "^call_")

    def test_ids_differ_between_answers_of_one_seed(self):
        ids = {self.server.chat(tools=[WEATHER], seed=1)["choices"][0]["message"]["tool_calls"][0]["id"] for _ in "ab"}
        self.assertEqual(len(ids), 2)

    def test_streamed(self):
        events, _ = self.server.events("/v1/chat/completions", {
            "messages": [{"role": "user", "content": "hi"}], "tools": [WEATHER], "stream": True})
        parts = [call for _, chunk in events for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
        self.assertEqual(parts[0]["function"], {"name": "get_weather", "arguments": ""})
        self.assertTrue(parts[0]["id"] and parts[0]["type"] == "function" and parts[0]["index"] == 0)
        self.assertEqual(json.loads("".join(part["function"]["arguments"] for part in parts)), {"city": "Paris"})
        self.assertEqual(events[-1][1]["choices"][0]["finish_reason"], "tool_calls")

    def test_without_tools_it_is_text(self):
        for more in ({}, {"tools": [WEATHER], "tool_choice": "none"}):
            choice = self.server.chat(**more)["choices"][0]
            self.assertIn("<tool_calls>", choice["message"]["content"])
            self.assertEqual(choice["finish_reason"], "stop")

    def test_required_and_named_calls_are_calls_whatever_the_model_wants(self):
        other = {**WEATHER, "name": "look-up (all)", "parameters": {
            "type": "object", "properties": {"day": {"$ref": "#/$defs/day"}}, "required": ["day"],
            "$defs": {"day": {"enum": ["Mon", "Tue"]}}, "additionalProperties": False}}
        tools = [WEATHER, other]
        named = {"type": "function", "function": {"name": "look-up (all)"}}
        for choice in ("required", named, {"type": "allowed_tools", "allowed_tools": {
                "mode": "required", "tools": [{"type": "function", "function": {"name": "look-up (all)"}}]}}):
            for seed in range(3):
                answer = self.server.chat(tools=tools, tool_choice=choice, temperature=1.5, seed=seed,
                                          parallel_tool_calls=False, max_tokens=400)["choices"][0]
                self.assertEqual(answer["finish_reason"], "tool_calls", answer)
                self.assertEqual(len(answer["message"]["tool_calls"]), 1)
                function = answer["message"]["tool_calls"][0]["function"]
                arguments = json.loads(function["arguments"])
                if function["name"] == "get_weather":
                    self.assertEqual(choice, "required")
                    self.assertIn(arguments["city"], ("Paris", "Rome"))
                else:
                    self.assertIn(arguments["day"], ("Mon", "Tue"))

    def test_functions_as_before_there_were_tools(self):
        functions = [WEATHER, {"name": "other", "parameters": {"type": "object", "properties": {}, "additionalProperties": False}}]
        for choice, name in (("auto", "get_weather"), ({"name": "get_weather"}, "get_weather"), ({"name": "other"}, "other")):
            answer = self.server.chat(functions=functions, function_call=choice, max_tokens=400)["choices"][0]
            self.assertEqual(answer["finish_reason"], "function_call", choice)
            self.assertEqual(answer["message"]["function_call"]["name"], name)
            self.assertIsInstance(json.loads(answer["message"]["function_call"]["arguments"]), dict)
            self.assertNotIn("tool_calls", answer["message"])
            events, _ = self.server.events("/v1/chat/completions", {
                "messages": [{"role": "user", "content": "hi"}], "functions": functions, "function_call": choice,
                "stream": True, "max_tokens": 400})
            parts = [chunk["choices"][0]["delta"]["function_call"] for _, chunk in events
                     if "function_call" in chunk["choices"][0]["delta"]]
            self.assertEqual("".join(part.get("name", "") for part in parts), name)
            self.assertIsInstance(json.loads("".join(part.get("arguments", "") for part in parts)), dict)
            self.assertEqual(events[-1][1]["choices"][0]["finish_reason"], "function_call")
        none = self.server.chat(functions=functions, function_call="none")["choices"][0]
        self.assertIn("<tool_calls>", none["message"]["content"])
        user = [{"role": "user", "content": "hi"}]
        for more, param in (({"functions": functions, "function_call": {"name": "nobody"}}, "function_call.name"),
                            ({"functions": functions, "function_call": {}}, "function_call.name"),
                            ({"functions": functions, "function_call": "always"}, "function_call"),
                            ({"functions": functions, "function_call": 5}, "function_call"),
                            ({"function_call": {"name": "f"}}, "function_call.name"),
                            ({"functions": functions, "tools": [WEATHER]}, "tools")):
            status, error = self.server.refused("/v1/chat/completions", {"messages": user, **more})
            self.assertEqual((status, error["param"]), (400, param), more)

    def test_results_in_both_spellings(self):
        call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
        for result in ({"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
                       {"role": "tool", "content": [{"name": "get_weather", "type": "text", "text": "sunny"}]}):
            body = {"messages": [{"role": "user", "content": "hi"},
                                 {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "hm"},
                                 result], "tools": [WEATHER]}
            prompt = self.server.post("/apply-template", body)["prompt"]
            self.assertIn("sunny", prompt)
            self.assertIn('"arguments": {"city": "Rome"}', prompt)
            self.check(self.server.post("/v1/chat/completions", body)["choices"][0]["message"])

    def test_unsupported_parameters_are_refused_by_name(self):
        odd = {**WEATHER, "parameters": {"type": "object", "properties": {"x": {"not": {}}}}}
        status, error = self.server.refused("/v1/chat/completions", {
            "messages": [{"role": "user", "content": "hi"}], "tools": [odd], "tool_choice": "required"})
        self.assertEqual(status, 400)
        self.assertIn("not", error["message"])
        self.assertIn("get_weather", error["message"])
        self.assertEqual(error["param"], "tools")


class Formats(unittest.TestCase):
    SCHEMA = {"type": "object", "properties": {"answer": {"type": "integer", "minimum": 1, "maximum": 9},
                                               "word": {"enum": ["yes", "no"]}},
              "required": ["answer", "word"], "additionalProperties": False}

    def test_every_format_is_kept(self):
        formats = [{"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": self.SCHEMA}}},
                   {"guided_json": self.SCHEMA}, {"guided_json": json.dumps(self.SCHEMA)},
                   {"structured_outputs": {"json": self.SCHEMA}}, {"json_schema": self.SCHEMA}]
        with serve(HELLO, temperature="1.5") as server:
            for seed, more in enumerate(formats):
                message = server.chat(seed=seed, max_tokens=300, **more)["choices"][0]["message"]
                value = json.loads(message["content"])
                self.assertEqual(set(value), {"answer", "word"})
                self.assertTrue(1 <= value["answer"] <= 9 and value["word"] in ("yes", "no"))
            content = server.chat(guided_choice=["red", "blue"])["choices"][0]["message"]["content"]
            self.assertIn(content, ("red", "blue"))
            content = server.chat(guided_regex="[0-9]{3}-[ab]")["choices"][0]["message"]["content"]
            self.assertRegex(content, "^[0-9]{3}-[ab]$")
            status, error = server.refused("/v1/chat/completions", {
                "messages": [{"role": "user", "content": "hi"}],
                "response_format": {"type": "json_schema", "json_schema": {"schema": {"not": {}}}}})
            self.assertEqual((status, error["param"]), (400, "response_format.json_schema.schema"))
            self.assertIn("not", error["message"])
            status, error = server.refused("/v1/chat/completions", {
                "messages": [{"role": "user", "content": "hi"}], "guided_regex": "a", "guided_choice": ["a"]})
            self.assertEqual((status, error["param"]), (400, "guided_choice"))
            content = server.chat(regex="[ab]{2}")["choices"][0]["message"]["content"]
            self.assertRegex(content, "^[ab]{2}$")
            for more, param in (({"guided_grammar": "root ::= x"}, "guided_grammar"), ({"grammar": "root ::= x"}, "grammar"),
                                ({"structured_outputs": {"grammar": "x"}}, "structured_outputs.grammar"),
                                ({"structured_outputs": {"structural_tag": "x"}}, "structured_outputs.structural_tag"),
                                ({"response_format": {"type": "json_schema", "json_schema": {"name": 5}}},
                                 "response_format.json_schema.name"),
                                ({"response_format": {"type": "grammar", "grammar": "x"}}, "response_format.type")):
                status, error = server.refused("/v1/chat/completions", {
                    "messages": [{"role": "user", "content": "hi"}], **more})
                self.assertEqual((status, error["param"]), (400, param), more)
            # With tools too the answer is one or the other.
            choice = server.chat(tools=[WEATHER], response_format={"type": "json_object"}, max_tokens=300,
                                 seed=1)["choices"][0]
            if choice["finish_reason"] == "stop":
                self.assertIsInstance(json.loads(choice["message"]["content"]), dict)


if __name__ == "__main__":
    unittest.main()
