"""The files and flags that a kube-apiserver with etcd is started from. Pure: text in, text out."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from harness.services.ports import HOST

GROUP = "fleet.fleetproof.dev"

User = Literal["admin", "operator", "nobody"]
USERS: tuple[User, ...] = ("admin", "operator", "nobody")


def token_file(tokens: Mapping[User, str]) -> str:
    """Static tokens. Only `admin` has rights from the start."""
    groups = {"admin": ',"system:masters"'}
    return "".join(f"{token},{user},{user}{groups.get(user, '')}\n" for user, token in tokens.items())


def audit_policy() -> str:
    """One line per answered request on our own resources, none for anything else."""
    return json.dumps(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived", "ResponseStarted"],
            "rules": [{"level": "Metadata", "resources": [{"group": GROUP}]}, {"level": "None"}],
        }
    )


def etcd_flags(folder: Path, client_port: int, peer_port: int) -> list[str]:
    """Without fsync: what is tested here is never etcd's own recovery from a power cut."""
    client, peer = f"http://{HOST}:{client_port}", f"http://{HOST}:{peer_port}"
    return [
        f"--data-dir={folder}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver_flags(folder: Path, *, etcd_port: int, port: int) -> list[str]:
    """`folder` holds sa.key, tls.crt, tls.key, tokens.csv and audit-policy.json; audit.log appears there."""
    return [
        f"--etcd-servers=http://{HOST}:{etcd_port}",
        f"--bind-address={HOST}",
        f"--advertise-address={HOST}",
        f"--secure-port={port}",
        f"--cert-dir={folder}",
        f"--tls-cert-file={folder}/tls.crt",
        f"--tls-private-key-file={folder}/tls.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder}/sa.key",
        f"--service-account-signing-key-file={folder}/sa.key",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--authorization-mode=RBAC",
        f"--token-auth-file={folder}/tokens.csv",
        "--anonymous-auth=false",
        "--disable-admission-plugins=ServiceAccount",
        # Nobody asks for the address of this server through the cluster itself.
        "--endpoint-reconciler-type=none",
        f"--audit-policy-file={folder}/audit-policy.json",
        f"--audit-log-path={folder}/audit.log",
        # The line is written before the answer ends, so that counts are exact.
        "--audit-log-mode=blocking",
        "--audit-log-format=json",
        # Megabytes; the default rotates the file away at 100, under the reader.
        "--audit-log-maxsize=10240",
        "--profiling=false",
    ]


def kubeconfig_text(*, server: str, ca_pem: bytes, token: str, user: User, namespace: str) -> str:
    """A kubeconfig of one context. JSON, which is YAML too."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fleetproof",
            "clusters": [
                {
                    "name": "fleetproof",
                    "cluster": {
                        "server": server,
                        "certificate-authority-data": base64.b64encode(ca_pem).decode(),
                    },
                }
            ],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [
                {"name": "fleetproof", "context": {"cluster": "fleetproof", "user": user, "namespace": namespace}}
            ],
        },
        indent=1,
    )
