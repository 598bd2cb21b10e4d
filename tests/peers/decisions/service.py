"""The next-best-action service of examples/shop as one would write it in Python: FastAPI, LightGBM, boto3.

    service.py PORT ENDPOINT TABLE FOLDER API_KEY_SHA256 NOW_MS

One process, one core: uvicorn on uvloop and httptools, orjson both ways, connections kept alive. Each decision reads the
customer's item, in which the features stand ready, scores two models, passes the shop's actions through stage, rules,
consent and limits, chooses by epsilon-softmax, and writes a log item. It explains nothing and holds no contact.
"""

import hmac
import math
import random
import secrets
import sys
import time
from hashlib import sha256
from pathlib import Path

import boto3
import lightgbm
import numpy
import orjson
import uvicorn
from botocore.config import Config
from fastapi import FastAPI, Header, HTTPException, Response
from pydantic import BaseModel, ConfigDict, Field

from rules import ACTIONS, DAY_MS, MIN_WORTH_MINOR, held_out, limit, softmax

PORT, ENDPOINT, TABLE, FOLDER, KEY_SHA256, NOW_MS = sys.argv[1:7]
KEEP_SECONDS = 400 * 86_400
# The demonstration's data end in the past: the clock starts there, as nextbest's does.
OFFSET_MS = int(NOW_MS) - int(time.time() * 1000)

settings = orjson.loads((Path(FOLDER) / "features.json").read_bytes())
NAMES, POLICY_SHA256 = settings["features"], settings["policy_sha256"]
MODELS = {name: lightgbm.Booster(model_file=f"{FOLDER}/{name}.txt") for name in ("churn", "conversion")}
VERSIONS = [
    {"name": name, "sha256": sha256(Path(f"{FOLDER}/{name}.txt").read_bytes()).hexdigest()} for name in MODELS
]
store = boto3.client(
    "dynamodb",
    endpoint_url=ENDPOINT,
    region_name="us-east-1",
    aws_access_key_id="local",
    aws_secret_access_key="local",
    # What is sent is made here: checking it again against the service's model costs a tenth of a millisecond.
    config=Config(max_pool_connections=16, tcp_keepalive=True, parameter_validation=False),
)
app = FastAPI(openapi_url=None)


class Context(BaseModel):
    model_config = ConfigDict(extra="forbid")
    channel: str | None = None
    direction: str | None = None
    placement: str | None = None
    attributes: dict[str, float | bool | str] = {}


class Question(BaseModel):
    model_config = ConfigDict(extra="forbid")
    customer_id: str = Field(min_length=1, max_length=128)
    context: Context = Context()
    max_actions: int = Field(1, ge=1, le=10)
    explain: str = "none"
    defer_activation: bool = False


class Customer:
    __slots__ = ("known", "row", "features", "stage", "recent_value_minor", "consent", "objected", "contacts")

    def __init__(self, item):
        self.known = item is not None
        state = orjson.loads(item["state"]["S"]) if self.known else {}
        self.row = state.get("features") or [None] * len(NAMES)
        self.features = dict(zip(NAMES, self.row))
        self.stage = state.get("stage", "aware")
        self.recent_value_minor = state.get("recent_value_minor", 0)
        self.consent = state.get("consent", {})
        self.objected = state.get("objected", False)
        self.contacts = state.get("contacts", [])


def scored(row):
    numbers = numpy.array([[math.nan if value is None else value for value in row]])
    # One row: threads would cost more than they bring.
    return {
        name: float(model.predict(numbers, num_threads=1, validate_features=False)[0])
        for name, model in MODELS.items()
    }


def fall(action, stage, component, code):
    return {"action_id": action.id, "stage": stage, "component": component, "code": code}


def treat(action, customer, context, now_ms):
    """The first treatment that fits, is consented to and within the limits; else where the last one fell."""
    fallen = fall(action, "treatment", "channel", "no_treatment_for_channel")
    for treatment in action.treatments:
        channel = treatment.channel
        if context.channel is not None and channel != context.channel:
            continue
        if channel != "web" and customer.consent.get(channel) is False:
            fallen = fall(action, "consent", channel, "no_consent")
            continue
        held = limit(action.id, channel, context.direction, customer.contacts, now_ms)
        if held is None:
            return treatment, None
        fallen = fall(action, "contact_policy", held, "cap_reached")
    return None, fallen


