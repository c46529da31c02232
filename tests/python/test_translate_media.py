"""Rerank and pictures at providers that have bodies of their own for them: paths, bodies, replies,
errors, losses, accounts and chains. One scripted upstream stands for all providers; which one the
gateway takes it for, the model's name decides.
"""

import asyncio
import base64
import json

import openai
import pytest

from gateway import ADMIN_KEY, KEY, Gateway, providers_at
from plane import Admin, until
from wire import call, http_reply

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n....").decode()
PROMPT = "A cat on the Moon"
IMAGES, RERANK = "/v1/images/generations", "/v1/rerank"
IMAGEN, PAINTER = "imagen-3.0-generate-001", "gemini-2.5-flash-image"
FLUX = "replicate/black-forest-labs/flux-schnell"


@pytest.fixture(scope="module")
def media(tmp_path_factory, upstream):
    base = f"http://127.0.0.1:{upstream.port}"
    g = Gateway(tmp_path_factory.mktemp("media"), providers_at(upstream.port) | {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE00000", "AWS_SECRET_ACCESS_KEY": "secret",
        "BEDROCK_API_BASE": base, "COHERE_API_KEY": "cohere-key", "COHERE_API_BASE": base,
        "REPLICATE_API_KEY": "replicate-key", "REPLICATE_API_BASE": base,
        "NVIDIA_NIM_API_KEY": "nim-key", "NVIDIA_NIM_API_BASE": base,
        "VERTEXAI_API_KEY": "vertex-token", "VERTEXAI_API_BASE": base, "VERTEXAI_PROJECT": "p",
        "VLLM_API_BASE": base})
    yield g
    g.stop()


@pytest.fixture
def ask(run, media, upstream):
    """A call whose provider answers so: what the client got, and what the provider saw."""
    def do(path, body, reply, status=200, fields=()):
        script = upstream.answer(http_reply(status, json.dumps(reply).encode(), fields))
        m = run(call(media.port, path, body, script))
        seen = upstream.seen[script]
        return m, seen[-1] if seen else None
    return do


def record(g, m):
    """The log's record of a call."""
    status, body = g.get(f"/api/vas/logs/{m.get('x-smartflow-request-id')}",
                         {"authorization": "Bearer " + ADMIN_KEY})
    assert status == 200, body
    return json.loads(body)["data"]


def cost(m):
    return float(m.get("x-smartflow-cost-usd"))


# --- pictures ---

def predictions(*pictures):
    return {"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": p} for p in pictures]}


def painted(*parts, finish="STOP"):
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)},
                            "finishReason": finish}],
            "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 1290,
                              "totalTokenCount": 1300}}


PICTURE = {"inlineData": {"mimeType": "image/png", "data": PNG}}


def test_imagen(ask, media):
    m, seen = ask(IMAGES, {"model": IMAGEN, "prompt": PROMPT, "n": 2, "size": "1792x1024",
                           "quality": "hd"}, predictions(PNG, PNG))
    assert m.status == 200, m.body
    assert seen.target == f"/v1beta/models/{IMAGEN}:predict"
    assert seen.get("x-goog-api-key") == "provider-gemini-55de"
    assert seen.json() == {"instances": [{"prompt": PROMPT}],
                           "parameters": {"sampleCount": 2, "aspectRatio": "16:9"}}
    assert [d["b64_json"] for d in m.json()["data"]] == [PNG, PNG]
    assert m.get("x-smartflow-provider") == "gemini"
    assert m.get("x-smartflow-dropped-params") == "quality, size"
    assert cost(m) == pytest.approx(0.08)  # two at 4 cents
    row = record(media, m)
    assert row["cost_usd"] == pytest.approx(0.08) and row["provider"] == "gemini"


def test_gemini_paints_as_it_answers(ask, media):
    m, seen = ask(IMAGES, {"model": PAINTER, "prompt": PROMPT, "size": "1024x1536"},
                  painted({"text": "Here it is."}, PICTURE))
    assert m.status == 200, m.body
    assert seen.target == f"/v1beta/models/{PAINTER}:generateContent"
    assert seen.json()["contents"] == [{"role": "user", "parts": [{"text": PROMPT}]}]
    assert seen.json()["generationConfig"] == {"responseModalities": ["TEXT", "IMAGE"],
                                               "imageConfig": {"aspectRatio": "2:3"}}
    assert [d["b64_json"] for d in m.json()["data"]] == [PNG]
    assert m.json()["usage"]["output_tokens"] == 1290
    # Billed by tokens: 10 at 0.3 and 1290 at 30 dollars a million.
    assert cost(m) == pytest.approx(10 * 0.3e-6 + 1290 * 30e-6)
    row = record(media, m)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (10, 1290)


