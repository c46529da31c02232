"""A gateway with fallback chains before a scripted upstream: which model is asked decides how the
upstream behaves, so that the targets of a chain are models."""

import asyncio
import itertools
import json

from gateway import KEY, Gateway, providers_at
from plane import Admin, until
from wire import call, http_reply

CHAT = "/v1/chat/completions"
number = itertools.count()


def completion(model, text="Hello"):
    return json.dumps({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model,
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10}}).encode()


def chunk(model, delta, finish=None):
    return b"data: " + json.dumps({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode() + b"\n\n"


STREAM_HEAD = (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
               b"transfer-encoding: chunked\r\n\r\n")


def piece(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def role(model):
    return chunk(model, {"role": "assistant", "content": ""})


def words(model, *texts):
    return b"".join(chunk(model, {"content": t}) for t in texts)


END = b"data: [DONE]\n\n"


def error(status, message="It failed.", code=None, type_="server_error", fields=()):
    body = {"error": {"message": message, "type": type_, "param": None, "code": code}}
    return http_reply(status, json.dumps(body).encode(), fields)


# --- what a model does: coroutine functions of the connection and the request ---

async def good(conn, m):
    """Answers, streamed where a stream is asked for; the text names the model."""
    body = m.json()
    model = body["model"]
    if not body.get("stream"):
        await conn.send(http_reply(200, completion(model, model)))
        return True
    await conn.send(STREAM_HEAD + piece(role(model)) + piece(words(model, "from ", model))
                    + piece(chunk(model, {}, "stop") + END) + b"0\r\n\r\n")
    return True


def answers(data):
    async def play(conn, _):
        await conn.send(data)
        return True
    return play


async def reset(conn, _):
    conn.reset()
    return False


def stalls(before=b""):
    async def play(conn, _):
        await conn.send(before)
        await conn.gone()
        return False
    return play


def sends(*pieces, then="end"):
    """A stream of these pieces; then: end, close or reset."""
    async def play(conn, _):
        await conn.send(STREAM_HEAD + b"".join(piece(p) for p in pieces))
        if then == "end":
            await conn.send(b"0\r\n\r\n")
            return True
        if then == "reset":
            await conn.taken()
            conn.reset()
        return False
    return play


class Models:
    """The upstream's models, and what each was asked."""

    def __init__(self, upstream):
        self.upstream, self.plays, self.asked = upstream, {}, {}
        self.script = upstream.script(self.play)

    async def play(self, conn, m):
        model = m.json()["model"]
        self.asked.setdefault(model, []).append((asyncio.get_running_loop().time(), m))
        return await self.plays[model](conn, m)

    def add(self, play):
        name = f"model-{next(number)}"
        self.plays[name] = play
        return name

    def calls(self, model):
        return len(self.asked.get(model, []))


class Routed:
    """models: those of another gateway that has the same upstream."""

    def __init__(self, folder, upstream, run, env=None, models=None):
        self.run, self.upstream = run, upstream
        self.gateway = Gateway(folder, providers_at(upstream.port) | {
            "SMARTFLOW_BETWEEN_BYTES_TIMEOUT": "1500ms"} | (env or {}))
        self.admin = Admin(self.gateway)
        self.models = models or Models(upstream)

    def chain(self, *plays, fallbacks=None, **settings):
        """A chain over models that behave so, one target each; its name, and theirs."""
        models = [self.models.add(p) for p in plays]
        name = f"chain-{next(number)}"
        body = {"name": name, "backoff_ms": 1, "retries": 0, "targets": [
            {"provider": "openai", "model": m} for m in models]}
        for kind, play in (fallbacks or {}).items():
            models.append(self.models.add(play))
            body[f"{kind}_fallbacks"] = [{"provider": "openai", "model": models[-1]}]
        self.save(body | settings)
        return name, models

    def save(self, body):
        self.admin.ok("POST", "/api/routing/fallback-chains", body)
        until(lambda: self.has(body["name"]), limit=30, what="the chain is not in force")

    def has(self, name):
        return self.admin("GET", f"/api/routing/fallback-chains/{name}")[0] == 200

    def ask(self, model, stream=False, fields=(), path=CHAT, key=KEY, **more):
        body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]} | more
        if stream:
            body["stream"] = True
        return self.run(call(self.gateway.port, path, body, self.models.script, fields, key=key))

    async def ask_async(self, model, **more):
        body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]} | more
        return await call(self.gateway.port, CHAT, body, self.models.script)

    def log(self, reply):
        """The log of the call that was answered so."""
        return self.admin.ok("GET", f"/api/vas/logs/{reply.get('x-smartflow-request-id')}")

    def target(self, model):
        """What this node knows of a target, or None."""
        for t in self.admin.ok("GET", "/api/routing/status")["targets"]:
            if t["model"] == model:
                return t
        return None

    def stop(self):
        self.gateway.stop()


def text_of(m):
    """What the client was told, of a stream or a whole reply."""
    if m.get("content-type") == "application/json":
        return m.json()["choices"][0]["message"]["content"]
    text = ""
    for _, data in m.events():
        if data == "[DONE]":
            break
        event = json.loads(data)
        for choice in event.get("choices", []):
            text += choice["delta"].get("content") or ""
    return text


def story(log):
    """The log's attempts in short: model, what came of it, why."""
    return [(a["model"], a["result"], a["fault"]) for a in log["routing"]["attempts"]]
