"""What happens inside a Python agent, together with what it sends over the wire."""

from tests.support.inside import Agent

ASK = """
    import json, os, sys, threading, time, urllib.request
    from playhead.capture.boundary.calls import call

    def ask(text):
        request = urllib.request.Request(os.environ["MODEL"] + "/v1/chat/completions", json.dumps({"model": "m", "messages": [
            {"role": "user", "content": text}]}).encode(), {"Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"]
    """
A_TOOL_THAT_ASKS = (
    ASK
    + """
    print(ask("first"), time.time())
    print(call("tool", "look_up", b"{}", lambda: ask("of the tool, process %d" % os.getpid())))
    print(ask("last"))
    """
)


def test_what_a_tool_asked_belongs_to_its_answer(env_with_model, server, tmp_path):
    """A tool that asks a model is answered as a whole: its own request, which differs at every run, is not expected."""
    agent = Agent(env_with_model, tmp_path, A_TOOL_THAT_ASKS)
    recorded = agent.record()
    assert recorded.summary["tool_calls"] == 1
    assert recorded.summary["llm_calls"] == 3
    before = server.hits
    replayed = agent.replay()
    assert replayed.stdout == recorded.stdout
    assert (replayed.returncode, replayed.summary["verdict"]) == (0, "identical"), replayed.stderr
    assert server.hits == before


def test_without_the_mark_it_would_be_missed(env_with_model, tmp_path):
    """The control: the same request outside of any call is expected, and its absence told."""
    outside = A_TOOL_THAT_ASKS.replace('call("tool", "look_up", b"{}", lambda: ', "(")
    agent = Agent(env_with_model, tmp_path, outside)
    agent.record()
    assert agent.replay().summary["verdict"] != "identical"


def test_threads_that_ask_the_same_get_their_own_answers_back(env_with_model, tmp_path):
    """Equal requests of several threads at once: the engine knows which is whose, and claims it."""
    code = (
        ASK
        + """
    answers = {}
    def work(number):
        answers[number] = [ask("the same") for _ in range(3)]
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    [t.start() for t in threads], [t.join() for t in threads]
    print(sorted(answers.items()))
    """
    )
    agent = Agent(env_with_model, tmp_path, code)
    recorded = agent.record()
    for _ in range(3):
        replayed = agent.replay()
        assert replayed.stdout == recorded.stdout
        assert replayed.summary["ambiguous"] == []
        assert replayed.summary["verdict"] == "identical", replayed.stderr
