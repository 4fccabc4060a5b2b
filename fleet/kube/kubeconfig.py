"""From a kubeconfig file or a pod's service account to a transport.

The official client reads the file: contexts, relative paths, CA and client certificates, basic auth, old auth
providers. But it runs an exec plugin once, with no deadline, and hides its failure; and it reads a token file once, or
again on the loop with errors of its own. Those two are ours, and so is what follows a 401.
"""

import base64
import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException, incluster_config, load_incluster_config
from kubernetes.aio.config.kube_config import KubeConfigLoader, _cleanup_temp_files

from fleet.errors import SettingsError
from fleet.kube.exec_plugin import ExecLogin, Plugin
from fleet.kube.login import FileLogin, Grant, Login, TokenFileLogin, sendable
from fleet.kube.transport import Transport


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A kubeconfig's current context. What `grant` was made of is in memory, and no longer in files of ours."""

    configuration: Configuration
    grant: Grant
    plugin: Plugin | None
    token_file: Path | None


async def open_transport(path: Path | None, *, user_agent: str) -> Transport:
    """From a kubeconfig file, or from the pod's service account if None. Raises SettingsError."""
    if path is None:
        configuration, login = _in_cluster()
    else:
        loaded = await _load(path)
        configuration, login = loaded.configuration, _login(path, loaded)
    return Transport(
        str(configuration.host),
        login,
        user_agent=user_agent,
        tls_server_name=configuration.tls_server_name or None,
        proxy=configuration.proxy,
    )


def _login(path: Path, loaded: _Loaded) -> Login:
    if loaded.plugin is not None:
        return ExecLogin(loaded.plugin, lambda: _tls(loaded.configuration))
    if loaded.token_file is not None:
        return TokenFileLogin(loaded.token_file, loaded.grant.tls)

    async def read_again() -> Grant:
        return (await _load(path)).grant

    return FileLogin(loaded.grant, read_again)


def _in_cluster() -> tuple[Configuration, Login]:
    configuration = Configuration()
    try:
        load_incluster_config(client_configuration=configuration, try_refresh_token=False)  # type: ignore[no-untyped-call] # untyped library
        tls = _tls(configuration)
    except (ConfigException, OSError, ValueError) as e:
        where = "no kubeconfig and not in a cluster"
        raise SettingsError(f"{where}: {e}; set KUBECONFIG to a readable kubeconfig file") from e
    return configuration, TokenFileLogin(Path(incluster_config.SERVICE_TOKEN_FILENAME), tls)


async def _load(path: Path) -> _Loaded:
    configuration = Configuration()
    try:
        config, folder = _read(path)
        user = _user(config)
        # Taken out, so that the library does not run or read them.
        plugin, token_file = user.pop("exec", None), user.pop("tokenFile", None)
        loader = KubeConfigLoader(config_dict=config, config_base_path=str(folder))  # type: ignore[no-untyped-call] # untyped library
        await loader.load_and_set(configuration)  # type: ignore[no-untyped-call] # untyped library
        return _loaded(configuration, plugin, token_file, folder)
    except (ConfigException, SettingsError) as e:
        raise SettingsError(f"kubeconfig {path}: {e}; set KUBECONFIG to a readable kubeconfig file") from e
    except ssl.SSLError as e:
        raise SettingsError(f"kubeconfig {path}: TLS material is not usable: {e.reason or e}") from e
    except OSError as e:
        raise SettingsError(f"kubeconfig {path}: {e.filename or 'TLS material'}: {e.strerror or e}") from e
    except Exception as e:  # noqa: BLE001 - told as a setting; its cause may hold a secret
        # The loader parses YAML, base64 and PEM without mapping what those raise. Their words may quote the file, and
        # with it a secret: where it is must do.
        mark = e.problem_mark if isinstance(e, yaml.MarkedYAMLError) else None
        where = f" in line {mark.line + 1}" if mark else ""
        raise SettingsError(f"kubeconfig {path}: not usable: {type(e).__name__}{where}") from None
    finally:
        # The library unpacks certificates and keys into temporary files, and removes them at a clean exit only.
        # They are in the TLS context now; a SIGKILL must not leave a private key behind.
        _cleanup_temp_files()  # type: ignore[no-untyped-call] # untyped library


def _loaded(configuration: Configuration, plugin: object, token_file: object, folder: Path) -> _Loaded:
    _check(configuration)
    grant = _grant(configuration)
    return _Loaded(
        configuration,
        grant,
        None if plugin is None else Plugin.parse(plugin, folder=folder, cluster=_cluster_info(configuration)),
        None if token_file is None else folder / str(token_file),
    )


def _read(path: Path) -> tuple[object, Path]:
    return yaml.safe_load(path.read_text()), path.resolve().parent


def _user(config: object) -> dict[str, object]:
    """The current context's user; empty if there is none: the loader says what is missing."""
    named = config if isinstance(config, dict) else {}
    context = _named(named.get("contexts"), named.get("current-context"), "context")
    return _named(named.get("users"), context.get("user"), "user")


def _named(entries: object, name: object, kind: str) -> dict[str, object]:
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(kind), dict):
            found: dict[str, object] = entry[kind]
            return found
    return {}


def _check(configuration: Configuration) -> None:
    """Raises SettingsError for what would otherwise show in a message, or end in one that nobody understands."""
    server, proxy = str(configuration.host), str(configuration.proxy or "")
    if "@" in server:
        raise SettingsError("the cluster's server: its URL holds a user name; put credentials into the user's entry")
    if proxy and ("@" in proxy or not proxy.startswith(("http://", "https://"))):
        raise SettingsError("the cluster's proxy-url: expected http://HOST:PORT without credentials")
    authorization = configuration.api_key.get("BearerToken")
    if authorization is not None and not sendable(authorization.strip()):
        raise SettingsError("the user's token: it holds characters that no token has")


def _grant(configuration: Configuration) -> Grant:
    """Read the files that `configuration` names; afterwards it names none, and holds the CA itself."""
    if configuration.ssl_ca_cert:
        configuration.ca_cert_data = Path(configuration.ssl_ca_cert).read_text()
        configuration.ssl_ca_cert = None
    tls = _tls(configuration)
    material = [Path(name).read_bytes() for name in (configuration.cert_file, configuration.key_file) if name]
    configuration.cert_file = configuration.key_file = None
    authorization = configuration.api_key.get("BearerToken")
    return Grant(
        authorization.strip() if authorization else None,
        tls,
        hashlib.sha256(b"\n".join(material)).hexdigest() if material else "",
    )


def _tls(configuration: Configuration) -> ssl.SSLContext:
    context: ssl.SSLContext = RESTClientObject(configuration).ssl_context
    return context


def _cluster_info(configuration: Configuration) -> dict[str, object]:
    """What an exec plugin may ask for."""
    info: dict[str, object] = {"server": str(configuration.host)}
    if configuration.ca_cert_data:
        info["certificate-authority-data"] = base64.b64encode(str(configuration.ca_cert_data).encode()).decode()
    if configuration.tls_server_name:
        info["tls-server-name"] = configuration.tls_server_name
    if not configuration.verify_ssl:
        info["insecure-skip-tls-verify"] = True
    if configuration.proxy:
        info["proxy-url"] = configuration.proxy
    return info
