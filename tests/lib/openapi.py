"""Checks real answers against docs/openapi.yaml: path, status and body of every call that goes through Instance.api."""
import os
import re

import jsonschema
import yaml

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

with open(os.path.join(ROOT, "docs", "openapi.yaml"), encoding="utf-8") as file:
    DOCUMENT = yaml.safe_load(file)

PATHS = [(re.compile("^" + re.sub(r"\\{[A-Za-z]+\\}", "[^/]+", re.escape(path)) + "$"), path) for path in DOCUMENT["paths"]]


def resolve(node):
    while "$ref" in node:
        found = DOCUMENT
        for part in node["$ref"].lstrip("#/").split("/"):
            found = found[part]
        node = found
    return node


def check(method, target, status, content_type, body):
    """Raises AssertionError when the contract does not know this answer. body: parsed JSON, or None when it is not JSON."""
    path = target.split("?")[0]
    known = next((name for pattern, name in PATHS if pattern.match(path)), None)
    operation = DOCUMENT["paths"][known].get("get" if method == "HEAD" else method.lower()) if known else None
    if operation is None:
        assert status >= 400 or method == "OPTIONS", f"{method} {path} answered {status}, but docs/openapi.yaml does not know it"
        return
    response = operation["responses"].get(str(status), operation["responses"].get("default"))
    assert response is not None, f"{method} {path} answered {status}, which docs/openapi.yaml does not list"
    content = resolve(response).get("content")
    if not content or method == "HEAD":
        return
    media = (content_type or "").split(";")[0].strip()
    assert media in content, f"{method} {path} answered {media} with status {status}; docs/openapi.yaml lists {sorted(content)}"
    if body is not None:
        schema = dict(content[media]["schema"], components=DOCUMENT["components"])
        try:
            jsonschema.Draft202012Validator(schema).validate(body)
        except jsonschema.ValidationError as error:
            where = "/".join(str(part) for part in error.absolute_path)
            raise AssertionError(f"{method} {path} ({status}): {where or 'body'}: {error.message[:300]}") from None
