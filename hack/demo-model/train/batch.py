"""Batches: conversations that share fronts, as flat rows of tokens and the index tables that attention needs."""
from dataclasses import dataclass

import torch

NEVER = -30000.0  # far below any score, and still a number in bfloat16
IGNORED = -100  # the target that cross_entropy passes over
STEP = 16  # widths are multiples of it, and numbers of rows of 16 times it: each new shape costs the library a new kernel


@dataclass
class Part:
    """Branches (or fronts) of similar length that attend together."""
    rows: torch.Tensor  # [n, t] flat row of each query; padding repeats row 0
    real: torch.Tensor  # where [n × t] is no padding
    full: tuple  # (columns [n, s], mask [n, t, s]) for layers that see everything
    window: tuple  # the same for layers with a sliding window


@dataclass
class Batch:
    token: torch.Tensor
    position: torch.Tensor
    predicts: torch.Tensor  # rows whose next token is a target
    target: torch.Tensor
    parts: list
    order: torch.Tensor  # where each row is among the real rows of all parts


def padded(lists, left=False):
    width = -max(map(len, lists)) // STEP * -STEP
    rows, real = torch.zeros(len(lists), width, dtype=torch.long), torch.zeros(len(lists), width, dtype=torch.bool)
    for i, values in enumerate(lists):
        at = slice(width - len(values), width) if left else slice(0, len(values))
        rows[i, at] = torch.tensor(values)
        real[i, at] = True
    return rows, real


def masked(position, rows, columns, seen, window):
    """The mask of queries at rows [n, t] over columns [n, s] and the sink: what is not padding, not later and not beyond the window."""
    back = position[rows][:, :, None] - position[columns][:, None, :]
    ok = (back >= 0) & seen[:, None, :]
    if window:
        ok &= back < window
    mask = torch.where(ok, 0.0, NEVER)
    sink = torch.tensor([0.0] + [NEVER] * (STEP - 1)).expand(*mask.shape[:2], STEP)
    return torch.cat([mask, sink], 2).bfloat16()


def fill(values, value):
    """Makes the length a round one; the rows that this adds belong to nobody."""
    values += [value] * (-len(values) % (16 * STEP))


def part(position, rows, real, front, front_real, window):
    """front holds the columns before the rows' own, or has none."""
    tables = []
    for w in (0, window):
        keep = slice(-w, None) if w else slice(None)
        columns = torch.cat([front[:, keep], rows], 1)
        seen = torch.cat([front_real[:, keep], real], 1)
        sink = torch.full((len(rows), STEP), len(position))
        tables.append((torch.cat([columns, sink], 1), masked(position, rows, columns, seen, w)))
    return Part(rows, real.flatten().nonzero().squeeze(1), *tables)


def make(groups, window, chunk=12):
    """groups: [(front ids, [(context ids, target ids), ...]), ...]"""
    token, position, predicts, target, fronts, branches = [], [], [], [], [], []
    for front, convs in groups:
        fronts.append(list(range(len(token), len(token) + len(front))))
        token += front
        position += range(len(front))
        for context, answer in convs:
            ids = context + answer
            start = len(token)
            branches.append((list(range(start, start + len(ids) - 1)), len(fronts) - 1))
            token += ids[:-1]
            position += range(len(front), len(front) + len(ids) - 1)
            first = len(context) - 1
            predicts += range(start + first, start + len(ids) - 1)
            target += answer
    real_tokens = len(token)
    fill(token, 0), fill(position, 0), fill(predicts, 0), fill(target, IGNORED)
    token, position = torch.tensor(token), torch.tensor(position)
    parts = []
    rows, real = padded(fronts)
    none = rows[:, :0]
    parts.append(part(position, rows, real, none, none.bool(), window))
    front, front_real = padded(fronts, left=True)
    branches.sort(key=lambda b: len(b[0]))
    for i in range(0, len(branches), chunk):
        rows, real = padded([rows for rows, _ in branches[i : i + chunk]])
        of = torch.tensor([group for _, group in branches[i : i + chunk]])
        parts.append(part(position, rows, real, front[of], front_real[of], window))
    order = torch.zeros_like(token)
    order[torch.cat([p.rows.flatten()[p.real] for p in parts])] = torch.arange(real_tokens)
    return Batch(token, position, torch.tensor(predicts), torch.tensor(target), parts, order)
