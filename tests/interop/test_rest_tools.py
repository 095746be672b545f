"""Tools that know the OpenAPI document alone: a linter, a typed client, requests by Postman; and contract tests."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import validators

from tests.faults.victim import Victim, running
from tests.interop.nodejs import installed

HERE = Path(__file__).parent / "rest"
EXAMPLES = Path(__file__).parents[2] / "examples"
PROBLEM = "application/problem+json"


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tools and what they are told."""
    return installed(HERE, tmp_path_factory.mktemp("rest") / "tools", seconds=110)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Victim]:
    """The shop of the quickstart, with five lamps."""
    system = Path(shutil.copy(EXAMPLES / "quickstart/orders.py", tmp_path))
    with running(system, tmp_path / "log") as victim:
        deliver(system, 5)
        yield victim


def deliver(system: Path, count: int) -> None:
    request = json.dumps({"article": "lamp", "count": count})
    command = [sys.executable, "-m", "meristem", "call", "--system", str(system), "stock.deliver", request]
    subprocess.run(command, cwd=system.parent, check=True, capture_output=True, timeout=60)


def openapi(folder: Path, *system: str) -> bytes:
    command = [sys.executable, "-m", "meristem", "contracts", "export", *system, "--openapi"]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60).stdout


def ran(tools: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(tools / "node_modules/.bin" / command[0]), *command[1:]],
        cwd=tools, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


@pytest.mark.xdist_group("rest-tools")  # they are installed once
@pytest.mark.parametrize(("example", "system"), [("hotels", ()), ("quickstart", ("orders.py",))])
def test_spectral_finds_nothing_on_the_examples(tools, example, system):
    (tools / "linted.json").write_bytes(openapi(EXAMPLES / example, *system))

    found = ran(tools, "spectral", "lint", "linted.json", "--fail-severity=hint")

    assert (found.returncode, found.stdout) == (0, "No results with a severity of 'hint' or higher found!\n")


@pytest.mark.xdist_group("rest-tools")
def test_the_events_are_a_document_by_asyncapis_own_schema(tools):
    command = [sys.executable, "-m", "meristem", "events", "asyncapi", "orders.py"]
    made = subprocess.run(command, cwd=EXAMPLES / "quickstart", check=True, capture_output=True, timeout=60).stdout
    assert json.loads(made)["operations"].keys() >= {
        f"{each}.shop.orders.v1.OrderPlaced" for each in ("send", "receive")
    }
    schema = json.loads((tools / "node_modules/@asyncapi/specs/schemas/3.0.0.json").read_text())
    validator = validators.validator_for(schema)(schema)
    assert list(validator.iter_errors(json.loads(made))) == []
    assert list(validator.iter_errors(json.loads(made.replace(b'"action": "send"', b'"action": "cry"'))))


@pytest.mark.xdist_group("rest-tools")
def test_a_typed_client_of_typescript_passes_the_type_checker_and_works(tools, shop):
    document = httpx.get(f"http://127.0.0.1:{shop.port}/api/openapi.json")
    (tools / "openapi.json").write_bytes(document.content)

    made = ran(tools, "openapi-ts")
    assert made.returncode == 0, made.stdout + made.stderr
    compiled = ran(tools, "tsc")
    assert compiled.returncode == 0, compiled.stdout
    used = subprocess.run(
        ["node", "built/shop.js", f"http://127.0.0.1:{shop.port}/api"],
        cwd=tools, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert used.stdout == "well\n", used.stderr


@pytest.mark.xdist_group("rest-tools")
def test_a_postman_collection_is_run_by_newman(tools, shop):
    """What the document gives examples of is sent as it is; of the order's number it can know none."""
    document = httpx.get(f"http://127.0.0.1:{shop.port}/api/openapi.json")
    (tools / "openapi.json").write_bytes(document.content)

    made = ran(
        tools, "openapi2postmanv2", "-s", "openapi.json", "-o", "shop.json", "-O", "parametersResolution=Example"
    )
    assert made.returncode == 0, made.stdout + made.stderr
    base = f"baseUrl=http://127.0.0.1:{shop.port}/api"
    ran(tools, "newman", "run", "shop.json", "--env-var", base, "-r", "json", "--reporter-json-export", "ran.json")

    report = json.loads((tools / "ran.json").read_text())["run"]
    answered = {each["item"]["name"]: each["response"]["code"] for each in report["executions"]}
    assert answered == {
        "How many there are.": 200,
        "Order articles: they are taken out of the stock, and the order is accepted.": 201,
        "An order that was accepted.": 404,
        "How many were ordered so far.": 200,
    }


def till(shop: str, count: int) -> dict[str, Any]:
    """The consumer: a program of another team, which reads two fields of the answer and of a refusal."""
    answer = httpx.post(f"{shop}/api/orders", json={"customer": "Ada", "article": "lamp", "count": count})
    read = answer.json()
    return {"order": read["order_id"]} if answer.status_code == 201 else {"left": read["left"], "fault": read["fault"]}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Pact leaves a socket of its own open
def test_a_consumers_contract_is_kept(shop, tmp_path, monkeypatch):
    monkeypatch.setenv("PACT_DO_NOT_TRACK", "true")
    pact = pytest.importorskip("pact", reason="pact-python is not installed")
    agreed = pact.Pact("till", "shop").with_specification("V4")
    order = {"customer": "Ada", "article": "lamp", "count": 2}
    asked = agreed.upon_receiving("an order").given("lamps", {"count": 5})
    asked.with_request("POST", "/api/orders").with_body(order, "application/json")
    asked.will_respond_with(201).with_body({"order_id": pact.match.uuid(), "count": 2}, "application/json")
    asked = agreed.upon_receiving("an order of too many").given("lamps", {"count": 1})
    asked.with_request("POST", "/api/orders").with_body(order, "application/json")
    refusal = {"fault": "OutOfStock", "left": pact.match.int(1)}
    asked.will_respond_with(409).with_body(refusal, PROBLEM)
    with agreed.serve() as stand_in:
        assert till(str(stand_in.url), 2).keys() == {"order"}
    agreed.write_file(tmp_path)

    def lamps(state: str, parameters: dict[str, Any], **_: Any) -> None:
        deliver(tmp_path / "orders.py", parameters["count"])

    verifier = pact.Verifier("shop", host="127.0.0.1").add_transport(url=f"http://127.0.0.1:{shop.port}")
    verifier.add_source(tmp_path / "till-shop.json").state_handler({"lamps": lamps}, teardown=False)
    verifier.verify()
