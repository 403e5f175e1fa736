"""An agent whose every parameter stands in its source: a temperature, a seed, a date, an identifier, a tool."""

import httpx

BODY = {
    "model": "gpt-4o-mini",
    "temperature": 0.7,
    "seed": 7,
    "messages": [
        {"role": "system", "content": "Be brief. The contract was signed on 2031-05-04."},
        {"role": "user", "content": "Is ticket 0b5d2f3a-7c41-4e8e-9a57-3f1c2d4e5f60 still open?"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "look_up",
                "description": "Look a ticket up.",
                "parameters": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
            },
        }
    ],
    "metadata": {"due": "2031-06-01T12:00:00Z"},
}
answer = httpx.post("https://api.openai.com/v1/chat/completions?trace=1", json=BODY, headers={"OpenAI-Beta": "a=v1"})
print(answer.json()["choices"][0]["message"])
