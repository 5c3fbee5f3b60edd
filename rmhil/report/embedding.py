"""t-SNE of the embedding after each stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rmhil.report.canvas import COLOURS, Picture, figure, png, row

POINTS: Final = 400
"""Samples drawn of each stage; more take long and hide each other."""

_PERPLEXITY: Final = 30.0
"""Neighbours each sample looks at: the usual value of t-SNE; fewer where there are few samples."""

_ITERATIONS: Final = 500
"""Steps of the optimiser: half of scikit-learn's default, where so few samples have settled."""

_MARKERS: Final = "osD^"


def embedding_picture(
    embeddings: Mapping[str, NDArray[Any]], stages: Sequence[str], class_names: Sequence[str]
) -> Picture | None:
    """One panel a stage, one colour a class; None where no stage was kept or scikit-learn is missing.

    Args:
        embeddings: stage -> features, shape (samples, size); `labels` or `<stage>_labels` -> class numbers.
        stages: in order.
        class_names: by class number.
    """
    try:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits
    except ImportError:
        return None
    kept = [stage for stage in stages if stage in embeddings and _labels(embeddings, stage) is not None]
    if not kept:
        return None
    made = figure(3.2 * len(kept), 3.7)
    axes = row(made, len(kept))
    present: dict[int, Any] = {}
    for ax, stage in zip(axes, kept, strict=True):
        features, labels = _sample(embeddings[stage], _labels(embeddings, stage))
        perplexity = min(_PERPLEXITY, (len(features) - 1) / 3)
        with threadpool_limits(1):  # small work, which many threads only slow down
            tsne = TSNE(perplexity=perplexity, init="pca", random_state=0, max_iter=_ITERATIONS)
            placed = tsne.fit_transform(features)
        for number in np.unique(labels):
            own = labels == number
            lap, colour = divmod(int(number), len(COLOURS))
            present[int(number)] = ax.scatter(
                placed[own, 0],
                placed[own, 1],
                s=11,
                linewidths=0,
                alpha=0.85,
                color=COLOURS[colour],
                marker=_MARKERS[lap % len(_MARKERS)],
            )
        ax.set(title=f"after {stage}", xticks=[], yticks=[], aspect="equal", adjustable="datalim")
        for spine in ax.spines.values():
            spine.set_visible(True)
    names = [class_names[number] if number < len(class_names) else str(number) for number in sorted(present)]
    handles = [present[number] for number in sorted(present)]
    made.legend(handles, names, loc="outside lower center", ncols=min(len(names), 8), fontsize=8, markerscale=1.8)
    text = (
        "t-SNE of what the last layer sees, test samples, one colour a class. Distances within a panel are meaningful "
        "only between neighbours; positions in different panels cannot be compared."
    )
    return Picture("embedding", text, png(made))


def _labels(embeddings: Mapping[str, NDArray[Any]], stage: str) -> NDArray[Any] | None:
    labels = embeddings.get(f"{stage}_labels", embeddings.get("labels"))
    features = embeddings[stage]
    fits = labels is not None and features.ndim == 2 and len(labels) == len(features) >= 4
    return labels if fits else None


def _sample(features: NDArray[Any], labels: NDArray[Any] | None) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    chosen = np.linspace(0, len(features) - 1, min(len(features), POINTS)).astype(np.int64)
    return np.asarray(features[chosen], dtype=np.float64), np.asarray(labels)[chosen].astype(np.int64)
