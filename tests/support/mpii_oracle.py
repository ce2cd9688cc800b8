"""MPII Multi-Person AP, a second time: the protocol as it is written, in plain loops."""

from __future__ import annotations

import numpy as np

from associative_embedding.evaluation.metrics.mpii import COLUMNS, PeopleGroup

ALL = [*COLUMNS, "Total"]
IDS = [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 8, 9]  # MPII ids in the order of the published script
PAIRS = {"Head": (12, 13), "Shoulder": (8, 9), "Elbow": (7, 10), "Wrist": (6, 11), "Hip": (2, 3), "Knee": (1, 4)}
PAIRS |= {"Ankle": (0, 5)}  # places in IDS


def naive_ap(groups: list[PeopleGroup], threshold: float) -> dict[str, float | None]:
    """The protocol as it is written, in loops."""
    detections: list[list[tuple[float, int, bool]]] = [[] for _ in IDS]
    totals = [0] * len(IDS)
    number = 0
    for g in groups:
        matched, pck = {}, np.zeros((len(g.predicted), len(g.truth)))
        for p in range(len(g.predicted)):
            for t in range(len(g.truth)):
                annotated = 0
                for i, k in enumerate(IDS):
                    a, b = g.predicted[p, k], g.truth[t, k]
                    near = np.hypot(a[0] - b[0], a[1] - b[1]) <= threshold * g.head_size[t]
                    matched[p, t, i] = bool(near and a[2] != 0 and b[2] > 0)
                    pck[p, t] += matched[p, t, i]
                    annotated += b[2] > 0
                pck[p, t] = pck[p, t] / annotated if annotated else 0
        taker: dict[int, int] = {}
        for t in range(len(g.truth)):
            best, best_pck = -1, 0.0
            for p in range(len(g.predicted)):
                if list(pck[p]).index(max(pck[p])) == t and pck[p, t] > best_pck:
                    best, best_pck = p, pck[p, t]
            if best >= 0:
                taker[best] = t
        for p in range(len(g.predicted)):
            for i, k in enumerate(IDS):
                if g.predicted[p, k, 2] != 0:
                    hit = p in taker and matched[p, taker[p], i]
                    detections[i].append((float(g.predicted[p, k, 2]), number, hit))
                number += 1
        for i, k in enumerate(IDS):
            totals[i] += int((g.truth[:, k, 2] > 0).sum())
    ap: list[float | None] = []
    for found, total in zip(detections, totals, strict=True):
        recall, precision, hits = [0.0], [0.0], 0
        for n, (_, _, hit) in enumerate(sorted(found, reverse=True), start=1):
            hits += hit
            recall.append(hits / total if total else 0.0)
            precision.append(hits / n)
        recall, precision = [*recall, 1.0], [*precision, 0.0]
        for n in reversed(range(len(precision) - 1)):
            precision[n] = max(precision[n], precision[n + 1])
        area = sum((recall[n] - recall[n - 1]) * precision[n] for n in range(1, len(recall)))
        ap.append(100 * area if total else None)
    columns: dict[str, float | None] = {}
    for name, places in [*PAIRS.items(), ("Total", tuple(range(14)))]:
        values = [value for i in places if (value := ap[i]) is not None]
        columns[name] = sum(values) / len(values) if values else None
    return columns
