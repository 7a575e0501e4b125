"""Settings of the processes: a flag wins over its variable, and what cannot be is said with the flag's name."""

import argparse

import pytest

from lastcall_operator.errors import SettingsError
from lastcall_operator.settings import FLAGS, Settings, add_flags, from_arguments


def settings(*flags, **environment):
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return from_arguments(parser.parse_args(flags), environment)


def test_without_anything_the_defaults():
    assert settings() == Settings()


def test_a_flag_wins_over_its_variable():
    variables = {"LASTCALL_OPERATOR_NAMESPACE": "a, b", "LASTCALL_OPERATOR_ADMIN_PORT": "9000"}
    assert settings(**variables).namespaces == ("a", "b")
    assert settings(**variables).admin_port == 9000
    assert settings("--namespace", "c", "--namespace", "d", **variables).namespaces == ("c", "d")
    assert settings("--admin-port", "9001", **variables).admin_port == 9001


def test_the_standard_variable_of_opentelemetry_counts():
    assert settings(OTEL_EXPORTER_OTLP_ENDPOINT="http://a:4318").otlp_endpoint == "http://a:4318"
    ours = {"LASTCALL_OPERATOR_OTLP_ENDPOINT": "http://b:4318", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318"}
    assert settings(**ours).otlp_endpoint == "http://b:4318"


def test_the_names_of_the_charts_objects():
    found = settings("--fullname", "rel-lastcall")
    assert (found.webhook_service, found.webhook_secret) == ("rel-lastcall-webhook", "rel-lastcall-webhook-tls")
    assert found.drain_key_secret == "rel-lastcall-drain-key"
    assert (found.mutating_configuration, found.validating_configuration) == (
        "rel-lastcall-injection",
        "rel-lastcall-removals",
    )


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--namespace", "Not_A_Label"),
        ("--own-namespace", "x" * 64),
        ("--fullname", "-x"),
        ("--sidecar-image", "a b"),
        ("--sidecar-pull-policy", "Sometimes"),
        ("--allowed-images", "a b"),
        ("--log-level", "loud"),
        ("--log-format", "xml"),
        ("--otlp-endpoint", "collector:4318"),
        ("--webhook-port", "0"),
        ("--admin-port", "65536"),
        ("--admin-port", "many"),
        ("--certificate-folder", "certs"),
    ],
)
def test_what_cannot_be_is_said(flag, value):
    with pytest.raises(SettingsError, match=f"{flag} must be .*, not "):
        settings(f"{flag}={value}")


@pytest.mark.parametrize("row", FLAGS, ids=lambda row: row.flag)
def test_the_help_tells_every_flag_and_its_variable(row, capsys):
    parser = argparse.ArgumentParser(prog="lastcall")
    add_flags(parser)
    text = " ".join(parser.format_help().split())
    assert row.flag in text
    assert row.variable in text
