#!/usr/bin/env python3
"""Writes the conversations that nano learns besides the generated tasks, as JSON lines that `minimax train sft` reads.

    make_conversations.py talk  --count N --seed S     about itself, about the little that it knows and what it does not
    make_conversations.py plain --count N --seed S     small questions in plain words that have one right answer
    make_conversations.py problems --count N --seed S  the same as problems for `minimax train rl`, without solutions
    make_conversations.py chats --count N --seed S     questions of small talk as problems, for manners.py to judge
    make_conversations.py tools --count N --seed S     calls of tools, and answers from their results
    make_conversations.py ask   --seed S < FILE        problems of `minimax train data`, also with --problems, in plain words
    make_conversations.py cut   --seed S < FILE        answers after a thinking that was cut short, which is not learned
    make_conversations.py turns --seed S < FILE        several conversations in one; earlier turns have lost their thinking

The same arguments give the same bytes. --heldout: questions of `plain` that the others never hold, a tenth of all.
"""
import argparse
import json
import pathlib
import random
import sys
import zlib

from facts import fact, remark
from phrases import phrase
from plain import plain
from talk import SYSTEMS, about_itself, asked, how_to, unknown
from tools import tool_dialogue

HERE = pathlib.Path(__file__).parent


def lines_of(name):
    return (HERE / name).read_text(encoding="utf-8").split("\n")[:-1]


def small_talk(rng, words, questions, remarks):
    """(question, thinking, answer)."""
    draw = rng.random()
    if draw < 0.45:
        return about_itself(rng)
    if draw < 0.62:
        return unknown(rng, words)
    if draw < 0.8:
        return remark(rng, questions, remarks)
    return fact(rng) if draw < 0.92 else how_to(rng)


def introduced(rng, names):
    """Two turns: a name is told and asked for."""
    name = rng.choice(names)
    told = rng.choice(["My name is {}.", "I am {}.", "my name is {}", "I'm {}", "call me {}", "Hi, I am {}."]).format(name)
    asked = rng.choice(["What is my name?", "what's my name", "Who am I?", "do you know my name", "What did I say my name was?"])
    return [(told, f"The user is called {name}.", rng.choice(["Hello, {}!", "Nice to meet you, {}.", "Hello {}! What shall we work out?"]).format(name)),
            (asked, f"The user said it: {name}.", rng.choice(["Your name is {}.", "You are {}.", "{}."]).format(name))]


def conversation(turns, rng, system_share, keep_share=0.3):
    """Turns are (question, thinking, answer). As when it is asked, earlier turns have lost their thinking, and then they are
    there to be read; in a share of the conversations they keep it."""
    messages = [{"role": "system", "content": rng.choice(SYSTEMS)}] if rng.random() < system_share else []
    keep = rng.random() < keep_share
    for at, (question, thinking, answer) in enumerate(turns):
        messages.append({"role": "user", "content": question})
        if keep or at == len(turns) - 1:
            messages.append({"role": "assistant", "reasoning_content": thinking, "content": answer})
        else:
            messages.append({"role": "assistant", "content": answer, "learn": "nothing"})
    return {"messages": messages}


def is_held_out(question):
    return zlib.crc32(question.encode()) % 10 == 0


def turn_of(record):
    """(question, thinking, answer) of a conversation of one turn."""
    question, answer = record["messages"][-2:]
    return question["content"], answer["reasoning_content"], answer["content"]


def make(args, rng):
    words = [word for word in lines_of("words.txt") if 3 <= len(word) <= 10]
    questions, remarks = lines_of("questions.txt"), lines_of("remarks.txt")
    if args.kind == "talk":
        names = lines_of("names.txt")
        for _ in range(args.count):
            turns = introduced(rng, names) if rng.random() < 0.03 else [small_talk(rng, words, questions, remarks)]
            yield conversation(turns, rng, 0.15)
    elif args.kind == "plain":
        made = 0
        while made < args.count:
            kind, question, thinking, answer = plain(rng, words)
            if is_held_out(question) != args.heldout:
                continue
            made += 1
            yield {"task": kind, **conversation([(casual(question, rng), thinking, answer)], rng, 0.1)}
    elif args.kind == "problems":
        made = 0
        while made < args.count:
            kind, question, _, answer = plain(rng, words)
            if not is_held_out(question):
                made += 1
                # Caesar's verifier wants the text itself.
                yield {"id": f"plain/{args.seed}/{made}", "env": "logic", "task": kind, "messages": [{"role": "user", "content": casual(question, rng)}],
                       "gold": {"answer": answer}, "verifier": {"name": "caesar"}, "difficulty": {"level": 1}}
    elif args.kind == "chats":
        for at in range(args.count):
            kind, question = asked(rng, words)
            yield {"id": f"chats/{args.seed}/{at}", "env": "logic", "task": "talk", "messages": [{"role": "user", "content": question}],
                   "gold": {"answer": kind}, "verifier": {"name": "manners"}, "difficulty": {"level": 1}}
    elif args.kind == "tools":
        for _ in range(args.count):
            yield tool_dialogue(rng, lambda rng: small_talk(rng, words, questions, remarks))


def casual(question, rng):
    """As people type it."""
    if rng.random() < 0.15:
        question = question.lower()
    if rng.random() < 0.15:
        question = question.rstrip("?.")
    if rng.random() < 0.08:
        question = rng.choice(["Hi, ", "Hello! ", "Please tell me: ", "nano, ", "Can you tell me: ", "ok, ", "And ", "Now: ", "please: "]) + question
    return question


CASUAL = {"addition", "chain_sum", "multiplication", "sorting", "object_counting", "letter_counting", "caesar", "date", "next_number"}


def ask(record, rng):
    """The record's question in plain words, in a file of conversations or of problems."""
    user = next(message for message in reversed(record["messages"]) if message["role"] == "user")
    user["content"] = phrase(record["task"], user["content"], rng)
    if user["content"] and record["task"] in CASUAL:
        user["content"] = casual(user["content"], rng)
    return record if user["content"] else None


def cut(record, rng):
    """The budget may end a thinking anywhere, and may be 0."""
    answer = record["messages"][-1]
    thinking = answer["reasoning_content"]
    answer["reasoning_content"] = thinking[:rng.randint(0, len(thinking))] if rng.random() < 0.7 else ""
    answer["learn"] = "answer"
    return record


def turns(records, rng):
    records = iter(records)
    while True:
        several = [record for _, record in zip(range(rng.choice([2, 2, 3])), records)]
        if len(several) < 2:
            return
        yield conversation([turn_of(record) for record in several], rng, 0.15)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["talk", "plain", "problems", "chats", "tools", "ask", "cut", "turns"])
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--heldout", action="store_true")
    args = parser.parse_args()
    rng = random.Random(f"{args.kind} {args.seed}")
    records = (json.loads(line) for line in sys.stdin) if args.kind in ("ask", "cut", "turns") else ()
    if args.kind == "turns":
        records = turns(records, rng)
    elif args.kind in ("ask", "cut"):
        change = {"ask": ask, "cut": cut}[args.kind]
        records = (changed for record in records if (changed := change(record, rng)))
    else:
        records = make(args, rng)
    for record in records:
        sys.stdout.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
