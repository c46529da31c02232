"""The official SDK's Azure clients: deployments in the path, api-key, api-version, and the newer v1 form."""

import openai
import pytest

from gateway import KEY


def user(content):
    return [{"role": "user", "content": content}]


@pytest.fixture
def azure(make_azure):
    return make_azure("/azure")


@pytest.mark.parametrize("base", ["", "/", "/azure", "/azure/"])
def test_each_endpoint(make_azure, base):
    client = make_azure(base)
    reply = client.chat.completions.create(model="gpt-4o", messages=user("Hi"))
    assert reply.choices[0].message.content == "You said: Hi" and reply.model == "gpt-4o"
    chunks = list(client.chat.completions.create(model="gpt-4o", messages=user("Hi"), stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "You said: Hi"


def test_a_fixed_deployment(make_azure):
    client = make_azure("/azure", azure_deployment="gpt-4o-mini")
    reply = client.chat.completions.create(model="whatever-the-caller-says", messages=user("Hi"))
    assert reply.model == "gpt-4o-mini"


def test_the_whole_base_url(make_azure, demo):
    client = make_azure(azure_endpoint=None, base_url=f"{demo.url}/azure/openai/deployments/gpt-4o")
    assert client.chat.completions.create(model="", messages=user("Hi")).model == "gpt-4o"


def test_an_entra_token_in_place_of_a_key(make_azure, asynchronous):
    async def later():
        return KEY

    client = make_azure("/azure", api_key=None, azure_ad_token_provider=later if asynchronous else lambda: KEY)
    assert client.chat.completions.create(model="gpt-4o", messages=user("Hi")).choices


def test_tools(azure):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    reply = azure.chat.completions.create(model="gpt-4o", messages=user("use tool"), tools=[tool])
    assert reply.choices[0].message.tool_calls[0].function.name == "f"


def test_other_deployment_endpoints(azure):
    assert len(azure.embeddings.create(model="text-embedding-3-small", input="x").data[0].embedding) == 64
    assert azure.completions.create(model="gpt-3.5-turbo-instruct", prompt="x").choices[0].text
    made = azure.images.generate(model="gpt-image-1", prompt="A cat")
    assert made.data[0].b64_json
    speech = azure.audio.speech.create(model="tts-1", voice="alloy", input="Hi")
    assert speech.content.startswith(b"\xff\xfb")
    heard = azure.audio.transcriptions.create(model="whisper-1", file=("a.wav", bytes(3000), "audio/wav"))
    assert heard.text == "You said: file a.wav of 3000 bytes"


def test_endpoints_without_a_deployment(azure):
    assert azure.responses.create(model="gpt-4o", input="Hi").output_text == "You said: Hi"
    assert "gpt-4o" in [m.id for m in azure.models.list()]
    made = azure.files.create(file=("a.txt", b"hello"), purpose="user_data")
    assert azure.files.content(made.id).read() == b"hello"
    assert azure.files.delete(made.id).deleted


def test_the_newer_form(make_gpt):
    """Azure's v1 API takes OpenAI's own client."""
    client = make_gpt("/azure/openai/v1/")
    assert client.chat.completions.create(model="gpt-4o", messages=user("Hi")).model == "gpt-4o"
    assert client.responses.create(model="gpt-4o", input="Hi").output_text == "You said: Hi"


def test_realtime(make_azure, demo):
    """Without this option the client insists on TLS."""
    azure = make_azure("/azure", websocket_base_url=demo.url.replace("http", "ws") + "/azure/openai")
    with azure.realtime.connect(model="gpt-realtime") as connection:
        assert connection.recv().session.model == "gpt-realtime"


@pytest.mark.parametrize("status,kind", [(400, openai.BadRequestError), (404, openai.NotFoundError),
                                         (429, openai.RateLimitError), (500, openai.InternalServerError)])
def test_a_providers_error(azure, status, kind):
    with pytest.raises(kind) as e:
        azure.chat.completions.create(model="gpt-4o", messages=user(f"demo:status={status}"))
    assert e.value.status_code == status


def test_errors_of_the_gateway(make_azure):
    with pytest.raises(openai.AuthenticationError) as e:
        make_azure("/azure", api_key="sk-sf-unknown-key-0000").chat.completions.create(
            model="gpt-4o", messages=user("Hi"))
    assert e.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as e:
        make_azure("/azure").chat.completions.create(model="no-such-model-at-all", messages=user("Hi"))
    assert e.value.code == "model_not_found" and e.value.param == "model"
