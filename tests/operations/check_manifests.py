"""Holds rendered manifests against the strict schemas of Kubernetes, and the policies in them against what must and must not pass.

usage: check_manifests.py FOLDER OLDEST NEWEST; FOLDER has one file of manifests for each of the chart's ci/*.yaml. Custom resources go into
FOLDER/custom.json, for check_custom_resources.mjs to hold against their types.
"""

import ipaddress
import json
import pathlib
import sys

import kubernetes_validate
import yaml

CUSTOM = ("monitoring.coreos.com/", "gateway.networking.k8s.io/", "keda.sh/")


def objects(path):
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def check_schemas(path, versions):
    for document in objects(path):
        if document["apiVersion"].startswith(CUSTOM):
            continue
        for version in versions:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                sys.exit(f"{path.name}: {document['kind']} {document['metadata']['name']} in Kubernetes {version}: {error.message} at {list(error.path)}")


def check_uniqueness(path):
    seen = set()
    for document in objects(path):
        key = (document["kind"], document["metadata"]["name"])
        if key in seen:
            sys.exit(f"{path.name}: {key} is rendered twice")
        seen.add(key)


def pods(path):
    """Every pod that the manifests make, with its labels."""
    for document in objects(path):
        if document["kind"] == "Pod":
            yield document, document["metadata"].get("labels", {}), document["spec"]
        elif document["kind"] in ("Deployment", "Job"):
            template = document["spec"]["template"]
            yield document, template["metadata"]["labels"], template["spec"]


def check_pods(path):
    """What must hold of each pod, whatever the values: nothing of it may come from a default of the cluster."""
    for document, _, spec in pods(path):
        who = f"{path.name}: {document['kind']} {document['metadata']['name']}"
        assert spec["automountServiceAccountToken"] is False, f"{who} mounts a token of Kubernetes"
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", who
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"], who
            assert security["capabilities"] == {"drop": ["ALL"]}, who
            assert container["resources"]["requests"]["memory"], f"{who} says nothing of its memory"


def check_services(path):
    """No Service of the nodes leads to a test, a load test or Redis."""
    every = list(pods(path))
    for service in (document for document in objects(path) if document["kind"] == "Service"):
        selector = service["spec"]["selector"]
        chosen = [document for document, labels, _ in every if matches({"matchLabels": selector}, labels)]
        assert len(chosen) == 1, f"{path.name}: Service {service['metadata']['name']} leads to {[d['metadata']['name'] for d in chosen]}"


def matches(selector, labels):
    """Whether a label selector chooses these labels; the chart uses matchLabels only."""
    assert set(selector) <= {"matchLabels"}, selector
    return all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())


# Namespaces by the label that Kubernetes itself gives them.
def namespace(name):
    return {"kubernetes.io/metadata.name": name}


class Peer:
    def __init__(self, space, labels, address="10.0.0.1"):
        self.space, self.labels, self.address = space, labels, ipaddress.ip_address(address)

    def is_in(self, peer, own_space):
        """Selectors of namespace and pod within one peer must both hold; without one of namespaces it is the policy's own."""
        if "ipBlock" in peer:
            return self.address in ipaddress.ip_network(peer["ipBlock"]["cidr"])
        if self.space is None:
            return False
        spaces = peer.get("namespaceSelector")
        in_space = self.space == own_space if spaces is None else matches(spaces, namespace(self.space))
        return in_space and matches(peer.get("podSelector", {}), self.labels)


def passes(policies, direction, labels, peer, port, protocol="TCP", names=(), own_space="live"):
    """Whether the policies let traffic between a pod with these labels and the peer pass: some rule of some policy must, if any chooses the pod."""
    chosen = [policy["spec"] for policy in policies if matches(policy["spec"]["podSelector"], labels) and direction in policy["spec"]["policyTypes"]]
    side = "from" if direction == "Ingress" else "to"
    for spec in chosen:
        for rule in spec.get(direction.lower()) or []:
            ports = rule.get("ports")
            on_port = not ports or any(entry["protocol"] == protocol and entry["port"] in (port, *names) for entry in ports)
            if on_port and (side not in rule or any(peer.is_in(entry, own_space) for entry in rule[side])):
                return True
    return not chosen