def test_pictures_at_vertex(ask):
    where = "/v1/projects/p/locations/global/publishers/google/models/"
    m, seen = ask(IMAGES, {"model": "vertex/" + IMAGEN, "prompt": PROMPT, "seed": 7},
                  predictions(PNG))
    assert m.status == 200 and seen.target == f"{where}{IMAGEN}:predict"
    assert seen.json()["parameters"] == {"sampleCount": 1, "seed": 7, "addWatermark": False}
    m, seen = ask(IMAGES, {"model": "vertex/" + PAINTER, "prompt": PROMPT}, painted(PICTURE))
    assert m.status == 200 and seen.target == f"{where}{PAINTER}:generateContent"


def test_replicate(ask, media):
    prediction = {"id": "p1", "status": "succeeded", "output": ["https://r.example/1.webp"],
                  "metrics": {"predict_time": 1.5}, "urls": {"get": "https://r.example/p1"}}
    m, seen = ask(IMAGES, {"model": FLUX, "prompt": PROMPT, "output_format": "jpeg",
                           "response_format": "b64_json"}, prediction, 201)
    assert m.status == 200, m.body
    assert seen.target == "/v1/models/black-forest-labs/flux-schnell/predictions"
    assert seen.get("prefer") is not None and seen.get("authorization") == "Bearer replicate-key"
    assert seen.json()["input"] == {"prompt": PROMPT, "output_format": "jpg"}
    assert m.json()["data"] == [{"url": "https://r.example/1.webp"}]
    assert m.get("x-smartflow-dropped-params") == "response_format"
    assert record(media, m)["provider"] == "replicate"


def test_a_prediction_that_failed(ask):
    m, _ = ask(IMAGES, {"model": FLUX, "prompt": PROMPT},
               {"id": "p1", "status": "failed", "error": "CUDA out of memory", "output": None}, 201)
    assert m.status == 502 and m.json()["error"]["message"] == "CUDA out of memory"


@pytest.mark.parametrize("model,reply", [
    (IMAGEN, {"predictions": [{"raiFilteredReason": "It is violent."}]}),
    (PAINTER, painted(finish="IMAGE_SAFETY")),
    (PAINTER, {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}})],
    ids=["imagen", "gemini", "prompt"])
def test_all_were_filtered(ask, model, reply):
    m, _ = ask(IMAGES, {"model": model, "prompt": PROMPT}, reply)
    e = m.json()["error"]
    assert m.status == 400 and e["code"] == "content_policy_violation", m.body
    assert e["param"] == "prompt"


GOOGLE_400 = {"error": {"code": 400, "message": "sampleCount is too large.",
                        "status": "INVALID_ARGUMENT"}}
GOOGLE_429 = {"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED",
                        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo",
                                     "retryDelay": "7s"}]}}


@pytest.mark.parametrize("model", [IMAGEN, PAINTER])
def test_errors_in_the_clients_words(ask, model):
    m, _ = ask(IMAGES, {"model": model, "prompt": PROMPT}, GOOGLE_400, 400)
    e = m.json()["error"]
    assert m.status == 400 and e["message"] == "sampleCount is too large."
    assert e["type"] == "invalid_request_error"
    m, _ = ask(IMAGES, {"model": model, "prompt": PROMPT}, GOOGLE_429, 429)
    assert m.status == 429 and m.json()["error"]["code"] == "rate_limit_exceeded"
    assert m.get("retry-after") == "7"


@pytest.mark.parametrize("body,param", [
    ({"model": IMAGEN}, "prompt"), ({"model": IMAGEN, "prompt": "a", "n": 9}, "n"),
    ({"model": IMAGEN, "prompt": "a", "size": "large"}, "size"),
    ({"model": PAINTER, "prompt": "a", "n": 2}, "n"),
    ({"model": "gemini-2.5-pro", "prompt": "a"}, "model"),  # makes none
    ({"model": "claude-sonnet-4-6", "prompt": "a"}, "model")])
