"""Writes a trained network as a gpt-oss checkpoint in the Hugging Face layout.

    python export.py --from /tmp/demo-model --out ../../../engine/demo/files
"""
import argparse
import json
import pathlib

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

import bpe
from network import E2M1, Config, Network, mxfp4

MAX_CONTEXT = 8192


def experts(name, w, bias):
    """w [experts, rows, columns] as MXFP4: byte j of a block holds element 2j in its low nibble and 2j+1 in its high one."""
    value, exponent = mxfp4(w)
    nibble = torch.searchsorted(E2M1, value.abs()) + 8 * value.signbit()
    blocks = (nibble[..., 0::2] | nibble[..., 1::2] << 4).to(torch.uint8)
    return {f"{name}_blocks": blocks, f"{name}_scales": (exponent.squeeze(-1) + 127).to(torch.uint8), f"{name}_bias": bias.bfloat16()}


def tensors(net):
    c, out = net.c, {"model.embed_tokens.weight": net.embed.weight, "model.norm.weight": net.norm.weight, "lm_head.weight": net.head.weight}
    for i, b in enumerate(net.blocks):
        p = f"model.layers.{i}."
        widths = [c.heads * c.head_dim, c.kv_heads * c.head_dim, c.kv_heads * c.head_dim]
        for name, weight, bias in zip("qkv", b.attn.qkv.weight.split(widths), b.attn.qkv.bias.split(widths)):
            out[f"{p}self_attn.{name}_proj.weight"], out[f"{p}self_attn.{name}_proj.bias"] = weight, bias
        out |= {
            p + "input_layernorm.weight": b.attn_norm.weight, p + "post_attention_layernorm.weight": b.mlp_norm.weight,
            p + "self_attn.sinks": b.attn.sinks, p + "self_attn.o_proj.weight": b.attn.out.weight, p + "self_attn.o_proj.bias": b.attn.out.bias,
            p + "mlp.router.weight": b.mlp.router.weight, p + "mlp.router.bias": b.mlp.router.bias,
        }
        out |= experts(p + "mlp.experts.gate_up_proj", b.mlp.gate_up, b.mlp.gate_up_bias)
        out |= experts(p + "mlp.experts.down_proj", b.mlp.down, b.mlp.down_bias)
    return {k: (v if v.dtype == torch.uint8 else v.bfloat16()).contiguous() for k, v in out.items()}


def load(net, folder):
    """Reads a checkpoint that this program wrote back into a network, with the precision that is left."""
    t = {k: v.float() if v.dtype != torch.uint8 else v for k, v in load_file(folder / "model.safetensors").items()}

    def unpack(name):
        blocks, scales = t[name + "_blocks"].int(), t[name + "_scales"].float()
        nibbles = torch.stack([blocks & 15, blocks >> 4], -1).flatten(-2)
        value = E2M1[nibbles & 7] * torch.where(nibbles > 7, -1.0, 1.0) * torch.exp2(scales - 127)[..., None]
        return value.flatten(-2)

    with torch.no_grad():
        for name, p in (("embed_tokens", net.embed.weight), ("norm", net.norm.weight)):
            p.copy_(t[f"model.{name}.weight"])
        net.head.weight.copy_(t["lm_head.weight"])
        for i, b in enumerate(net.blocks):
            at = lambda name: t[f"model.layers.{i}.{name}"]
            b.attn.qkv.weight.copy_(torch.cat([at(f"self_attn.{x}_proj.weight") for x in "qkv"]))
            b.attn.qkv.bias.copy_(torch.cat([at(f"self_attn.{x}_proj.bias") for x in "qkv"]))
            b.attn_norm.weight.copy_(at("input_layernorm.weight")), b.mlp_norm.weight.copy_(at("post_attention_layernorm.weight"))
            b.attn.sinks.copy_(at("self_attn.sinks"))
            b.attn.out.weight.copy_(at("self_attn.o_proj.weight")), b.attn.out.bias.copy_(at("self_attn.o_proj.bias"))
            b.mlp.router.weight.copy_(at("mlp.router.weight")), b.mlp.router.bias.copy_(at("mlp.router.bias"))
            for name, weight, bias in (("gate_up", b.mlp.gate_up, b.mlp.gate_up_bias), ("down", b.mlp.down, b.mlp.down_bias)):
                weight.copy_(unpack(f"model.layers.{i}.mlp.experts.{name}_proj")), bias.copy_(at(f"mlp.experts.{name}_proj_bias"))


def config(c, end):
    return {
        "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", "vocab_size": c.vocab, "hidden_size": c.hidden,
        "intermediate_size": c.intermediate, "num_hidden_layers": c.layers,
        "layer_types": ["full_attention" if i % 2 else "sliding_attention" for i in range(c.layers)],
        "num_attention_heads": c.heads, "num_key_value_heads": c.kv_heads, "head_dim": c.head_dim, "num_local_experts": c.experts,
        "num_experts_per_tok": c.active, "sliding_window": c.window, "max_position_embeddings": MAX_CONTEXT, "rope_theta": c.theta,
        "rope_scaling": {"rope_type": "yarn", "factor": c.factor, "beta_fast": c.beta_fast, "beta_slow": c.beta_slow, "truncate": False,
                         "original_max_position_embeddings": c.original},
        "rms_norm_eps": c.eps, "swiglu_limit": c.limit, "hidden_act": "silu", "attention_bias": True, "tie_word_embeddings": False,
        "eos_token_id": end, "torch_dtype": "bfloat16",
        "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": [
            "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]},
    }


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--from", dest="source", type=pathlib.Path, required=True, help="the folder that train.py wrote")
    p.add_argument("--out", type=pathlib.Path, required=True)
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    net = Network(Config())
    net.load_state_dict(torch.load(a.source / "network.pt"))
    with torch.no_grad():
        save_file(tensors(net), a.out / "model.safetensors")
    t = Tokenizer.from_file(str(a.source / "tokenizer.json"))
    c = bpe.control(t)
    write = lambda name, value: (a.out / name).write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
    (a.out / "config.json").write_text(json.dumps(config(net.c, c["return"]), indent=1) + "\n")
    write("tokenizer.json", json.loads(t.to_str()))
    write("generation_config.json", {"bos_token_id": c["startoftext"], "do_sample": True,
                                     "eos_token_id": [c["return"], c["endoftext"], c["call"]], "pad_token_id": c["endoftext"]})
    print(f"{sum(f.stat().st_size for f in a.out.iterdir())} bytes in {a.out}")


if __name__ == "__main__":
    main()
