"""The text-completion models inside Bedrock Invoke, on recorded bodies."""

from __future__ import annotations

import pytest

from tests.providers.traffic import answered, asked, recorded

_HOST = "bedrock-runtime.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("model", "text", "stop_reason", "counts"),
    [
        ("amazon.titan", "\nHello! I am a computer program designed to", "LENGTH", (5, 10)),
        ("cohere.command", " I would be more than happy to assist you with", "MAX_TOKENS", (5, 10)),
        ("cohere.command-r", "This is a test.<", "STOP_SEQUENCE", (5, 5)),
        ("meta.llama", " and you are a test subject. You are not", "length", (5, 10)),
        ("mistral.mistral", " to find out whether you think an animal is cute", "length", (6, 10)),
    ],
)
def test_recorded_completions(model: str, text: str, stop_reason: str, counts: tuple[int, int]) -> None:
    """Text, reason, and counts from the body or, where it has none, from the headers."""
    told = recorded(f"botocore-0.66b2/tests/cassettes/test_invoke_model_no_content[{model}].yaml[0]")
    assert (told.response.text, told.response.stop_reason) == (text, stop_reason)
    assert (told.response.usage.input_tokens, told.response.usage.output_tokens) == counts
    (message,) = told.request.messages
    assert message.content == [{"type": "text", "text": "Say this is a test"}]
    assert {"max_tokens", "temperature", "top_p"} <= told.request.params.keys()


def test_a_conversation_with_command_r() -> None:
    """Preamble and history come before the message."""
    _, request = asked(
        _HOST,
        "/model/cohere.command-r-v1%3A0/invoke",
        {
            "preamble": "Be brief.",
            "chat_history": [{"role": "USER", "message": "a"}, {"role": "CHATBOT", "message": "b"}],
            "message": "c",
        },
    )
    assert request.system == "Be brief."
    assert [(message.role, message.content[0]["text"]) for message in request.messages] == [
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
    ]


def test_alternative_generations_stay_apart() -> None:
    """The second generation is marked and is not in the text."""
    answer = answered(
        _HOST, "/model/cohere/invoke", {"generations": [{"text": "a", "finish_reason": "COMPLETE"}, {"text": "b"}]}
    )
    assert (answer.text, answer.content[1]) == ("a", {"type": "text", "text": "b", "choice": 1})
