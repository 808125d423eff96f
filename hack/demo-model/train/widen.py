"""Makes a network of today's Config out of one with fewer heads and wider experts: new heads start without effect on the others,
and each expert keeps the rows that weigh most.

    python widen.py --from old/network.pt --out new/network.pt
"""
import argparse
import pathlib

import torch

from network import Config, Network


def heads(new, old, c, before, dim):
    """Spreads the old query heads over the groups of their key heads; dim is the axis that heads lie on."""
    group, was = c.heads // c.kv_heads, before // c.kv_heads
    new.zero_() if new.dim() == 1 or dim == 1 else None
    span = lambda x, head, n=1: x.narrow(dim, head * c.head_dim, n * c.head_dim)
    for head in range(before):
        span(new, head // was * group + head % was).copy_(span(old, head))
    if dim == 0:  # the keys and values behind the queries
        span(new, c.heads, 2 * c.kv_heads).copy_(span(old, before, 2 * c.kv_heads))


def sinks(new, old, c, before):
    new.zero_()
    group, was = c.heads // c.kv_heads, before // c.kv_heads
    for head in range(before):
        new[head // was * group + head % was] = old[head]


def experts(new, old, c, prefix):
    """Keeps, of each expert, the pairs of gate and up with the largest product of norms."""
    gate_up, bias, down = (old[f"{prefix}.{name}"] for name in ("gate_up", "gate_up_bias", "down"))
    weight = gate_up.unflatten(1, (-1, 2)).norm(dim=(2, 3)) * down.norm(dim=1)
    for e, rows in enumerate(weight.topk(c.intermediate, 1).indices.sort(1).values):
        pairs = torch.stack([2 * rows, 2 * rows + 1], 1).flatten()
        new[f"{prefix}.gate_up"][e] = gate_up[e][pairs]
        new[f"{prefix}.gate_up_bias"][e] = bias[e][pairs]
        new[f"{prefix}.down"][e] = down[e][:, rows]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--from", dest="source", type=pathlib.Path, required=True)
    p.add_argument("--out", type=pathlib.Path, required=True)
    a = p.parse_args()
    torch.manual_seed(1)
    c = Config()
    new, old = Network(c).state_dict(), torch.load(a.source)
    before = len(old["blocks.0.attn.sinks"])
    for name, value in old.items():
        if ".qkv." in name:
            heads(new[name], value, c, before, 0)
        elif name.endswith(".attn.out.weight"):
            heads(new[name], value, c, before, 1)
        elif name.endswith(".sinks"):
            sinks(new[name], value, c, before)
        elif not name.endswith((".gate_up", ".gate_up_bias", ".down")):
            new[name].copy_(value)
    for i in range(c.layers):
        experts(new, old, c, f"blocks.{i}.mlp")
    torch.save(new, a.out)


if __name__ == "__main__":
    main()
