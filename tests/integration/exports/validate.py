"""What other people's validators say of an export; runs in their environment, without a module of ours.

    python validate.py FORMAT FOLDER [SHAPES...]

prints a JSON object: ``problems``, one line each, and ``facts``, what the validator read.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import sys
import types
from pathlib import Path


def odcs(folder):
    import jsonschema
    import open_data_contract_standard
    import yaml
    from open_data_contract_standard.model import OpenDataContractStandard

    schema = next(Path(open_data_contract_standard.__file__).parent.rglob("schema.json"))
    check = jsonschema.validators.validator_for(rules := json.loads(schema.read_text()))(rules)
    problems, facts = [], {}
    for path in sorted(folder.glob("*.odcs.yaml")):
        document = yaml.safe_load(path.read_text())
        problems += [f"{path.name} {e.json_path}: {e.message[:200]}" for e in check.iter_errors(document)]
        read = OpenDataContractStandard.from_file(str(path))
        facts[document["name"]] = [p.name for p in read.schema_[0].properties or ()]
    return problems, facts


def croissant(folder):
    import mlcroissant

    problems, facts = [], {}
    for path in sorted(folder.glob("*.croissant.json")):
        try:
            dataset = mlcroissant.Dataset(jsonld=str(path))
        except mlcroissant.ValidationError as err:
            problems.append(f"{path.name}: {str(err)[:2000]}")
            continue
        issues = dataset.metadata.ctx.issues
        problems += [f"{path.name}: {one}" for one in (*issues.errors, *issues.warnings)]
        rows = None
        if "isLiveDataset" not in json.loads(path.read_text()):
            try:
                rows = sum(1 for _ in dataset.records("records"))
            except Exception as err:  # noqa: BLE001 - whatever a reader stumbles over is a problem of the document
                problems.append(f"{path.name}: its rows do not read: {err!r}"[:2000])
        facts[dataset.metadata.name] = {"fields": len(dataset.metadata.record_sets[0].fields), "rows": rows}
    return problems, facts


def dcat(folder, *shapes):
    from pyshacl import validate
    from rdflib import RDF, Graph, Namespace

    data = Graph().parse(folder / "catalog.jsonld", format="json-ld")
    rules = Graph()
    for path in shapes:
        rules.parse(path, format="turtle")
    fits, _, text = validate(data, shacl_graph=rules, advanced=False, inference="none", allow_warnings=False)
    dcat = Namespace("http://www.w3.org/ns/dcat#")
    found = set(data.subjects(RDF.type, dcat.Distribution))
    facts = {
        "distributions": len(found),
        "triples": len(data),
        "turtle": len(data.serialize(format="turtle")),
    }
    return ([] if fits else [text[:4000]]), facts


def frictionless(folder):
    from frictionless import FrictionlessException, Package, validate

    path = folder / "datapackage.json"
    descriptor = json.loads(path.read_text())
    try:
        package = Package.from_descriptor(descriptor, basepath=str(folder))
    except FrictionlessException as err:
        return [str(e.note) for e in (err.error, *err.reasons)], {}
    problems, facts = [], {}
    beside = all(r.get("format") == "csv" for r in descriptor["resources"])
    if beside:
        report = validate(str(path))
        problems += [f"{t.name}: {e.message}" for t in report.tasks for e in t.errors] + [
            e.message for e in report.errors
        ]
    for resource in package.resources:
        facts[resource.title] = {"fields": len(resource.schema.fields)}
        if beside:
            facts[resource.title]["rows"] = len(resource.read_rows())
    return problems, facts


def datahub(folder):
    from datahub.ingestion.source.file import read_metadata_file
    from datahub.metadata.schema_classes import ASPECT_NAME_MAP
    from datahub.metadata.urns import Urn

    problems, facts = [], {}
    for proposal in read_metadata_file(folder / "datahub.json"):
        name = proposal.aspectName
        if proposal.aspect is None or not isinstance(proposal.aspect, ASPECT_NAME_MAP[name]):
            problems.append(f"{proposal.entityUrn}: {name} is no aspect")
            continue
        if not proposal.validate():
            problems.append(f"{proposal.entityUrn}: {name} does not hold its schema")
        if str(Urn.from_string(proposal.entityUrn)) != proposal.entityUrn:
            problems.append(f"{proposal.entityUrn} is spelled otherwise")
        facts[name] = facts.get(name, 0) + 1
        facts.setdefault("urns", {})[proposal.entityUrn] = None
        if name == "upstreamLineage":
            facts["fine"] = facts.get("fine", 0) + len(proposal.aspect.fineGrainedLineages or ())
    facts["urns"] = sorted(facts.get("urns", ()))
    return problems, facts


def datahub_requests(folder):
    from datahub.metadata.schema_classes import ASPECT_NAME_MAP, MetadataChangeProposalClass

    problems = []
    for request in json.loads((folder / "requests.json").read_text()):
        proposal = request["body"]["proposal"]
        raw = dict(proposal)
        aspect = raw.pop("aspect")
        whole = MetadataChangeProposalClass.from_obj({**raw, "aspect": {**aspect, "value": aspect["value"]}})
        body = ASPECT_NAME_MAP[proposal["aspectName"]].from_obj(json.loads(aspect["value"]), tuples=False)
        if not (whole.validate() and body.validate()):
            problems.append(f"{request['item']} does not hold its schema")
    return problems, {}


_OM = {
    "services/databaseServices": ("api.services.createDatabaseService", "CreateDatabaseServiceRequest"),
    "services/mlmodelServices": ("api.services.createMlModelService", "CreateMlModelServiceRequest"),
    "databases": ("api.data.createDatabase", "CreateDatabaseRequest"),
    "databaseSchemas": ("api.data.createDatabaseSchema", "CreateDatabaseSchemaRequest"),
    "tables": ("api.data.createTable", "CreateTableRequest"),
    "mlmodels": ("api.data.createMlModel", "CreateMlModelRequest"),
    "lineage": ("api.lineage.addLineage", "AddLineageRequest"),
    "classifications": ("api.classification.createClassification", "CreateClassificationRequest"),
    "tags": ("api.classification.createTag", "CreateTagRequest"),
    "glossaries": ("api.data.createGlossary", "CreateGlossaryRequest"),
    "glossaryTerms": ("api.data.createGlossaryTerm", "CreateGlossaryTermRequest"),
    "domains": ("api.domains.createDomain", "CreateDomainRequest"),
}


def openmetadata(folder):
    from pydantic import ValidationError

    # Importing the package itself would bring the whole ingestion framework; its models are all that is asked.
    root = next(Path(p) / "metadata" for p in sys.path if (Path(p) / "metadata/generated").is_dir())
    package = types.ModuleType("metadata")
    package.__path__ = [str(root)]
    sys.modules["metadata"] = package
    problems, facts = [], {}
    for request in _requests(folder, "openmetadata.json"):
        what = request["path"].removeprefix("/api/v1/")
        module, name = _OM[what]
        model = getattr(importlib.import_module(f"metadata.generated.schema.{module}"), name)
        body = request["body"]
        if what == "lineage":
            for end in (body["edge"]["fromEntity"], body["edge"]["toEntity"]):
                if isinstance(end["id"], dict):
                    end["id"] = "0b0b7d6a-0f6f-4a3e-8b69-0d4c3a1c9f00"
        try:
            model.model_validate(body)
        except ValidationError as err:
            problems.append(f"{request['item']}: {err}"[:1000])
        if request["method"] != "PUT":
            problems.append(f"{request['item']} is not put")
        facts[what] = facts.get(what, 0) + 1
    return problems, facts


_UC = {
    ("POST", "catalogs"): ("create_catalog", "CreateCatalog"),
    ("POST", "schemas"): ("create_schema", "CreateSchema"),
    ("POST", "tables"): ("create_table", "CreateTable"),
    ("POST", "models"): ("create_registered_model", "CreateRegisteredModel"),
    ("POST", "models/versions"): ("create_model_version", "CreateModelVersion"),
    ("PATCH", "catalogs"): ("update_catalog", "UpdateCatalog"),
    ("PATCH", "models"): ("update_registered_model", "UpdateRegisteredModel"),
}


def unity(folder):
    from pydantic import ValidationError

    problems, facts = [], {}

    def check(item, method, path, body):
        words = path.removeprefix("/api/2.1/unity-catalog/").split("/")
        kind = "/".join(words) if method == "POST" else words[0]
        if words[-1] == "finalize":
            module, name = "finalize_model_version", "FinalizeModelVersion"
            body = body | {"version": 1 if body["version"] == "{version}" else body["version"]}
        else:
            module, name = _UC[method, kind]
        model = getattr(importlib.import_module(f"unitycatalog.client.models.{module}"), name)
        try:
            made = model.from_dict(body)
        except ValidationError as err:
            problems.append(f"{item}: {err}"[:1000])
            return
        if unknown := set(body) - set(made.to_dict()):
            problems.append(f"{item}: {sorted(unknown)} are no fields of {name}")
        for column in body.get("columns", ()):
            if json.loads(column["type_json"])["name"] != column["name"]:
                problems.append(f"{item}: column {column['name']!r} is told twice")
        if any(sign in body.get("name", "x") for sign in "./ ") or not 0 < len(body.get("name", "x")) <= 255:
            problems.append(f"{item}: {body['name']!r} is no name there")
        facts[kind] = facts.get(kind, 0) + 1

    for request in _requests(folder, "unity.json"):
        check(request["item"], request["method"], request["path"], request["body"])
        for name in ("update", "then"):
            if step := request.get(name):
                check(request["item"], step["method"], step["path"], step["body"])
    return problems, facts


def _requests(folder, name):
    sent = folder / "requests.json"
    return json.loads((sent if sent.exists() else folder / name).read_text())


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        problems, facts = globals()[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
    print(json.dumps({"problems": problems, "facts": facts}))
