"""MiniStack on loopback, with the template deployed on it as AWS would: IAM is enforced, functions are real processes.

One place that starts and stops it and that knows its ways; what must hold is in test_deploy.py.
"""

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

# SAM's translator remarks on its own feature switches.
logging.getLogger("samtranslator").setLevel(logging.CRITICAL)

REGION = "eu-west-1"
BUCKET = "packages"
START_SECONDS = 30
DEPLOY_SECONDS = 60
REQUEST_SECONDS = 20


class NoManagedPolicies:
    """The template names no managed policy, so the list that SAM asks AWS for stays empty."""

    def load(self):
        return {}


class Emulator:
    """A running emulator; every process it starts ends with `stop`."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="nextbest-deploy-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        # Nothing of the caller's environment: functions inherit the emulator's.
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "S3_DATA_DIR": str(self.folder / "s3"),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": REGION,
            "MINISTACK_REGION": REGION,
            "AUTH": "true",  # check policies as IAM does
            "CLOUDTRAIL_RECORDING": "1",
            "IOT_MTLS_ENABLED": "0",  # these two would listen on ports of their own
            "SFTP_ENABLED": "0",
        }
        self.log = open(self.folder / "emulator.log", "wb")
        self.process = subprocess.Popen(
            ["python3", "-m", "ministack"],
            env={**environment, "PATH": os.environ["PATH"]},
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait_until_up()
            self.client("s3").create_bucket(
                Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
            )
        except BaseException:
            print((self.folder / "emulator.log").read_text(errors="replace"))
            self.stop()
            raise

    def _wait_until_up(self):
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the emulator does not answer at {self.url}") from None
                time.sleep(0.1)

    def client(self, service, key="test", secret="test"):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )

    def deploy(self, name, template_file, packages, parameters):
        """Does what `sam deploy` does: upload each package, translate the template, create the stack."""
        template = yaml_parse(template_file.read_text())
        for logical_id, resource in template["Resources"].items():
            if resource["Type"] == "AWS::Serverless::Function":
                package = (template_file.parent / resource["Properties"]["CodeUri"]).resolve()
                package = packages / package.relative_to(template_file.parent.parent / "target" / "lambda")
                key = f"{name}/{logical_id}.zip"
                self.client("s3").upload_file(str(package), BUCKET, key)
                resource["Properties"]["CodeUri"] = {"Bucket": BUCKET, "Key": key}
        os.environ["AWS_DEFAULT_REGION"] = REGION
        body = json.dumps(transform(template, dict(parameters), NoManagedPolicies()), default=str)
        # A call carries no more than 51,200 bytes of template; S3 holds it, as for `sam deploy`.
        key = f"{name}/template.json"
        self.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body.encode())
        self._apply("create_stack", name, parameters, TemplateURL=f"{self.url}/{BUCKET}/{key}", OnFailure="DO_NOTHING")
        return Stack(self, name)

    def update(self, name, parameters):
        """Updates parameters of a deployed stack."""
        self._apply("update_stack", name, parameters, UsePreviousTemplate=True)

    def _apply(self, operation, name, parameters, **arguments):
        formation = self.client("cloudformation")
        listed = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        apply = getattr(formation, operation)
        apply(StackName=name, Parameters=listed, Capabilities=["CAPABILITY_IAM"], **arguments)
        deadline = time.monotonic() + DEPLOY_SECONDS
        while "IN_PROGRESS" in (status := formation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]):
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            events = formation.describe_stack_events(StackName=name)["StackEvents"]
            causes = [f"{e['LogicalResourceId']}: {e.get('ResourceStatusReason')}" for e in events if "FAILED" in e["ResourceStatus"]]
            raise RuntimeError(f"{operation} of {name} ended as {status}: {'; '.join(causes)}")

    def table_calls(self):
        """Calls of DynamoDB, the newest first: id, access key, and (operation, partition key) of each of its parts."""
        source = [{"AttributeKey": "EventSource", "AttributeValue": "dynamodb.amazonaws.com"}]
        for page in self.client("cloudtrail").get_paginator("lookup_events").paginate(LookupAttributes=source):
            for event in page["Events"]:
                detail = json.loads(event["CloudTrailEvent"])
                yield event["EventId"], event["AccessKeyId"], list(parts(event["EventName"], detail["requestParameters"] or {}))

    def function_of_key(self):
        """The function that each access key was given to, as `stack-LogicalId-suffix`: the trail names keys alone."""
        found = {}
        for _, environment in self.environments():
            name, key = environment.get("AWS_LAMBDA_FUNCTION_NAME"), environment.get("AWS_ACCESS_KEY_ID")
            if name and key:
                found[key] = name
        return found

    def log_tail(self, n_lines=40):
        """The last lines of the emulator and of every function, to be shown when something failed."""
        parts = ["emulator:", *(self.folder / "emulator.log").read_text(errors="replace").splitlines()[-n_lines:]]
        logs = self.client("logs")
        for group in logs.describe_log_groups()["logGroups"]:
            events = logs.filter_log_events(logGroupName=group["logGroupName"])["events"]
            lines = [event["message"].rstrip() for event in events if event["message"].startswith("{")]
            if lines:
                parts += [f"{group['logGroupName']}:", *lines[-n_lines:]]
        return "\n".join(parts)

    def stop(self):
        """Ends the emulator and the functions it started, and removes its folder."""
        for wanted in (signal.SIGTERM, signal.SIGKILL):
            pids = self.processes()
            for pid in pids:
                try:
                    os.kill(pid, wanted)
                except ProcessLookupError:
                    pass
            deadline = time.monotonic() + 10
            while self.processes() and time.monotonic() < deadline:
                time.sleep(0.1)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def processes(self):
        """Processes that the emulator is or started, wherever they were moved to."""
        self.process.poll()  # reaps it
        found = [pid for pid, _ in self.environments()]
        if not found and self.process.poll() is None:  # no /proc here
            found = [self.process.pid]
        return found

    def environments(self):
        """(pid, environment) of each process that carries this emulator's folder in its environment."""
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                lines = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            environment = dict(line.split("=", 1) for line in lines if "=" in line)
            if environment.get("TMPDIR") == str(self.folder):
                yield int(entry.name), environment


