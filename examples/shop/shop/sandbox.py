"""Answers in place of the payment provider and the supplier, for development."""

import json
from uuid import uuid4

import httpx

LARGEST_PAYMENT = 500_000


def _answer(request: httpx.Request) -> httpx.Response:
    data = json.loads(request.content or b"{}")
    if request.url.path == "/charges":
        accepted = data["amount"] <= LARGEST_PAYMENT
        return httpx.Response(200, json={"accepted": accepted, "reference": uuid4().hex})
    return httpx.Response(200, json={"available": 50})


transport = httpx.MockTransport(_answer)
