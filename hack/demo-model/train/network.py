"""The gpt-oss architecture in PyTorch, small, made for training many short conversations that share a front.

A batch is flat: one row per token, without padding. A front (system and developer message) is computed once and read by all the
branches (conversations) that follow it, each at the positions after the front. That is exact: a branch sees what it would see alone.
"""
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    vocab: int = 1216
    hidden: int = 256
    intermediate: int = 128
    layers: int = 6
    heads: int = 8
    kv_heads: int = 2
    head_dim: int = 32
    experts: int = 8
    active: int = 2
    window: int = 64
    theta: float = 150000.0
    factor: float = 32.0
    original: int = 256
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    eps: float = 1e-5
    limit: float = 7.0


# The values of E2M1.
E2M1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])


def nearest(a):
    """The values of E2M1 nearest to a >= 0: steps of 0.5 up to 2, of 1 up to 4, of 2 up to 6."""
    step = torch.exp2(torch.floor(torch.log2(a.clamp(1, 4)))) / 2
    return (torch.round(a / step) * step).clamp_(max=6)


def mxfp4(w):
    """Rounds w [..., n] in blocks of 32: the values of E2M1 with sign [..., n/32, 32] and the exponents [..., n/32, 1].

    Of the two scales that hold the largest value of a block, or clip it a little, the one with the smaller error is taken.
    """
    blocks = w.detach().float().unflatten(-1, (-1, 32))
    size = blocks.abs()
    low = torch.floor(torch.log2(size.amax(-1, keepdim=True).clamp_min(2.0**-60) / 6))
    best = None
    for exponent in (low, low + 1):
        scaled = size * torch.exp2(-exponent)
        value = nearest(scaled)
        error = (value - scaled).square_().sum(-1, keepdim=True) * torch.exp2(2 * exponent)
        if best is None:
            best = error, value, exponent
        else:
            take = error < best[0]
            best = None, torch.where(take, value, best[1]), torch.where(take, exponent, best[2])
    return best[1].copysign(blocks), best[2]


def rounded(w):
    """w as MXFP4 would store it; the gradient passes as if nothing had happened."""
    value, exponent = mxfp4(w)
    return w + ((value * torch.exp2(exponent)).flatten(-2) - w).detach()


def rotary(c):
    """Inverse frequencies [head_dim/2] and the concentration of YaRN."""
    half = c.head_dim // 2
    freq = c.theta ** (torch.arange(half, dtype=torch.float64) / half)
    edge = lambda turns: half * math.log(c.original / (turns * 2 * math.pi)) / math.log(c.theta)
    low, high = edge(c.beta_fast), edge(c.beta_slow)
    ramp = ((torch.arange(half, dtype=torch.float64) - low) / (high - low)).clamp(0, 1)
    return (1 / (c.factor * freq) * ramp + 1 / freq * (1 - ramp)).float(), 0.1 * math.log(c.factor) + 1


class Norm(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.eps, self.weight = c.eps, nn.Parameter(torch.ones(c.hidden))

    def forward(self, x):
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps).bfloat16()


def linear(x, layer):
    return F.linear(x, layer.weight.bfloat16(), None if layer.bias is None else layer.bias.bfloat16())


