"""A real study: two families of classifiers on scikit-learn's bundled handwritten digits.

    Digits ── Pixels ──┬── LogisticModel ×4 ──┬── Report
                       └── ForestModel   ×4 ──┘

Everything that is slow to import is imported inside `_create`: when all is made already, the
study is read back without it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import huldra


class Digits(huldra.Huldra[dict[str, Any]]):
    """The 1,797 images of 8 × 8 pixels, split into a part to learn from and a part to test on."""

    test_share: float = 0.25
    seed: int = 0

    def _create(self) -> dict[str, Any]:
        import numpy as np
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        images, labels = load_digits(return_X_y=True)
        names = ("train_x", "test_x", "train_y", "test_y")
        parts = train_test_split(
            images, labels, test_size=self.test_share, random_state=self.seed, stratify=labels
        )
        arrays = dict(zip(names, parts, strict=True))
        self.log.info("%d images to learn from", len(arrays["train_x"]))
        np.savez(self.huldra_dir / "digits.npz", **arrays)
        return arrays

    def _load(self) -> dict[str, Any]:
        import numpy as np

        with np.load(self.huldra_dir / "digits.npz") as stored:
            return dict(stored)


class Pixels(huldra.Huldra[dict[str, Any]]):
    """Scaled pixels, with the directions of least variance taken out."""

    digits: Digits = huldra.field(default_factory=Digits)
    components: int = 32

    def _create(self) -> dict[str, Any]:
        import numpy as np
        from sklearn.decomposition import PCA
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        data = self.digits.load_or_create()
        reduce = make_pipeline(
            StandardScaler(), PCA(self.components, random_state=self.digits.seed)
        )
        data["train_x"] = reduce.fit_transform(data["train_x"])
        data["test_x"] = reduce.transform(data["test_x"])
        self.log.info("%d components", self.components)
        np.savez(self.huldra_dir / "pixels.npz", **data)
        return data

    def _load(self) -> dict[str, Any]:
        import numpy as np

        with np.load(self.huldra_dir / "pixels.npz") as stored:
            return dict(stored)


@dataclass(frozen=True)
class Score:
    """How well a model does on images that it has not seen."""

    accuracy: float
    fit_s: float
    confusion: list[list[int]]


class Model(huldra.Huldra[Score]):
    """What all classifiers share: subclasses say which estimator they are."""

    pixels: Pixels = huldra.field(default_factory=Pixels)
    seed: int = 0
    _resources = huldra.Resources(cpus=1)

    def estimator(self) -> Any:
        """The scikit-learn estimator to fit."""
        raise NotImplementedError

    def _create(self) -> Score:
        import time

        from sklearn.metrics import confusion_matrix

        data = self.pixels.load_or_create()
        began = time.perf_counter()
        fitted = self.estimator().fit(data["train_x"], data["train_y"])
        fit_s = time.perf_counter() - began
        guesses = fitted.predict(data["test_x"])
        score = Score(
            accuracy=float((guesses == data["test_y"]).mean()),
            fit_s=round(fit_s, 3),
            confusion=confusion_matrix(data["test_y"], guesses).tolist(),
        )
        self.log.info("accuracy %.3f", score.accuracy)
        (self.huldra_dir / "score.json").write_text(json.dumps(asdict(score)))
        return score

    def _load(self) -> Score:
        return Score(**json.loads((self.huldra_dir / "score.json").read_text()))


class LogisticModel(Model):
    """Logistic regression; a smaller `c` regularises more."""

    c: float = 1.0

    def estimator(self) -> Any:
        """A linear model."""
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=self.c, max_iter=2000, random_state=self.seed)


class ForestModel(Model):
    """A random forest."""

    trees: int = 100
    depth: int | None = None

    def estimator(self) -> Any:
        """An ensemble of decision trees."""
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(self.trees, max_depth=self.depth, random_state=self.seed)


class DigitModels(huldra.HuldraList[Model]):
    """The models of the study: both families on the same pixels."""

    logistic = {  # noqa: RUF012  read once, when the class is made
        f"logistic-{c}": LogisticModel(c=c) for c in (0.001, 0.01, 0.1, 1.0)
    }
    forests = {  # noqa: RUF012  the same
        f"forest-{trees}-{depth or 'deep'}": ForestModel(trees=trees, depth=depth)
        for trees in (20, 200)
        for depth in (4, None)
    }


class Report(huldra.Huldra[Path]):
    """A table and a plot of all models: depends on them because they are its field."""

    models: dict[str, Model]

    def _create(self) -> Path:
        scores = {name: model.load_or_create() for name, model in self.models.items()}
        best = max(scores, key=lambda name: scores[name].accuracy)
        self.log.info("best: %s", best)
        (self.huldra_dir / "report.md").write_text("\n".join(_table(scores)) + "\n")
        _plot(scores, best, self.huldra_dir / "report.png")
        return self._load()

    def _load(self) -> Path:
        return self.huldra_dir / "report.md"


def _table(scores: dict[str, Score]) -> Iterable[str]:
    yield "| model | accuracy | fit (s) |"
    yield "|---|---|---|"
    for name, score in sorted(scores.items(), key=lambda item: -item[1].accuracy):
        yield f"| {name} | {score.accuracy:.3f} | {score.fit_s:.2f} |"


def _plot(scores: dict[str, Score], best: str, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = sorted(scores, key=lambda name: scores[name].accuracy)
    left.barh(names, [scores[name].accuracy for name in names])
    left.set(xlabel="accuracy on unseen digits", xlim=(0.5, 1.0))
    right.imshow(scores[best].confusion, cmap="Blues")
    right.set(title=f"confusions of {best}", xlabel="guessed", ylabel="written")
    right.set(xticks=range(10), yticks=range(10))
    figure.savefig(path, dpi=120)
