"""What examples/shop/policy.toml says, as plain Python: a function a rule, all that can be computed ahead is."""

import math
from dataclasses import dataclass, field
from hashlib import sha256

DAY_MS = 86_400_000
MIN_WORTH_MINOR = 5.0
EPSILON, TEMPERATURE, FLOOR = 0.05, 0.25, 0.002
CONTROL_SHARE, CONTROL_PERIOD_MS = 0.02, 91 * DAY_MS


@dataclass(frozen=True, slots=True)
class Treatment:
    id: str
    channel: str
    cost_minor: int = 0


@dataclass(frozen=True, slots=True)
class Action:
    id: str
    campaign_type: str
    stages: frozenset
    model: str
    value: object
    treatments: tuple
    rules: tuple = ()
    lever: float = 1.0
    valid_days: int = 14
    codes: tuple = field(default=())


def fixed(minor):
    return lambda customer: minor


def share(part):
    return lambda customer: part * customer.recent_value_minor


def action(id, campaign_type, stages, model, value, treatments, rules=(), **more):
    forms = tuple(Treatment(*form) for form in treatments)
    checks, codes = tuple(rule for rule, _ in rules), tuple(code for _, code in rules)
    return Action(id, campaign_type, frozenset(stages.split()), model, value, forms, checks, codes=codes, **more)


# A rule gets the features by name and the scores; None where a fact is missing, which lets nobody through.
ACTIONS = (
    action("second_order", "follow_up", "new activating", "conversion", fixed(600),
           [("second_order_email", "email", 1), ("second_order_push", "push")],
           [(lambda f, s: f["orders_180d"] >= 1, "eligibility[0]")]),
    action("browse_reminder", "remarketing", "considering new activating active", "conversion", fixed(250),
           [("browse_reminder_banner", "web"), ("browse_reminder_email", "email", 1)],
           [(lambda f, s: f["views_30d"] > 0 and (f["order_recency"] is None or f["order_recency"] > 7),
             "nothing_left_open")], valid_days=7),
    action("newsletter", "keep_warm", "activating active loyal advocate", "conversion", share(0.03),
           [("newsletter_email", "email", 1)]),
    action("bundle", "upsell", "active loyal advocate", "conversion", share(0.06),
           [("bundle_banner", "web"), ("bundle_email", "email", 1)],
           [(lambda f, s: f["skus_180d"] >= 2, "too_few_products"),
            (lambda f, s: f["cancellations_180d"] < 3, "cancels_often")]),
    action("how_are_we_doing", "survey", "activating active loyal advocate recovered", "conversion", fixed(120),
           [("how_are_we_doing_email", "email", 1)],
           [(lambda f, s: f["order_recency"] is not None and f["order_recency"] <= 30, "no_fresh_order")]),
    action("invite_a_friend", "referral", "loyal advocate", "conversion", fixed(900),
           [("invite_a_friend_email", "email", 1)], [(lambda f, s: f["support_90d"] < 2, "has_complaints")],
           lever=0.8),
    action("renew", "renewal", "active loyal advocate", "conversion", share(0.05),
           [("renew_email", "email", 1), ("renew_push", "push")],
           [(lambda f, s: f["order_recency"] is not None and f["order_recency"] >= 21 and f["orders_180d"] >= 3,
             "not_due")]),
    action("we_miss_you", "re_engage", "at_risk", "conversion", fixed(500),
           [("we_miss_you_email", "email", 1), ("we_miss_you_push", "push")]),
    action("stay_with_us", "prevent_defection", "active loyal advocate at_risk", "churn", share(0.10),
           [("stay_with_us_email", "email", 1), ("stay_with_us_call", "phone", 400)],
           [(lambda f, s: s["churn"] > 0.35, "not_about_to_leave")]),
    action("come_back", "recovery", "defected", "conversion", fixed(700),
           [("come_back_email", "email", 1), ("come_back_letter", "post", 60)], valid_days=30),
)


def held_out(salt, customer_id, now_ms):
    """Whether the customer is in the control group of this salt."""
    period = now_ms // CONTROL_PERIOD_MS
    digest = sha256(f"{salt}|{period}|{customer_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < CONTROL_SHARE


def limit(action_id, channel, direction, contacts, now_ms):
    """The cap or silence that holds a contact back, if any; contacts are (at_ms, action, channel, reply)."""
    week = calls = same = ignored = 0
    for at, past_action, past_channel, reply in contacts:
        age = now_ms - at
        week += age < 7 * DAY_MS
        calls += past_channel == "phone" and age < 91 * DAY_MS
        if past_action == action_id:
            same += age < 14 * DAY_MS
            ignored += reply == "ignored" and age < 90 * DAY_MS
            if reply == "rejected" and age < 31 * DAY_MS:
                return "said_no"
    if direction == "outbound" and week >= 2:
        return "two_a_week"
    if channel == "phone" and calls >= 1:
        return "one_call_a_quarter"
    if same >= 1:
        return "an_action_a_fortnight"
    return "ignored_twice" if ignored >= 2 else None


def softmax(priorities):
    """The probability of each to come first; the same formula as the policy's epsilon_softmax."""
    best = max(priorities)
    powers = [math.pow(priority / best, 1.0 / TEMPERATURE) for priority in priorities]
    total = sum(powers)
    even = max(EPSILON, len(powers) * FLOOR)
    return [(1.0 - even) * power / total + even / len(powers) for power in powers]
