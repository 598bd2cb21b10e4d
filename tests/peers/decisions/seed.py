"""What the Python service starts from: two LightGBM models of the size of nextbest's, and an item for each customer.

    seed.py DATASET.csv INSPECTION.json ENDPOINT TABLE POLICY_SHA256 FOLDER

The features are those of `nextbest dataset` at its last cut-off, and stand ready in the item; stage and contacts follow
from them. Writes churn.txt, conversion.txt, features.json and customers.txt into FOLDER; prints the models' shapes.
"""

import sys
from pathlib import Path

import boto3
import lightgbm
import orjson
import pandas

DATASET, INSPECTION, ENDPOINT, TABLE, POLICY_SHA256, FOLDER = sys.argv[1:7]
N_CUSTOMERS = 2000
DAY_MS = 86_400_000
ACTIONS = ["newsletter", "bundle", "renew", "browse_reminder"]


def shapes():
    """Trees and leaves of nextbest's models by name; where it chose no trees, a small ensemble."""
    found = {}
    for scorer in orjson.loads(Path(INSPECTION).read_bytes())["scorers"]:
        n_trees = scorer["n_trees"] or 100
        n_leaves = round((scorer["n_nodes"] or 14 * n_trees) / n_trees) + 1
        found[scorer["model"]] = (n_trees, min(max(n_leaves, 4), 64))
    return found


def fit(table, names, label, n_trees, n_leaves):
    rows = table[table[f"{label}_part"].notna() & table[label].notna()]
    options = {"objective": "binary", "num_leaves": n_leaves, "learning_rate": 0.02, "min_data_in_leaf": 5,
               "seed": 7, "num_threads": 2, "verbosity": -1}
    data = lightgbm.Dataset(rows[names].to_numpy(float), rows[label].astype(float).to_numpy())
    model = lightgbm.train(options, data, num_boost_round=n_trees)
    model.save_model(f"{FOLDER}/{label}.txt")
    print(f"{label}: {model.num_trees()} trees of {n_leaves} leaves")


def stage(orders, recency, views):
    if recency is None:
        return "considering" if views else "aware"
    if recency > 180:
        return "defected"
    if recency > 60:
        return "at_risk"
    return ["new", "new", "activating"][int(orders)] if orders < 3 else "active" if orders < 6 else "loyal"


def state(row, names, at, now_ms):
    features = [None if pandas.isna(row[name]) else float(row[name]) for name in names]
    known = dict(zip(names, features))
    n_contacts = int(known.get("contacts_30d") or 0)
    contacts = [[now_ms - (n + 1) * 30 * DAY_MS // (n_contacts + 1), ACTIONS[(at + n) % 4], "email", "ignored"]
                for n in range(n_contacts)]
    return {
        "features": features,
        "stage": stage(known.get("orders_180d") or 0, known.get("order_recency"), known.get("views_30d")),
        "recent_value_minor": known.get("value_180d") or 0,
        "consent": {"email": at % 10 != 0},
        "objected": False,
        "contacts": contacts,
    }


def main():
    table = pandas.read_csv(DATASET)
    columns = list(table.columns)
    names = columns[2 : columns.index("churn")]
    # Response models, which nextbest asks for every offer besides, have no counterpart here.
    for label, shape in ((label, shape) for label, shape in shapes().items() if label in columns):
        fit(table, names, label, *shape)
    settings = {"features": names, "policy_sha256": POLICY_SHA256}
    (Path(FOLDER) / "features.json").write_bytes(orjson.dumps(settings))
    last = table[table["cutoff"] == table["cutoff"].max()].head(N_CUSTOMERS)
    now_ms = int(pandas.Timestamp(last["cutoff"].iloc[0]).timestamp() * 1000)
    store = boto3.resource("dynamodb", endpoint_url=ENDPOINT, region_name="us-east-1",
                           aws_access_key_id="local", aws_secret_access_key="local")
    with store.Table(TABLE).batch_writer() as batch:
        for at, (_, row) in enumerate(last.iterrows()):
            document = orjson.dumps(state(row, names, at, now_ms)).decode()
            batch.put_item(Item={"pk": f"peer#{row['customer_id']}", "sk": "state", "state": document})
    (Path(FOLDER) / "customers.txt").write_text("\n".join(last["customer_id"]) + "\n")


main()
