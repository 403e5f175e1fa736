"""What a live request hears that is not on the tape: an error in the provider's own shape that no SDK retries.

A status of 400 ends the call in every SDK at once (openai, anthropic, google-genai and botocore retry 408, 409, 429
and 5xx only); `x-should-retry: false` says so in words to those that listen.
"""

from __future__ import annotations

import json

from playhead.core.boundary import REFUSED

STATUS = 400


def refusal(provider: str | None, klass: str, step: int | None, message: str) -> bytes:
    """A whole HTTP answer. `provider` is a provider's name or None for plain HTTP."""
    body = json.dumps(_body(provider, message), ensure_ascii=False).encode()
    extra = "x-amzn-errortype: ValidationException\r\n" if provider == "bedrock" else ""
    at = "" if step is None else f"; step={step}"
    return (
        f"HTTP/1.1 {STATUS} Bad Request\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        f"x-should-retry: false\r\n{REFUSED}: {klass}{at}\r\n{extra}\r\n"
    ).encode() + body


def _body(provider: str | None, message: str) -> dict[str, object]:
    if provider == "anthropic":
        return {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    if provider in ("gemini", "gemini-interactions"):
        return {"error": {"code": STATUS, "message": message, "status": "FAILED_PRECONDITION"}}
    if provider == "bedrock":
        return {"message": message}
    if provider == "ollama":
        return {"error": message}
    return {"error": {"message": message, "type": "playhead_divergence", "param": None, "code": "playhead_divergence"}}
