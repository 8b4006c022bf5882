"""AWS, for the shipped hooks that ask it: moto, with its check of IAM policies.

moto 5.2.5 answers 500 to RecordLifecycleActionHeartbeat and CompleteLifecycleAction, so these two are made here; and a
target that is deregistered is gone from its group at once, which with AWS drains for the deregistration delay.

One request a line of standard input, one answer a line of standard output, both JSON; the end of input is its end.
{"user": policy}: a new user of that policy, and where AWS is for it.
{"call": [service, operation, parameters]}: what AWS answers to one who may do all.
{"group": {"name", "hooks", "refuses"}}: a new group with an instance whose termination waits for these lifecycle hooks
(each with its heartbeat timeout) after it has refused so many calls; answers with the instance.
{"lifecycle": instance}: what was done to its lifecycle actions so far.
"""

import base64
import itertools
import json
import logging
import os
import sys
import threading
import time

os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
import boto3
from moto import settings
from moto.autoscaling.models import autoscaling_backends
from moto.autoscaling.responses import AutoScalingResponse
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, EmptyResult
from moto.elbv2.models import FakeHealthStatus, elbv2_backends
from moto.elbv2.responses import ELBV2Response
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

REGION = "eu-west-1"
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
endpoint = f"http://127.0.0.1:{server.server_port}"
calls = {}  # By instance: when, in seconds; what was done; the lifecycle hook; the result it was given.
actions = {}  # By instance and lifecycle hook that waits: how many calls are refused before.


class NoAction(ServiceException):
    """What AWS says of an action that does not wait, or that is not one at all."""

    code = "ValidationError"

    def __init__(self, instance):
        super().__init__(f"No active Lifecycle Action found with instance ID {instance}")


def lifecycle(action, over=False):
    def answer(self):
        instance, hook = self._get_param("InstanceId"), self._get_param("LifecycleHookName")
        state = self.autoscaling_backend.describe_auto_scaling_instances([instance])
        if [one.auto_scaling_group.name for one in state] != [self._get_param("AutoScalingGroupName")]:
            raise NoAction(instance)
        if actions.get((instance, hook)) != 0:
            if (instance, hook) in actions:
                actions[instance, hook] -= 1
            raise NoAction(instance)
        if over:
            del actions[instance, hook]
        calls[instance].append([time.monotonic(), action, hook, self._get_param("LifecycleActionResult")])
        return EmptyResult()

    return answer


def target_health(self):
    group, asked = self._get_param("TargetGroupArn"), self._get_param("Targets", [])
    backend = elbv2_backends[self.current_account][self.region]
    found = backend.describe_target_health(group, asked)
    if not asked:
        for target in backend.target_groups[group].deregistered_targets.values():
            found.append(FakeHealthStatus(target["Id"], target["Port"], None, "draining"))
    return ActionResult({"TargetHealthDescriptions": found})


def scaling_resource(self):
    """Actions that only describe know no resource; these are allowed or not for a group."""
    if self._get_action() not in ("RecordLifecycleActionHeartbeat", "CompleteLifecycleAction", "DetachInstances"):
        return "*"
    return self.autoscaling_backend.autoscaling_groups[self._get_param("AutoScalingGroupName")].arn


def target_group(self):
    """The same of target groups."""
    return self._get_param("TargetGroupArn") if self._get_action() in ("RegisterTargets", "DeregisterTargets") else "*"


AutoScalingResponse.record_lifecycle_action_heartbeat = lifecycle("heartbeat")
AutoScalingResponse.complete_lifecycle_action = lifecycle("complete", over=True)
AutoScalingResponse._determine_resource = scaling_resource
ELBV2Response.describe_target_health = target_health
ELBV2Response._determine_resource = target_group


def client(service, key, secret):
    return boto3.client(service, REGION, endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret)


def new_user(name, policy):
    iam.create_user(UserName=name)
    # moto names the actions of a service as its requests are signed, AWS does not always.
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(policy).replace('"tag:', '"tagging:'))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def new_group(name, hooks, refuses):
    scaling.create_auto_scaling_group(AutoScalingGroupName=name, LaunchConfigurationName="node", MinSize=1, MaxSize=1,
                                      AvailabilityZones=[REGION + "a"])
    [state] = autoscaling_backends[DEFAULT_ACCOUNT_ID][REGION].autoscaling_groups[name].instance_states
    state.lifecycle_state = "Terminating:Wait"
    instance = state.instance.id
    calls[instance] = []

    def put(hook, transition, timeout):
        scaling.put_lifecycle_hook(AutoScalingGroupName=name, LifecycleHookName=hook, HeartbeatTimeout=timeout,
                                   LifecycleTransition="autoscaling:EC2_INSTANCE_" + transition)

    put("launching", "LAUNCHING", 30)
    for hook, timeout in hooks.items():
        put(hook, "TERMINATING", timeout)
        actions[instance, hook] = refuses
    return instance


def answer(request):
    [(kind, what)] = request.items()
    if kind == "user":
        key, secret = new_user(f"user-{next(users)}", what)
        return {"region": REGION, "endpoint": endpoint, "key": key, "secret": secret}
    if kind == "call":
        service, operation, parameters = what
        return getattr(client(service, *administrator), operation)(**parameters)
    if kind == "group":
        return new_group(**what)
    return calls[what]


def as_json(value):
    """What JSON has no form for: an object's content, and times."""
    return base64.b64encode(value.read()).decode() if hasattr(value, "read") else str(value)


threading.Thread(target=server.serve_forever, daemon=True).start()
# Nothing is checked until there is somebody who may do all.
users = itertools.count()
iam = client("iam", "nobody", "nothing")
everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
administrator = new_user("administrator", everything)
settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
iam, scaling = client("iam", *administrator), client("autoscaling", *administrator)
scaling.create_launch_configuration(LaunchConfigurationName="node", ImageId="ami-12c6146b", InstanceType="m5.large")
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line)), default=as_json), flush=True)
