"""All pages of a device that has nothing yet, over one kept connection: first_sync.py PORT TOKEN CERTIFICATE; prints rows, and rows a second."""
import http.client
import json
import ssl
import sys
import time


def main():
    port, token, certificate = sys.argv[1:]
    link = http.client.HTTPSConnection("localhost", int(port), context=ssl.create_default_context(cafile=certificate))
    rows, cursor, begun = 0, None, time.monotonic()
    while True:
        body = {"changes": [], "lastSyncAt": None, "schemaVersion": 1, "deviceId": "first", "pageSize": 2000, **({"pullCursor": cursor} if cursor else {})}
        link.request("POST", "/api/sync?app=tunes", json.dumps(body), {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        answer = link.getresponse()
        text = answer.read()
        assert answer.status == 200, f"expected a page, got {answer.status} {text[:300]}"
        rows += text.count(b'"rowId"')
        cursor = json.loads(text[text.rindex(b'"nextCursor":') + 13:].split(b",", 1)[0])
        if not cursor:
            break
    print(rows, round(rows / (time.monotonic() - begun)))


if __name__ == "__main__":
    main()
