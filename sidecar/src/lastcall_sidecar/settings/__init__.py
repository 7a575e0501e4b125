"""The configuration: what it may be (`schema.py`) and how it is read (`load.py`). Nobody else reads the environment."""

from .addresses import ANY_HOST, is_address, is_loopback, split_address
from .keys import ApiKey, Secrets
from .load import Loaded, control_socket_candidates, load
from .problems import ConfigError, Problem
from .schema import LogFormat, LogLevel, Mode, NamedUpstream, Provider, Settings, Upstream

__all__ = [
    "ANY_HOST",
    "ApiKey",
    "ConfigError",
    "Loaded",
    "LogFormat",
    "LogLevel",
    "Mode",
    "NamedUpstream",
    "Problem",
    "Provider",
    "Secrets",
    "Settings",
    "Upstream",
    "control_socket_candidates",
    "is_address",
    "is_loopback",
    "load",
    "split_address",
]
