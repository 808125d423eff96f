"""Writes GGUF files with ggml's own Python library, with the numbers that they stand for.

Usage: gguf_golden.py TYPES OUT      (see README.md for the environment)

TYPES becomes a GGUF file with one tensor per element type and, under NAME.values, what gguf.quants says they are.
OUT becomes a folder like those of golden.py, except that the checkpoint is a GGUF model in parts, with tensors of every
supported type. Both official implementations run on the values that gguf.quants decodes. Nothing here is shared with the
Go code.
"""

import pathlib
import sys

import gguf
import numpy as np
import torch
import transformers
from gguf import GGMLQuantizationType as T
from gpt_oss.torch.model import ModelConfig, Transformer

from golden import BASE, YARN, record


def mxfp4_blocks(rng, shape, scales):
    """Random blocks of 17 bytes: scale, then 16 bytes of nibbles."""
    *rows, cols = shape
    blocks = rng.integers(0, 256, (*rows, cols // 32, 17), dtype=np.uint8)
    blocks[..., 0] = rng.choice(np.array(scales, np.uint8), blocks.shape[:-1])
    return blocks.reshape(*rows, cols // 32 * 17)


def write_types(path):
    rng = np.random.default_rng(1)
    codes = np.array([c | (15 - c) << 4 for c in range(16)], np.uint8)  # every code, in both halves
    mxfp4 = lambda scales: np.stack([np.concatenate([[s], codes]).astype(np.uint8) for s in scales])
    q8 = [np.frombuffer(np.uint16(h).tobytes() + bytes([*range(120, 136), *range(0, 8), *range(248, 256)]), np.uint8)
          for h in (0, 1, 0x03ff, 0x0400, 0x3c00, 0x5555, 0x8001, 0xbc00)]
    halves = np.array([0, 1, 2, 0x03ff, 0x0400, 0x3555, 0x3c00, 0x7bff, 0x8000, 0x8001, 0xfbff, 0xc000] +
                      rng.integers(0, 0x7c00, 52).tolist(), np.uint16)
    tensors = {
        "MXFP4": (T.MXFP4, mxfp4([0, 1, 2, 3, 64, 126, 127, 128, 129, 200, 252, 253])),
        "MXFP4.254": (T.MXFP4, mxfp4([254])),
        "MXFP4.255": (T.MXFP4, mxfp4([255])),
        "Q8_0": (T.Q8_0, np.stack(q8)),
        "Q8_0.normal": (T.Q8_0, gguf.quants.quantize(rng.normal(size=(4, 64)).astype(np.float32), T.Q8_0)),
        "F16": (T.F16, halves.view(np.float16).reshape(2, 32)),
        "BF16": (T.BF16, rng.integers(0, 0x7f80, 64, dtype=np.uint16).reshape(2, 32).view(np.uint8)),
        "F32": (T.F32, rng.normal(size=(2, 32)).astype(np.float32)),
    }
    w = gguf.GGUFWriter(path, "types")
    with np.errstate(over="ignore"):
        for name, (kind, data) in tensors.items():
            w.add_tensor(name, data, raw_dtype=kind)
            w.add_tensor(name + ".values", gguf.quants.dequantize(data, kind).astype(np.float32))
    write(w)


def write(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def make_tensors(config, rng):
    """Random weights by GGUF name: their type, their bytes and the values that those stand for."""
    h, inter, experts = config["hidden_size"], config["intermediate_size"], config["num_local_experts"]
    heads = config["num_attention_heads"]
    q, kv = heads * config["head_dim"], config["num_key_value_heads"] * config["head_dim"]
    out = {}

    def add(name, kind, data):
        out[name] = kind, data, torch.from_numpy(gguf.quants.dequantize(data, kind).astype(np.float32).copy())

    def normal(name, kind, *shape, std=1.0, mean=0.0):
        add(name, kind, gguf.quants.quantize(rng.normal(mean, std, shape).astype(np.float32), kind))

    def packed(name, rows, cols, scale):
        add(name, T.MXFP4, mxfp4_blocks(rng, (experts, rows, cols), range(scale - 2, scale + 1)))

    normal("token_embd.weight", T.Q8_0, config["vocab_size"], h)
    for i in range(config["num_hidden_layers"]):
        p, dense = f"blk.{i}.", [T.Q8_0, T.F16, T.BF16][i]
        normal(p + "attn_norm.weight", T.F32, h, std=0.3, mean=1.0)
        for name, rows, std in (("q", q, 0.3), ("k", kv, 0.3), ("v", kv, 0.1)):
            normal(p + f"attn_{name}.weight", dense, rows, h, std=std)
            normal(p + f"attn_{name}.bias", T.F32, rows, std=0.5)
        normal(p + "attn_sinks.weight", T.F32, heads, std=2.0)
        normal(p + "attn_output.weight", dense, h, q, std=0.1)
        normal(p + "attn_output.bias", T.F32, h, std=0.2)
        normal(p + "post_attention_norm.weight", T.F32, h, std=0.3, mean=1.0)
        normal(p + "ffn_gate_inp.weight", T.F32, experts, h, std=0.2)
        normal(p + "ffn_gate_inp.bias", T.F32, experts, std=0.5)
        if i == 0:  # as in the published files
            packed(p + "ffn_gate_exps.weight", inter, h, 125)
            packed(p + "ffn_up_exps.weight", inter, h, 125)
            packed(p + "ffn_down_exps.weight", h, inter, 122)
        elif i == 1:  # as in files quantized by others: the gate in another type than its neighbour
            normal(p + "ffn_gate_exps.weight", T.Q8_0, experts, inter, h, std=0.5)
            packed(p + "ffn_up_exps.weight", inter, h, 125)
            normal(p + "ffn_down_exps.weight", T.F16, experts, h, inter, std=0.1)
        else:
            normal(p + "ffn_gate_exps.weight", T.BF16, experts, inter, h, std=0.5)
            normal(p + "ffn_up_exps.weight", T.F32, experts, inter, h, std=0.5)
            packed(p + "ffn_down_exps.weight", h, inter, 122)
        for name, rows in (("gate", inter), ("up", inter), ("down", h)):
            normal(p + f"ffn_{name}_exps.bias", T.F32, experts, rows, std=0.5)
    normal("output_norm.weight", T.F32, h, std=0.3, mean=1.0)
    normal("output.weight", T.Q8_0, config["vocab_size"], h, std=0.3)
    return out


def write_model(path, config, tensors):
    w = gguf.GGUFWriter(path, "gpt-oss", split_max_tensors=25)
    w.add_context_length(config["max_position_embeddings"])
    w.add_embedding_length(config["hidden_size"])
    w.add_block_count(config["num_hidden_layers"])
    w.add_feed_forward_length(config["intermediate_size"])
    w.add_expert_feed_forward_length(config["intermediate_size"])
    w.add_expert_count(config["num_local_experts"])
    w.add_expert_used_count(config["num_experts_per_tok"])
    w.add_head_count(config["num_attention_heads"])
    w.add_head_count_kv(config["num_key_value_heads"])
    w.add_key_length(config["head_dim"])
    w.add_value_length(config["head_dim"])
    w.add_layer_norm_rms_eps(config["rms_norm_eps"])
    w.add_sliding_window(config["sliding_window"])
    w.add_rope_freq_base(config["rope_theta"])
    w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    w.add_rope_scaling_factor(YARN["factor"])
    w.add_rope_scaling_orig_ctx_len(YARN["original_max_position_embeddings"])
    names = [f"t{i}" for i in range(config["vocab_size"] - 3)] + ["<|return|>", "<|endoftext|>", "<|call|>"]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-4o")
    w.add_token_list(names)
    w.add_token_types([3 if n.startswith("<|") else 1 for n in names])
    w.add_token_merges(["t 1", "t 2"])
    w.add_bos_token_id(0)
    w.add_eos_token_id(len(names) - 3)
    for name, (kind, data, _) in tensors.items():
        w.add_tensor(name, data, raw_dtype=kind)
    write(w)


def interleave(gate, up):
    """Rows of gate and up in turn, as both implementations have them: [experts, rows, ...]."""
    return torch.stack([gate, up], 2).flatten(1, 2)


def load_transformers(config, v):
    model = transformers.GptOssForCausalLM(transformers.GptOssConfig(
        **config, attn_implementation="eager", rope_scaling=YARN, attention_bias=True,
        layer_types=["full_attention" if i % 2 else "sliding_attention" for i in range(config["num_hidden_layers"])]))
    state = {"model.embed_tokens.weight": v["token_embd.weight"], "model.norm.weight": v["output_norm.weight"],
             "lm_head.weight": v["output.weight"]}
    renames = {"attn_norm.weight": "input_layernorm.weight", "attn_sinks.weight": "self_attn.sinks",
               "post_attention_norm.weight": "post_attention_layernorm.weight", "ffn_gate_inp.weight": "mlp.router.weight",
               "ffn_gate_inp.bias": "mlp.router.bias", "ffn_down_exps.bias": "mlp.experts.down_proj_bias",
               **{f"attn_{a}.{p}": f"self_attn.{b}_proj.{p}" for a, b in (("q", "q"), ("k", "k"), ("v", "v"), ("output", "o"))
                  for p in ("weight", "bias")}}
    for i in range(config["num_hidden_layers"]):
        p, to = f"blk.{i}.", f"model.layers.{i}."
        state |= {to + new: v[p + old] for old, new in renames.items()}
        e = to + "mlp.experts."
        state[e + "gate_up_proj"] = interleave(v[p + "ffn_gate_exps.weight"], v[p + "ffn_up_exps.weight"]).transpose(1, 2)
        state[e + "gate_up_proj_bias"] = interleave(v[p + "ffn_gate_exps.bias"], v[p + "ffn_up_exps.bias"])
        state[e + "down_proj"] = v[p + "ffn_down_exps.weight"].transpose(1, 2)
    model.float().load_state_dict(state)
    return model.eval()


def load_openai(config, v):
    model = Transformer(ModelConfig(
        num_experts=config["num_local_experts"], experts_per_token=config["num_experts_per_tok"],
        **{k: config[k] for k in ("num_hidden_layers", "vocab_size", "hidden_size", "intermediate_size", "swiglu_limit",
                                  "head_dim", "num_attention_heads", "num_key_value_heads", "sliding_window", "rope_theta")}),
        device=torch.device("cpu")).float()
    state = {"embedding.weight": v["token_embd.weight"], "norm.scale": v["output_norm.weight"],
             "unembedding.weight": v["output.weight"]}
    for i in range(config["num_hidden_layers"]):
        p, to = f"blk.{i}.", f"block.{i}."
        for part in ("weight", "bias"):
            state[to + f"attn.qkv.{part}"] = torch.cat([v[p + f"attn_{x}.{part}"] for x in "qkv"])
            state[to + f"attn.out.{part}"] = v[p + f"attn_output.{part}"]
            state[to + f"mlp.gate.{part}"] = v[p + f"ffn_gate_inp.{part}"]
            state[to + f"mlp.mlp1_{part}"] = interleave(v[p + f"ffn_gate_exps.{part}"], v[p + f"ffn_up_exps.{part}"])
            state[to + f"mlp.mlp2_{part}"] = v[p + f"ffn_down_exps.{part}"]
        state[to + "attn.norm.scale"] = v[p + "attn_norm.weight"]
        state[to + "attn.sinks"] = v[p + "attn_sinks.weight"]
        state[to + "mlp.norm.scale"] = v[p + "post_attention_norm.weight"]
    model.load_state_dict(state)
    return model.eval()


def main(types, out):
    torch.set_num_threads(2)
    write_types(types)
    rng = np.random.default_rng(100)
    config = BASE | dict(num_hidden_layers=3)
    tensors = make_tensors(config, rng)
    tokens = rng.integers(0, config["vocab_size"], 30).tolist()
    out.mkdir(parents=True, exist_ok=True)
    write_model(out / "model.gguf", config, tensors)
    values = {name: v for name, (_, _, v) in tensors.items()}

    hf = load_transformers(config, values)
    a, greedy_a = record(out / "transformers.json", f"transformers {transformers.__version__}, torch {torch.__version__}",
                         lambda ids: hf(torch.tensor([ids]), use_cache=False).logits[0], tokens, range(0, 30, 3), 64)
    own = load_openai(config, values)
    b, greedy_b = record(out / "openai.json", f"gpt-oss 0.0.9, torch {torch.__version__}",
                         lambda ids: own(torch.tensor(ids)), tokens, range(0, 30, 3), 64)
    print(f"{out.name}: max relative difference of the two {abs(a - b).max() / abs(b).max():.2e}, "
          f"greedy {'equal' if greedy_a == greedy_b else 'DIFFERENT'}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
