"""Where a pod has its configuration and secrets: the injection mounts them there, the configuration names them."""

from lastcall_operator.api.names import CONFIG_FILE, CONFIG_FOLDER, SECRETS_FOLDER

CONFIG_PATH = f"{CONFIG_FOLDER}/{CONFIG_FILE}"
UPSTREAM_FOLDER = f"{SECRETS_FOLDER}/upstream"
CLIENTS_FOLDER = f"{SECRETS_FOLDER}/clients"
#: Names of the files in those folders, whatever the Secret's key is called.
API_KEY_FILE = "api-key"
API_KEYS_FILE = "api-keys"
API_KEY_PATH = f"{UPSTREAM_FOLDER}/{API_KEY_FILE}"
API_KEYS_PATH = f"{CLIENTS_FOLDER}/{API_KEYS_FILE}"
#: The folder of the control socket.
RUN_FOLDER = "/run/lastcall"

#: Volumes that an injection adds.
CONFIG_VOLUME = "lastcall-config"
UPSTREAM_VOLUME = "lastcall-upstream"
CLIENTS_VOLUME = "lastcall-clients"
RUN_VOLUME = "lastcall-run"
TMP_VOLUME = "lastcall-tmp"
#: One for each of `spec.upstreams` that has a key.
NAMED_UPSTREAM_VOLUME = f"{UPSTREAM_VOLUME}-"
_VOLUMES = frozenset({CONFIG_VOLUME, UPSTREAM_VOLUME, CLIENTS_VOLUME, RUN_VOLUME, TMP_VOLUME})


def is_our_volume(name: str) -> bool:
    """Whether a volume of this name is one that an injection adds."""
    return name in _VOLUMES or name.startswith(NAMED_UPSTREAM_VOLUME)


def named_upstream_volume(name: str) -> str:
    """The volume of the key of an upstream of this name, which is at most 40 characters long."""
    return f"{NAMED_UPSTREAM_VOLUME}{name}"


def named_upstream_folder(name: str) -> str:
    """Where that volume is mounted."""
    return f"{UPSTREAM_FOLDER}-{name}"


def named_api_key_path(name: str) -> str:
    """The file of that key."""
    return f"{named_upstream_folder(name)}/{API_KEY_FILE}"
