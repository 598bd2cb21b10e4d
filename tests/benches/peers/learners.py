"""The peers, each in every configuration its documentation and common practice suggest for such tables.

A learner is `fit(features, outcome, held_out) -> predict(features)`; `held_out` marks the tenth of the rows on which early
stopping looks, rows of a customer together. Categories go in as the library's own. Boosting comes in two configurations:
small (300 slow trees), or of many rows large (500 bigger ones), and stopped (as many as the held-out rows allow, up to 3,000,
then grown again on all rows unless there are many, as nextbest does). No peer may search over them: all compete, and of each the one
that turns out best on the very folds it is judged on is compared. That favours the peers.
"""

import numpy as np
import pandas as pd

MOST_TREES = 3000
PATIENCE = 50


def many(features):
    return len(features) >= 100_000


def rate(features):
    """Of stopped boosting: slow where rows are few, quick where trees take long and noise is no danger."""
    return 0.02 if len(features) < 20_000 else 0.1 if many(features) else 0.04


def categories(features):
    return [c for c in features if isinstance(features[c].dtype, pd.CategoricalDtype)]


def fixed(make, size):
    def fit(features, outcome, _held_out):
        model = make(**size)
        model.fit(features, outcome)
        return model

    return fit


def stopped(make, size, watch, best):
    """`watch(model, features, outcome, held_out)` fits and stops early; `best(model)` is the number of trees it found."""

    def fit(features, outcome, held_out):
        quick = dict(learning_rate=rate(features), n_trees=MOST_TREES)
        model = watch(lambda **more: make(**size, **quick, **more), features, outcome, held_out)
        if many(features):
            return model
        again = make(**size, **{**quick, "n_trees": best(model)})
        again.fit(features, outcome)
        return again

    return fit


def scoring(fit):
    def fit_and_score(features, outcome, held_out):
        model = fit(features, outcome, held_out)
        return lambda rows: model.predict_proba(rows)[:, 1]

    return fit_and_score


def lightgbm(**size):
    import lightgbm as lgb

    size["n_estimators"] = size.pop("n_trees")
    return lgb.LGBMClassifier(**{"min_child_samples": 20, "n_jobs": 2, "verbose": -1, "random_state": 1, **size})


def watch_lightgbm(make, features, outcome, held_out):
    import lightgbm as lgb

    stop = lgb.early_stopping(PATIENCE, first_metric_only=True, verbose=False)
    seen = (features[held_out], outcome[held_out])
    return make().fit(features[~held_out], outcome[~held_out], eval_set=[seen], eval_metric="binary_logloss", callbacks=[stop])


def xgboost(**size):
    import xgboost as xgb

    size["n_estimators"] = size.pop("n_trees")
    return xgb.XGBClassifier(**size, tree_method="hist", enable_categorical=True, eval_metric="logloss", n_jobs=2, random_state=1)


def watch_xgboost(make, features, outcome, held_out):
    seen = (features[held_out], outcome[held_out])
    return make(early_stopping_rounds=PATIENCE).fit(features[~held_out], outcome[~held_out], eval_set=[seen], verbose=False)


def catboost(**size):
    from catboost import CatBoostClassifier

    class OfPandas(CatBoostClassifier):
        """Takes pandas categories, which CatBoost wants as texts, named when fitted."""

        def texts(self, rows):
            return rows.astype({c: str for c in categories(rows)})

        def fit(self, features, outcome, seen=None):
            seen = seen and (self.texts(seen[0]), seen[1])
            return super().fit(self.texts(features), outcome, cat_features=categories(features), eval_set=seen)

        def predict_proba(self, rows):
            return super().predict_proba(self.texts(rows))

    size["iterations"] = size.pop("n_trees")
    return OfPandas(**size, thread_count=2, verbose=0, random_seed=1, allow_writing_files=False)


def watch_catboost(make, features, outcome, held_out):
    return make(od_type="Iter", od_wait=PATIENCE).fit(features[~held_out], outcome[~held_out], (features[held_out], outcome[held_out]))


def hist_gradient_boosting(**size):
    from sklearn.ensemble import HistGradientBoostingClassifier

    size["max_iter"] = size.pop("n_trees")
    return HistGradientBoostingClassifier(**{"categorical_features": "from_dtype", "early_stopping": False, "random_state": 1, **size})


def watch_hist_gradient_boosting(make, features, outcome, held_out):
    model = make(early_stopping=True, n_iter_no_change=PATIENCE, tol=0.0, scoring="loss")
    return model.fit(features[~held_out], outcome[~held_out], X_val=features[held_out], y_val=outcome[held_out])


def logistic(features, outcome, _held_out):
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    numbers = [c for c in features if c not in categories(features)]
    signed_log = FunctionTransformer(lambda x: np.sign(x) * np.log1p(np.abs(x)))
    prepare = ColumnTransformer([
        ("plain", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        ("logged", make_pipeline(SimpleImputer(strategy="median"), signed_log, StandardScaler()), numbers),
        ("categories", OneHotEncoder(handle_unknown="ignore", min_frequency=10), categories(features)),
    ])
    return make_pipeline(prepare, LogisticRegression(max_iter=1000)).fit(features, outcome)


def boosting(make, small, large, free, watch, best):
    return {
        "small": scoring(fixed(make, dict(n_trees=300, learning_rate=0.03, **small))),
        "large": scoring(fixed(make, dict(n_trees=500, learning_rate=0.05, **large))),
        "stopped": scoring(stopped(make, free, watch, best)),
    }


PEERS = {
    "LightGBM": boosting(lightgbm, dict(num_leaves=15), dict(num_leaves=31),
                         dict(num_leaves=31, subsample=0.8, subsample_freq=1, colsample_bytree=0.8),
                         watch_lightgbm, lambda model: model.best_iteration_),
    "XGBoost": boosting(xgboost, dict(max_depth=4), dict(max_depth=6), dict(max_depth=6, subsample=0.8, colsample_bytree=0.8),
                        watch_xgboost, lambda model: model.best_iteration + 1),
    "CatBoost": boosting(catboost, dict(depth=4), dict(depth=6), dict(depth=6),
                         watch_catboost, lambda model: model.tree_count_),
    "scikit-learn HGB": boosting(hist_gradient_boosting, dict(max_leaf_nodes=15), dict(max_leaf_nodes=31), dict(max_leaf_nodes=31),
                                 watch_hist_gradient_boosting, lambda model: int(np.argmax(model.validation_score_[1:])) + 1),
    "scikit-learn logistic": {"C = 1": scoring(logistic)},
}
# Of few rows 500 big trees learn the noise too, of many rows 300 small ones too little; and of many the slowest two libraries
# are stopped early alone.
LEFT_OUT, LEFT_OUT_OF_MANY = "large", "small"
SLOWEST = {"CatBoost", "scikit-learn HGB"}


def configurations(peer, features):
    """The configurations of `peer` that are fitted on such a table, by name."""
    left_out = {LEFT_OUT_OF_MANY} if many(features) else {LEFT_OUT}
    if many(features) and peer in SLOWEST:
        left_out.add(LEFT_OUT)
    return {name: fit for name, fit in PEERS[peer].items() if name not in left_out}
