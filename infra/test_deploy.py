"""The template, deployed on loopback with packages built as users build them, answers its three callers.

A small shop is simulated and trained by the `nextbest` command, packed by scripts/package.sh, deployed once per way
of authenticating (infra/emulator.py), loaded by `nextbest load`, and asked over HTTP. What the functions asked of
the table is compared with what the template allows them. Runs in a folder of its own and removes it.

    python3 infra/test_deploy.py            needs scripts/python-tools.sh's packages and a built `nextbest`
"""

import base64
import datetime
import fnmatch
import functools
import hashlib
import http.server
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zipfile
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from samtranslator.yaml_helper import yaml_parse

from emulator import REGION, Emulator

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "infra" / "template.yaml"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
NEXTBEST = TARGET / "debug" / "nextbest"
BOUND_SECONDS = 1500
SEED = 20
N_CUSTOMERS = 1500
N_DAYS = 365

KEYS = {role: f"key-of-{role}" for role in ("checkout", "crm", "retention", "admin")}
HASHED_KEYS = ",".join(f"{role}:{hashlib.sha256(key.encode()).hexdigest()}" for role, key in KEYS.items())
COMMON = {"Architecture": "x86_64", "AlarmTopicArn": f"arn:aws:sns:{REGION}:000000000000:alarms"}
QUOTE_KEYS = "first:" + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
# A schedule that was recurring is not taken for a single moment by the emulator: nights come when a test says so.
NEVER = "at(2099-01-01T00:00:00)"
WAYS = {
    "api-key": {"ApiKeys": HASHED_KEYS, "SnapshotSchedule": NEVER, "HopperSchedule": NEVER},
    "iam": {},
    "jwt": {"JwtAudience": "nextbest"},
}
shop = None


class Shop:
    """The deployed stacks, and what is known of the data in them."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="nextbest-shop-"))
        self.emulator = None
        self.issuer = None
        self.calls = set()  # (function, operation, partition key)
        self.function_of_key = {}
        self.seen = set()

    def open(self):
        self.project = self.folder / "shop"
        prepare_project(self.project)
        run("scripts/package.sh", self.project, "--x86-64", "--profile", "release")
        self.emulator = Emulator()
        self.issuer = Issuer()
        WAYS["jwt"]["JwtIssuer"] = self.issuer.url
        kms = self.emulator.client("kms")
        COMMON["QuoteKeysKmsKeyArn"] = kms.create_key()["KeyMetadata"]["Arn"]
        ciphertext = kms.encrypt(KeyId=COMMON["QuoteKeysKmsKeyArn"], Plaintext=QUOTE_KEYS)["CiphertextBlob"]
        COMMON["QuoteKeysCiphertext"] = base64.b64encode(ciphertext).decode()
        packages = ROOT / "target" / "lambda"
        self.stacks = {}
        for way, parameters in WAYS.items():
            parameters.update(COMMON, AuthMode=way)
            self.stacks[way] = self.emulator.deploy(f"nextbest-{way}", TEMPLATE, packages, parameters)
        self.main = self.stacks["api-key"]
        run(NEXTBEST, "load", "--project", self.project, table=self.main.outputs["TableName"], endpoint=self.emulator.url)
        status, at_risk = self.call("retention", "GET", "/v1/at-risk?limit=1")
        if status != 200 or not at_risk["customers"]:
            raise RuntimeError(f"nextbest load left no at-risk list: {status} {at_risk}")
        self.customer = at_risk["customers"][0]["customer_id"]
        skus = (self.project / "data" / "simulated" / "truth" / "skus.csv").read_text().splitlines()
        product = dict(zip(skus[0].split(","), skus[1].split(",")))
        self.sku, self.list_price_minor = product["sku"], int(product["list_price_minor"])

    def close(self):
        if self.emulator:
            self.emulator.stop()
        if self.issuer:
            self.issuer.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, role, method, path, body=None, **headers):
        """One request with the key of `role`, through the HTTP API."""
        key = {"x-api-key": KEYS.get(role, role)} if role else {}
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask(self.main, method, path, body, {**key, **headers})

    def ask(self, stack, method, path, body=None, headers=None, signer=None):
        """One request to `stack`; notes what functions asked of the table meanwhile."""
        answer = stack.call(method, path, body, headers, signer)
        self.take_calls()
        return answer

    def page(self, role, path):
        """One page of the console with the key of `role`: status and text."""
        answer = self.main.page(path, {"x-api-key": KEYS[role]})
        self.take_calls()
        return answer

    def take_calls(self):
        """Notes the calls of functions that were not seen yet."""
        self.function_of_key |= self.emulator.function_of_key()
        for event, key, parts in self.emulator.table_calls():
            if event in self.seen:
                break
            self.seen.add(event)
            if name := self.function_of_key.get(key):
                function = next(logical_id for logical_id in functions() if f"-{logical_id}-" in name)
                self.calls.update((function, operation, partition) for operation, partition in parts)


@functools.cache
def functions():
    """Logical ids of the template's functions."""
    resources = yaml_parse(TEMPLATE.read_text())["Resources"]
    return [name for name, resource in resources.items() if resource["Type"] == "AWS::Serverless::Function"]


