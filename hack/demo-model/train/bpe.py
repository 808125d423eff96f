"""The tokenizer of the demo model: a byte-level BPE, split as o200k splits, that carries Harmony's control tokens.

Two rules beyond plain BPE make copying easy for a small model. Digits never merge. And a capital letter never merges with the character
before it, so that a name has the same tokens after a space, after a quotation mark and at the start of a line.
"""
import re

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SPLIT = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIALS = "startoftext endoftext return constrain channel start end message call".split()


def train(texts, size):
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    learn = (re.sub(r"[^\n](?=[A-Z])", lambda m: m[0] + "\n" if m[0].isalnum() else "\n", re.sub(r"[0-9]", "\n", text)) for text in texts)
    t.train_from_iterator(learn, trainers.BpeTrainer(
        vocab_size=size - len(SPECIALS), initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False, min_frequency=3))
    t.add_special_tokens([f"<|{name}|>" for name in SPECIALS])
    return t


def control(t):
    return {name: t.token_to_id(f"<|{name}|>") for name in SPECIALS}
