"""A model that says what a test wants: the golden m1-tiny with its layers silenced and a head that chains tokens.

With every output projection zero, a layer passes its normalised input on, so the last hidden state is the embedding of
the last token, normalised. The head's row of token b is the embedding of a for each step a -> b of the script, which
makes the likeliest next token the script's. The chain starts behind the last token of the prompt, a line end.
"""
import json
import os
import random
import struct

from program import golden

VOCAB, HIDDEN = 512, 64
SPECIAL = {"<beginning_of_sentence>": 257, "<end_of_sentence>": 258, "<end_of_document>": 259, "<begin_of_document>": 260}
FIRST_WORD = 300
LINE_END = 10


def read_tensors(folder):
    tensors = {}
    for name in sorted(os.listdir(folder)):
        if not name.startswith("model-") or not name.endswith(".safetensors"):
            continue
        with open(os.path.join(folder, name), "rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
            begin = file.tell()
            for tensor, info in header.items():
                if tensor != "__metadata__":
                    file.seek(begin + info["data_offsets"][0])
                    size = info["data_offsets"][1] - info["data_offsets"][0]
                    tensors[tensor] = (info["dtype"], info["shape"], file.read(size))
    return tensors


def write_tensors(path, tensors):
    header, data = {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def bf16(values):
    return b"".join(struct.pack("<f", value)[2:] for value in values)


def write(folder, words, endless=False):
    """Writes a model folder whose answer is `words`, each used once, over and over when `endless`."""
    source = golden("m1-tiny")
    with open(os.path.join(source, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    config["vocab_size"] = VOCAB
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)

    rng = random.Random(1)
    embedding = [[rng.choice((-1.0, 1.0)) for _ in range(HIDDEN)] for _ in range(VOCAB)]
    head = [[rng.choice((-0.1, 0.1)) for _ in range(HIDDEN)] for _ in range(VOCAB)]
    ids = list(range(FIRST_WORD, FIRST_WORD + len(words)))
    for here, following in zip([LINE_END, *ids], [*ids, ids[0] if endless else SPECIAL["<end_of_sentence>"]]):
        head[following] = [a + b for a, b in zip(head[following], embedding[here])]

    tensors = {}
    for name, (dtype, shape, raw) in read_tensors(source).items():
        if name.endswith((".out_proj.weight", ".o_proj.weight", ".w2.weight")):
            raw = bytes(len(raw))
        elif name.endswith("layernorm.weight") or name == "model.norm.weight":
            raw = bf16([1.0] * shape[0])
        elif name in ("model.embed_tokens.weight", "lm_head.weight"):
            shape = [VOCAB, HIDDEN]
            raw = bf16([x for row in (embedding if "embed" in name else head) for x in row])
        tensors[name] = (dtype, shape, raw)
    write_tensors(os.path.join(folder, "model.safetensors"), tensors)

    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as file:
        file.write("#version: 0.2\nt h\n")
    added = {str(number): {"content": text, "special": True} for text, number in SPECIAL.items()}
    added |= {str(number): {"content": text, "special": False} for text, number in zip(words, ids)}
    with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as file:
        json.dump({"bos_token": "<beginning_of_sentence>", "eos_token": "<end_of_sentence>",
                   "unk_token": "<end_of_document>", "added_tokens_decoder": added}, file)
    return folder
