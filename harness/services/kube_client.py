"""The harness's own client of the Kubernetes API.

It sets the stage (namespaces, CRDs, rights, objects) and watches. The product brings its own client.
"""

import asyncio
from collections.abc import Mapping, Sequence

from harness.services.kube_answers import KubeApiError, KubeUnreachable, mapping, resource_path
from harness.services.kube_emptying import delete_all
from harness.services.kube_session import MERGE_PATCH, KubeSession
from harness.wait import wait_for

__all__ = ["KubeAdmin", "KubeApiError", "KubeUnreachable", "resource_path"]

OUR_RESOURCES = ("deployments", "devices")
SERVED_WITHIN_S = 20.0

# What an operator leaves beside our own resources.
_CORE_KINDS = ("configmaps", "events")
_CONFLICT = 409
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_RBAC_GROUP = "rbac.authorization.k8s.io"
_GRANTED_FOR = "fleetproof.dev/granted-for"


class KubeAdmin(KubeSession):
    """A session with all rights, and what sets the stage with them."""

    async def create_namespace(self, name: str) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await self.request("POST", "/api/v1/namespaces", body=body)

    async def delete_namespace(self, name: str) -> None:
        """Delete it and all that an operator or the harness put there.

        Nothing new can be made in a namespace that is going, and an object that is going takes no new finalizer.
        """
        going = mapping(await self.request("DELETE", f"/api/v1/namespaces/{name}"))
        version = str(mapping(going["metadata"])["resourceVersion"])
        paths = [resource_path(resource, name) for resource in OUR_RESOURCES]
        paths += [f"/api/v1/namespaces/{name}/{kind}" for kind in _CORE_KINDS]
        paths += [f"{_RBAC}/namespaces/{name}/{kind}" for kind in ("rolebindings", "roles")]
        granted = {"labelSelector": f"{_GRANTED_FOR}={name}"}
        try:
            async with asyncio.TaskGroup() as group:
                for path in paths:
                    group.create_task(delete_all(self, path, version))
                for kind in ("clusterrolebindings", "clusterroles"):
                    group.create_task(delete_all(self, f"{_RBAC}/{kind}", version, granted))
        except ExceptionGroup as e:
            raise e.exceptions[0] from e
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {"finalizers": []}}
        await self.request("PUT", f"/api/v1/namespaces/{name}/finalize", body=body)

    async def apply_crds(self, crds: Sequence[Mapping[str, object]]) -> None:
        """Create or replace the spec of each, then wait until all are established and served.

        The server itself delays a create by 2 s while its CRD is younger than that.
        """
        for crd in crds:
            try:
                await self.request("POST", _CRDS, body=crd)
            except KubeApiError as e:
                if e.status != _CONFLICT:
                    raise
                name = str(mapping(crd["metadata"])["name"])
                patch = {"spec": crd["spec"]}
                await self.request("PATCH", f"{_CRDS}/{name}", body=patch, content_type=MERGE_PATCH)
        for crd in crds:
            await self._wait_served(crd)

    async def grant(
        self,
        namespace: str,
        rules: Sequence[Mapping[str, object]],
        *,
        user: str = "operator",
        cluster_rules: Sequence[Mapping[str, object]] = (),
    ) -> None:
        """Give a user exactly these RBAC rules in a namespace, and wait until the server honours them.

        `cluster_rules` are for what has no namespace; they too are gone with `delete_namespace`.
        """
        for scope, granted, at, found_in in (
            ("", rules, f"{_RBAC}/namespaces/{namespace}", namespace),
            ("Cluster", cluster_rules, _RBAC, ""),
        ):
            if not granted:
                continue
            name = user if found_in else f"{namespace}-{user}"
            meta = {"name": name, "labels": {_GRANTED_FOR: namespace}}
            role = {"metadata": meta, "rules": granted}
            binding = {
                "metadata": meta,
                "roleRef": {"apiGroup": _RBAC_GROUP, "kind": f"{scope}Role", "name": name},
                "subjects": [{"apiGroup": _RBAC_GROUP, "kind": "User", "name": user}],
            }
            plural = f"{scope.lower()}role"
            await self.request("POST", f"{at}/{plural}s", body=role)
            await self.request("POST", f"{at}/{plural}bindings", body=binding)
            await self._wait_allowed(user, found_in, granted[0])

    async def _wait_served(self, crd: Mapping[str, object]) -> None:
        spec = mapping(crd["spec"])
        names = mapping(spec["names"])
        versions = spec["versions"]
        version = mapping(versions[0])["name"] if isinstance(versions, list) else ""
        crd_name = str(mapping(crd["metadata"])["name"])

        async def established() -> bool | None:
            status = mapping(mapping(await self.request("GET", f"{_CRDS}/{crd_name}")).get("status") or {})
            conditions = status.get("conditions")
            states = {c["type"]: c["status"] for c in conditions} if isinstance(conditions, list) else {}
            if states.get("Established") != "True":
                return None
            path = f"/apis/{spec['group']}/{version}/{names['plural']}"
            await self.request("GET", path, params={"limit": "1"})
            return True

        await wait_for(f"{crd_name} to be served", established, deadline_s=SERVED_WITHIN_S, expect=(KubeApiError,))

    async def _wait_allowed(self, user: str, namespace: str, rule: Mapping[str, object]) -> None:
        def first(field: str) -> str | None:
            values = rule.get(field)
            return str(values[0]) if isinstance(values, (list, tuple)) and values else None

        resource, _, subresource = (first("resources") or "").partition("/")
        attributes = {
            "namespace": namespace,
            "verb": first("verbs"),
            "group": first("apiGroups"),
            "resource": resource,
            "subresource": subresource,
            "name": first("resourceNames"),
        }
        review = {"spec": {"user": user, "resourceAttributes": {k: v for k, v in attributes.items() if v}}}

        async def allowed() -> bool | None:
            status = mapping(mapping(await self.request("POST", _REVIEWS, body=review))["status"])
            return True if status["allowed"] is True else None

        await wait_for(f"the rights of {user} in {namespace or 'the cluster'}", allowed, deadline_s=SERVED_WITHIN_S)
