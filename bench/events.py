"""What hints cost and give, through nginx and TLS. events.py visible PORT TOKEN CERTIFICATE TURNS: milliseconds from the moment a device sends a push to the moment
another one, which heard the hint, has the row: median and 95th percentile. events.py listeners PORT TOKEN CERTIFICATE COUNT PID: megabytes that nginx (its master's PID) takes
more with so many idle streams than without, and how many are open."""
import asyncio
import json
import ssl
import statistics
import sys
import time
import uuid

APP = "tunes"


class Link:
    """One connection for calls, kept."""

    async def open(self, port, context):
        self.reader, self.writer = await asyncio.open_connection("localhost", port, ssl=context)
        return self

    async def call(self, path, token, body):
        data = json.dumps(body).encode()
        self.writer.write(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")) if b"ontent-" in head and b"chunked" not in head.lower() else None
        text = await self.reader.readexactly(length) if length is not None else await self.chunks()
        assert head.split()[1][:1] == b"2", head + text[:300]
        return json.loads(text)

    async def chunks(self):
        text = b""
        while (n := int(await self.reader.readline(), 16)) > 0:
            text += await self.reader.readexactly(n)
            await self.reader.readline()
        await self.reader.readline()
        return text


async def listen(port, context, link, token):
    """A stream that is open: its first bytes have come."""
    ticket = (await link.call("/api/events/tickets", token, {"app": APP}))["ticket"]
    reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
    writer.write(f"GET /api/events?app={APP}&ticket={ticket} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.split()[1] == b"200", head
    return reader, writer


async def visible(port, token, certificate, turns):
    context = ssl.create_default_context(cafile=certificate)
    here, there = await Link().open(port, context), await Link().open(port, context)
    reader, writer = await listen(port, context, there, token)
    since, took = None, []
    since = (await there.call(f"/api/sync?app={APP}", token, {"lastSyncAt": since, "deviceId": "there"}))["timestamp"]
    for _ in range(turns):
        key = str(uuid.uuid4())
        row = {"table": "tune", "rowId": key, "data": {"id": key, "title": "Kesh"}, "deleted": False, "lastModifiedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        begun = time.monotonic()
        push = asyncio.ensure_future(here.call(f"/api/sync?app={APP}", token, {"changes": [row], "lastSyncAt": since, "deviceId": "here", "requestId": str(uuid.uuid4())}))
        while b'"here"' not in await reader.readline():
            pass
        answer = await there.call(f"/api/sync?app={APP}", token, {"lastSyncAt": since, "deviceId": "there"})
        took.append((time.monotonic() - begun) * 1000)
        assert [c["rowId"] for c in answer["changes"]] == [key], answer
        since = answer["timestamp"]
        await push
        await asyncio.sleep(0.02)
    writer.close()
    took.sort()
    print(f"{statistics.median(took):.1f} {took[len(took) * 95 // 100]:.1f}")


def memory(master):
    """Proportional set size of nginx and its workers, MB."""
    with open(f"/proc/{master}/task/{master}/children", encoding="ascii") as file:
        pids = [master, *file.read().split()]
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return total / 1024


async def listeners(port, token, certificate, count, master):
    context = ssl.create_default_context(cafile=certificate)
    before, streams, left = memory(master), [], iter(range(count))

    async def open_some():
        link = await Link().open(port, context)
        for _ in left:
            streams.append(await listen(port, context, link, token))
        link.writer.close()

    await asyncio.gather(*(open_some() for _ in range(16)))
    await asyncio.sleep(2)
    after = memory(master)
    still = sum(not reader.at_eof() for reader, _ in streams)
    print(f"{after - before:.0f} {still}")
    for _, writer in streams:
        writer.transport.abort()


def main():
    what, port, token, certificate, count, *more = sys.argv[1:]
    work = visible if what == "visible" else listeners
    asyncio.run(work(int(port), token, certificate, int(count), *more))


if __name__ == "__main__":
    main()