def test_refused_before_it_is_sent(ask, body, param):
    m, seen = ask(IMAGES, body, {})
    assert m.status == 400 and m.json()["error"]["param"] == param, m.body
    assert seen is None


def test_images_generate(run, media, upstream):
    """OpenAI's SDK gets its own types, whole and as events."""
    script = upstream.answer(http_reply(200, json.dumps(predictions(PNG)).encode()))

    def generate(**more):
        with openai.OpenAI(base_url=media.url + "/v1", api_key=KEY, max_retries=0,
                           default_headers={"x-script": script}) as client:
            made = client.images.generate(model=IMAGEN, prompt=PROMPT, **more)
            return list(made) if more.get("stream") else made

    whole = run(asyncio.to_thread(generate, size="1024x1024"))
    assert whole.data[0].b64_json == PNG and whole.output_format == "png"
    (event,) = run(asyncio.to_thread(generate, stream=True, partial_images=1))
    assert event.type == "image_generation.completed" and event.b64_json == PNG
    assert upstream.seen[script][-1].get("accept") == "application/json"


def test_a_chain_from_imagen_to_openai(run, media, upstream):
    made = {"created": 1, "data": [{"b64_json": PNG}],
            "usage": {"input_tokens": 10, "output_tokens": 100, "total_tokens": 110,
                      "input_tokens_details": {"text_tokens": 10, "image_tokens": 0}}}

    async def play(conn, m):
        if m.target.endswith(":predict"):
            return await conn.answer(http_reply(503, json.dumps(
                {"error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}}).encode()))
        return await conn.answer(http_reply(200, json.dumps(made).encode()))

    script, admin = upstream.script(play), Admin(media)
    admin.ok("POST", "/api/routing/fallback-chains", {
        "name": "painters", "retries": 0, "backoff_ms": 1, "targets": [
            {"provider": "gemini", "model": IMAGEN}, {"provider": "openai", "model": "gpt-image-1"}]})
    until(lambda: admin("GET", "/api/routing/fallback-chains/painters")[0] == 200, limit=30,
          what="the chain is not in force")
    m = run(call(media.port, IMAGES, {"model": "painters", "prompt": PROMPT, "quality": "high"},
                 script))
    assert m.status == 200 and m.json()["data"][0]["b64_json"] == PNG, m.body
    assert [s.target for s in upstream.seen[script]] == [f"/v1beta/models/{IMAGEN}:predict", IMAGES]
    sent = upstream.seen[script][1].json()
    assert sent == {"model": "gpt-image-1", "prompt": PROMPT, "quality": "high"}
    assert m.get("x-smartflow-dropped-params") is None  # OpenAI's took it
    assert m.get("x-smartflow-fallbacks") == "1"
    attempts = record(media, m)["routing"]["attempts"]
    assert [(a["model"], a["result"]) for a in attempts] == [(IMAGEN, "next"),
                                                             ("gpt-image-1", "served")]


# --- rerank ---

QUESTION = {"query": "capital of France", "documents": ["Lyon", {"text": "Paris"}]}
RANKED = {"id": "r1", "results": [{"index": 1, "relevance_score": 0.98},
                                  {"index": 0, "relevance_score": 0.1}],
          "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}}


@pytest.mark.parametrize("path", [RERANK, "/v2/rerank"])
def test_cohere(ask, media, path):
    m, seen = ask(path, QUESTION | {"model": "rerank-v3.5", "top_n": 2, "return_documents": True,
                                    "rank_fields": ["text"]}, RANKED)
    assert m.status == 200, m.body
    assert seen.target == "/v2/rerank" and seen.get("authorization") == "Bearer cohere-key"
    assert seen.json() == {"model": "rerank-v3.5", "query": "capital of France",
                           "documents": ["Lyon", "Paris"], "top_n": 2}
    assert m.json() == {
        "id": "r1", "model": "rerank-v3.5",
        "results": [{"index": 1, "relevance_score": 0.98, "document": {"text": "Paris"}},
                    {"index": 0, "relevance_score": 0.1, "document": {"text": "Lyon"}}],
        "meta": {"billed_units": {"search_units": 1}}}
    assert m.get("x-smartflow-dropped-params") == "rank_fields"
    assert cost(m) == pytest.approx(0.002)
    assert record(media, m)["cost_usd"] == pytest.approx(0.002)


def test_cohere_billed_by_tokens(ask, media):
    reply = RANKED | {"meta": {"billed_units": {"input_tokens": 2000}}}
    m, _ = ask(RERANK, QUESTION | {"model": "rerank-v5.0-pro"}, reply)
    assert m.json()["usage"] == {"total_tokens": 2000}
    assert cost(m) == pytest.approx(2000 * 0.05e-6)
    assert record(media, m)["prompt_tokens"] == 2000


@pytest.mark.parametrize("model,version,documents,price", [
    ("cohere.rerank-v3-5:0", {"api_version": 2}, 2, 0.002),
    ("amazon.rerank-v1:0", {}, 101, 0.002)])  # the second search begins at 101
def test_bedrock(ask, media, model, version, documents, price):
    texts = [f"text {i}" for i in range(documents)]
    m, seen = ask(RERANK, {"model": "bedrock/" + model, "query": "q", "documents": texts},
                  {"results": RANKED["results"]})
    assert m.status == 200, m.body
    assert seen.target == f"/model/{model.replace(':', '%3A')}/invoke"
    assert seen.get("authorization").startswith("AWS4-HMAC-SHA256 ")
    assert seen.json() == {"query": "q", "documents": texts} | version
    assert [r["index"] for r in m.json()["results"]] == [1, 0]
    assert m.json()["model"] == "bedrock/" + model
    assert cost(m) == pytest.approx(price)
    assert record(media, m)["cost_usd"] == pytest.approx(price)


def test_nim(ask):
    m, seen = ask(RERANK, QUESTION | {"model": "nvidia_nim/nvidia/rerank-1b", "top_n": 1},
                  {"rankings": [{"index": 1, "logit": 3.25}, {"index": 0, "logit": -1.5}]})
    assert m.status == 200, m.body
    assert seen.target == "/v1/ranking" and seen.get("authorization") == "Bearer nim-key"
    assert seen.json() == {"model": "nvidia/rerank-1b", "query": {"text": "capital of France"},
                           "passages": [{"text": "Lyon"}, {"text": "Paris"}], "truncate": "END"}
    assert m.json()["results"] == [{"index": 1, "relevance_score": 3.25}]


@pytest.mark.parametrize("path", [RERANK, "/v2/rerank"])
def test_where_the_shape_is_the_clients_bytes_pass(ask, path):
    body = QUESTION | {"model": "vllm/bge", "truncate_prompt_tokens": 9}
    m, seen = ask(path, body, RANKED)
    assert seen.target == RERANK and seen.json() == body | {"model": "bge"}
    assert m.json() == RANKED


def test_errors_of_a_rerank(ask):
    m, _ = ask(RERANK, QUESTION | {"model": "rerank-v3.5"},
               {"id": "e1", "message": "too many documents"}, 400)
    assert m.status == 400 and m.json()["error"]["message"] == "too many documents"
    m, _ = ask(RERANK, QUESTION | {"model": "bedrock/amazon.rerank-v1:0"},
               {"message": "Too many requests"}, 429, [("x-amzn-errortype", "ThrottlingException")])
    assert m.status == 429 and m.json()["error"]["code"] == "rate_limit_exceeded", m.body


@pytest.mark.parametrize("body,param", [
    ({"model": "rerank-v3.5", "documents": ["a"]}, "query"),
    ({"model": "rerank-v3.5", "query": "q", "documents": []}, "documents"),
    ({"model": "claude-sonnet-4-6", "query": "q", "documents": ["a"]}, "model")])
def test_rerank_refused_before_it_is_sent(ask, body, param):
    m, seen = ask(RERANK, body, {})
    assert m.status == 400 and m.json()["error"]["param"] == param, m.body
    assert seen is None


@pytest.mark.parametrize("reply", [{}, {"results": [{"index": 7, "relevance_score": 1}]},
                                   {"results": "none"}], ids=range(3))
def test_a_reply_that_cannot_be_read(ask, reply):
    m, _ = ask(RERANK, QUESTION | {"model": "rerank-v3.5"}, reply)
    assert m.status == 502 and m.json()["error"]["code"] == "upstream_bad_response"
