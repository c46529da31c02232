"""Whose things are: files, batches, responses and conversations belong to the team that made them.

Two teams, with two keys and one, and a key without a team, all before the built-in demo provider;
the official SDKs speak for each.
"""

import asyncio
import io
import json
import sqlite3
import time
import urllib.parse

import anthropic
import openai
import pytest
from google import genai

from gateway import KEY, Gateway, metric, providers_at
from plane import Admin, Replicas
from sdk_fixtures import anthropic_at, gemini_at, openai_at
from test_admin_api import Api
from wire import RawUpstream, call, http_reply

SETTINGS = {"SMARTFLOW_DEMO": "true", "SMARTFLOW_BATCH_POLL": "1s"}


def until(what, limit=30):
    """What a function gives as soon as that is true."""
    end = time.monotonic() + limit
    while not (got := what()):
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.05)
    return got


class House:
    """A gateway, its teams and its keys."""

    def __init__(self, gateway):
        self.gateway, self.api = gateway, Api(gateway.management)
        self.keys, self.teams, self.clients = {}, {}, []

    def team(self, name):
        status, made = self.api("POST", "/api/teams", {"name": name})
        assert status == 201, made
        self.teams[name] = made["data"]["id"]

    def key(self, name, team=None):
        fields = {"name": name} | ({"team_id": self.teams[team]} if team else {})
        status, made = self.api("POST", "/api/enterprise/vkeys", fields)
        assert status == 201, made
        self.keys[name] = made["data"]["key"]

    def gpt(self, who):
        return self.client(openai.OpenAI(**openai_at(self.gateway.url + "/v1")
                                         | {"api_key": self.keys[who]}))

    def claude(self, who):
        return self.client(anthropic.Anthropic(**anthropic_at(self.gateway.url + "/anthropic")
                                               | {"api_key": self.keys[who]}))

    def gemini(self, who):
        return self.client(genai.Client(**gemini_at(self.gateway.url + "/gemini")
                                        | {"api_key": self.keys[who]}))

    def client(self, made):
        self.clients.append(made)
        return made

    def raw(self, who, method, path, body=None):
        return Api(self.gateway.url, self.keys[who])(method, path, body)

    def rows(self, sql, *values):
        db = sqlite3.connect(f"file:{self.gateway.folder}/data/smartflow.db?mode=ro", uri=True)
        try:
            return db.execute(sql, values).fetchall()
        finally:
            db.close()

    def close(self):
        for c in self.clients:
            c.close()


def furnished(gateway):
    h = House(gateway)
    h.team("red")
    h.team("blue")
    h.key("red1", "red")
    h.key("red2", "red")
    h.key("blue", "blue")
    h.key("alone")
    return h


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    h = furnished(Gateway(tmp_path_factory.mktemp("ownership"), SETTINGS))
    yield h
    h.close()
    h.gateway.stop()


def make_file(client, text=b"x", purpose="user_data"):
    return client.files.create(file=("a.txt", io.BytesIO(text)), purpose=purpose).id


def message(error):
    return error.value.body["message"] if isinstance(error.value.body, dict) else str(error.value)


# --- by id ---

def test_a_file_is_its_teams(house):
    made = make_file(house.gpt("red1"), b"secret")
    assert house.gpt("red2").files.content(made).read() == b"secret"
    for who in ("blue", "alone"):
        for use in ("retrieve", "content", "delete"):
            with pytest.raises(openai.NotFoundError):
                getattr(house.gpt(who).files, use)(made)
    assert house.gpt("red2").files.delete(made).deleted


def test_no_words_tell_a_foreign_thing_from_none(house):
    made = make_file(house.gpt("red1"))
    seen = []
    for name in (made, "file-" + "0" * (len(made) - 5)):
        status, reply = house.raw("blue", "GET", f"/v1/files/{name}")
        seen.append((status, json.dumps(reply).replace(name, "ID")))
    assert seen[0] == seen[1] and seen[0][0] == 404


def test_an_id_written_otherwise_is_the_same(house):
    made = make_file(house.gpt("red1"))
    odd = "".join(f"%{ord(c):02X}" for c in made)
    assert house.raw("red2", "GET", f"/v1/files/{odd}")[0] in (200, 404)
    for path in (odd, made + "/content", odd + "/content", made + "/"):
        assert house.raw("blue", "GET", f"/v1/files/{path}")[0] == 404


def test_a_key_without_a_team_owns_what_it_made(house):
    made = make_file(house.gpt("alone"))
    assert house.gpt("alone").files.retrieve(made).id == made
    with pytest.raises(openai.NotFoundError):
        house.gpt("red1").files.retrieve(made)