def prepare_project(project):
    """A simulated shop, trained: what a user has before packaging."""
    shutil.copytree(ROOT / "examples" / "shop", project, ignore=shutil.ignore_patterns("data", "artifacts"))
    # Deployed functions go by the clock, so the log ends today.
    start = (now() - datetime.timedelta(days=N_DAYS)).strftime("%Y-%m-%dT00:00:00Z")
    out = project / "data" / "simulated"
    run(NEXTBEST, "simulate", "--customers", N_CUSTOMERS, "--days", N_DAYS, "--start", start, "--seed", SEED, "--out", out)
    run(NEXTBEST, "import", "--project", project, out / "events.parquet")
    run(NEXTBEST, "train", "--project", project)


def run(*command, table=None, endpoint=None):
    """Runs a command; its output is shown only when it fails."""
    environment = dict(os.environ)
    if endpoint:
        environment |= {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION, "NEXTBEST_TABLE": table}
        environment |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    began = time.monotonic()
    command = [str(part) for part in command]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(f"  {time.monotonic() - began:5.1f} s  {' '.join(command)}", flush=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}")


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def event(event_id, **fields):
    moment = now().strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"event_id": event_id, "type": "product_viewed", "occurred_at": moment, **fields}


class Issuer:
    """An issuer of tokens on loopback: its keys, as an identity provider publishes them."""

    def __init__(self):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        numbers = self.key.public_key().public_numbers()
        jwk = {"kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig", "n": b64(number(numbers.n)), "e": b64(number(numbers.e))}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                documents = {
                    "/.well-known/openid-configuration": {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"},
                    "/keys": {"keys": [jwk]},
                }
                document = documents.get(self.path)
                self.send_response(200 if document else 404)
                self.end_headers()
                self.wfile.write(json.dumps(document).encode())

            def log_message(self, *_):
                pass

        issuer = self
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, scope, **claims):
        seconds = int(time.time())
        claims = {"iss": self.url, "aud": "nextbest", "sub": "test", "scope": scope, "iat": seconds - 5, "exp": seconds + 300, **claims}
        signed = ".".join(b64(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "1", "typ": "JWT"}, claims))
        return f"{signed}.{b64(self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def number(value):
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def b64(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


class Deployment(unittest.TestCase):
    """What the stack consists of."""

    def test_every_function_runs_the_package_of_its_name(self):
        lambdas = shop.emulator.client("lambda")
        for logical_id in functions():
            name = shop.main.resources[logical_id]["PhysicalResourceId"]
            config = lambdas.get_function(FunctionName=name)["Configuration"]
            self.assertEqual((config["Runtime"], config["Architectures"]), ("provided.al2023", ["x86_64"]), logical_id)
            self.assertEqual(config["Environment"]["Variables"]["NEXTBEST_TABLE"], shop.main.outputs["TableName"])

    def test_a_package_holds_the_binary_and_the_project_readable_by_lambda(self):
        for package in sorted((ROOT / "target" / "lambda").glob("*/bootstrap.zip")):
            with zipfile.ZipFile(package) as opened:
                modes = {entry.filename: entry.external_attr >> 16 for entry in opened.infolist() if not entry.is_dir()}
            artifacts = [name for name in modes if name.endswith(".nba")]
            files = ["CURRENT"] + [Path(name).name for name in artifacts]
            expected = {f"project/{name}.toml" for name in ("nextbest", "features", "policy", "pricing")}
            expected |= {"bootstrap"} | {f"project/artifacts/{name}" for name in files}
            self.assertEqual((set(modes), len(artifacts)), (expected, 1), package)
            self.assertTrue(all(mode & 0o004 for mode in modes.values()), (package, modes))
            self.assertTrue(modes["bootstrap"] & 0o001, package)

    def test_no_key_is_stored_in_clear(self):
        lambdas = shop.emulator.client("lambda")
        name = shop.main.resources["PriceFunction"]["PhysicalResourceId"]
        variables = lambdas.get_function(FunctionName=name)["Configuration"]["Environment"]["Variables"]
        self.assertEqual(variables["NEXTBEST_API_KEYS"], HASHED_KEYS)
        self.assertEqual(variables["NEXTBEST_QUOTE_KEYS"], f"kms:{COMMON['QuoteKeysCiphertext']}")
        self.assertNotIn(QUOTE_KEYS.removeprefix("first:"), json.dumps(variables))

    def test_a_function_does_not_start_on_keys_that_kms_does_not_open(self):
        with zipfile.ZipFile(ROOT / "target" / "lambda" / "price" / "bootstrap.zip") as package:
            binary = Path(package.extract("bootstrap", shop.folder))
        binary.chmod(0o755)
        forged = base64.b64encode(b"no ciphertext of any key").decode()
        environment = {
            "AWS_ENDPOINT_URL": shop.emulator.url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "NEXTBEST_AUTH": "iam",
            "NEXTBEST_QUOTE_KEYS": f"kms:{forged}",
        }
        started = subprocess.run([binary], env=environment, capture_output=True, text=True, timeout=30)
        self.assertNotEqual(started.returncode, 0)
        self.assertIn("NEXTBEST_QUOTE_KEYS: KMS does not open it", started.stdout)

    def test_safe_deploys_and_alarms_are_only_there_when_wanted(self):
        kinds = {resource["ResourceType"] for resource in shop.main.resources.values()}
        self.assertIn("AWS::CloudWatch::Alarm", kinds)
        self.assertNotIn("AWS::CodeDeploy::DeploymentGroup", kinds)


class Callers(unittest.TestCase):
    """The three callers by API key: checkout, CRM and the retention desk."""

    def test_checkout_gets_a_price(self):
        body = {"customer_id": shop.customer, "session_id": "s-1", "currency": "GBP", "market": "GB",
                "items": [{"sku": shop.sku, "quantity": 1, "list_price_minor": shop.list_price_minor}]}
        status, quote = shop.call("checkout", "POST", "/v1/prices/quote", body)
        self.assertEqual(status, 200, quote)
        self.assertEqual((quote["outcome"], quote["items"][0]["sku"]), ("quoted", shop.sku), quote)
        self.assertLessEqual(quote["items"][0]["floor_minor"], quote["items"][0]["quoted_price_minor"])
        status, again = shop.call("checkout", "GET", f"/v1/prices/quotes/{quote['quote_id']}")
        self.assertEqual((status, again["quote_id"]), (200, quote["quote_id"]), again)
        self.assertEqual(quote["degraded"], [], "the key that KMS opened signs")
        path = f"/v1/prices/quotes/{quote['quote_id']}/redeem"
        status, receipt = shop.call("checkout", "POST", path, {"signature": quote["signature"], "order_id": "order-1"})
        self.assertEqual((status, receipt["total_minor"]), (200, quote["total"]["amount_minor"]), receipt)
        status, refused = shop.call("checkout", "POST", path, {"signature": quote["signature"], "order_id": "order-2"})
        self.assertEqual((status, refused["code"]), (409, "quote_redeemed"), refused)

    def test_crm_gets_a_decision_and_reports_what_came_of_it(self):
        body = {"customer_id": shop.customer, "context": {"channel": "email", "direction": "outbound"}, "max_actions": 1}
        status, decision = shop.call("crm", "POST", "/v1/decisions/next-best-action", body)
        self.assertEqual(status, 200, decision)
        self.assertIn(decision["outcome"], ("offer", "no_action", "control", "fallback"))
        outcome = event("e-clicked", type="clicked", customer_id=shop.customer, decision_id=decision["decision_id"])
        status, answer = shop.call("crm", "POST", "/v1/events", {"events": [outcome]})
        self.assertEqual(status, 200, answer)
        status, logged = shop.call("crm", "GET", f"/v1/decisions/{decision['decision_id']}")
        self.assertEqual(status, 200, logged)
        self.assertIn("e-clicked", json.dumps(logged))

    def test_retention_gets_the_list_the_schedule_built(self):
        _, loaded = shop.call("retention", "GET", "/v1/at-risk?limit=5")
        # The night comes now.
        moment = (now() + datetime.timedelta(seconds=1)).strftime("at(%Y-%m-%dT%H:%M:%S)")
        shop.emulator.update(shop.main.name, {**WAYS["api-key"], "SnapshotSchedule": moment})
        deadline = time.monotonic() + 60
        page = loaded
        while page["snapshot_id"] == loaded["snapshot_id"] and time.monotonic() < deadline:
            time.sleep(1)
            status, page = shop.call("retention", "GET", "/v1/at-risk?limit=5")
            self.assertEqual(status, 200, page)
        self.assertNotEqual(page["snapshot_id"], loaded["snapshot_id"])
        ranks = [customer["rank"] for customer in page["customers"]]
        self.assertEqual(ranks, [1, 2, 3, 4, 5])

    def test_retention_looks_at_a_customer_in_the_console(self):
        for page in ("/console/at-risk", f"/console/customers/{shop.customer}", f"/console/prices/{shop.sku}"):
            status, text = shop.page("retention", page)
            self.assertEqual(status, 200, text)
            self.assertTrue(text.startswith("<!DOCTYPE html>"), text)

    def test_crm_gets_the_contacts_the_schedule_chose_and_claims_one(self):
        # The night comes now.
        moment = (now() + datetime.timedelta(seconds=1)).strftime("at(%Y-%m-%dT%H:%M:%S)")
        shop.emulator.update(shop.main.name, {**WAYS["api-key"], "HopperSchedule": moment})
        deadline = time.monotonic() + 120
        status, page = 404, {}
        while status == 404 and time.monotonic() < deadline:
            time.sleep(0.5)
            status, page = shop.call("crm", "GET", "/v1/hopper?limit=5")
        self.assertEqual(status, 200, page)
        self.assertTrue(page["contacts"] and 0 < page["proven_share"] <= 1, page)
        claims = {"decision_ids": [page["contacts"][0]["decision_id"]]}
        status, told = shop.call("crm", "POST", f"/v1/hopper/{page['snapshot_id']}/claims", claims)
        self.assertEqual((status, told["results"][0]["status"]), (200, "send"), told)

    def test_an_event_is_folded_once(self):
        body = {"events": [event("e-once", customer_id="new-customer", sku="a")]}
        answers = [shop.call("checkout", "POST", "/v1/events", body) for _ in range(2)]
        self.assertEqual([status for status, _ in answers], [200, 200], answers)
        self.assertIn("accepted", json.dumps(answers[0][1]))
        self.assertIn("duplicate", json.dumps(answers[1][1]))

    def test_scores_are_for_known_customers(self):
        status, scores = shop.call("crm", "POST", "/v1/scores", {"customer_id": shop.customer})
        self.assertEqual(status, 200, scores)
        status, problem = shop.call("crm", "POST", "/v1/scores", {"customer_id": "nobody"})
        self.assertEqual(status, 404, problem)

    def test_an_idempotency_key_gives_the_stored_answer(self):
        body = {"customer_id": shop.customer}
        first = shop.call("crm", "POST", "/v1/scores", body, idempotency_key="k-1")
        self.assertEqual(shop.call("crm", "POST", "/v1/scores", body, idempotency_key="k-1"), first)
        status, _ = shop.call("crm", "POST", "/v1/scores", {"customer_id": "other"}, idempotency_key="k-1")
        self.assertEqual(status, 409)

    def test_health_is_open_to_everyone(self):
        for path in ("/healthz", "/readyz"):
            self.assertEqual(shop.call(None, "GET", path)[0], 200, path)


class Doors(unittest.TestCase):
    """Who is kept out, in each way of authenticating."""

    def test_api_key_missing_or_wrong_is_401_and_another_role_403(self):
        for role, expected in ((None, 401), ("wrong", 401), ("crm", 403), ("retention", 403), ("checkout", 404), ("admin", 404)):
            status, answer = shop.call(role, "GET", "/v1/prices/quotes/none")
            self.assertEqual(status, expected, (role, answer))

    def test_jwt_needs_a_token_of_the_issuer_with_the_scope(self):
        stack = shop.stacks["jwt"]
        body = {"customer_id": "nobody"}

        def ask(token):
            return shop.ask(stack, "POST", "/v1/scores", body, {"authorization": f"Bearer {token}"})

        stranger = Issuer()
        self.addCleanup(stranger.stop)
        tokens = {
            404: shop.issuer.token("crm"),
            403: shop.issuer.token("checkout"),
        }
        for expected, token in tokens.items():
            status, answer = ask(token)
            self.assertEqual(status, expected, answer)
        for refused in (stranger.token("crm", iss=shop.issuer.url), shop.issuer.token("crm", aud="other"),
                        shop.issuer.token("crm", exp=1), "a.b.c"):
            self.assertEqual(ask(refused)[0], 401)
        self.assertEqual(shop.ask(stack, "POST", "/v1/scores", body)[0], 401)

    def test_iam_admits_whom_the_role_policy_admits(self):
        stack, iam = shop.stacks["iam"], shop.emulator.client("iam")
        iam.create_user(UserName="crm")
        iam.attach_user_policy(UserName="crm", PolicyArn=stack.outputs["CrmPolicyArn"])
        key = iam.create_access_key(UserName="crm")["AccessKey"]
        signer = (key["AccessKeyId"], key["SecretAccessKey"])
        body = {"customer_id": "nobody"}
        self.assertEqual(shop.ask(stack, "POST", "/v1/scores", body)[0], 403)
        self.assertEqual(shop.ask(stack, "POST", "/v1/scores", body, signer=(signer[0], "wrong"))[0], 403)
        self.assertEqual(shop.ask(stack, "GET", "/v1/at-risk", signer=signer)[0], 403)
        status, answer = shop.ask(stack, "POST", "/v1/scores", body, signer=signer)
        self.assertEqual(status, 404, answer)


class Privileges(unittest.TestCase):
    """Runs last: every call the functions made of the table is one the template allows, and every permission is used."""

    def allowed(self):
        """(function, operation, pattern of the partition key) of the template."""
        resources = yaml_parse(TEMPLATE.read_text())["Resources"]
        for name, resource in resources.items():
            for policy in resource.get("Properties", {}).get("Policies", []):
                for statement in policy["Statement"]:
                    # One that is there only if something is.
                    statement = statement.get("Fn::If", [None, statement])[1]
                    actions = statement["Action"]
                    keys = statement.get("Condition", {}).get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys", [None])
                    for action in [actions] if isinstance(actions, str) else actions:
                        yield from ((name, action.removeprefix("dynamodb:"), key) for key in keys)

    def test_functions_stay_within_their_leading_keys(self):
        # The emulator checks actions, but not the condition dynamodb:LeadingKeys; AWS does.
        allowed = list(self.allowed())
        self.assertTrue(shop.calls)
        for function, operation, partition in sorted(shop.calls, key=str):
            matches = [key for name, action, key in allowed if (name, action) == (function, operation)
                       and (key is None or (partition is not None and fnmatch.fnmatchcase(partition, key)))]
            self.assertTrue(matches, f"{function} may not {operation} {partition}")

    def test_every_function_was_seen_at_work(self):
        self.assertEqual({function for function, _, _ in shop.calls}, set(functions()))


class Result(unittest.TextTestResult):
    """Lines as `cargo test` prints them."""

    def show(self, test, word):
        self.stream.writeln(f"test deploy::{type(test).__name__}::{test._testMethodName} ... {word}")

    def addSuccess(self, test):
        self.n_passed = getattr(self, "n_passed", 0) + 1
        self.show(test, "ok")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.show(test, "FAILED")

    def addError(self, test, err):
        super().addError(test, err)
        self.show(test, "FAILED") if hasattr(test, "_testMethodName") else None


def give_up(*_):
    raise TimeoutError(f"the deploy test did not end within {BOUND_SECONDS} s")


def main():
    global shop
    signal.signal(signal.SIGALRM, give_up)
    signal.signal(signal.SIGTERM, give_up)
    signal.alarm(BOUND_SECONDS)
    began = time.monotonic()
    shop = Shop()
    try:
        shop.open()
        cases = (Deployment, Callers, Doors, Privileges)
        suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromTestCase(case) for case in cases)
        result = unittest.TextTestRunner(resultclass=Result, verbosity=0, stream=sys.stdout).run(suite)
        n_passed, n_failed = getattr(result, "n_passed", 0), len(result.failures) + len(result.errors)
        if n_failed:
            print(shop.emulator.log_tail())
    except Exception as error:
        print(f"error: {error}")
        n_passed, n_failed = 0, 1
    finally:
        signal.alarm(0)
        shop.close()
    left = shop.emulator.processes() if shop.emulator else []
    if left:
        print(f"error: processes {left} are left over")
        n_failed += 1
    word = "FAILED" if n_failed else "ok"
    print(f"test result: {word}. {n_passed} passed; {n_failed} failed; 0 ignored; finished in {time.monotonic() - began:.2f}s")
    sys.exit(n_failed > 0)


if __name__ == "__main__":
    main()
