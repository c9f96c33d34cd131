"""A real study: two families of classifiers on scikit-learn's bundled handwritten digits.

    Digits ── Pixels ──┬── LogisticModel ×4 ──┬── Report
                       └── ForestModel   ×4 ──┘

Everything that is slow to import is imported inside `_create`: when all is made already, the
study is read back without it.
"""

from __future__ import annotations

import json
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


class Model(huldra.Huldra[dict[str, float]]):
    """What all classifiers share; the result is how well one does on unseen images."""

    pixels: Pixels = huldra.field(default_factory=Pixels)
    seed: int = 0
    _resources = huldra.Resources(cpus=1)

    def estimator(self) -> Any:
        """The scikit-learn estimator to fit."""
        raise NotImplementedError

    def _create(self) -> dict[str, float]:
        import time

        from sklearn.metrics import confusion_matrix

        data = self.pixels.load_or_create()
        began = time.perf_counter()
        fitted = self.estimator().fit(data["train_x"], data["train_y"])
        fit_s = time.perf_counter() - began
        guesses = fitted.predict(data["test_x"])
        score = {"accuracy": float((guesses == data["test_y"]).mean()), "fit_s": fit_s}
        self.log.info("accuracy %.3f", score["accuracy"])
        confusion = confusion_matrix(data["test_y"], guesses).tolist()
        (self.huldra_dir / "confusion.json").write_text(json.dumps(confusion))
        (self.huldra_dir / "score.json").write_text(json.dumps(score))
        return score

    def _load(self) -> dict[str, float]:
        score: dict[str, float] = json.loads((self.huldra_dir / "score.json").read_text())
        return score

    def confusion(self) -> list[list[int]]:
        """How often each digit was taken for each other one; the model must be made."""
        rows: list[list[int]] = json.loads((self.huldra_dir / "confusion.json").read_text())
        return rows


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
        ranked = sorted(scores, key=lambda name: -scores[name]["accuracy"])
        self.log.info("best: %s", ranked[0])
        _write_table(self._load(), {name: scores[name] for name in ranked})
        accuracies = {name: scores[name]["accuracy"] for name in reversed(ranked)}
        _plot(self.huldra_dir / "report.png", accuracies, self.models[ranked[0]].confusion())
        return self._load()

    def _load(self) -> Path:
        return self.huldra_dir / "report.md"


def _write_table(path: Path, scores: dict[str, dict[str, float]]) -> None:
    rows = [f"| {name} | {s['accuracy']:.3f} | {s['fit_s']:.2f} |" for name, s in scores.items()]
    path.write_text("\n".join(["| model | accuracy | fit (s) |", "|---|---|---|", *rows, ""]))


def _plot(path: Path, accuracies: dict[str, float], confusion: list[list[int]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.barh(list(accuracies), list(accuracies.values()))
    left.set(xlabel="accuracy on unseen digits", xlim=(0.5, 1.0))
    right.imshow(confusion, cmap="Blues")
    right.set(title="the best one's confusions", xlabel="guessed", ylabel="written")
    right.set(xticks=range(10), yticks=range(10))
    figure.savefig(path, dpi=120)
