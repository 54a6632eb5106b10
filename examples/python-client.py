"""A chat client of the protocol in PROTOCOL.md, in Python without a library.

It prints the messages of a room, sends each line of its input, and after a lost connection resumes
where it was. At the end of the input it waits until its messages are stored, and exits. A token is
read from the environment variable TOKEN.

    python3 examples/python-client.py ws://127.0.0.1:8080/ws lobby ada
"""

import asyncio
import base64
import hashlib
import json
import os
import random
import struct
import sys
import threading
import time
import urllib.parse
import uuid
from collections import deque

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
PONG_TIMEOUT = 10  # seconds
STABLE_AFTER = 5  # seconds


class Closed(Exception):
    """The connection is closed. The code is 1005 for an empty close frame, 1006 for none."""

    def __init__(self, code, reason=""):
        super().__init__(f"closed with {code} {reason}".rstrip())
        self.code = code


class WebSocket:
    """The client's side of RFC 6455."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.opened_at = self.received_at = time.monotonic()
        self.closing = False

    @classmethod
    async def open(cls, url):
        secure = url.scheme == "wss"
        port = url.port or (443 if secure else 80)
        reader, writer = await asyncio.open_connection(url.hostname, port, ssl=secure or None)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {url.path}?{url.query} HTTP/1.1", f"Host: {url.netloc}"]
        lines += ["Connection: Upgrade", "Upgrade: websocket"]
        lines += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"]
        lines += ["Sec-WebSocket-Protocol: pumphouse.v1"]
        if "TOKEN" in os.environ:
            lines += [f"Authorization: Bearer {os.environ['TOKEN']}"]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status = int(head.split(" ", 2)[1])
        if status in (429, 503):
            raise ConnectionError(f"the server is busy: HTTP {status}")
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        if status != 101 or accept not in head:
            sys.exit(f"the server rejected the handshake: HTTP {status}")
        return cls(reader, writer)

    def send(self, payload, opcode=TEXT):
        if self.closing:
            return
        self.closing = opcode == CLOSE
        size = len(payload)
        length = bytes([size | 0x80]) if size < 126 else struct.pack("!BH", 126 | 0x80, size)
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.writer.write(bytes([0x80 | opcode]) + length + mask + masked)

    async def messages(self):
        """Yields the message in each line of each text frame, until it raises Closed."""
        text = b""
        try:
            while True:
                first, second = await self.reader.readexactly(2)
                size = second & 127
                if size > 125:
                    length = await self.reader.readexactly(2 if size == 126 else 8)
                    size = int.from_bytes(length, "big")
                payload = await self.reader.readexactly(size)
                self.received_at = time.monotonic()
                opcode = first & 15
                if opcode == PING:
                    self.send(payload, PONG)
                elif opcode == CLOSE:
                    self.send(payload[:2], CLOSE)
                    code = int.from_bytes(payload[:2], "big") if payload else 1005
                    raise Closed(code, payload[2:].decode())
                elif opcode <= TEXT:
                    text += payload
                    if first & 0x80:  # the last fragment
                        for line in text.decode().split("\n"):
                            yield json.loads(line)
                        text = b""
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Closed(1006) from error


class Client:
    """A client of one room. It sends one message at a time, so that retries keep their order."""

    def __init__(self, url, room, user):
        self.url, self.room, self.query = url, room, {"user": user}
        self.place = None  # the last message received
        self.outbox = deque()  # the messages that are not stored yet
        self.input_ended = self.joined = False
        self.drain_delay = None  # seconds
        self.socket, self.tasks = None, []

    def add(self, line):
        self.outbox.append({"id": uuid.uuid4().hex, "data": {"text": line.rstrip("\n")}})
        if len(self.outbox) == 1:
            self.send_next()

    def end_input(self):
        self.input_ended = True
        if not self.outbox:
            self.send_next()

    def send(self, t, **fields):
        self.socket.send(json.dumps({"t": t, **fields}).encode())

    def send_next(self):
        if self.joined and self.outbox:
            self.send("send", room=self.room, **self.outbox[0])
        elif self.joined and self.input_ended:
            self.socket.send(struct.pack("!H", 1000), CLOSE)

    def join(self):
        start = {"since": self.place} if self.place else {"history": 20}
        self.send("join", room=self.room, **start)

    def receive(self, message):
        t = message["t"]
        if t == "welcome":
            self.query["resume"] = message["resume"]
            self.start(self.watch(message["heartbeat"]))
            self.join()
        elif t == "joined":
            self.joined = True
            if lost := message.get("lost"):  # the store has lost messages that may be printed above
                print(f"lost {lost['from']} to {lost['to']}", flush=True)
            self.place = {"epoch": message["epoch"], "seq": message["seq"]}
            self.send_next()
        elif t == "message":
            self.place["seq"] = message["seq"]
            print(message["seq"], message["from"], json.dumps(message["data"]), flush=True)
        elif t == "gap":
            self.place["seq"] = max(self.place["seq"], message["to"])
            print(f"missing {message['from']} to {message['to']}: {message['why']}", flush=True)
        elif t == "sent":
            self.remove(message["id"])
        elif t == "error":
            self.receive_error(message)
        elif t == "drain":
            self.drain_delay = message["reconnectIn"] / 1000

    def receive_error(self, error):
        print(f"{error['code']}: {error['message']}", file=sys.stderr)
        if error["retry"]:
            self.start(self.retry_after(error["retryAfter"] / 1000))
        elif self.joined:
            self.remove(error.get("id"))
        else:
            sys.exit("the server rejected the join")

    def remove(self, message_id):
        if self.outbox and self.outbox[0]["id"] == message_id:
            self.outbox.popleft()
            self.send_next()

    async def retry_after(self, seconds):
        await asyncio.sleep(seconds)
        self.send_next() if self.joined else self.join()

    async def watch(self, heartbeat):
        """Pings a silent server, and ends the connection if it does not answer."""
        while (silence := time.monotonic() - self.socket.received_at) < heartbeat + PONG_TIMEOUT:
            if silence >= heartbeat:
                self.send("ping")
            await asyncio.sleep(PONG_TIMEOUT if silence >= heartbeat else heartbeat - silence)
        self.socket.writer.transport.abort()

    def start(self, coroutine):
        self.tasks.append(asyncio.create_task(coroutine))

    async def run(self):
        attempts = 0
        while True:
            try:
                url = self.url._replace(query=urllib.parse.urlencode(self.query))
                self.socket = await WebSocket.open(url)
                async for message in self.socket.messages():
                    self.receive(message)
            except (Closed, OSError, asyncio.IncompleteReadError) as error:
                code = getattr(error, "code", 1006)
                if code == 1000 and self.input_ended:
                    return
                print(error, file=sys.stderr)
                if not (code in (1001, 1005, 1006, 1011, 1012, 1013) or 4000 <= code < 4500):
                    sys.exit(1)
            for task in self.tasks:
                task.cancel()
            self.joined, self.tasks = False, []
            if self.socket and time.monotonic() - self.socket.opened_at > STABLE_AFTER:
                attempts = 0
            delay = random.random() * min(20, 0.5 * 2**attempts)
            await asyncio.sleep(delay if self.drain_delay is None else self.drain_delay)
            self.drain_delay = None
            attempts += 1


async def main(url, room, user):
    client = Client(urllib.parse.urlsplit(url), room, user)
    loop = asyncio.get_running_loop()

    def read_input():
        for line in sys.stdin:
            loop.call_soon_threadsafe(client.add, line)
        loop.call_soon_threadsafe(client.end_input)

    threading.Thread(target=read_input, daemon=True).start()
    await client.run()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python-client.py URL ROOM USER")
    asyncio.run(main(*sys.argv[1:]))