def weigh(action, customer, scores, context, now_ms):
    """The action as a candidate, or where it fell."""
    if customer.objected:
        return None, fall(action, "consent", "objection", "objected")
    if customer.stage not in action.stages:
        return None, fall(action, "eligibility", "lifecycle_stage", "stage_not_eligible")
    for rule, code in zip(action.rules, action.codes):
        if not rule(customer.features, scores):
            return None, fall(action, "suitability", code, "rule_not_met")
    treatment, fallen = treat(action, customer, context, now_ms)
    if fallen:
        return None, fallen
    propensity, value = scores[action.model], action.value(customer)
    worth = propensity * value - treatment.cost_minor
    if worth < MIN_WORTH_MINOR:
        return None, fall(action, "arbitration", "worth", "below_min_priority")
    weight = 1.0
    if action.campaign_type == "remarketing":
        basket = context.attributes.get("basket_minor", 0.0)
        weight = 1.5 if context.placement == "basket" or basket > 0 else 1.0
    return {
        "action_id": action.id,
        "campaign_type": action.campaign_type,
        "treatment_id": treatment.id,
        "channel": treatment.channel,
        "expires_at": now_ms + action.valid_days * DAY_MS,
        "cost_minor": treatment.cost_minor,
        "priority": propensity * weight * value * action.lever,
        "factors": {"propensity": propensity, "context_weight": weight, "value": value, "lever": action.lever},
        "propensity_model": action.model,
    }, None


def choose(candidates, decision_id):
    """By priority, but for the first, which is drawn."""
    if not candidates:
        return candidates
    candidates.sort(key=lambda candidate: (-candidate["priority"], candidate["action_id"]))
    probabilities = softmax([candidate["priority"] for candidate in candidates])
    for candidate, probability in zip(candidates, probabilities):
        candidate["choice_probability"] = probability
    first = random.Random(decision_id).choices(range(len(candidates)), probabilities)[0]
    candidates.insert(0, candidates.pop(first))
    for rank, candidate in enumerate(candidates, 1):
        candidate["rank"] = rank
    return candidates


# A plain function: FastAPI runs it on its pool of threads, for boto3 blocks.
@app.post("/v1/decisions/next-best-action")
def next_best_action(question: Question, x_api_key: str = Header("")):
    if not hmac.compare_digest(sha256(x_api_key.encode()).hexdigest(), KEY_SHA256):
        raise HTTPException(401, "no such key")
    now_ms, decision_id = int(time.time() * 1000) + OFFSET_MS, f"dec_{secrets.token_hex(16)}"
    key = {"pk": {"S": f"peer#{question.customer_id}"}, "sk": {"S": "state"}}
    customer = Customer(store.get_item(TableName=TABLE, Key=key, ConsistentRead=True).get("Item"))
    control = held_out("shop-policy", question.customer_id, now_ms)
    scores = scored(customer.row)
    candidates, suppressed = [], []
    for action in ACTIONS:
        if control:
            suppressed.append(fall(action, "control", "policy_control", "control_group"))
            continue
        candidate, fallen = weigh(action, customer, scores, question.context, now_ms)
        if fallen:
            suppressed.append(fallen)
        else:
            candidates.append(candidate)
    candidates = choose(candidates, decision_id)
    actions = candidates[: question.max_actions]
    answer = {
        "decision_id": decision_id,
        "created_at": now_ms,
        "outcome": "offer" if actions else "control" if control else "no_action",
        "degraded": [] if customer.known else ["unknown_customer"],
        "lifecycle_stage": customer.stage,
        "policy": {"sha256": POLICY_SHA256},
        "models": VERSIONS,
        "experiment": {"control": control},
        "exploration": {"kind": "epsilon_softmax", "choice_probability": actions[0]["choice_probability"] if actions else 1.0},
        "actions": actions,
    }
    log = {
        **answer,
        "customer_id": question.customer_id,
        "question": question.model_dump(exclude_none=True),
        "features": customer.row,
        "scores": scores,
        "consent": customer.consent,
        "contacts": customer.contacts,
        "outranked": candidates[question.max_actions :],
        "suppressed": suppressed,
    }
    store.put_item(
        TableName=TABLE,
        Item={
            "pk": {"S": f"peer-decision#{decision_id}"},
            "sk": {"S": "log"},
            "document": {"S": orjson.dumps(log).decode()},
            "customer_id": {"S": question.customer_id},
            "ttl": {"N": str(now_ms // 1000 + KEEP_SECONDS)},
        },
    )
    return Response(orjson.dumps(answer), media_type="application/json")


@app.get("/healthz")
def live():
    return {"status": "ok"}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(PORT), loop="uvloop", http="httptools", access_log=False, log_level="warning")
