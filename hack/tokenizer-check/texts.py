"""Texts that tell tokenizers apart: files of given folders, and generated ones."""
import gzip
import os
import random
import unicodedata

import tiktoken

CHUNK = 1 << 16  # characters


def read(path):
    """Returns a file's text, or None if it is none."""
    try:
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as f:
            data = f.read()
        return data.decode() if b"\0" not in data else None
    except (OSError, EOFError, ValueError, gzip.zlib.error):
        return None


def files(folder, limit):
    """Yields the text files of a folder in an order of chance, up to a number of bytes."""
    paths = [os.path.join(d, n) for d, _, names in os.walk(folder) for n in names] if os.path.isdir(folder) else [folder]
    paths.sort()
    random.Random(1).shuffle(paths)
    for path in paths:
        text = read(path) if os.path.isfile(path) else None
        for i in range(0, len(text or ""), CHUNK):
            part = text[i:i + CHUNK]
            limit -= len(part.encode())
            yield part
            if limit < 0:
                return


def scripts(r):
    """Letters of many scripts in runs, as words and sentences."""
    ranges = [(0x4E00, 0x9FFF), (0x3040, 0x30FF), (0xAC00, 0xD7A3), (0x0600, 0x06FF), (0x0900, 0x097F), (0x0E00, 0x0E7F),
              (0x0400, 0x04FF), (0x0370, 0x03FF), (0x0590, 0x05FF), (0x1100, 0x11FF), (0x10A0, 0x10FF), (0x20000, 0x2FA1F)]
    out = []
    while len(out) < 2000:
        low, high = r.choice(ranges)
        out.append("".join(chr(r.randint(low, high)) for _ in range(r.randint(1, 12))))
        out.append(r.choice([" ", "", "。", "、", "「", "」", "\n", "\u3000", "١٢٣", "12", ", ", "-"]))
    return "".join(out)


def tokens(r):
    """Bytes of tokens of the vocabulary, which hold words of every language."""
    e = tiktoken.get_encoding("o200k_harmony")
    return b"".join(e.decode_single_token_bytes(r.randrange(199998)) for _ in range(4000)).decode(errors="replace")


def emoji(r):
    base = [chr(c) for c in range(0x1F300, 0x1FAFF)] + list("☀☎✂✈❤⭐〽㊗")
    glue = ["\u200d", "\ufe0f", "\U0001F3FB", "\U0001F3FF", "\u20e3", "", "", " ", "\U0001F1E9\U0001F1EA", "#\ufe0f\u20e3"]
    return "".join(r.choice(base) + r.choice(glue) for _ in range(3000))


def marks(r):
    """Combining marks piled on letters, digits, blanks and nothing."""
    marked = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c))[0] == "M"]
    return "".join(r.choice(["a", "E", "1", " ", "中", "\n", "", "ß"]) + "".join(r.choices(marked, k=r.randint(0, 9))) for _ in range(2000))


def code_points(r):
    return "".join(chr(c) for c in (r.randrange(0x110000 if r.random() < 0.3 else 0x3000) for _ in range(8000)) if not 0xD800 <= c < 0xE000)


def random_bytes(r):
    data = r.randbytes(8000)
    return data.decode(errors="replace") if r.random() < 0.5 else data.decode("latin-1")


MIXED = ["the", "The", "HELLO", "hello", "12345", "٣", "é", "É", "ß", "ſ", "中", "ǅ", "ʰ", "\u0301", "\u0903", " ", "  ", "\t", "\n",
         "\r\n", "\r", "\u00a0", "\u2003", "\u0085", "\u2028", "\u200b", "'s", "'S", "'ſ", "'ll", "'LL", "'re", "'Ve", "'", "’s", "!", "//",
         "<|start|>", "😀", "\u200d", "_", "Ⅷ", "½", "\x00", "\x1c", "K", "İ", "ı", "Σς", "\U00010400", "\U0001E900", "ꟊ", "\U00010D50", "/", "\ufeff"]


def mixed(r):
    """What the pattern of o200k tells apart, in every order."""
    return "".join(r.choice(MIXED) for _ in range(6000))


def runs(r):
    return "".join(r.choice(MIXED + ["a", "Z", "0", "=", "-", "\u0301", "🏽"]) * r.choice([1, 2, 3, 50, 127, 128, 129, 1000, 3000]) for _ in range(12))


GENERATED = {"scripts": scripts, "tokens": tokens, "emoji": emoji, "marks": marks, "code points": code_points,
             "random bytes": random_bytes, "mixed": mixed, "runs": runs}


def generated(name, limit, seed):
    r = random.Random(f"{name} {seed}")
    while limit > 0:
        text = GENERATED[name](r)
        limit -= len(text.encode())
        yield text
