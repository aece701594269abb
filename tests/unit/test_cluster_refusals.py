"""What an API server refuses is told in one plain sentence."""

import pytest

from inference_provider.errors import OutOfCapacity, TargetError, TargetUnreachable
from inference_provider.targets.kubernetes.refusals import (
    Forbidden,
    NamespaceEnds,
    Refused,
    refusal,
)

POD = 'pods "iris-1" is forbidden: '
ROLE = 'roles.rbac.authorization.k8s.io "inference-router" is forbidden: '


@pytest.mark.parametrize(
    ("code", "said", "kind", "told"),
    [
        (
            403,
            'deployments.apps "x" is forbidden: User "system:serviceaccount:lab:deployer" cannot'
            ' patch resource "deployments" in API group "apps" in the namespace "lab"',
            Forbidden,
            "'system:serviceaccount:lab:deployer' may not patch deployments.apps; ask for a Role"
            " with verb patch on deployments.apps in namespace 'lab'",
        ),
        (
            403,
            'nodes is forbidden: User "ann" cannot list resource "nodes" in API group "" at the'
            " cluster scope",
            Forbidden,
            "'ann' may not list nodes; ask for a ClusterRole with verb list on nodes",
        ),
        (
            403,
            ROLE + 'user "ann" (groups=["dev"]) is attempting to grant RBAC permissions not'
            ' currently held:\n{APIGroups:[""], Resources:["secrets"], Verbs:["list" "watch"]}',
            Forbidden,
            "'ann' may give no right that it lacks: list, watch on secrets; ask for a Role with"
            " list, watch on secrets too",
        ),
        (
            403,
            POD + "exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2",
            OutOfCapacity,
            "exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2; ask for"
            " less, or raise the quota",
        ),
        (
            403,
            POD + "failed quota: small: must specify limits.cpu for: server",
            OutOfCapacity,
            "failed quota: small: must specify limits.cpu for: server; set these in the"
            " deployment's resources, or add a LimitRange with defaults",
        ),
        (
            403,
            POD + "maximum cpu usage per Container is 1, but limit is 2",
            Refused,
            "a rule of the cluster refuses it: maximum cpu usage per Container is 1, but limit is"
            " 2; change what it asks for, or the rule",
        ),
        (
            422,
            "deployments.apps \"x\" is forbidden: ValidatingAdmissionPolicy 'team' with binding"
            " 'team' denied request: no label team",
            Refused,
            "a rule of the cluster refuses it: ValidatingAdmissionPolicy 'team' with binding"
            " 'team' denied request: no label team; change what it asks for, or the rule",
        ),
        (
            400,
            'admission webhook "w.example.org" denied the request: not today',
            Refused,
            'a rule of the cluster refuses it: admission webhook "w.example.org" denied the'
            " request: not today; change what it asks for, or the rule",
        ),
        (
            403,
            'secrets "x" is forbidden: unable to create new content in namespace lab because it is'
            " being terminated",
            NamespaceEnds,
            "the namespace is being deleted; run this again later",
        ),
        *(
            (
                code,
                'Internal error occurred: failed calling webhook "w.example.org": failed to call'
                ' webhook: Post "https://w.hooks.svc:443/x?timeout=10s": context deadline exceeded',
                TargetUnreachable,
                "webhook 'w.example.org' of the cluster does not answer: Post"
                ' "https://w.hooks.svc:443/x?timeout=10s": context deadline exceeded; have who runs'
                " that webhook mend it, and run this again",
            )
            for code in (500, 403)  # 403: what a Deployment says of pods that are not made
        ),
        (
            401,
            "Unauthorized",
            TargetError,
            "the credentials are not accepted, or have expired; log in again",
        ),
        (400, "bad", TargetError, "it answers 400: bad"),
    ],
)
def test_a_refusal_says_its_cause_and_what_to_do(code, said, kind, told):
    fault = refusal("apply", "Deployment 'x' in namespace 'lab'", code, said, "cluster 'c'")
    assert type(fault) is kind
    assert str(fault) == f"apply Deployment 'x' in namespace 'lab' on cluster 'c': {told}"
