"""Trains two models on scikit-learn's iris data; seeded, and skipped when the files are there."""

from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

MODELS = Path(__file__).parent / "models"


def main():
    data, species = load_iris(return_X_y=True)
    known, unseen, known_species, unseen_species = train_test_split(data, species, random_state=7)
    models = {
        "iris-linear": LogisticRegression(max_iter=500),
        "iris-forest": RandomForestClassifier(n_estimators=50, random_state=7),
    }
    for name, model in models.items():
        path = MODELS / name / "model.joblib"
        if path.exists():
            continue
        model.fit(known, known_species)
        path.parent.mkdir(parents=True, exist_ok=True)
        joblib.dump(model, path)
        print(f"trained {name}: {model.score(unseen, unseen_species):.0%} of unseen flowers right")


if __name__ == "__main__":
    main()
