"""Through a proxy of the user's: its tunnel is no exchange, what goes through it is, and a replay asks for neither."""

import asyncio
import urllib.request

import aiohttp
import httpx
import pytest
import requests

from tests.capture.boundary.transports.conftest import PATH, question
from tests.support.tunnel import Tunnel


@pytest.fixture
def proxy(server):
    """A proxy in front of the model server."""
    with Tunnel(server) as tunnel:
        yield tunnel


def by_httpx(url, proxy):
    """Sync."""
    with httpx.Client(proxy=proxy, verify=False) as client:
        return [client.post(url + PATH, json=question("x")).text for _ in range(2)]


def by_httpx_async(url, proxy):
    """A task."""

    async def main():
        async with httpx.AsyncClient(proxy=proxy, verify=False) as client:
            return [(await client.post(url + PATH, json=question("x"))).text for _ in range(2)]

    return asyncio.run(main())


def by_requests(url, proxy):
    """urllib3's own tunnel."""
    with requests.Session() as session:
        proxies = {"http": proxy, "https": proxy}
        return [session.post(url + PATH, json=question("x"), proxies=proxies, verify=False).text for _ in range(2)]


def by_aiohttp(url, proxy):
    """aiohttp's."""

    async def main():
        async with (
            aiohttp.ClientSession() as session,
            session.post(url + PATH, json=question("x"), proxy=proxy, ssl=False) as answer,
        ):
            return await answer.text()

    return asyncio.run(main())


@pytest.mark.parametrize("client", [by_httpx, by_httpx_async, by_requests, by_aiohttp])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_a_proxy_is_gone_through_and_not_asked_in_a_replay(client, scheme, server, proxy, carried, monkeypatch):
    """The exchanges are the server's, in origin form; the proxy hears nothing of the replay."""
    monkeypatch.setattr(urllib.request, "getproxies", dict)
    url = (server.url if scheme == "http" else server.tls_url).replace("127.0.0.1", "localhost")
    through = f"http://127.0.0.1:{proxy.port}"
    recorded = carried.record(lambda: client(url, through))
    assert proxy.ways() == {"absolute" if scheme == "http" else "connect"}
    asked = len(proxy.asked)
    assert carried.replay(lambda: client(url, through)) == recorded
    assert len(proxy.asked) == asked
    assert carried.done["divergences"] == []
    for exchange in carried.recording.exchanges:
        assert exchange.target.scheme == scheme
        assert exchange.target.host == "localhost"
        assert exchange.head.startswith(f"POST {PATH} ".encode())
