"""Trains the demo model. Everything is seeded but the clock: the rate follows the time that is left, so the last steps are small ones.

    python train.py --minutes 60 --out /tmp/demo-model

The allocator should keep its memory, or page faults take half the time (Debian's libjemalloc2), and the library its kernels:
LD_PRELOAD=libjemalloc.so.2 MALLOC_CONF=dirty_decay_ms:-1,muzzy_decay_ms:-1 ONEDNN_PRIMITIVE_CACHE_CAPACITY=50000
"""
import argparse
import pathlib
import random
import shutil
import time

import torch
import torch.distributed as dist
import torch.nn.functional as F
from tokenizers import Tokenizer

import batch
import bpe
import chat
import export
import world as W
from network import Config, Network


def tokenizer(size, seed=7):
    """Learns the vocabulary from conversations of the same world."""
    rng, pieces = random.Random(seed), []
    w = chat.Writer(lambda text: pieces.append(text) or [], {name: 0 for name in bpe.SPECIALS})
    for i in range(20000):
        s = chat.setting(rng)
        if i % 8 == 0:
            w.front(s)
        chat.render(w, s, chat.conversation(rng, s))
    return bpe.train(pieces, size)


def draw(rng, w, groups, each, repeats):
    """Conversations, of which the share repeats has the user dictate a text: the densest lesson in copying, and names and arguments are copied."""
    made = []
    for _ in range(groups):
        s = chat.setting(rng, exercise=True)
        talk = lambda: chat.Conversation([], W.repeat(rng)) if rng.random() < repeats else chat.conversation(rng, s)
        made.append((w.front(s), [chat.render(w, s, talk()) for _ in range(each)]))
    return made


def rate(progress, step):
    """Up in 50 steps, flat, and down to nothing over the last four fifths."""
    return min(1, (step + 1) / 50) * min(1, 1.25 * (1 - progress))


class Muon:
    """Momentum whose matrices are made orthogonal by five Newton-Schulz steps (Jordan et al. 2024), for all hidden matrices."""

    def __init__(self, params, peak, momentum=0.95):
        self.params, self.peak, self.momentum = list(params), peak, momentum
        self.state = [torch.zeros_like(p) for p in self.params]

    @torch.no_grad()
    def step(self, scale, rank=0, processes=1):
        """Each process works out its share of the matrices; all get all of them."""
        for i, (p, m) in enumerate(zip(self.params, self.state)):
            if i % processes != rank:
                p.zero_()
                continue
            m.lerp_(p.grad, 1 - self.momentum)
            x = p.grad.lerp(m, self.momentum).bfloat16()
            tall = x.shape[-2] > x.shape[-1]
            x = x.mT if tall else x
            x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
            for _ in range(5):
                s = x @ x.mT
                x = 3.4445 * x + (-4.7750 * s + 2.0315 * s @ s) @ x
            x = (x.mT if tall else x).float()
            p.mul_(1 - 0.01 * self.peak * scale).add_(x, alpha=-self.peak * scale * max(1, p.shape[-2] / p.shape[-1]) ** 0.5)
        if processes > 1:
            flat = torch.cat([p.flatten() for p in self.params])
            dist.all_reduce(flat)
            for p, new in zip(self.params, flat.split([p.numel() for p in self.params])):
                p.copy_(new.view_as(p))


