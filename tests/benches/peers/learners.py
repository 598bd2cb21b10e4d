"""The peers, each as its documentation and our own earlier measurements would have it used on such tables.

A learner is `fit(features, outcome) -> predict(features)`; configurations are fixed in advance: small tables take fewer,
slower trees. Where a peer has two configurations its better one, over all tables, competes.
"""

import numpy as np
import pandas as pd


def small(features):
    return len(features) < 20_000


def lightgbm(features, outcome):
    import lightgbm as lgb

    shape = dict(n_estimators=300, learning_rate=0.03, num_leaves=15) if small(features) else dict(n_estimators=300, learning_rate=0.05, num_leaves=31)
    model = lgb.LGBMClassifier(**shape, min_child_samples=20, n_jobs=2, verbose=-1, random_state=1)
    model.fit(features, outcome)
    return lambda rows: model.predict_proba(rows)[:, 1]


def xgboost(features, outcome):
    import xgboost as xgb

    shape = dict(n_estimators=300, learning_rate=0.03, max_depth=4) if small(features) else dict(n_estimators=300, learning_rate=0.05, max_depth=6)
    model = xgb.XGBClassifier(**shape, tree_method="hist", enable_categorical=True, n_jobs=2, random_state=1)
    model.fit(features, outcome)
    return lambda rows: model.predict_proba(rows)[:, 1]


def catboost(features, outcome):
    from catboost import CatBoostClassifier

    categories = [c for c in features if isinstance(features[c].dtype, pd.CategoricalDtype)]
    as_text = lambda rows: rows.astype({c: str for c in categories})
    shape = dict(iterations=500, learning_rate=0.03, depth=4) if small(features) else dict(iterations=500, learning_rate=0.08, depth=6)
    model = CatBoostClassifier(**shape, cat_features=categories, thread_count=2, verbose=0, random_seed=1, allow_writing_files=False)
    model.fit(as_text(features), outcome)
    return lambda rows: model.predict_proba(as_text(rows))[:, 1]


def hist_gradient_boosting(features, outcome):
    from sklearn.ensemble import HistGradientBoostingClassifier

    shape = dict(max_iter=300, learning_rate=0.03, max_leaf_nodes=15) if small(features) else dict(max_iter=300, learning_rate=0.05)
    model = HistGradientBoostingClassifier(**shape, categorical_features="from_dtype", early_stopping=False, random_state=1)
    model.fit(features, outcome)
    return lambda rows: model.predict_proba(rows)[:, 1]


def logistic(features, outcome):
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    categories = [c for c in features if isinstance(features[c].dtype, pd.CategoricalDtype)]
    numbers = [c for c in features if c not in categories]
    signed_log = FunctionTransformer(lambda x: np.sign(x) * np.log1p(np.abs(x)))
    prepare = ColumnTransformer([
        ("plain", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        ("logged", make_pipeline(SimpleImputer(strategy="median"), signed_log, StandardScaler()), numbers),
        ("categories", OneHotEncoder(handle_unknown="ignore", min_frequency=10), categories),
    ])
    model = make_pipeline(prepare, LogisticRegression(max_iter=1000))
    model.fit(features, outcome)
    return lambda rows: model.predict_proba(rows)[:, 1]


PEERS = {
    "LightGBM": lightgbm,
    "XGBoost": xgboost,
    "CatBoost": catboost,
    "scikit-learn HGB": hist_gradient_boosting,
    "scikit-learn logistic": logistic,
}
