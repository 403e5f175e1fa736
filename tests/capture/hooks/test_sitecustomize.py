"""The Python site hook: clients that ignore proxy variables reach the engine, and nothing else changes."""

import os
import subprocess
import sys
import textwrap
import venv

import pytest

from playhead.capture.environment import HOOKS, RouteChoice

CLIENTS = {
    "http.client over TLS": """
        import http.client
        c = http.client.HTTPSConnection("api.openai.com")
        for _ in range(2):
            c.request("GET", "/x"); answer = c.getresponse(); answer.read(); c.close()
            print(answer.status)
        """,
    "http.client in plain text to this machine": """
        import http.client, os
        c = http.client.HTTPConnection("localhost", int(os.environ["PLAIN"]))
        for _ in range(2):
            c.request("POST", "/x", b"abc"); answer = c.getresponse(); answer.read()
            print(answer.status)
        c.close()
        """,
    "urllib with its proxies taken out": """
        import urllib.request
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(2):
            with opener.open("https://api.openai.com/x") as answer: print(answer.status)
        """,
    "requests without trust_env": """
        import os, requests
        with requests.Session() as session:
            session.trust_env = False
            for url in ("https://api.openai.com/x", f"http://localhost:{os.environ['PLAIN']}/x"):
                with session.get(url) as answer: print(answer.status_code)
        """,
    "urllib3 with certifi's roots, other ports, plain text": """
        import certifi, os, urllib3
        with urllib3.PoolManager(ca_certs=certifi.where()) as pool:
            for url in ("https://shop.example:8443/x", f"http://127.0.0.1:{os.environ['PLAIN']}/x"):
                print(pool.request("GET", url).status)
        """,
    "a urllib3 pool of one's own": """
        import urllib3
        with urllib3.HTTPSConnectionPool("api.openai.com") as pool:
            for _ in range(2): print(pool.request("GET", "/x").status)
        """,
    "httpx with a transport of one's own": """
        import httpx
        with httpx.Client(transport=httpx.HTTPTransport(retries=2)) as client:
            for _ in range(2): print(client.get("https://api.openai.com/x").status_code)
        """,
    "httpx2 with a transport of one's own": """
        import asyncio, httpx2
        async def main():
            async with httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(retries=2)) as client:
                for _ in range(2): print((await client.get("https://api.openai.com/x")).status_code)
        asyncio.run(main())
        """,
    "aiohttp as it comes": """
        import aiohttp, asyncio, os
        async def main():
            async with aiohttp.ClientSession() as session:
                for url in (f"http://localhost:{os.environ['PLAIN']}/x", "https://shop.example:8443/x"):
                    async with session.get(url) as answer: print(answer.status)
        asyncio.run(main())
        """,
}


@pytest.mark.parametrize("route", [RouteChoice.AUTO, RouteChoice.HOOK])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_that_ignores_proxy_variables_reaches_the_engine(child, server, tunnel, client, route):
    """Each asks twice; both questions come through the tunnel and both answers arrive."""
    before = server.hits
    assert child.python(textwrap.dedent(CLIENTS[client]), route=route) == "200\n200\n"
    assert server.hits == before + 2
    assert tunnel.asked


def test_without_the_hook_the_same_clients_pass_the_engine_by(child, server, tunnel):
    """The control: by proxy variables alone, plain urllib3 never comes through the tunnel."""
    code = "import os, urllib3; print(urllib3.request('GET', f\"http://127.0.0.1:{os.environ['PLAIN']}/x\").status)"
    assert child.python(code, route=RouteChoice.PROXY) == "200\n"
    assert tunnel.asked == []


def test_tunnels_name_their_route_and_the_request_stays_as_it_was(child, server, tunnel):
    """`Playhead-Route: hook` is on the CONNECT; the request inside has the Host of the real server and no header of ours."""
    child.python(textwrap.dedent(CLIENTS["http.client in plain text to this machine"]))
    assert tunnel.asked[-1].authority == f"localhost:{server.port}"
    assert b"Playhead-Route: hook" in tunnel.asked[-1].head
    head = server.log[-1].head
    assert f"Host: localhost:{server.port}".encode() in head
    assert b"playhead" not in head.lower()


def test_a_client_with_a_proxy_is_not_wrapped_twice(child, tunnel):
    """urllib3's ProxyManager on our proxy asks for the real host, once, and not for the engine itself."""
    code = "import os, urllib3; print(urllib3.ProxyManager(os.environ['HTTPS_PROXY']).request('GET', 'https://api.openai.com/x').status)"
    assert child.python(code) == "200\n"
    assert [(asked.way, asked.authority) for asked in tunnel.asked] == [("connect", "api.openai.com:443")]


def test_the_engine_itself_is_reached_directly(child, server, tunnel):
    """A base URL at the engine's own port is not sent through a tunnel to the engine."""
    code = f"import http.client; c = http.client.HTTPConnection('127.0.0.1', {tunnel.port}); c.request('GET', '/p/openai/x'); print(c.getresponse().read() != b''); c.close()"
    assert child.python(code) == "True\n"
    assert [asked.way for asked in tunnel.asked] == ["origin"]


def test_a_proxied_urllib3_connection_has_no_delay(child):
    """urllib3 turns Nagle's algorithm on for proxies, which costs 40 ms a POST; the hook turns it off again."""
    code = """
        import os, socket, urllib3
        pool = urllib3.ProxyManager(os.environ["HTTPS_PROXY"]).connection_from_url("https://api.openai.com/")
        connection = pool._get_conn()
        connection.set_tunnel("api.openai.com", 443)
        connection.connect()
        print(connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)
        connection.close()
        """
    assert child.python(textwrap.dedent(code)) == "True\n"


