"""Official SDKs before the gateway, which runs with its demo provider.

Each SDK has a synchronous and an asynchronous client. A test is written once, in the synchronous
form, and runs with both: Blocking drives an asynchronous client on the session's loop, one await at a
time, without touching it.
"""

import inspect
import json

import anthropic
import openai
import pytest
from google import genai

from gateway import KEY, Gateway

LIMITED_KEY = "sk-sf-limited-0123456789abcdef"
REVOKED_KEY = "sk-sf-revoked-0123456789abcdef"
PIXEL = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
         "gg==")
CONFIG = {"virtual_keys": [
    {"name": "limited", "key": LIMITED_KEY, "model_allowlist": ["gpt-4o", "claude-haiku-*", "gemini-2.5-pro"]},
    {"name": "revoked", "key": REVOKED_KEY, "is_active": False}]}

ASYNC_ALONE = pytest.mark.parametrize("asynchronous", ["async"], indirect=True)  # what needs tasks


class Blocking:
    """A synchronous view of an object of an asynchronous client."""

    def __init__(self, run, thing):
        self._run, self._thing = run, thing

    def _wrap(self, value):
        if inspect.isawaitable(value):
            return self._wrap(self._run(settle(value)))
        asynchronous = any(hasattr(value, x) for x in ("__aiter__", "__aenter__"))
        if asynchronous or (not isinstance(value, type) and (
                callable(value) or type(value).__name__.startswith("Async"))):
            return Blocking(self._run, value)
        return value

    def __getattr__(self, name):
        return self._wrap(getattr(self._thing, name))

    def __call__(self, *args, **named):
        return self._wrap(self._thing(*args, **named))

    def __iter__(self):
        items = self._thing.__aiter__()
        while True:
            try:
                item = self._run(settle(items.__anext__()))
            except StopAsyncIteration:
                return
            yield self._wrap(item)

    def __enter__(self):
        return self._wrap(self._run(self._thing.__aenter__()))

    def __exit__(self, *why):
        return self._run(self._thing.__aexit__(*why))


async def settle(awaitable):
    return await awaitable


class Sdk:
    """Makes clients of one SDK in one of its two forms, and closes them."""

    def __init__(self, run, forms, url, defaults):
        self.run, self.forms, self.url, self.defaults, self.made = run, forms, url, defaults, []

    def form(self, asynchronous):
        self.asynchronous = asynchronous
        return self

    def __call__(self, base="", **named):
        named = self.defaults(self.url + base) | named
        client = self.forms[self.asynchronous](**named)
        self.made.append(client)
        return Blocking(self.run, client) if self.asynchronous else client

    def close(self):
        for client in self.made:
            self.run(client.close()) if inspect.iscoroutinefunction(client.close) else client.close()


def openai_at(url):
    return {"base_url": url, "api_key": KEY, "max_retries": 0, "timeout": 20}


anthropic_at = openai_at


def gemini_at(url):
    return {"api_key": KEY, "http_options": {"base_url": url, "timeout": 20000}}


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """A gateway with the demo provider alone."""
    folder = tmp_path_factory.mktemp("demo")
    config = folder / "smartflow.yaml"
    config.write_text(json.dumps(CONFIG), encoding="utf-8")
    g = Gateway(folder, {"SMARTFLOW_DEMO": "true"}, config=config)
    yield g
    g.stop()


@pytest.fixture(params=["sync", "async"])
def asynchronous(request):
    return request.param == "async"


def sdk(run, url, asynchronous, forms, defaults):
    made = Sdk(run, forms, url, defaults).form(asynchronous)
    yield made
    made.close()


@pytest.fixture
def make_gpt(run, demo, asynchronous):
    """Makes OpenAI clients; the argument follows the gateway's address in the base URL."""
    yield from sdk(run, demo.url, asynchronous, (openai.OpenAI, openai.AsyncOpenAI), openai_at)


@pytest.fixture
def make_azure(run, demo, asynchronous):
    forms = (openai.AzureOpenAI, openai.AsyncAzureOpenAI)
    yield from sdk(run, demo.url, asynchronous, forms, lambda url: {
        "azure_endpoint": url, "api_key": KEY, "api_version": "2024-10-21", "max_retries": 0,
        "timeout": 20})


@pytest.fixture
def make_claude(run, demo, asynchronous):
    forms = (anthropic.Anthropic, anthropic.AsyncAnthropic)
    yield from sdk(run, demo.url, asynchronous, forms, anthropic_at)


@pytest.fixture
def make_gemini(run, demo, asynchronous):
    def asynchronous_form(**named):
        return genai.Client(**named).aio

    forms = (genai.Client, asynchronous_form)
    made = Sdk(run, forms, demo.url, gemini_at).form(asynchronous)
    yield made
    for client in made.made:
        run(client.aclose()) if asynchronous else client.close()


@pytest.fixture
def gpt(make_gpt):
    return make_gpt("/v1")


@pytest.fixture
def claude(make_claude):
    return make_claude("/anthropic")


@pytest.fixture
def gemini(make_gemini):
    return make_gemini("/gemini")

