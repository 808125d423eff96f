"""Records logits and greedy tokens of the two official gpt-oss implementations on small random models.

Usage: golden.py OUT [CASE ...]      (see README.md for the environment)

Each case becomes a folder of OUT with a real MXFP4 checkpoint in the Hugging Face layout (config.json,
model.safetensors) and one JSON file per implementation that can run it: transformers.json, openai.json.
Both run in float32 on the CPU. Nothing here is shared with the Go code.
"""

import base64
import json
import pathlib
import sys
import tempfile

import numpy as np
import safetensors.torch
import torch
import transformers
from gpt_oss.torch.model import Transformer

FULL, SLIDING = "full_attention", "sliding_attention"

# Differences from BASE; "tokens" and "positions" say what to record, "greedy" how many tokens to decode.
BASE = dict(
    vocab_size=128, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=16, num_local_experts=4, num_experts_per_tok=2, sliding_window=8,
    max_position_embeddings=131072, rope_theta=150000.0, rms_norm_eps=1e-5, swiglu_limit=7.0,
)
YARN = dict(rope_type="yarn", factor=32.0, beta_fast=32.0, beta_slow=1.0, truncate=False,
            original_max_position_embeddings=4096)
SHORT_YARN = YARN | dict(beta_fast=4.0, original_max_position_embeddings=32)

CASES = {
    "short": dict(tokens=6, sliding_window=128),
    "window": dict(tokens=40, positions=range(1, 40, 2), num_hidden_layers=4, hidden_size=64,
                   num_local_experts=3),
    "window-edge": dict(tokens=130, positions=[0, 63, 64, 125, 126, 127, 128, 129], sliding_window=128),
    "past-context": dict(tokens=100, positions=range(20, 100, 4), rope=SHORT_YARN, max_position_embeddings=1024),
    "past-4096": dict(tokens=4200, positions=[4094, 4095, 4096, 4097, 4150, 4199], num_attention_heads=2,
                      num_key_value_heads=1),
    "shapes": dict(tokens=30, vocab_size=96, intermediate_size=64, num_hidden_layers=3, num_attention_heads=6,
                   num_key_value_heads=3, head_dim=24, num_local_experts=5, num_experts_per_tok=3),
    # Equal logits both among the chosen and outside, never at the cut: there torch.topk promises no order.
    "ties": dict(tokens=24, num_local_experts=8, num_experts_per_tok=4, ties=True),
    # OpenAI's code can express neither other layer patterns nor a rounded ramp.
    "layer-types": dict(tokens=30, num_hidden_layers=3, layer_types=[FULL, SLIDING, SLIDING], openai=False,
                        rope=SHORT_YARN | dict(truncate=True), max_position_embeddings=1024),
    # The whole text within the window, just filling it, and one token beyond.
    "window-127": dict(tokens=127, positions=[0, 63, 125, 126], sliding_window=128),
    "window-128": dict(tokens=128, positions=[0, 64, 126, 127], sliding_window=128),
    "window-129": dict(tokens=129, positions=[0, 64, 127, 128], sliding_window=128),
}


