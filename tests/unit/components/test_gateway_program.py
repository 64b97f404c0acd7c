"""The whole gateway, declared from a config: the resources that Pulumi would create."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.components.gateway_parts import MANUAL, declared, inputs_of
from tests.unit.components.program import (
    ACCOUNT,
    ISSUED,
    KEYS,
    Program,
    Registered,
    texts,
)
from tests.unit.components.stack_config import EAB_SECRET, SECRETS
from tlsgate_pulumi.gateway import CAPABILITIES
from tlsgate_pulumi.inputs import Inputs

CONTAINERS = ("agent", "gateway", "notices", "policy", "policy-host", "resolver")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return inputs_of(tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="module")
def program(inputs: Inputs) -> Program:
    return declared(inputs)


@pytest.fixture(params=CONTAINERS)
def container(request: pytest.FixtureRequest, program: Program) -> Registered:
    return program.of_type("Container")[request.param]


def test_exactly_these_containers_run(program: Program) -> None:
    assert sorted(program.of_type("Container")) == sorted(CONTAINERS)


def test_a_container_has_least_privileges(container: Registered) -> None:
    made = container.inputs
    assert made["readOnly"] is True
    assert made["securityOpts"] == ["no-new-privileges:true"]
    assert made["capabilities"]["drops"] == ["ALL"]
    added = [f"CAP_{name}" for name in CAPABILITIES] if container.name == "gateway" else None
    assert made["capabilities"].get("adds") == added
    assert not made.keys() & {"privileged", "pidMode", "ipcMode", "devices", "uploads", "volumes"}
    assert not [text for text in texts(made) if "docker.sock" in text]
    assert {mount["type"] for mount in made["mounts"]} == {"volume"}


def test_a_container_has_limits_and_a_health_check(container: Registered) -> None:
    made = container.inputs
    assert 0 < made["memory"] == made["memorySwap"] <= 3072
    assert made["healthcheck"]["tests"][0] == "CMD"
    assert len(made["healthcheck"]["tests"]) > 1
    assert made["restart"] == "unless-stopped"
    assert made["wait"] is True


def test_outsiders_cannot_use_up_the_gateways_memory(program: Program) -> None:
    # Measured: an inbound session with its cleanup(8) takes 3.4 MB, a delivery under TLS 2.5 MB.
    inbound, outbound = 400 * 3.4, 450 * 2.5
    assert program.of_type("Container")["gateway"].inputs["memory"] * 1.048 > inbound + outbound


def test_a_container_has_labels_for_its_stack_and_role(container: Registered) -> None:
    labels = {label["label"]: label["value"] for label in container.inputs["labels"]}
    assert labels["tlsgate.stack"] == "test"
    assert labels["tlsgate.role"] == container.name
    assert container.inputs["name"] == f"tlsgate-test-{container.name}"


def test_a_container_runs_the_image_of_its_role_by_its_id(container: Registered) -> None:
    role = "postfix" if container.name == "gateway" else container.name
    assert container.inputs["image"] == f"sha256:{role}-image"


@pytest.mark.parametrize(
    ("role", "address"),
    [
        ("resolver", 2),
        ("gateway", 3),
        ("policy-host", 4),
        ("policy", 5),
        ("agent", 6),
        ("notices", 7),
    ],
)
def test_a_container_has_its_address_on_the_stacks_network(
    program: Program, role: str, address: int
) -> None:
    made = program.of_type("Container")[role].inputs
    network = {"name": "tlsgate-lab", "ipv4Address": f"172.31.26.{address}"}
    assert made["networksAdvanced"] == [network]


@pytest.mark.parametrize("role", ["gateway", "policy", "agent"])
def test_containers_that_look_up_names_use_the_validating_resolver(
    program: Program, role: str
) -> None:
    assert program.of_type("Container")[role].inputs["dns"] == ["172.31.26.2"]


def test_ports_are_published_where_the_config_says(program: Program) -> None:
    assert {
        (role, port["internal"], port["ip"], port["external"])
        for role, one in program.of_type("Container").items()
        for port in one.inputs.get("ports", ())
    } == {
        ("gateway", 25, "127.0.0.1", 10025),
        ("gateway", 2525, "0.0.0.0", 2525),  # noqa: S104 - the default
        ("policy-host", 443, "0.0.0.0", 443),  # noqa: S104
    }


MOUNTS = {
    "agent": {
        "/config": ("agent-config", True),
        "/acme": ("acme", False),
        "/keys/mx": ("mx-keys", False),
        "/keys/policy": ("policy-keys", False),
        "/challenge": ("challenge", False),
    },
    "gateway": {
        "/config": ("config", True),
        "/keys": ("mx-keys", True),
        "/var/spool/postfix": ("spool", False),
        "/var/lib/postfix": ("data", False),
    },
    "notices": {"/config": ("config", True)},
    "policy": {"/config": ("config", True), "/state": ("policy-state", False)},
    "policy-host": {
        "/config": ("policy-host-config", True),
        "/keys": ("policy-keys", True),
        "/challenge": ("challenge", True),
    },
    "resolver": {"/config": ("resolver-config", True)},
}


def test_a_container_has_these_volumes_and_writes_only_its_own(container: Registered) -> None:
    assert {
        mount["target"]: (mount["source"].removeprefix("tlsgate-test-"), mount["readOnly"])
        for mount in container.inputs["mounts"]
    } == MOUNTS[container.name]


@pytest.mark.parametrize(
    ("delete_data", "kept"),
    [(False, {"acme", "mx-keys", "policy-keys", "policy-state", "spool"}), (True, set())],
)
def test_mail_and_keys_are_not_deleted_by_accident(
    tmp_path: Path, delete_data: bool, kept: set[str]
) -> None:
    line = f"  tlsgate:deleteData: {str(delete_data).lower()}\n  tlsgate:tlsRpt:"
    program = declared(inputs_of(tmp_path, ("  tlsgate:tlsRpt:", line)))
    assert {name for name, one in program.of_type("Volume").items() if one.retained} == kept
    assert {one.type for one in program.registered if one.retained} <= {
        "docker:index/volume:Volume"
    }


def test_everything_on_the_engine_has_the_stacks_label(program: Program, tmp_path: Path) -> None:
    own_network = declared(inputs_of(tmp_path, ("    existing: tlsgate-lab\n", "")))
    for one in (*program.registered, *own_network.registered):
        if one.type in ("docker:index/volume:Volume", "docker:index/network:Network"):
            assert one.inputs["labels"] == [{"label": "tlsgate.stack", "value": "test"}]
        if one.type == "docker:index/remoteImage:RemoteImage":
            assert one.inputs["build"]["labels"] == {"tlsgate.stack": "test"}
        if one.type.endswith((":Job", ":Delivery", ":VolumeFiles")):
            assert one.inputs["labels"] == {"tlsgate.stack": "test"}


def test_a_stack_without_a_network_makes_one(tmp_path: Path, program: Program) -> None:
    assert program.of_type("Network") == {}
    own = declared(inputs_of(tmp_path, ("    existing: tlsgate-lab\n", "")))
    made = own.of_type("Network")["network"].inputs
    assert made["ipamConfigs"] == [{"subnet": "172.31.26.0/24"}]
    names = {one.inputs["networksAdvanced"][0]["name"] for one in own.of_type("Container").values()}
    assert names == {made["name"]} == {"tlsgate-test"}


ORDER = [
    # No order before the CA can validate.
    (("Job", "issue"), ("Container", "resolver")),
    (("Job", "issue"), ("Container", "policy-host")),
    (("Job", "issue"), ("DnsRecords", "addresses")),
    (("Job", "issue"), ("VolumeFiles", "agent-files")),
    (("Container", "policy-host"), ("Delivery", "policy-host-config")),
    (("Container", "resolver"), ("VolumeFiles", "resolver-files")),
    (("Container", "agent"), ("Job", "issue")),
    # The gateway starts with its certificate, its partners and its helpers.
    (("Container", "gateway"), ("Job", "issue")),
    (("Container", "gateway"), ("Delivery", "partner-list")),
    (("Container", "gateway"), ("Container", "policy")),
    (("Container", "gateway"), ("Container", "resolver")),
    (("Container", "gateway"), ("Container", "notices")),
    (("Container", "policy"), ("Delivery", "partner-list")),
    (("Container", "notices"), ("Delivery", "partner-list")),
    # DNS points to it only when it works; RFC 8461, section 3.3: the policy, then its id.
    (("DnsRecords", "mail-records"), ("Container", "gateway")),
    (("Job", "policy-served"), ("Job", "issue")),
    (("Job", "policy-served"), ("Delivery", "policy-host-config")),
    (("DnsRecords", "policy-ids"), ("Job", "policy-served")),
    (("DnsRecords", "policy-ids"), ("DnsRecords", "mail-records")),
]


@pytest.mark.parametrize(("later", "earlier"), ORDER, ids=lambda one: one[1])
def test_the_order_of_creation(
    program: Program, later: tuple[str, str], earlier: tuple[str, str]
) -> None:
    before = program.before(program.of_type(later[0])[later[1]])
    assert earlier in before
    assert later not in before


def test_jobs_run_again_when_their_triggers_change(program: Program) -> None:
    jobs = {name: one.inputs["triggers"] for name, one in program.of_type("Job").items()}
    delivery = program.of_type("Delivery")["policy-host-config"].inputs
    agent = program.of_type("VolumeFiles")["agent-files"].inputs
    assert jobs == {
        "issue": {"config": agent["digest"]},
        "policy-served": {"generation": delivery["generation"]},
    }


def test_records_are_split_by_when_they_may_go_live(program: Program) -> None:
    records = program.of_type("DnsRecords")
    kinds = {
        name: sorted({line.split()[3] for line in one.inputs["wanted"]})
        for name, one in records.items()
    }
    assert kinds == {
        "addresses": ["A", "CAA"],
        "mail-records": ["MX", "TXT"],
        "policy-ids": ["TXT"],
    }
    assert all("v=STSv1" in line for line in records["policy-ids"].inputs["wanted"])


def test_no_secret_reaches_the_engine(program: Program) -> None:
    text = "\n".join(text for one in program.registered for text in texts(one.inputs))
    assert "agent.key" in text  # the paths are there
    assert EAB_SECRET not in text
    assert not [secret for secret in SECRETS if secret in text]
    assert "PRIVATE KEY" not in text


def test_the_outputs_describe_the_stack(program: Program, inputs: Inputs) -> None:
    outputs = dict(program.outputs)
    records = outputs.pop("records")
    partners = outputs.pop("partners")
    delivery = program.of_type("Delivery")["partner-list"]
    assert outputs == {
        "hosts": ["mx1.corp.example"],
        "smtp": "127.0.0.1:10025",
        "policyUrls": [
            "https://mta-sts.corp.example/.well-known/mta-sts.txt",
            "https://mta-sts.brand.example/.well-known/mta-sts.txt",
        ],
        "policyId": "0123456789abcdef",
        "certificates": [{**one, "spki_sha256": KEYS[one["name"]]} for one in ISSUED],
        "acmeAccount": ACCOUNT,
        "generation": delivery.inputs["generation"],
    }
    assert partners["count"] == 0
    assert len(partners["digest"]) >= 16
    assert records == sorted(records)
    assert "corp.example. 60 IN MX 10 mx1.corp.example." in records
    assert "mta-sts.brand.example. 60 IN A 192.0.2.4" in records


def test_the_whole_program_runs_without_dynamic_dns(tmp_path: Path) -> None:
    program = declared(inputs_of(tmp_path, *MANUAL))
    assert program.of_type("DnsRecords")["addresses"].inputs["sink"] == "manual"
    assert program.of_type("VolumeFiles")["agent-files"].inputs["secrets"] == {}


@pytest.mark.parametrize("role", ["agent", "notices", "policy", "policy-host", "resolver"])
def test_an_image_runs_as_an_ordinary_user(role: str) -> None:
    lines = Path("images", role, "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER ")][-1] == "USER 10001:10001"
