"""`@playhead.tool` together with frameworks' own decorators, above and below them."""

import pytest

import playhead

RAN = []


@pytest.fixture(autouse=True)
def nothing_has_run():
    RAN.clear()


def weather(city: str, days: int = 1) -> str:
    """Tells the weather."""
    RAN.append(city)
    return f"{city} {days} {len(RAN)}"


@pytest.mark.parametrize("order", ["below", "above"])
def test_langchain_tools(tapes, order):
    """Schema and description are the function's, and it runs once."""
    langchain = pytest.importorskip("langchain_core.tools")
    made = langchain.tool(playhead.tool(weather)) if order == "below" else playhead.tool(langchain.tool(weather))
    assert made.name == "weather"
    assert set(made.args) == {"city", "days"}
    assert made.description == "Tells the weather."

    def agent():
        return made.invoke({"city": "Paris"}), made.invoke({"city": "Paris", "days": 2})

    first = tapes.record(agent)
    assert first == ("Paris 1 1", "Paris 2 2")
    assert tapes.replay(agent) == first
    assert RAN == ["Paris", "Paris"]
    assert [call.name for call in tapes.recorded()] == ["weather", "weather"]


def test_tool_objects_that_hold_their_function(tapes):
    """As CrewAI's and Pydantic-AI's do: in an attribute, and in the schema that calls it."""

    class Schema:
        def __init__(self, function):
            self.function = function

    class Tool:
        def __init__(self, function):
            self.function = function
            self.function_schema = Schema(function)

    held = playhead.tool(
        Tool(weather),
    )
    assert isinstance(held, Tool)

    def agent():
        return held.function_schema.function("Rome"), held.function("Oslo")

    first = tapes.record(agent)
    assert tapes.replay(agent) == first
    assert RAN == ["Rome", "Oslo"]