def test_responses_and_conversations(house):
    red, blue = house.gpt("red1"), house.gpt("blue")
    talk = red.conversations.create(items=[{"type": "message", "role": "user", "content": "Hi"}])
    first = red.responses.create(model="gpt-4o", input="Hello")
    streamed = list(red.responses.create(model="gpt-4o", input="a b", stream=True))[-1].response
    for made in (first, streamed):
        assert house.gpt("red2").responses.retrieve(made.id).output_text == made.output_text
        house.gpt("red2").responses.create(model="gpt-4o", input="on", previous_response_id=made.id)
        for use in (blue.responses.retrieve, blue.responses.delete, blue.responses.cancel,
                    blue.responses.input_items.list):
            with pytest.raises(openai.NotFoundError):
                use(made.id)
        for more in ({}, {"stream": True}):
            with pytest.raises(openai.NotFoundError):
                blue.responses.create(model="gpt-4o", input="x", previous_response_id=made.id, **more)
    for named in (talk.id, {"id": talk.id}):
        with pytest.raises(openai.NotFoundError):
            blue.responses.create(model="gpt-4o", input="x", conversation=named)
    for use in (blue.conversations.retrieve, blue.conversations.delete,
                blue.conversations.items.list):
        with pytest.raises(openai.NotFoundError):
            use(talk.id)
    with pytest.raises(openai.NotFoundError):
        blue.conversations.items.create(talk.id, items=[
            {"type": "message", "role": "user", "content": "x"}])
    assert len(list(red.conversations.items.list(talk.id))) == 1


def test_uploads(house):
    red, blue = house.gpt("red1"), house.gpt("blue")
    up = red.uploads.create(bytes=4, filename="f", mime_type="text/plain", purpose="user_data")
    with pytest.raises(openai.NotFoundError):
        blue.uploads.parts.create(up.id, data=b"evil")
    part = red.uploads.parts.create(up.id, data=b"good").id
    with pytest.raises(openai.NotFoundError):
        blue.uploads.complete(up.id, part_ids=[part])
    made = red.uploads.complete(up.id, part_ids=[part]).file.id
    with pytest.raises(openai.NotFoundError):
        blue.files.content(made)
    assert red.files.content(made).read() == b"good"


def test_files_named_inside_a_body(house):
    made = make_file(house.gpt("red1"))
    talk = house.gpt("blue").conversations.create()
    content = [{"type": "input_file", "file_id": made}]
    items = [{"type": "message", "role": "user", "content": content}]
    bodies = {
        "/v1/responses": {"model": "gpt-4o", "input": items},
        "/v1/responses/input_tokens": {"model": "gpt-4o", "input": items},
        "/v1/chat/completions": {"model": "gpt-4o", "messages": [
            {"role": "user", "content": [{"type": "file", "file": {"file_id": made}}]}]},
        "/v1/conversations": {"items": items},
        f"/v1/conversations/{talk.id}/items": {"items": items},
        "/v1/messages": {"model": "claude-sonnet-4-6", "max_tokens": 9, "messages": [
            {"role": "user", "content": [
                {"type": "document", "source": {"type": "file", "file_id": made}}]}]},
    }
    for path, body in bodies.items():
        text = json.dumps(body)
        hidden = text.replace('"file_id"', '"file\\u005fid"').replace(made, "\\u0066" + made[1:])
        for form in (text, hidden):
            assert house.raw("blue", "POST", path, form.encode())[0] == 404, (path, form)
    tools = {"model": "gpt-4o", "input": "x", "tools": [{"type": "code_interpreter", "container": {
        "type": "auto", "file_ids": ["file-none-of-ours", made]}}]}
    assert house.raw("blue", "POST", "/v1/responses", tools)[0] == 404
    assert house.raw("red2", "POST", "/v1/responses", bodies["/v1/responses"])[0] == 200
    # under the same name anything else may stand
    other = {"model": "gpt-4o", "input": "x", "metadata": {"file_id": "42"}}
    assert house.raw("blue", "POST", "/v1/responses", other)[0] == 200


def jsonl(*bodies, url="/v1/responses"):
    return b"\n".join(json.dumps({"custom_id": f"r{i}", "method": "POST", "url": url,
                                  "body": {"model": "gpt-4o", **body}}).encode()
                      for i, body in enumerate(bodies))


def form(*parts):
    """A multipart body and its type; parts are name, value, and of a file its name."""
    text = b"".join(b"--bound\r\nContent-Disposition: form-data; name=\"%s\"%s\r\n\r\n%s\r\n" % (
        name.encode(), b"; filename=\"a.jsonl\"" if name == "file" else b"", value)
        for name, value in parts)
    return text + b"--bound--\r\n", "multipart/form-data; boundary=bound"