def test_aiohttp_keeps_unix_sockets_and_netrc_out_of_it(child, server, tmp_path):
    """A unix connector gets no proxy, and ~/.netrc is not read as it would be with trust_env."""
    (tmp_path / ".netrc").write_text("machine localhost login me password secret\n")
    code = """
        import aiohttp, asyncio, os
        from aiohttp import web
        async def main():
            async def answer(request): return web.Response(text=request.path)
            app = web.Application(); app.router.add_get("/x", answer)
            runner = web.AppRunner(app); await runner.setup(); await web.UnixSite(runner, "u.sock").start()
            async with aiohttp.ClientSession(connector=aiohttp.UnixConnector("u.sock")) as session:
                async with session.get("http://box/x") as answer: print(await answer.text())
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://localhost:{os.environ['PLAIN']}/x") as answer: print(answer.status)
            await runner.cleanup()
        asyncio.run(main())
        """
    assert child.python(textwrap.dedent(code)) == "/x\n200\n"
    assert server.log[-1].header("authorization") == ""


def test_mcp_servers_over_stdio_get_our_variables_back(child):
    """The MCP SDK gives its servers six variables; ours come with them, the user's other ones do not."""
    env = child.environment(SECRET_OF_THE_AGENT="x")
    code = "from mcp.client.stdio import get_default_environment as e; e = e(); print(e['HTTPS_PROXY'], e['PLAYHEAD_PORT'], 'HOME' in e, 'SECRET_OF_THE_AGENT' in e)"
    # `mcp` itself warns of deprecations on import: no -W error here.
    out = child(sys.executable, "-W", "ignore", "-c", code, env=env)
    assert out == f"{env['HTTPS_PROXY']} {env['PLAYHEAD_PORT']} True False\n"


def test_the_users_own_sitecustomize_and_usercustomize_still_run(child, tmp_path):
    """Python imports only the first sitecustomize it finds: ours hands over to the next, which takes its place."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "sitecustomize.py").write_text("import builtins; builtins.theirs = __file__\n")
    env = child.environment(PYTHONPATH=str(theirs))
    code = "import sys, builtins; print(builtins.theirs == sys.modules['sitecustomize'].__file__, any('hooks' in p for p in sys.path))"
    assert child.python(code, env=env) == "True False\n"
    base = tmp_path / "userbase"
    site = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    (base / site).mkdir(parents=True)
    (base / site / "usercustomize.py").write_text("import builtins; builtins.user = 1\n")
    env = child.environment(PYTHONUSERBASE=str(base))
    code = "import builtins, site; print(getattr(builtins, 'user', 0) == (1 if site.ENABLE_USER_SITE else 0))"
    assert child.python(code, env=env) == "True\n"


def test_an_error_in_the_users_sitecustomize_is_theirs_and_the_hook_still_works(child, tunnel, tmp_path):
    """Python reports it as it does without us, and clients are captured all the same."""
    (tmp_path / "sitecustomize.py").write_text("import no_such_module_anywhere\n")
    env = child.environment(PYTHONPATH=str(tmp_path))
    code = "import urllib3; print(urllib3.PoolManager().request('GET', 'https://api.openai.com/x').status)"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "200\n"
    assert "no_such_module_anywhere" in done.stderr
    assert tunnel.asked


def test_without_a_port_nothing_is_hooked(child):
    """A Python outside a recording that finds the folder on its path is left alone."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HOOKS / "python")}
    code = "import sys; print([type(f).__name__ for f in sys.meta_path if type(f).__name__ == 'Finder'], 'http.client' in sys.modules)"
    assert child.python(code, env=env) == "[] False\n"


def test_the_hook_imports_no_client_and_little_else(child):
    """What the hook brings into a bare Python: no client, no typing, no pathlib."""
    code = "import sys; print(sorted(sys.modules))"
    bare = child.python(code, env={"PATH": os.environ["PATH"]})
    hooked = child.python(code)
    assert set(eval(hooked)) - set(eval(bare)) <= {"__future__", "sitecustomize"}


def test_modules_venvs_and_pytest_run_as_before(child, tmp_path):
    """`python -m`, a venv's Python and pytest inside the recording work, hooked."""
    assert "usage" in child(sys.executable, "-m", "json.tool", "--help").lower()
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    code = "import sys; print(sys.prefix != sys.base_prefix, type(sys.meta_path[0]).__name__)"
    assert child(str(tmp_path / "env" / "bin" / "python"), "-c", code) == "True Finder\n"
    test = tmp_path / "test_inside.py"
    test.write_text(
        "import urllib3\ndef test_x():\n    assert urllib3.PoolManager().request('GET', 'https://api.openai.com/x').status == 200\n"
    )
    out = child(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(test))
    assert "1 passed" in out


def test_isolated_python_is_not_hooked(child):
    """`python -I` reads neither PYTHONPATH nor the hook: the limit that is reported elsewhere."""
    assert child(sys.executable, "-I", "-c", "import sys; print(type(sys.meta_path[0]).__name__)") != "Finder\n"


def test_a_library_of_an_unknown_shape_works_unrecorded(child, tmp_path):
    """A module named like a client without what we patch is imported as if we were not there."""
    (tmp_path / "urllib3").mkdir()
    (tmp_path / "urllib3" / "__init__.py").touch()
    (tmp_path / "urllib3" / "connection.py").write_text("x = 1\n")
    env = child.environment(PYTHONPATH=str(tmp_path))
    assert child.python("import urllib3.connection as c; print(c.x)", env=env) == "1\n"
