"""The beginning of the tests' recipes: a very small model, on conversations in chats.jsonl."""

PICO = """
tokenizer = "tokenizer"
[model]
shape = "pico"
layers = 2
softmax_every = 2
hidden = 32
heads = 2
ffn = 48
[[data]]
path = "chats.jsonl"
"""