def test_lines_of_a_batch_name_no_foreign_thing(house):
    red, blue = house.gpt("red1"), house.gpt("blue")
    file, talk = make_file(red), red.conversations.create().id
    said = red.responses.create(model="gpt-4o", input="Hello").id
    image = {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": file}]}]}
    good = {"input": "Line"}
    for foreign in (image, {"previous_response_id": said, **good}, {"conversation": talk, **good},
                    {"conversation": {"id": talk}, **good}):
        text = jsonl(good, foreign, good)
        for lines in (text, text + b"\n", b" \n" + text.replace(b"_id", b"\\u005fid"),
                      jsonl(*[good] * 3000) + b"\n" + text):
            with pytest.raises(openai.NotFoundError):
                make_file(blue, lines, "batch")
            assert make_file(house.gpt("red2"), lines, "batch")
        make_file(blue, text, "user_data")  # nobody runs these
    for f in blue.files.list():
        assert f.purpose != "batch"


def test_what_a_form_says_last_counts_too(house, run):
    file = make_file(house.gpt("red1"))
    text = jsonl({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": file}]}]})
    for parts, status in (([("file", text), ("purpose", b"batch")], 404),
                          ([("file", text), ("purpose", b"user_data")], 200),
                          ([("purpose", b"user_data"), ("file", text), ("purpose", b"batch")], 400),
                          ([("file", b"x" * (17 << 20)), ("purpose", b"batch")], 400),
                          ([("purpose", b"batch"), ("file", b"x" * (17 << 20))], 400),
                          ([("purpose", b"batch"), ("file", jsonl({"input": "x"}))], 200)):
        body, type_ = form(*parts)
        sent = run(call(house.gateway.port, "/v1/files", body, key=house.keys["blue"],
                        type_=type_))
        assert sent.status == status, (parts[0][0], sent.body)
    status, reply = house.raw("blue", "POST", "/v1/uploads", {
        "purpose": "batch", "filename": "batch", "bytes": 1, "mime_type": "application/jsonl"})
    assert status == 400 and reply["error"]["param"] == "purpose"
    status, _ = house.raw("blue", "POST", "/v1/uploads", {
        "purpose": "user_data", "filename": "batch", "bytes": 1, "mime_type": "text/plain"})
    assert status == 200


# --- lists ---

def test_lists_show_a_teams_own(house):
    red, blue = house.gpt("red1"), house.gpt("blue")
    mine = [make_file(red) for _ in range(3)]
    theirs = [make_file(blue) for _ in range(7)]
    mine.append(make_file(house.gpt("red2")))
    for limit in (1, 2, 3, 100):
        listed = [f.id for f in red.files.list(limit=limit)]
        assert len(set(listed)) == len(listed)
        assert set(mine) <= set(listed) and not set(theirs) & set(listed)
        listed = [f.id for f in blue.files.list(limit=limit)]
        assert set(theirs) <= set(listed) and not set(mine) & set(listed)
    assert not {f.id for f in house.gpt("alone").files.list()} & set(mine + theirs)


def test_a_list_says_nothing_of_what_it_leaves_out(house):
    mine = make_file(house.gpt("red1"))
    theirs = [make_file(house.gpt("blue")) for _ in range(3)]
    status, page = house.raw("red1", "GET", "/v1/files?limit=1")
    assert status == 200 and [f["id"] for f in page["data"]] == [mine]
    assert page["first_id"] == page["last_id"] == mine and page["object"] == "list"
    _, page = house.raw("blue", "GET", "/v1/files?limit=2")
    assert page["has_more"] is True and page["last_id"] == theirs[1]
    assert house.raw("red1", "GET", f"/v1/files?after={theirs[0]}")[0] == 404


def test_a_filtered_list_is_filtered_in_the_log_too(house):
    theirs = make_file(house.gpt("blue"))
    house.gpt("red1").files.list()
    status, reply = house.api("GET", "/api/vas/logs?limit=1")
    if status == 200:
        assert theirs not in json.dumps(reply)


# --- batches ---

def lines_of(n, model="gpt-4o-mini"):
    return "\n".join(json.dumps({
        "custom_id": f"r{i}", "method": "POST", "url": "/v1/chat/completions",
        "body": {"model": model, "messages": [{"role": "user", "content": f"Line {i} of many"}]}})
        for i in range(n)).encode()


def make_batch(client, n=3):
    file = make_file(client, lines_of(n), "batch")
    return client.batches.create(input_file_id=file, endpoint="/v1/chat/completions",
                                 completion_window="24h")


BATCH_ROWS = "SELECT team_id, model, cost, charged, tokens_in, tokens_out, provider FROM logs " \
             "WHERE endpoint = ? AND team_id = ? AND cost IS NOT NULL"


def test_batches(house):
    red, blue = house.gpt("red1"), house.gpt("blue")
    file = make_file(red, lines_of(1), "batch")
    with pytest.raises(openai.NotFoundError):
        blue.batches.create(input_file_id=file, endpoint="/v1/chat/completions",
                            completion_window="24h")
    made = make_batch(red)
    for use in (blue.batches.retrieve, blue.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            use(made.id)
    assert made.id not in [b.id for b in blue.batches.list(limit=1)]
    # a list is enough to know the files that a batch wrote
    listed = next(b for b in house.gpt("red2").batches.list(limit=1) if b.id == made.id)
    with pytest.raises(openai.NotFoundError):
        blue.files.content(listed.output_file_id)
    assert len(red.files.content(listed.output_file_id).text.splitlines()) == 3
    assert listed.output_file_id in [f.id for f in red.files.list()]


def spent(house, team):
    """What the ledger says that a team spent ever."""
    rows = house.rows("SELECT SUM(used) FROM ledger_spend WHERE name LIKE ?",
                      f"%t:{house.teams[team]}:e")
    return rows[0][0] or 0


def test_a_batchs_cost_is_booked_once(tmp_path):
    h = furnished(Gateway(tmp_path, SETTINGS | {"SMARTFLOW_BATCH_POLL": "1h"}))
    red = h.gpt("red1")
    made = make_batch(red, 4)
    assert h.rows("SELECT is_open FROM owned_objects WHERE id = ?", made.id) in ([], [(1,)])
    done = red.batches.retrieve(made.id)
    out = [json.loads(x) for x in red.files.content(done.output_file_id).text.splitlines()]
    usage = [o["response"]["body"]["usage"] for o in out]
    tokens = [sum(u[k] for u in usage) for k in ("prompt_tokens", "completion_tokens")]
    cost = tokens[0] * 75 + tokens[1] * 300  # nano-dollars: half of what a call costs
    rows = until(lambda: h.rows(BATCH_ROWS, "batches", h.teams["red"]))
    assert rows == [(h.teams["red"], "gpt-4o-mini", cost, cost, *tokens, "demo")]
    assert until(lambda: spent(h, "red")) == cost and spent(h, "blue") == 0
    for _ in range(3):
        h.gpt("red2").batches.retrieve(made.id)
    until(lambda: h.rows("SELECT 1 FROM owned_objects WHERE id = ? AND is_open = 0", made.id))
    h.close()
    h.gateway.stop()

    again = House(Gateway(tmp_path, SETTINGS))  # what it looks at first is what is open
    again.keys, again.teams = h.keys, h.teams
    until(lambda: metric(again.gateway, "smartflow_batch_rounds_total") >= 1)
    assert len(again.rows(BATCH_ROWS, "batches", h.teams["red"])) == 1
    assert spent(again, "red") == cost
    again.close()
    again.gateway.stop()


class Provider(RawUpstream):
    """OpenAI's batches, as far as they matter here: one has ended, with results of two models."""

    RESULTS = [("gpt-4o-mini", 1000, 10), ("gpt-4o", 100, 5), ("gpt-4o-mini", 2000, 30)]
    COST = 3000 * 75 + 40 * 300 + 100 * 1250 + 5 * 5000  # nano-dollars
    failing = False  # the results cannot be had

    async def answer_all(self, conn, m):
        path, reply = m.target.partition("?")[0], {"id": "file-in", "object": "file"}
        if self.failing and path.endswith("/content"):
            return await conn.answer(http_reply(503, b"{}"))
        if path == "/v1/files/file-out/content":
            return await conn.answer(http_reply(200, self.results(), type_="text/plain",
                                                framing="chunked"))
        if path.startswith("/v1/batches"):
            name = path.rpartition("/")[2] if m.method == "GET" else f"batch_{len(self.requests)}"
            reply = {"id": name, "object": "batch", "input_file_id": "file-in",
                     "status": "completed" if m.method == "GET" else "validating",
                     "output_file_id": "file-out" if m.method == "GET" else None}
        return await conn.answer(http_reply(200, json.dumps(reply).encode()))

    def results(self):
        return b"".join(json.dumps({"custom_id": "x", "response": {"status_code": 200, "body": {
            "model": model, "usage": {"prompt_tokens": n, "completion_tokens": k}}}}).encode() + b"\n"
            for model, n, k in self.RESULTS)


@pytest.fixture
def provider(run):
    up = Provider()
    up.default = up.answer_all
    run(up.start())
    yield up
    run(up.stop())


def wait_for(run, what, limit=30):
    """until(), while the provider answers."""
    async def look():
        end = time.monotonic() + limit
        while not (got := what()):
            assert time.monotonic() < end, "it did not come in time"
            await asyncio.sleep(0.05)
        return got

    return run(look())


def open_batches(h):
    return h.rows("SELECT id FROM owned_objects WHERE is_open = 1")


def batch_at(h, run, who):
    body = {"input_file_id": "file-in", "endpoint": "/v1/chat/completions"}
    made = run(call(h.gateway.port, "/v1/batches", body, key=h.keys[who]))
    assert made.status == 200, made.body
    return made.json()["id"]


def booked(h, team):
    return sorted(h.rows("SELECT model, cost, charged, tokens_in FROM logs WHERE endpoint = "
                         "'batches' AND team_id = ? AND charged > 0", h.teams[team]))


ONCE = [("gpt-4o", 150000, 150000, 100), ("gpt-4o-mini", 237000, 237000, 3000)]


def test_each_model_of_a_batch_is_booked_even_over_crashes(tmp_path, provider, run):
    env = providers_at(provider.port) | {"SMARTFLOW_BATCH_POLL": "1s", "SMARTFLOW_UNOWNED": "allow"}
    h = furnished(Gateway(tmp_path, env))
    first = batch_at(h, run, "red1")
    wait_for(run, lambda: booked(h, "red") == ONCE)
    assert wait_for(run, lambda: spent(h, "red")) == Provider.COST
    wait_for(run, lambda: not open_batches(h))
    h.gateway.kill()
    db = sqlite3.connect(tmp_path / "data" / "smartflow.db")
    node = (tmp_path / "data" / "node").read_text(encoding="ascii").strip()
    with db:  # killed behind its entries, before the row said so
        db.execute("UPDATE owned_objects SET is_open = 1, checked_at = 0 WHERE id = ?", (first,))
    db.close()
    assert h.rows("SELECT claimed_by FROM owned_objects WHERE id = ?", first) == [(node,)]

    again = House(Gateway(tmp_path, env))
    again.keys, again.teams = h.keys, h.teams
    wait_for(run, lambda: not open_batches(again))
    assert booked(again, "red") == ONCE and spent(again, "red") == Provider.COST
    second = batch_at(again, run, "blue")
    wait_for(run, lambda: booked(again, "blue") == ONCE)
    wait_for(run, lambda: not open_batches(again))
    again.gateway.kill()
    db = sqlite3.connect(tmp_path / "data" / "smartflow.db")
    with db:  # and killed behind the claim, before any entry
        db.execute("INSERT INTO owned_objects SELECT 'batch_claimed', kind, provider, upstream_key,"
                   " org_id, team_id, user_id, key_id, customer, batch, created_at, 1, 0, ?, ? "
                   "FROM owned_objects WHERE id = ?", (node, time.time_ns(), second))
    db.close()
    last = House(Gateway(tmp_path, env))
    last.teams = h.teams
    wait_for(run, lambda: booked(last, "blue") == sorted(ONCE * 2))
    assert wait_for(run, lambda: spent(last, "blue") == 2 * Provider.COST)
    assert spent(last, "red") == Provider.COST
    last.gateway.stop()


def test_results_that_cannot_be_had_are_asked_for_again(tmp_path, provider, run):
    provider.failing = True
    h = furnished(Gateway(tmp_path, providers_at(provider.port) | {
        "SMARTFLOW_BATCH_POLL": "300ms", "SMARTFLOW_UNOWNED": "allow"}))
    made = batch_at(h, run, "red1")

    def tried():
        return sum(m.target.endswith("/content") for m in provider.requests)

    wait_for(run, lambda: tried() >= 3)
    assert booked(h, "red") == [] and open_batches(h) == [(made,)]
    # and until they were, they are not deleted
    wait_for(run, lambda: h.rows("SELECT 1 FROM owned_objects WHERE id = 'file-out'"))
    refused = run(call(h.gateway.port, "/v1/files/file-out", method="DELETE", key=h.keys["red1"]))
    assert refused.status == 503 and "batch_not_booked" in refused.body.decode()
    provider.failing = False
    done = run(call(h.gateway.port, "/v1/files/file-out", method="DELETE", key=h.keys["red1"]))
    assert done.status == 200
    wait_for(run, lambda: booked(h, "red") == ONCE)
    h.gateway.stop()


def test_a_budget_sees_what_a_batch_cost(tmp_path, provider, run):
    h = House(Gateway(tmp_path, providers_at(provider.port) | {
        "SMARTFLOW_BATCH_POLL": "1s", "SMARTFLOW_UNOWNED": "allow"}))
    h.team("red")
    status, made = h.api("PUT", f"/api/teams/{h.teams['red']}", {
        "budgets": [{"period": "monthly", "limit_usd": 0.0003}]})
    assert status == 200, made
    h.key("red1", "red")
    chat = {"model": "gpt-4o-mini", "max_tokens": 1,
            "messages": [{"role": "user", "content": "x"}]}
    assert run(call(h.gateway.port, "/v1/chat/completions", chat, key=h.keys["red1"])).status == 200
    batch_at(h, run, "red1")
    wait_for(run, lambda: booked(h, "red") == ONCE)
    refused = run(call(h.gateway.port, "/v1/chat/completions", chat, key=h.keys["red1"]))
    assert refused.status == 429, refused.body
    h.gateway.stop()


def test_a_batch_that_nobody_asks_for_is_booked_too(house):
    was = len(house.rows(BATCH_ROWS, "batches", house.teams["blue"]))
    make_batch(house.gpt("blue"), 2)
    until(lambda: len(house.rows(BATCH_ROWS, "batches", house.teams["blue"])) > was)


def test_message_batches(house):
    red, blue = house.claude("red1"), house.claude("blue")
    made = red.messages.batches.create(requests=[{"custom_id": f"m{i}", "params": {
        "model": "claude-sonnet-4-6", "max_tokens": 64,
        "messages": [{"role": "user", "content": f"Hello {i}"}]}} for i in range(3)])
    for use in (blue.messages.batches.retrieve, blue.messages.batches.cancel,
                blue.messages.batches.results, blue.messages.batches.delete):
        with pytest.raises(anthropic.NotFoundError):
            use(made.id)
    for limit in (1, 20):
        assert made.id not in [b.id for b in blue.messages.batches.list(limit=limit)]
        assert made.id in [b.id for b in house.claude("red2").messages.batches.list(limit=limit)]
    assert len(list(red.messages.batches.results(made.id))) == 3
    # it is booked before it can be deleted
    red.messages.batches.delete(made.id)
    assert house.rows("SELECT is_open FROM owned_objects WHERE id = ?", made.id) == [(0,)]
    rows = until(lambda: house.rows(BATCH_ROWS, "message_batches", house.teams["red"]))
    assert len(rows) == 1 and rows[0][1] == "claude-sonnet-4-6" and rows[0][2] == rows[0][3] > 0


def gemini_lines(client, folder, n):
    lines = [{"key": f"r{i}", "request": {"contents": [{"parts": [{"text": f"Line {i}"}]}]}}
             for i in range(n)]
    (folder / "in.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return client.files.upload(
        file=folder / "in.jsonl", config={"mime_type": "application/jsonl"}).name


def gemini_cost(usage):
    """Of gemini-2.5-flash: half of what calls cost, 300 and 2,500 nano-dollars a token."""
    return sum(u["promptTokenCount"] * 150 + u["candidatesTokenCount"] * 1250 for u in usage)


def test_batches_of_gemini(house, tmp_path):
    red, blue = house.gemini("red1"), house.gemini("blue")
    source = gemini_lines(red, tmp_path, 3)
    with pytest.raises(genai.errors.ClientError):  # another team's file
        blue.batches.create(model="gemini-2.5-flash", src=source)
    made = red.batches.create(model="gemini-2.5-flash", src=source).name
    for use in (blue.batches.get, blue.batches.cancel, blue.batches.delete):
        with pytest.raises(genai.errors.ClientError) as e:
            use(name=made)
        assert e.value.code == 404
    assert made not in [b.name for b in blue.batches.list()]
    listed = next(b for b in house.gemini("red2").batches.list() if b.name == made)
    results = listed.dest.file_name  # a list is enough to know whose it is
    with pytest.raises(genai.errors.ClientError):
        blue.files.download(file=results)
    text = red.files.download(file=results)
    usage = [json.loads(line)["response"]["usageMetadata"] for line in text.splitlines()]
    red.files.delete(name=results)  # booked before
    assert house.rows("SELECT is_open FROM owned_objects WHERE id = ?", made) == [(0,)]
    cost = gemini_cost(usage)
    rows = until(lambda: house.rows(BATCH_ROWS, "gemini_batches", house.teams["red"]))
    assert [r[1:4] for r in rows] == [("gemini-2.5-flash", cost, cost)] and cost > 0


def test_a_batch_of_gemini_with_its_results_inside(house):
    blue = house.gemini("blue")
    made = blue.batches.create(model="gemini-2.5-flash", src=[
        {"contents": [{"parts": [{"text": "Hello"}]}]} for _ in range(2)]).name
    done = blue.batches.get(name=made).dest.inlined_responses
    cost = gemini_cost([r.response.usage_metadata.model_dump(by_alias=True) for r in done])
    rows = until(lambda: house.rows(BATCH_ROWS, "gemini_batches", house.teams["blue"]))
    assert [r[1:4] for r in rows] == [("gemini-2.5-flash", cost, cost)] and cost > 0
    blue.batches.delete(name=made)


class RunningGemini(RawUpstream):
    """One batch, which runs until it is told otherwise."""

    state, deleted = "RUNNING", False

    async def answer_all(self, conn, m):
        reply = {"name": "batches/b1", "metadata": {
            "model": "models/gemini-2.5-flash", "state": f"BATCH_STATE_{self.state}"}}
        if self.state == "CANCELLED":
            reply["metadata"]["output"] = {"inlinedResponses": {"inlinedResponses": [
                {"response": {"usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 10}}},
                {"error": {"code": 1}}]}}
        if m.method == "DELETE":
            self.deleted, reply = True, {}
        await conn.answer(http_reply(200, json.dumps(reply).encode()))


def test_a_batch_of_gemini_is_not_deleted_while_it_runs(tmp_path, run):
    up = RunningGemini()
    up.default = up.answer_all
    run(up.start())
    h = furnished(Gateway(tmp_path, providers_at(up.port) | {"SMARTFLOW_BATCH_POLL": "1h"}))
    made = run(call(h.gateway.port, "/v1beta/models/gemini-2.5-flash:batchGenerateContent",
                    {"batch": {"inputConfig": {"requests": {"requests": []}}}}, key=h.keys["red1"]))
    assert made.status == 200 and made.json()["name"] == "batches/b1"

    def delete():
        return run(call(h.gateway.port, "/v1beta/batches/b1", method="DELETE", key=h.keys["red2"]))

    refused = delete()
    assert refused.status == 400 and "Cancel it first" in refused.body.decode() and not up.deleted
    up.state = "CANCELLED"
    assert delete().status == 200 and up.deleted
    wait_for(run, lambda: h.rows("SELECT 1 FROM logs WHERE endpoint = 'gemini_batches' AND "
                                 "charged = ?", 100 * 150 + 10 * 1250))
    h.gateway.stop()
    run(up.stop())


def test_files_of_anthropic(house):
    red, blue = house.claude("red1"), house.claude("blue")
    made = red.beta.files.upload(file=("a.txt", b"hello", "text/plain")).id
    theirs = [blue.beta.files.upload(file=("b.txt", b"x", "text/plain")).id for _ in range(3)]
    assert house.claude("red2").beta.files.download(made).read() == b"hello"
    with pytest.raises(anthropic.NotFoundError):
        blue.beta.files.retrieve_metadata(made)
    assert made in [f.id for f in red.beta.files.list(limit=1)]
    assert not set(theirs) & {f.id for f in red.beta.files.list(limit=1)}
    with pytest.raises(anthropic.NotFoundError):
        blue.messages.create(model="claude-sonnet-4-6", max_tokens=9, messages=[
            {"role": "user", "content": [
                {"type": "document", "source": {"type": "file", "file_id": made}}]}])


def test_files_and_caches_of_google(house):
    red, blue = house.gemini("red1"), house.gemini("blue")
    made = red.files.upload(file=io.BytesIO(b"hello"), config={"mime_type": "text/plain"})
    theirs = [blue.files.upload(file=io.BytesIO(b"x"), config={"mime_type": "text/plain"}).name
              for _ in range(3)]
    assert house.gemini("red2").files.get(name=made.name).name == made.name
    for use in (blue.files.get, blue.files.delete):
        with pytest.raises(genai.errors.ClientError) as refused:
            use(name=made.name)
        assert refused.value.code == 404
    listed = [f.name for f in red.files.list(config={"page_size": 1})]
    assert made.name in listed and not set(theirs) & set(listed)
    with pytest.raises(genai.errors.ClientError) as refused:
        blue.models.generate_content(model="gemini-2.5-pro", contents=[
            genai.types.Part.from_uri(file_uri=made.uri, mime_type="text/plain")])
    assert refused.value.code == 404
    cache = red.caches.create(model="gemini-2.5-pro", config={"contents": ["long text"]})
    with pytest.raises(genai.errors.ClientError) as refused:
        blue.caches.get(name=cache.name)
    assert refused.value.code == 404
    assert house.gemini("red2").caches.get(name=cache.name).name == cache.name
    with pytest.raises(genai.errors.ClientError) as refused:
        blue.models.generate_content(model="gemini-2.5-pro", contents="x",
                                     config={"cached_content": cache.name})
    assert refused.value.code == 404


# --- what nobody knows, and what lasts ---

def test_owners_outlast_a_restart(tmp_path, upstream, run):
    async def keeper(conn, m):
        """A provider with one file, whoever asks."""
        body = {"id": "file-kept", "object": "file", "data": []}
        return await conn.answer(http_reply(200, json.dumps(body).encode()))

    script = upstream.script(keeper)
    path = "/v1/files/file-kept"

    def status(h, who, method="GET", to=path, body=None):
        return run(call(h.gateway.port, to, body, script, method=method, key=h.keys[who])).status

    h = furnished(Gateway(tmp_path, providers_at(upstream.port)))
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--b--\r\n'
    made = run(call(h.gateway.port, "/v1/files", form, script, key=h.keys["red1"],
                    type_="multipart/form-data; boundary=b"))
    assert made.status == 200
    assert [status(h, who) for who in ("red1", "red2", "blue", "alone")] == [200, 200, 404, 404]
    h.gateway.stop()
    again = House(Gateway(tmp_path, providers_at(upstream.port)))
    again.keys = h.keys
    assert [status(again, who) for who in ("red1", "red2", "blue", "alone")] == [200, 200, 404, 404]
    assert status(again, "red1", to="/v1/files/file-other") == 404
    again.gateway.stop()
    open_house = House(Gateway(tmp_path, providers_at(upstream.port)
                               | {"SMARTFLOW_UNOWNED": "allow"}))
    open_house.keys = h.keys
    assert [status(open_house, who) for who in ("red1", "blue")] == [200, 404]
    assert status(open_house, "blue", to="/v1/files/file-other") == 200
    open_house.gateway.stop()


def test_without_teams_what_nobody_knows_is_for_all(tmp_path, upstream, run):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "affinity.log").write_text("file-old\tgroq\nfile-torn\topen",
                                                    encoding="ascii")
    script = upstream.answer(http_reply(200, b'{"id":"file-old"}'))
    g = Gateway(tmp_path, providers_at(upstream.port) | {
        "GROQ_API_KEY": "k", "GROQ_API_BASE": f"http://127.0.0.1:{upstream.port}"})
    reply = run(call(g.port, "/v1/files/file-old", None, script, method="GET"))
    assert reply.status == 200 and reply.get("x-smartflow-provider") == "groq"
    reply = run(call(g.port, "/v1/files/file-unknown", None, script, method="GET"))
    assert reply.status == 200 and reply.get("x-smartflow-provider") == "openai"
    assert (tmp_path / "data" / "affinity.log.imported").exists()
    assert not (tmp_path / "data" / "affinity.log").exists()
    h = House(g)
    h.team("first")
    h.key("one", "first")
    for name in ("file-old", "file-unknown"):
        reply = run(call(g.port, f"/v1/files/{name}", None, script, method="GET",
                         key=h.keys["one"]))
        assert reply.status == 404
    until(lambda: run(call(g.port, "/v1/files/file-old", None, script, method="GET",
                           key=KEY)).status == 404)
    g.stop()


def test_nodes_know_the_same_owners(tmp_path, redis, postgres, provider, run):
    """What one node made the other knows at once; what ends is booked once between them."""
    made_at = iter(range(1000))

    async def files(conn, m):
        if m.method == "POST" and m.target == "/v1/files":
            reply = {"id": f"file-{next(made_at)}", "object": "file"}
            return await conn.answer(http_reply(200, json.dumps(reply).encode()))
        return await provider.answer_all(conn, m)

    provider.default = files
    nodes = Replicas(tmp_path, redis, postgres, provider,
                     {"SMARTFLOW_BATCH_POLL": "500ms", "SMARTFLOW_UNOWNED": "allow"})
    try:
        h = furnished(nodes.all[0])
        for k in ("red1", "blue"):
            for n in (0, 1, 2):
                until(lambda n=n, k=k: run(call(nodes.all[n].port, "/v1/models", method="GET",
                                                key=h.keys[k])).status == 200)
        form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--b--\r\n'
        for i in range(12):
            made = run(call(nodes.all[i % 3].port, "/v1/files", form, key=h.keys["red1"],
                            type_="multipart/form-data; boundary=b"))
            path = "/v1/files/" + made.json()["id"]
            for other in ((i + 1) % 3, (i + 2) % 3):
                seen = [run(call(nodes.all[other].port, path, method="GET",
                                 key=h.keys[who])).status for who in ("red1", "red2", "blue")]
                assert seen == [200, 200, 404]
        batch_at(h, run, "red1")
        spends = Admin(nodes.all[1])

        def spent_by_red():
            return spends.spend(h.teams["red"], "teams")[0]

        wait_for(run, lambda: spent_by_red() == Provider.COST)
        done = [metric(g, "smartflow_batch_rounds_total") for g in nodes.all]
        until(lambda: all(metric(g, "smartflow_batch_rounds_total") >= n + 2
                          for g, n in zip(nodes.all, done)))
        assert spent_by_red() == Provider.COST
    finally:
        nodes.stop()


def test_a_list_that_cannot_be_filtered_is_not_shown(tmp_path, upstream, run):
    h = furnished(Gateway(tmp_path, providers_at(upstream.port)))
    foreign = b'{"id":"file-x","object":"file"}'
    for reply, want in ((http_reply(200, foreign, type_="text/plain"), 200),
                        (http_reply(200, b"file-x, file-y", type_="text/plain"), 502),
                        (http_reply(200, b'[' + foreign + b']'), 200),
                        (http_reply(200, b'{"things":[' + foreign + b']}'), 200),
                        (http_reply(200, b'{"data":[' + foreign), 502),
                        (http_reply(200, foreign, [("Content-Encoding", "gzip")]), 502),
                        (http_reply(500, b'{"error":{"message":"broken"}}'), 500)):
        m = run(call(h.gateway.port, "/v1/files", None, upstream.answer(reply), method="GET",
                     key=h.keys["red1"]))
        assert m.status == want, m.body
        if want == 200 and b"[" in m.body:
            assert b"file-x" not in m.body
    h.gateway.stop()


def test_a_thing_is_used_with_the_credential_it_was_made_with(tmp_path, upstream, run):
    seen = []

    async def account(conn, m):
        seen.append(m.get("authorization"))
        number = len(seen)
        return await conn.answer(http_reply(200, json.dumps({"id": f"resp_{number}"}).encode()))

    script = upstream.script(account)
    h = furnished(Gateway(tmp_path, providers_at(upstream.port)))
    for i in range(3):
        status, made = h.api("POST", "/api/admin/provider-keys", {
            "provider": "openai", "name": f"k{i}", "api_key": f"sk-provider-more-{i}-abcdef"})
        assert status == 201, made

    def post(body):
        m = run(call(h.gateway.port, "/v1/responses", body, script, key=h.keys["red1"]))
        assert m.status == 200, m.body
        return m.json()["id"], seen[-1]

    body = {"model": "gpt-4o", "input": "x"}
    made = until(lambda: [post(body) for _ in range(8)] if len({post(body)[1] for _ in range(8)}) == 4
                 else None)
    assert len({credential for _, credential in made}) == 4
    for name, credential in made:
        assert post(body | {"previous_response_id": name})[1] == credential
        run(call(h.gateway.port, f"/v1/responses/{name}", None, script, method="GET",
                 key=h.keys["red2"]))
        assert seen[-1] == credential
    # lists and new files of one team use one account
    del seen[:]
    for _ in range(6):
        run(call(h.gateway.port, "/v1/files", None, script, method="GET", key=h.keys["red1"]))
    assert len(seen) == 6 and len(set(seen)) == 1
    h.gateway.stop()