def config_of(case):
    config = BASE | {k: v for k, v in case.items() if k in BASE or k == "layer_types"}
    layers = config["num_hidden_layers"]
    config.setdefault("layer_types", [FULL if i % 2 else SLIDING for i in range(layers)])
    return config | dict(
        architectures=["GptOssForCausalLM"], model_type="gpt_oss", attention_bias=True, hidden_act="silu",
        tie_word_embeddings=False, eos_token_id=config["vocab_size"] - 1, pad_token_id=config["vocab_size"] - 2,
        rope_scaling=case.get("rope", YARN),
        quantization_config=dict(quant_method="mxfp4", modules_to_not_convert=[
            "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]),
    )


def make_tensors(config, rng, ties):
    """Random weights, large enough that attention is sharp and SwiGLU's clamps are reached."""
    h, inter, experts = config["hidden_size"], config["intermediate_size"], config["num_local_experts"]
    q = config["num_attention_heads"] * config["head_dim"]
    kv = config["num_key_value_heads"] * config["head_dim"]
    t = {}

    def normal(name, *shape, std=1.0, mean=0.0):
        t[name] = torch.from_numpy(rng.normal(mean, std, shape)).to(torch.bfloat16)

    def mxfp4(name, rows, cols, scale):
        t[name + "_blocks"] = torch.from_numpy(rng.integers(0, 256, (experts, rows, cols // 32, 16), dtype=np.uint8))
        scales = rng.integers(scale - 2, scale + 1, (experts, rows, cols // 32), dtype=np.uint8)
        t[name + "_scales"] = torch.from_numpy(scales)
        normal(name + "_bias", experts, rows, std=0.5)

    normal("model.embed_tokens.weight", config["vocab_size"], h)
    for i in range(config["num_hidden_layers"]):
        p = f"model.layers.{i}."
        normal(p + "input_layernorm.weight", h, std=0.3, mean=1.0)
        for name, out, std in (("q", q, 0.3), ("k", kv, 0.3), ("v", kv, 0.1)):
            normal(p + f"self_attn.{name}_proj.weight", out, h, std=std)
            normal(p + f"self_attn.{name}_proj.bias", out, std=0.5)
        normal(p + "self_attn.sinks", config["num_attention_heads"], std=2.0)
        normal(p + "self_attn.o_proj.weight", h, q, std=0.1)
        normal(p + "self_attn.o_proj.bias", h, std=0.2)
        normal(p + "post_attention_layernorm.weight", h, std=0.3, mean=1.0)
        normal(p + "mlp.router.weight", experts, h, std=0.2)
        normal(p + "mlp.router.bias", experts, std=0.5)
        if ties:  # every expert has a twin with the same logit and other weights
            for part in ("weight", "bias"):
                router = t[p + f"mlp.router.{part}"]
                router[experts // 2:] = router[:experts // 2].clone()
        mxfp4(p + "mlp.experts.gate_up_proj", 2 * inter, h, 125)
        mxfp4(p + "mlp.experts.down_proj", h, inter, 122)
    normal("model.norm.weight", h, std=0.3, mean=1.0)
    normal("lm_head.weight", config["vocab_size"], h, std=0.3)
    return t


def load_transformers(folder):
    model = transformers.GptOssForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager",
        quantization_config=transformers.Mxfp4Config(dequantize=True))
    return model.float().eval()


def load_openai(config, tensors):
    """Rewrites the checkpoint to OpenAI's own layout and loads it with OpenAI's loader."""
    out = {}
    renames = {"input_layernorm.weight": "attn.norm.scale", "self_attn.sinks": "attn.sinks",
               "self_attn.o_proj.weight": "attn.out.weight", "self_attn.o_proj.bias": "attn.out.bias",
               "post_attention_layernorm.weight": "mlp.norm.scale",
               "mlp.router.weight": "mlp.gate.weight", "mlp.router.bias": "mlp.gate.bias",
               "mlp.experts.gate_up_proj_blocks": "mlp.mlp1_weight.blocks",
               "mlp.experts.gate_up_proj_scales": "mlp.mlp1_weight.scales",
               "mlp.experts.gate_up_proj_bias": "mlp.mlp1_bias",
               "mlp.experts.down_proj_blocks": "mlp.mlp2_weight.blocks",
               "mlp.experts.down_proj_scales": "mlp.mlp2_weight.scales",
               "mlp.experts.down_proj_bias": "mlp.mlp2_bias"}
    out["embedding.weight"] = tensors["model.embed_tokens.weight"]
    out["norm.scale"] = tensors["model.norm.weight"]
    out["unembedding.weight"] = tensors["lm_head.weight"]
    for i in range(config["num_hidden_layers"]):
        for old, new in renames.items():
            out[f"block.{i}.{new}"] = tensors[f"model.layers.{i}.{old}"]
        for part in ("weight", "bias"):
            out[f"block.{i}.attn.qkv.{part}"] = torch.cat(
                [tensors[f"model.layers.{i}.self_attn.{x}_proj.{part}"] for x in "qkv"])
    rope = config["rope_scaling"]
    keep = ("num_hidden_layers", "vocab_size", "hidden_size", "intermediate_size", "swiglu_limit", "head_dim",
            "num_attention_heads", "num_key_value_heads", "sliding_window", "rope_theta")
    own = {k: config[k] for k in keep} | dict(
        num_experts=config["num_local_experts"], experts_per_token=config["num_experts_per_tok"],
        initial_context_length=rope["original_max_position_embeddings"], rope_scaling_factor=rope["factor"],
        rope_ntk_alpha=rope["beta_slow"], rope_ntk_beta=rope["beta_fast"])
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "config.json").write_text(json.dumps(own))
        safetensors.torch.save_file({k: v.contiguous() for k, v in out.items()}, f"{folder}/model.safetensors")
        return Transformer.from_checkpoint(folder, device="cpu").float().eval()


@torch.inference_mode()
def record(path, name, logits_of, tokens, positions, greedy):
    logits = logits_of(tokens)[list(positions)].numpy().astype("<f4")
    text, decoded = list(tokens), []
    for _ in range(greedy):
        decoded.append(int(logits_of(text)[-1].argmax()))
        text.append(decoded[-1])
    path.write_text(json.dumps(dict(
        implementation=name, tokens=tokens, positions=list(positions),
        logits=base64.b64encode(logits.tobytes()).decode(), greedy=decoded)) + "\n")
    return logits, decoded


def main(out, names):
    torch.set_num_threads(2)
    for seed, (name, case) in enumerate(CASES.items()):
        if names and name not in names:
            continue
        rng = np.random.default_rng(seed)
        config = config_of(case)
        tensors = make_tensors(config, rng, case.get("ties", False))
        tokens = rng.integers(0, config["vocab_size"], case["tokens"]).tolist()
        positions, greedy = case.get("positions", range(case["tokens"])), case.get("greedy", 64)
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

        hf = load_transformers(folder)
        a, greedy_a = record(folder / "transformers.json",
                             f"transformers {transformers.__version__}, torch {torch.__version__}",
                             lambda ids: hf(torch.tensor([ids]), use_cache=False).logits[0], tokens, positions, greedy)
        if not case.get("openai", True):
            print(f"{name}: transformers only")
            continue
        own = load_openai(config, tensors)
        b, greedy_b = record(folder / "openai.json", f"gpt-oss 0.0.9, torch {torch.__version__}",
                             lambda ids: own(torch.tensor(ids)), tokens, positions, greedy)
        print(f"{name}: max relative difference of the two {abs(a - b).max() / abs(b).max():.2e}, "
              f"greedy {'equal' if greedy_a == greedy_b else 'DIFFERENT'}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2:])
