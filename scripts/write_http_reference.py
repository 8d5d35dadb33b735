"""The page of the HTTP API, from its OpenAPI schema; a part of ``write_reference.py``."""

import re
from typing import Any

from markdown_parts import heading, table
from showtell.serving.api import build_app
from showtell.serving.settings import Serve


def http_page() -> str:
    """Return the page of the HTTP API, from its OpenAPI schema."""
    schema = build_app({}, Serve(runs=())).openapi()
    out = [
        "# HTTP API\n\nFrom the OpenAPI schema, which a server shows at `/openapi.json`. "
        "How to start one and let others in: [serving](../serving.md).\n"
    ]
    for path, methods in schema["paths"].items():
        for method, one in methods.items():
            out.append(f"## `{method.upper()} {path}`\n\n{one['summary']}. {one.get('description', '')}\n")
            rows = [
                (f"`{p['name']}`", f"`{shape(p['schema'])}`", p.get("description", ""))
                for p in one.get("parameters", ())
            ]
            out.append(table(("parameter", "type", "meaning"), rows))
            out.append(table(("status", "answer", "meaning"), answers(one["responses"])))
    for name, one in schema.get("components", {}).get("schemas", {}).items():
        rows = [
            (f"`{key}`", shape_link(value), value.get("description", ""))
            for key, value in one.get("properties", {}).items()
        ]
        said = f"{one.get('description', '')}\n\n{table(('field', 'type', 'meaning'), rows)}"
        out.append(heading(3, name, name, said))
    return "\n".join(out)


def answers(responses: dict[str, Any]) -> list[tuple[object, ...]]:
    """Return a row per status: the object that is answered, and what it means."""
    rows: list[tuple[object, ...]] = []
    for status, said in responses.items():
        bodies = [body.get("schema", {}) for body in said.get("content", {}).values()]
        meaning = said["description"].replace("Successful Response", "As asked for.")
        rows.append((status, shape_link(bodies[0]) if bodies else "", meaning))
    return rows


def shape(schema: dict[str, Any]) -> str:
    """Return a JSON schema in few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(shape(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        items = schema.get("items") or next(iter(schema.get("prefixItems", ())), {})
        return f"list of {shape(items)}"
    if "minimum" in schema and "maximum" in schema:
        return f"{schema['type']}, {schema['minimum']} to {schema['maximum']}"
    return str(schema.get("type", "any"))


def shape_link(schema: dict[str, Any]) -> str:
    """Return a JSON schema in few words, each object linked to its fields."""
    return re.sub(r"\b([A-Z]\w+)", r"[\1](#\1)", shape(schema))