class Stack:
    """A deployed stack and its HTTP API."""

    def __init__(self, emulator, name):
        self.emulator, self.name = emulator, name
        formation = emulator.client("cloudformation")
        described = formation.describe_stacks(StackName=name)["Stacks"][0]
        self.outputs = {o["OutputKey"]: o["OutputValue"] for o in described["Outputs"]}
        pages = formation.get_paginator("list_stack_resources").paginate(StackName=name)
        self.resources = {r["LogicalResourceId"]: r for page in pages for r in page["StackResourceSummaries"]}

    def call(self, method, path, body=None, headers=None, signer=None):
        """The status and JSON answer of a request to the API; `signer` is an access key and its secret."""
        url = f"{self.emulator.url}/_aws/execute-api/{self.outputs['ApiId']}/$default{path}"
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json", **(headers or {})}
        if signer:
            request = AWSRequest(method=method, url=url, data=data, headers=headers)
            SigV4Auth(Credentials(*signer), "execute-api", REGION).add_auth(request)
            headers = dict(request.headers.items())
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            text = error.read()
            try:
                return error.code, json.loads(text or b"null")
            except ValueError:
                return error.code, text.decode(errors="replace")

    def page(self, path, headers):
        """The status and text of a GET."""
        url = f"{self.emulator.url}/_aws/execute-api/{self.outputs['ApiId']}/$default{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=REQUEST_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")


# A transaction is allowed by what it does: there is no permission of its own.
PARTS_OF_TRANSACTION = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}


def parts(operation, request):
    """Operation and partition key of each part of a DynamoDB request; one of no partition key where none is named."""
    for item in request.get("TransactItems") or []:
        for kind, write in item.items():
            yield PARTS_OF_TRANSACTION[kind], (write.get("Item") or write["Key"])["pk"]["S"]
    if not request.get("TransactItems"):
        yield from ((operation, partition) for partition in list(partitions(request)) or [None])


def partitions(request):
    """The partition keys a DynamoDB request names."""
    for item in (request.get("Key"), request.get("Item")):
        if item:
            yield item["pk"]["S"]
    for writes in (request.get("RequestItems") or {}).values():
        if isinstance(writes, dict):
            yield from (key["pk"]["S"] for key in writes["Keys"])
            continue
        for write in writes:
            yield (write.get("PutRequest", {}).get("Item") or write["DeleteRequest"]["Key"])["pk"]["S"]
    condition = request.get("KeyConditionExpression")
    if condition:
        name, value = (part.strip() for part in condition.split(" AND ")[0].split("="))
        if request.get("ExpressionAttributeNames", {}).get(name, name) == "pk":
            yield request["ExpressionAttributeValues"][value]["S"]
