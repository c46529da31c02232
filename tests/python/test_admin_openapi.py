"""The OpenAPI document is a sound one, and the live API is what it says: schemathesis makes up calls
from it, good and bad ones, a bounded number for each operation, always the same."""

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.generation import GenerationMode

from gateway import ADMIN_KEY, Gateway

EXAMPLES = 6
# What would end the test's own rights, or reaches out of this machine.
LEFT_OUT = ("/api/auth/login", "/api/auth/logout", "/api/admin/backup",
            "/api/admin/provider-keys/{id}/test", "/api/admin/vault/rotate-master")
HEADERS = {"Authorization": f"Bearer {ADMIN_KEY}"}


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    g = Gateway(tmp_path_factory.mktemp("openapi"), {"SMARTFLOW_DEMO": "true"})
    yield g
    g.stop()


@pytest.fixture(scope="module")
def document(live):
    status, text = live.get("/api/openapi.json", HEADERS)
    assert status == 200
    return json.loads(text)


def operations(live, document):
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=live.management)
    return [r.ok() for r in schema.exclude(path=list(LEFT_OUT)).get_all_operations()]


def checks():
    load_all_checks()
    return [CHECKS.get_one(name) for name in (
        "not_a_server_error", "status_code_conformance", "content_type_conformance",
        "response_headers_conformance", "response_schema_conformance", "negative_data_rejection")]


def run_cases(operation, mode, wanted):
    """Calls that the operation allows (positive) or does not (negative), each checked."""

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
              phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case):
        reply = case.call(headers=HEADERS, timeout=30)
        case.validate_response(reply, checks=wanted, headers=HEADERS)

    run()


def test_the_document_is_valid(document):
    OpenAPIV31SpecValidator(document).validate()
    ids = [op["operationId"] for path in document["paths"].values() for op in path.values()]
    assert len(ids) == len(set(ids)) and len(ids) > 60


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE],
                         ids=["good", "bad"])
def test_the_api_is_what_it_says(live, document, mode):
    wanted, wrong, ran = checks(), [], 0
    for operation in operations(live, document):
        try:
            run_cases(operation, mode, wanted)
            ran += 1
        except Unsatisfiable:  # nothing can be wrong about it
            continue
        except Exception as e:  # noqa: BLE001 - all that is wrong is told at the end
            inner = getattr(e, "exceptions", [e])[0]  # of a group: the first
            wrong.append(f"{operation.label}: {type(inner).__name__}: {inner}")
    assert not wrong, f"{len(wrong)} operations\n\n" + "\n\n".join(w[:1500] for w in wrong)
    assert ran > 20
