"""A client that sends a file in parts, and goes on where it stopped."""
import requests

CREATE = "/api/import/upload-url"


def begin(gate, data, name, token="admin", **fields):
    answer = gate.api("POST", CREATE, {"fileName": name, "fileSize": len(data), "parts": True, **fields}, token)
    assert answer.status_code == 200, f"expected an upload in parts, got {answer.status_code} {answer.text}"
    return answer.json()


def send(gate, upload, data, part, body=None):
    """PUTs one part; the bytes of the file unless others are given."""
    offset = (part["number"] - 1) * upload["partSize"]
    body = data[offset:offset + part["size"]] if body is None else body
    session = gate.session if part["uploadUrl"].startswith(gate.url) else requests
    return session.put(part["uploadUrl"], data=body, headers=upload["headers"], timeout=60)


def complete(gate, upload, token="admin"):
    return gate.api("POST", f"/api/import/uploads/{upload['uploadId']}/complete", token=token)


def abort(gate, upload, token="admin"):
    return gate.api("POST", f"/api/import/uploads/{upload['uploadId']}/abort", token=token)


def upload_in_parts(gate, data, name, token="admin", **fields):
    """The whole of it; the key of the object."""
    upload = begin(gate, data, name, token, **fields)
    for part in upload["parts"]:
        answer = send(gate, upload, data, part)
        assert answer.status_code == 200, f"expected part {part['number']} to be taken, got {answer.status_code} {answer.text}"
    answer = complete(gate, upload, token)
    assert answer.status_code == 200, f"expected 200, got {answer.status_code} {answer.text}"
    assert answer.json() == {"objectKey": upload["objectKey"], "r2Key": upload["objectKey"], "fileSize": len(data)}
    return upload["objectKey"]