ANYBODY = Peer("shop", {"app": "shop"})
OUTSIDE = Peer(None, {}, "198.51.100.7")
PROMETHEUS = Peer("monitoring", {"app.kubernetes.io/name": "prometheus"})
DNS = Peer("kube-system", {"k8s-app": "kube-dns"})
INGRESS = Peer("ingress", {"app": "nginx"})
RELEASE = {"app.kubernetes.io/name": "roomcast", "app.kubernetes.io/instance": "live"}
NODE = {**RELEASE, "app.kubernetes.io/component": "node"}
REDIS = {**RELEASE, "app.kubernetes.io/component": "redis"}
AGENT = {**RELEASE, "app.kubernetes.io/component": "load-agent"}
COORDINATOR = {**RELEASE, "app.kubernetes.io/component": "load-coordinator"}
TEST = {**RELEASE, "app.kubernetes.io/component": "test"}
PUBLIC, INTERNAL, REDIS_PORT = dict(port=8080, names=("public",)), dict(port=9090, names=("internal",)), dict(port=6379, names=("redis",))

# Case, direction, pod, peer, port, and whether it must pass.
SENTENCES = [
    ("development", "Ingress", NODE, ANYBODY, PUBLIC, True),
    ("development", "Ingress", NODE, OUTSIDE, PUBLIC, True),
    ("development", "Ingress", NODE, PROMETHEUS, INTERNAL, True),
    ("development", "Ingress", NODE, ANYBODY, INTERNAL, False),
    ("development", "Ingress", NODE, OUTSIDE, INTERNAL, False),
    ("development", "Egress", NODE, DNS, dict(port=53, protocol="UDP"), True),
    ("development", "Egress", NODE, DNS, dict(port=53), True),
    ("development", "Egress", NODE, OUTSIDE, dict(port=53, protocol="UDP"), False),
    ("development", "Egress", NODE, Peer("live", REDIS), REDIS_PORT, True),
    ("development", "Egress", NODE, OUTSIDE, REDIS_PORT, False),
    ("development", "Egress", NODE, OUTSIDE, dict(port=443), False),
    ("development", "Ingress", REDIS, Peer("live", NODE), REDIS_PORT, True),
    ("development", "Ingress", REDIS, Peer("live", TEST), REDIS_PORT, False),
    ("development", "Ingress", REDIS, ANYBODY, REDIS_PORT, False),
    ("development", "Egress", REDIS, OUTSIDE, dict(port=443), False),
    ("production", "Ingress", NODE, INGRESS, PUBLIC, True),
    ("production", "Ingress", NODE, ANYBODY, PUBLIC, False),
    ("production", "Ingress", NODE, Peer("live", TEST), PUBLIC, True),
    ("production", "Ingress", NODE, INGRESS, INTERNAL, False),
    ("production", "Egress", NODE, Peer(None, {}, "10.20.3.4"), dict(port=6380), True),
    ("production", "Egress", NODE, Peer(None, {}, "10.21.3.4"), dict(port=6380), False),
    ("production", "Egress", NODE, Peer("observability", {"app": "collector"}), dict(port=4318), True),
    ("production", "Egress", NODE, OUTSIDE, dict(port=443), True),
    ("production", "Egress", NODE, OUTSIDE, dict(port=22), False),
    ("sentinel", "Egress", NODE, OUTSIDE, dict(port=26379), True),
    ("sentinel", "Egress", NODE, OUTSIDE, dict(port=53, protocol="UDP"), True),
    ("sentinel", "Egress", NODE, OUTSIDE, dict(port=443), False),
    ("cluster", "Ingress", AGENT, Peer("live", COORDINATOR), dict(port=7700, names=("agent",)), True),
    ("cluster", "Ingress", AGENT, Peer("live", AGENT), dict(port=7700, names=("agent",)), False),
    ("cluster", "Ingress", AGENT, Peer("shop", COORDINATOR), dict(port=7700, names=("agent",)), False),
    ("cluster", "Egress", AGENT, Peer("live", NODE), PUBLIC, True),
]


def check_policies(folder):
    for case, direction, labels, peer, on, expected in SENTENCES:
        policies = [document for document in objects(folder / f"{case}.yaml") if document["kind"] == "NetworkPolicy"]
        if passes(policies, direction, labels, peer, **on) is not expected:
            sys.exit(f"{case}: {direction} of {labels['app.kubernetes.io/component']} on {on} {'must' if expected else 'must not'} pass for {vars(peer)}")


def main():
    folder, versions = pathlib.Path(sys.argv[1]), sys.argv[2:]
    files = sorted(folder.glob("*.yaml"))
    for path in files:
        check_schemas(path, versions)
        check_uniqueness(path)
        check_pods(path)
        check_services(path)
    check_policies(folder)
    custom = [document for path in files for document in objects(path) if document["apiVersion"].startswith(CUSTOM)]
    (folder / "custom.json").write_text(json.dumps(custom))
    print(f"{len(files)} sets of manifests hold in Kubernetes {' and '.join(versions)}, and {len(SENTENCES)} sentences of their policies")


if __name__ == "__main__":
    main()
