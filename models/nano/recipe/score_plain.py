#!/usr/bin/env python3
"""How well a server's model answers what `make_conversations.py` makes, on questions that its training never holds.

    score_plain.py URL plain < FILE     the share of right answers, by kind of question: make_conversations.py plain --heldout
    score_plain.py URL tools < FILE     the share of right first calls and of answers after a tool's result: make_conversations.py tools

Every answer is greedy. --json FILE writes the counts."""
import argparse
import concurrent.futures
import json
import sys
import urllib.request


def ask(url, record, messages):
    body = {"messages": messages, "temperature": 0, "max_tokens": 400}
    if "tools" in record:
        body["tools"] = record["tools"]
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as response:
        return json.load(response)["choices"][0]["message"]


def plain(url, record):
    """[(kind, right)]"""
    messages, answer = record["messages"][:-1], record["messages"][-1]["content"]
    return [(record["task"], (ask(url, record, messages).get("content") or "").strip() == answer)]


def calls_of(message):
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in message.get("tool_calls") or []]


STATUSES = {"ok", "sent", "stored", "done", "set", "on", "playing", '{"status": "sent"}'}


def tools(url, record):
    """Every turn of the assistant, given the true turns before it. An answer is right when it says what the tool said: its
    numbers, else its words."""
    out = []
    for at, message in enumerate(record["messages"]):
        if message["role"] != "assistant":
            continue
        said = ask(url, record, record["messages"][:at])
        try:
            calls = calls_of(said)
        except ValueError:
            calls = None
        if message.get("tool_calls"):
            out.append(("call", calls == calls_of(message)))
        elif record["messages"][at - 1]["role"] == "tool":
            content, result = said.get("content") or "", record["messages"][at - 1]["content"]
            words = [word.strip('.,":{}C') for word in result.split() if any(one.isdigit() for one in word)]
            if not words and result not in STATUSES and not result.startswith(("error", "null")):
                words = [result]
            out.append(("answer", calls == [] and bool(content) and all(word in content for word in words)))
        else:
            out.append(("no call", calls == []))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("kind", choices=["plain", "tools"])
    parser.add_argument("--json")
    args = parser.parse_args()
    records = [json.loads(line) for line in sys.stdin]
    counts = {}
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        for results in pool.map(lambda record: {"plain": plain, "tools": tools}[args.kind](args.url, record), records):
            for kind, right in results:
                counts.setdefault(kind, [0, 0])
                counts[kind][0] += right
                counts[kind][1] += 1
    for kind, (right, count) in sorted(counts.items()):
        print(f"{kind}: {right} of {count}, {right / count:.1%}")
    right, count = (sum(one[at] for one in counts.values()) for at in (0, 1))
    print(f"all: {right} of {count}, {right / count:.1%}")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(counts, file)


if __name__ == "__main__":
    main()