class Attention(nn.Module):
    def __init__(self, c, window):
        super().__init__()
        self.c, self.window = c, window
        width = (c.heads + 2 * c.kv_heads) * c.head_dim
        self.qkv = nn.Linear(c.hidden, width)
        self.out = nn.Linear(c.heads * c.head_dim, c.hidden)
        self.sinks = nn.Parameter(torch.zeros(c.heads))

    def forward(self, x, batch):
        c, n = self.c, x.shape[0]
        q, k, v = linear(x, self.qkv).split([c.heads * c.head_dim, c.kv_heads * c.head_dim, c.kv_heads * c.head_dim], -1)
        q = rotate(q.view(-1, c.heads, c.head_dim), batch.cos, batch.sin)
        k = rotate(k.view(-1, c.kv_heads, c.head_dim), batch.cos, batch.sin)
        # The sink is one more key: row n of the tables. It meets a dimension of the queries that holds the sinks' logits
        # and that is zero in all other keys. The pad keeps rows of 16 bytes.
        pad = 8
        sinks = self.sinks.bfloat16().view(1, -1, 1).expand(n, -1, 1)
        q = torch.cat([q * c.head_dim**-0.5, sinks, q.new_zeros(n, c.heads, pad - 1)], -1)
        k, v = F.pad(k, (0, pad, 0, 0, 0, 1)), F.pad(v.reshape(-1, c.kv_heads, c.head_dim), (0, pad, 0, 0, 0, 1))
        k = k + batch.sink_key
        outs = [self.attend(q, k, v, part, part.window if self.window else part.full) for part in batch.parts]
        return linear(torch.cat(outs).index_select(0, batch.order), self.out)

    def attend(self, q, k, v, part, tables):
        """The rows of one part [real tokens, heads × head_dim]: each looks at its columns where the mask is 0 and not far below."""
        c, (columns, mask) = self.c, tables
        (n, t), s, wide = part.rows.shape, columns.shape[1], q.shape[-1]
        take = lambda x, rows, m: x.index_select(0, rows.flatten()).view(n, m, -1, wide).transpose(1, 2)
        group = c.heads // c.kv_heads
        q = take(q, part.rows, t).reshape(n, c.kv_heads, group * t, wide)
        scores = (q @ take(k, columns, s).transpose(2, 3)).view(n, c.heads, t, s)
        p = torch.softmax(scores.add_(mask[:, None]), -1).view(n, c.kv_heads, group * t, s)
        y = (p @ take(v, columns, s)).view(n, c.heads, t, wide)
        return y.transpose(1, 2)[..., : c.head_dim].reshape(n * t, -1).index_select(0, part.real)


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Experts(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.router = nn.Linear(c.hidden, c.experts)
        self.gate_up = nn.Parameter(torch.empty(c.experts, 2 * c.intermediate, c.hidden))  # gate on even rows, up on odd ones
        self.gate_up_bias = nn.Parameter(torch.zeros(c.experts, 2 * c.intermediate))
        self.down = nn.Parameter(torch.empty(c.experts, c.hidden, c.intermediate))
        self.down_bias = nn.Parameter(torch.zeros(c.experts, c.hidden))
        self.four_bits = False
        self.balance = torch.zeros(())

    def forward(self, x):
        c = self.c
        logits = self.router(x.float())
        top, chosen = logits.topk(c.active, -1)
        share = torch.softmax(top, -1)
        used = F.one_hot(chosen, c.experts).float().sum(1).mean(0)
        self.balance = (used * torch.softmax(logits, -1).mean(0)).sum() * c.experts / c.active
        gate_up, down = (rounded(self.gate_up), rounded(self.down)) if self.four_bits else (self.gate_up, self.down)
        gate_up, down = gate_up.bfloat16().unbind(0), down.bfloat16().unbind(0)
        gate_up_bias, down_bias = self.gate_up_bias.bfloat16().unbind(0), self.down_bias.bfloat16().unbind(0)
        # Slots by expert, each list filled up with slot 0 to a round length; what is computed for the filling counts nothing.
        lists = [(chosen.flatten() == e).nonzero().squeeze(1) for e in range(c.experts)]
        sizes = [-len(slots) // 64 * -64 for slots in lists]
        order = torch.cat([F.pad(slots, (0, size - len(slots))) for slots, size in zip(lists, sizes)])
        counts = torch.cat([F.pad(torch.ones(len(slots)), (0, size - len(slots))) for slots, size in zip(lists, sizes)])
        rows = order // c.active
        outs = []
        for e, h in enumerate(x.index_select(0, rows).split(sizes)):
            h = F.linear(h, gate_up[e], gate_up_bias[e])
            gate, up = h.view(-1, c.intermediate, 2).unbind(-1)
            gate, up = gate.clamp(max=c.limit), up.clamp(-c.limit, c.limit)
            outs.append(F.linear(gate * torch.sigmoid(1.702 * gate) * (up + 1), down[e], down_bias[e]))
        y = torch.cat(outs).float() * (share.flatten().index_select(0, order) * counts)[:, None]
        return torch.zeros_like(x, dtype=torch.float32).index_add(0, rows, y)


class Block(nn.Module):
    def __init__(self, c, window):
        super().__init__()
        self.attn_norm, self.attn = Norm(c), Attention(c, window)
        self.mlp_norm, self.mlp = Norm(c), Experts(c)

    def forward(self, x, batch):
        x = x + self.attn(self.attn_norm(x), batch)
        return x + self.mlp(self.mlp_norm(x))


class Network(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.embed = nn.Embedding(c.vocab, c.hidden)
        self.blocks = nn.ModuleList(Block(c, i % 2 == 0) for i in range(c.layers))
        self.norm = Norm(c)
        self.head = nn.Linear(c.hidden, c.vocab, bias=False)
        self.frequencies, self.concentration = rotary(c)
        for name, p in self.named_parameters():
            if p.dim() < 2:
                continue
            std = 0.5 if "embed" in name else p.shape[-1] ** -0.5
            nn.init.normal_(p, std=std / math.sqrt(2 * c.layers) if "out.weight" in name or "down" in name else std)
        nn.init.normal_(self.head.weight, std=0.02)
        for b in self.blocks:
            nn.init.zeros_(b.mlp.down_bias)
            nn.init.zeros_(b.mlp.gate_up_bias)

    def forward(self, batch):
        """Logits [targets, vocab] of the positions that have a target."""
        angle = batch.position.float()[:, None] * self.frequencies
        batch.cos, batch.sin = ((f(angle) * self.concentration)[:, None].bfloat16() for f in (torch.cos, torch.sin))
        n = len(batch.token)
        batch.sink_key = torch.zeros(n + 1, 1, self.c.head_dim + 8, dtype=torch.bfloat16)
        batch.sink_key[n, 0, self.c.head_dim] = 1
        x = F.embedding(batch.token, self.embed.weight)
        for b in self.blocks:
            x = b(x, batch)
        return linear(self.norm(x.index_select(0, batch.predicts)), self.head).float()

    def four_bits(self, on=True):
        for b in self.blocks:
            b.mlp.four_bits = on