def worker(rank, a):
    """One of two processes: each draws its own half of every batch and works on a core of its own."""
    torch.set_num_threads(1)
    if a.processes > 1:
        dist.init_process_group("gloo", init_method=f"file://{a.out}/meet", rank=rank, world_size=a.processes)
    torch.manual_seed(a.seed)
    c, rng = Config(), random.Random(a.seed * 1000 + rank)
    t = Tokenizer.from_file(str(a.out / "tokenizer.json"))
    w = chat.Writer(lambda text: t.encode(text, add_special_tokens=False).ids, bpe.control(t))
    net = Network(c)
    if a.resume:
        export.load(net, a.resume) if a.resume.is_dir() else net.load_state_dict(torch.load(a.resume))
    hidden = [p for n, p in net.blocks.named_parameters() if p.dim() > 1 and "bias" not in n and "router" not in n]
    known = {id(p) for p in hidden}
    rest = [p for p in net.parameters() if id(p) not in known]
    muon, adam = Muon(hidden, a.muon), torch.optim.AdamW(rest, lr=a.rate, betas=(0.9, 0.97), weight_decay=0.01)
    start, step, tokens, mean, saved, progress = time.time(), 0, 0, 0.0, 0.0, 0.0
    while progress < 1:
        net.four_bits(progress >= a.quantised_from)
        b = batch.make(draw(rng, w, a.groups, a.each, 0.6 if progress < a.repeats_until else 0.08), c.window)
        logits = net(b)
        loss = F.cross_entropy(logits, b.target)
        (loss + 0.01 * sum(x.mlp.balance for x in net.blocks)).backward()
        agree(net, a.processes)
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        scale = rate(progress, step)
        adam.param_groups[0]["lr"] = a.rate * scale
        adam.step()
        muon.step(scale, rank, a.processes)
        net.zero_grad(set_to_none=True)
        step, tokens = step + 1, tokens + len(b.token) * a.processes
        mean += (loss.item() - mean) * max(0.02, 1 / step)
        progress = clock(start, a)
        if rank == 0 and step % 25 == 0:
            right = (logits.argmax(-1) == b.target)[b.target != batch.IGNORED].float().mean().item()
            print(f"{progress:6.1%} step {step} loss {mean:.4f} now {loss.item():.4f} right {right:.4f} tokens/s {tokens / (time.time() - start):.0f}", flush=True)
        if rank == 0 and (progress - saved > 0.025 or progress >= 1):
            saved = progress
            torch.save(net.state_dict(), a.out / "network.pt")
    if rank == 0:
        print(f"done: {step} steps, {tokens} tokens, loss {mean:.4f}")


def agree(net, processes):
    """Averages the gradients of all processes."""
    if processes > 1:
        params = [p for p in net.parameters() if p.grad is not None]
        flat = torch.cat([p.grad.flatten() for p in params])
        dist.all_reduce(flat)
        for p, g in zip(params, (flat / processes).split([p.numel() for p in params])):
            p.grad = g.view_as(p)


def clock(start, a):
    """The share of the time that is over, the same in all processes."""
    over = torch.tensor((time.time() - start) / (60 * a.minutes))
    if a.processes > 1:
        dist.broadcast(over, 0)
    return over.item()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--minutes", type=float, default=60)
    p.add_argument("--out", type=pathlib.Path, required=True)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--muon", type=float, default=0.008, help="peak rate of Muon, for the hidden matrices")
    p.add_argument("--rate", type=float, default=1.5e-3, help="peak rate of AdamW, for the rest")
    p.add_argument("--groups", type=int, default=5, help="fronts in a process's batch")
    p.add_argument("--each", type=int, default=7, help="conversations per front")
    p.add_argument("--repeats-until", type=float, default=0.1, help="share of the training in which most conversations are exercises in copying")
    p.add_argument("--quantised-from", type=float, default=0.5, help="share of the training after which the experts are rounded to four bits")
    p.add_argument("--processes", type=int, default=2)
    p.add_argument("--resume", type=pathlib.Path, help="a network.pt, or the folder of an exported checkpoint, to go on from")
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    (a.out / "meet").unlink(missing_ok=True)
    if a.resume and a.resume.is_dir():
        shutil.copy(a.resume / "tokenizer.json", a.out)
    if not (a.out / "tokenizer.json").exists():
        tokenizer(Config().vocab).save(str(a.out / "tokenizer.json"))
    if a.processes == 1:
        worker(0, a)
    else:
        torch.multiprocessing.spawn(worker, (a,), a.processes)


if __name__ == "__main__":
    main()
