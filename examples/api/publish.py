"""Publishes a message and waits until it is stored, in Python without a library.

It repeats the message while the server cannot take it: with the same id it counts once.

    KEY=ph_… python3 examples/api/publish.py http://127.0.0.1:8080 orders:42 '{"state": "paid"}' payment-7
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

ATTEMPTS = 6
TIMEOUT = 40  # seconds


def publish(url, key, message):
    """Returns the server's answer: a dict with the seq of the message."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = json.dumps(message).encode()
    for attempt in range(ATTEMPTS):
        request = urllib.request.Request(f"{url}/api/v1/publish", body, headers)
        wait = 2**attempt
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            problem = json.load(error)
            failure = f"{error.code}: {problem['detail']}"
            if error.code not in (408, 429, 503):
                raise SystemExit(failure) from None
            wait = max(wait, int(error.headers.get("Retry-After", 0)))
        except OSError as error:  # no connection, or no answer in time
            failure = str(error)
        if attempt < ATTEMPTS - 1:
            time.sleep(wait)
    raise SystemExit(failure)


if __name__ == "__main__":
    url, room, data, message_id = sys.argv[1:]
    message = {"room": room, "data": json.loads(data), "id": message_id}
    print(json.dumps(publish(url, os.environ["KEY"], message)))
