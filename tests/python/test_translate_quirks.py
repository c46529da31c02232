"""OpenAI chat calls to providers that take OpenAI's dialect with quirks of their own: what passes byte for
byte, what is renamed or left out, and when Gemini is asked in its own dialect.

One scripted upstream stands for all providers; the model's prefix decides. What each provider takes
is in src/translate/chat_fit_test.c and tests/golden; here is what the gateway does with it.
"""

import json

import pytest

from dialects import CHAT_REPLY, CHAT_STREAM, CHAT_STREAM_USAGE
from gateway import Gateway, providers_at
from wire import call, http_reply, sse_events

PATH = "/v1/chat/completions"
HI = [{"role": "user", "content": "Grüße?"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
KEYS = ("MISTRAL", "DEEPSEEK", "GROQ", "XAI", "TOGETHER", "PERPLEXITY", "COHERE", "NVIDIA_NIM",
        "NOVITA", "OPENROUTER")


def settings(upstream):
    base = f"http://127.0.0.1:{upstream.port}"
    env = providers_at(upstream.port) | {"AZURE_API_KEY": "sk-azure", "AZURE_API_BASE": base,
                                         "OLLAMA_BASE_URL": base, "VLLM_API_BASE": base}
    for name in KEYS:
        env |= {f"{name}_API_KEY": "sk-provider", f"{name}_API_BASE": base}
    return env


@pytest.fixture(scope="module")
def house(tmp_path_factory, upstream):
    g = Gateway(tmp_path_factory.mktemp("quirks"), settings(upstream))
    yield g
    g.stop()


def ask(run, g, upstream, body, reply=CHAT_REPLY, status=200):
    """The client's reply, and what the upstream saw; None where it saw nothing."""
    script = upstream.answer(http_reply(status, reply))
    m = run(call(g.port, PATH, body, script))
    seen = upstream.seen[script]
    return m, seen[0] if seen else None


def dropped(m):
    return m.get("x-smartflow-dropped-params")


# --- bytes first ---

PLAIN = {"temperature": 0.25, "max_tokens": 9, "tools": [TOOL], "of_its_own": {"a": [1, 2.50]}}


@pytest.mark.parametrize("model", [
    "mistral/m", "deepseek/m", "groq/m", "xai/m", "together/m", "perplexity/m", "cohere/m",
    "nvidia_nim/m", "novita/m", "openrouter/m", "azure/m", "vllm/m", "ollama/m"])
def test_plain_calls_pass(run, house, upstream, model):
    """But for the model's name the body is the client's, and the reply the provider's."""
    body = json.dumps({"model": model, "messages": HI} | PLAIN, indent=1).encode()
    m, seen = ask(run, house, upstream, body)
    assert m.status == 200 and m.body == CHAT_REPLY
    assert seen.body == body.replace(json.dumps(model).encode(), b'"m"')
    assert dropped(m) is None


# --- splices ---

def test_members_get_other_names(run, house, upstream):
    body = (b'{"model":"mistral/m", "seed": 7,"messages":[ {"role":"user","content":"a"} ],'
            b'"max_completion_tokens":50 , "document_image_limit":3}')
    m, seen = ask(run, house, upstream, body)
    assert m.status == 200 and dropped(m) is None and m.body == CHAT_REPLY
    assert seen.body == (b'{"model":"m", "random_seed":7,"messages":[ {"role":"user",'
                         b'"content":"a"} ],"max_tokens":50 , "document_image_limit":3}')


def test_members_are_taken_out_and_declared(run, house, upstream):
    body = (b'{"user":"eve","model":"mistral/m","messages":[{"role":"user","content":"a"}],'
            b'"store":false,"logit_bias":{"1":2}}')
    m, seen = ask(run, house, upstream, body)
    assert seen.body == b'{"model":"m","messages":[{"role":"user","content":"a"}]}'
    assert dropped(m) == "user, logit_bias" and m.body == CHAT_REPLY


def test_losses_are_in_the_log(run, house, upstream):
    m, _ = ask(run, house, upstream, {"model": "groq/logged", "messages": HI, "logprobs": True})
    assert dropped(m) == "logprobs"
    assert house.err.wait_for(r'"model":"logged".*"dropped_params":"logprobs"|'
                              r'"dropped_params":"logprobs".*"model":"logged"')


@pytest.mark.parametrize("config", ["environment", "file"])
def test_losses_refused(run, start, upstream, tmp_path, config):
    """By the variable, or by the file's own name for it."""
    env, how = settings(upstream), {}
    if config == "file":
        how["config"] = tmp_path / "smartflow.yaml"
        how["config"].write_text("translation:\n  losses: refuse\n")
    else:
        env["SMARTFLOW_LOSSES"] = "refuse"
    g = start(env, **how)
    m, seen = ask(run, g, upstream, {"model": "mistral/m", "messages": HI, "user": "u"})
    assert m.status == 400 and seen is None
    assert m.json()["error"]["param"] == "user"
    m, seen = ask(run, g, upstream, {"model": "mistral/m", "messages": HI, "seed": 1})
    assert m.status == 200 and seen.json()["random_seed"] == 1


# --- the limit's name is the model's ---

@pytest.mark.parametrize("model,asked,wanted", [
    ("openai/o3", "max_tokens", "max_completion_tokens"),
    ("azure/o3", "max_tokens", "max_completion_tokens"),
    ("openai/gpt-4o", "max_tokens", "max_tokens"),
    ("openai/gpt-4o", "max_completion_tokens", "max_completion_tokens"),
    ("together/m", "max_completion_tokens", "max_tokens"),
    ("ollama/m", "max_completion_tokens", "max_tokens"),
    ("groq/m", "max_completion_tokens", "max_completion_tokens"),
])
def test_limits(run, house, upstream, model, asked, wanted):
    m, seen = ask(run, house, upstream, {"model": model, "messages": HI, asked: 9})
    assert m.status == 200
    assert {k: v for k, v in seen.json().items() if k.startswith("max")} == {wanted: 9}


def test_reasoning_models_lose_what_they_refuse(run, house, upstream):
    more = {"temperature": 0.5, "top_p": 1, "stop": ["x"], "reasoning_effort": "low"}
    m, seen = ask(run, house, upstream, {"model": "openai/o3", "messages": HI} | more)
    assert dropped(m) == "temperature, stop"
    assert seen.json() == {"model": "o3", "messages": HI, "top_p": 1, "reasoning_effort": "low"}


# --- through the canonical form ---

def test_roles_ids_and_schemas(run, house, upstream):
    calls = [{"id": "call_long_one", "type": "function",
              "function": {"name": "f", "arguments": "{}"}}]
    body = {"model": "mistral/m", "messages": [
        {"role": "developer", "content": "s"}, *HI,
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_long_one", "content": "42"}]}
    m, seen = ask(run, house, upstream, body)
    got = seen.json()["messages"]
    assert [x["role"] for x in got] == ["system", "user", "assistant", "tool"]
    ident = got[3]["tool_call_id"]
    assert len(ident) == 9 and ident.isalnum() and got[2]["tool_calls"][0]["id"] == ident
    assert m.body == CHAT_REPLY  # which stays the provider's
    body = {"model": "deepseek/m", "messages": HI, "response_format": {
        "type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}}
    m, seen = ask(run, house, upstream, body)
    assert seen.json()["response_format"] == {"type": "json_object"}
    assert dropped(m) == "response_format.json_schema" and m.body == CHAT_REPLY


def test_thinking_of_another_provider(run, house, upstream):
    """What a client got from Claude through chat goes on with a model that takes no such thing."""
    said = {"role": "assistant", "content": "a", "reasoning_content": "hm", "thinking_blocks": [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"}]}
    m, seen = ask(run, house, upstream, {"model": "openai/gpt-4o", "messages": [*HI, said, *HI]})
    assert m.status == 200
    assert seen.json()["messages"][1] == {"role": "assistant", "content": "a"}
    assert dropped(m) == "messages[].thinking"


def test_what_is_refused_names_the_field(run, house, upstream):
    m, seen = ask(run, house, upstream, {"model": "groq/m", "messages": HI, "n": 2})
    assert m.status == 400 and seen is None and m.json()["error"]["param"] == "n"


def test_free_form_tools_come_back(run, house, upstream):
    """They are functions of one text there; the client gets its own kind of call."""
    message = {"role": "assistant", "content": None, "tool_calls": [
        {"id": "call_1", "type": "function",
         "function": {"name": "code", "arguments": '{"input":"x = 1"}'}}]}
    reply = json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
                        "choices": [{"index": 0, "message": message,
                                     "finish_reason": "tool_calls"}]}).encode()
    body = {"model": "vllm/m", "messages": HI,
            "tools": [{"type": "custom", "custom": {"name": "code"}}]}
    m, seen = ask(run, house, upstream, body, reply)
    assert seen.json()["tools"][0]["type"] == "function"
    (got,) = m.json()["choices"][0]["message"]["tool_calls"]
    assert got["type"] == "custom" and got["custom"] == {"name": "code", "input": "x = 1"}


# --- streams ---

def stream(run, g, upstream, body, events):
    script = upstream.answer(http_reply(200, events, type_="text/event-stream", framing="chunked"))
    m = run(call(g.port, PATH, body | {"stream": True}, script))
    return m, upstream.seen[script][0].json()


def test_usage_is_not_asked_of_those_that_report_it_anyway(run, house, upstream):
    m, seen = stream(run, house, upstream, {"model": "mistral/m", "messages": HI}, CHAT_STREAM)
    assert "stream_options" not in seen and m.body == CHAT_STREAM
    more = {"model": "mistral/m", "messages": HI, "stream_options": {"include_usage": True}}
    m, seen = stream(run, house, upstream, more, CHAT_STREAM)
    assert "stream_options" not in seen and dropped(m) is None


def test_usage_asked_of_a_reworded_stream_is_not_shown(run, house, upstream):
    body = {"model": "groq/m", "messages": [HI[0] | {"name": "eve"}]}
    m, seen = stream(run, house, upstream, body, CHAT_STREAM_USAGE)
    assert seen["stream_options"] == {"include_usage": True} and "name" not in seen["messages"][0]
    assert not any(json.loads(d).get("usage") for _, d in sse_events(m.body) if d != "[DONE]")
    assert dropped(m) == "messages[].name"


# --- Gemini: which dialect ---

GEMINI = "gemini/gemini-2.5-pro"
NATIVE = "/v1beta/models/gemini-2.5-pro:generateContent"
ANSWER = json.dumps({"candidates": [{"content": {"role": "model", "parts": [
    {"text": "hm", "thought": True}, {"text": "Grüße", "thoughtSignature": "c2ln"}]},
    "finishReason": "STOP", "index": 0}], "usageMetadata": {
        "promptTokenCount": 9, "cachedContentTokenCount": 4, "candidatesTokenCount": 2,
        "thoughtsTokenCount": 3, "totalTokenCount": 14}}).encode()


@pytest.mark.parametrize("more", [
    {}, {"temperature": 0.5, "max_completion_tokens": 9}, {"store": False},
    {"reasoning_effort": "none"},
    {"seed": 1, "extra_body": {"google": {"thinking_config": {"include_thoughts": True}}}},
], ids=["plain", "sampling", "usual", "none", "google"])
def test_gemini_in_openais_dialect(run, house, upstream, more):
    m, seen = ask(run, house, upstream, {"model": GEMINI, "messages": HI} | more)
    assert m.status == 200 and m.body == CHAT_REPLY
    assert seen.target == "/v1beta/openai/chat/completions"


@pytest.mark.parametrize("more", [
    {"seed": 7}, {"frequency_penalty": 0.5}, {"reasoning_effort": "low"}, {"tools": [TOOL]},
    {"thinking": {"type": "enabled", "budget_tokens": 2000}},
], ids=["seed", "penalty", "effort", "tools", "budget"])
def test_gemini_in_its_own_dialect(run, house, upstream, more):
    """What Google's compatible endpoint refuses, or would not give back."""
    m, seen = ask(run, house, upstream, {"model": GEMINI, "messages": HI} | more, ANSWER)
    assert m.status == 200 and seen.target == NATIVE
    got = m.json()
    assert got["choices"][0]["message"]["content"] == "Grüße"
    assert got["usage"]["completion_tokens_details"]["reasoning_tokens"] == 3
    assert got["usage"]["prompt_tokens_details"]["cached_tokens"] == 4
    assert dropped(m) is None


def test_googles_signatures_go_on(run, house, upstream):
    """A call that came from the compatible endpoint brings its signature in extra_content."""
    called = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"},
              "extra_content": {"google": {"thought_signature": "c2lnbmVk"}}}
    body = {"model": GEMINI, "tools": [TOOL], "messages": [
        *HI, {"role": "assistant", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "call_1", "content": "42"}]}
    m, seen = ask(run, house, upstream, body, ANSWER)
    assert m.status == 200 and seen.target == NATIVE
    (part,) = seen.json()["contents"][1]["parts"]
    assert part["thoughtSignature"] == "c2lnbmVk"


def test_ollama_in_its_own_dialect(run, house, upstream):
    """What its compatible endpoint ignores."""
    answer = json.dumps({"model": "m", "created_at": "2026-01-01T00:00:00Z", "done": True,
                         "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 1,
                         "message": {"role": "assistant", "content": "ok"}}).encode()
    m, seen = ask(run, house, upstream, {"model": "ollama/m", "messages": HI, "top_k": 3}, answer)
    assert m.status == 200 and seen.target == "/api/chat"
    assert seen.json()["options"]["top_k"] == 3 and dropped(m) is None


def test_config_check_names_the_file_and_the_line(tmp_path):
    import subprocess
    from gateway import clean_environment, program
    config = tmp_path / "smartflow.yaml"
    config.write_text("translation:\n  losses: maybe\n  lossy: 1\n")
    done = subprocess.run([program(), "config", "check", "--config", str(config)], timeout=30,
                          env=clean_environment() | {"SMARTFLOW_DATA": str(tmp_path / "data")},
                          cwd=tmp_path, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "SMARTFLOW_LOSSES must be one of: declare refuse" in said and ":2" in said
    assert "translation has no setting 'lossy'" in said
