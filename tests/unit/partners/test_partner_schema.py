"""The schema matches the model, and agrees with the loader on what a schema can express."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from ruamel.yaml import YAML

from tests.unit.partners.json_schema import faults
from tests.unit.partners.partner_files import RECORD, complaints, record
from tests.unit.partners.test_partner_format import every_partner as any_partner
from tlsgate import cli
from tlsgate.partners import model
from tlsgate.partners.format import to_yaml
from tlsgate.partners.model import Partner
from tlsgate.partners.record import EXCEPTION_KEYS, INBOUND_KEYS, OUTBOUND_KEYS, RECORD_KEYS
from tlsgate.partners.schema import partner_schema, schema_text

SCHEMA = partner_schema()
PIN = "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4"


def read(text: str) -> Any:
    """The file as an editor reads it: YAML 1.2, dates as strings."""
    return YAML(typ="safe", pure=True).load(re.sub(r"(\d{4}-\d\d-\d\d)", r'"\1"', text))


def test_the_committed_schema_is_the_one_that_the_model_gives() -> None:
    remedy = "run: tlsgate partners schema > partners/partner.schema.json"
    assert Path("partners/partner.schema.json").read_text() == schema_text(), remedy


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["partners", "schema"]) == 0
    assert capsys.readouterr().out == schema_text()


def test_it_has_every_key_of_the_record_and_says_what_each_is() -> None:
    parts = {
        RECORD_KEYS: SCHEMA,
        OUTBOUND_KEYS: SCHEMA["properties"]["outbound"],
        INBOUND_KEYS: SCHEMA["properties"]["inbound"],
        EXCEPTION_KEYS: SCHEMA["properties"]["exceptions"]["items"],
    }
    for keys, part in parts.items():
        assert tuple(part["properties"]) == keys
        assert part["additionalProperties"] is False
        assert all(one["description"] for one in part["properties"].values())
    described = [one for one in vars(model).values() if isinstance(one, type) and is_dataclass(one)]
    named = {field.name for one in described for field in fields(one)} - {"file"}
    assert named == {key for keys in parts for key in keys}


@given(any_partner)
def test_it_accepts_what_the_loader_accepts(partner: Partner) -> None:
    text = to_yaml(partner)
    assert complaints(acme=text) == []
    values = partner.to_dict()
    if not values["outbound"]["mx"]:
        del values["outbound"]["mx"]
    assert faults(SCHEMA, values) == []


@pytest.mark.parametrize("text", [RECORD, record(subdomains="false", inbound="{require: tls}")])
def test_what_is_left_out_may_be_left_out(text: str) -> None:
    assert complaints(acme=text) == []
    assert faults(SCHEMA, read(text)) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"name": ""}, ".name required"),
        ({"domains": ""}, ".domains required"),
        ({"subdomain": "true"}, ".subdomain unknown"),
        ({"outbound": "{verfy: dane}"}, ".outbound.verfy unknown"),
        ({"inbound": "tls"}, ".inbound type"),
        ({"domains": "acme.example"}, ".domains type"),
        ({"domains": "[]"}, ".domains minItems"),
        ({"domains": "[acme.example, acme.example]"}, ".domains uniqueItems"),
        ({"domains": "[Acme.example]"}, ".domains[] pattern"),
        ({"domains": "['*.acme.example']"}, ".domains[] pattern"),
        ({"name": "A" * 101}, ".name maxLength"),
        ({"contact": "nobody"}, ".contact pattern"),
        ({"agreed": "01.10.2026"}, ".agreed pattern"),
        ({"mode": "enfroce"}, ".mode enum"),
        ({"subdomains": "'true'"}, ".subdomains type"),
        ({"outbound": "{verify: pin}"}, ".outbound.public_keys required"),
        ({"outbound": "{verify: pin, public_keys: []}"}, ".outbound.public_keys minItems"),
        ({"outbound": f"{{verify: pkix, public_keys: [{PIN}]}}"}, ".outbound.public_keys maxItems"),
        ({"outbound": "{verify: pin, public_keys: [abc]}"}, ".outbound.public_keys[] pattern"),
        ({"outbound": "{mx: []}"}, ".outbound.mx minItems"),
        ({"inbound": "{require: certificate}"}, ".inbound.public_keys required"),
        ({"inbound": "{require: network}"}, ".inbound.networks required"),
        ({"inbound": "{networks: [192.0.2.1]}"}, ".inbound.networks[] pattern"),
    ],
)
def test_it_refuses_what_the_loader_refuses(changes: dict[str, str], fault: str) -> None:
    text = record(**changes)
    assert complaints(acme=text)
    assert fault in faults(SCHEMA, read(text))
