"""Speech and transcription at providers that do not speak OpenAI's dialect: what they see of the
official SDK's calls, and what it gets back. One scripted upstream stands for all providers; which one
the gateway takes it for, the model's name decides, and what it answers, its path.
"""

import asyncio
import base64
import json
import struct
from urllib.parse import parse_qsl, urlsplit

import openai
import pytest

from gateway import ADMIN_KEY, KEY, Gateway, providers_at
from plane import Admin, until
from wire import call, http_reply

SOUND = b"RIFF" + bytes(range(256)) * 1600  # 400 KB: more than is held in memory
FILE = ("hello.wav", SOUND, "audio/wav")
MP3 = b"\xff\xfb" + bytes(70_000)
PCM = struct.pack("<4h", 1, -1, 300, -300)
TTS = "gemini/gemini-2.5-flash-preview-tts"


def listened(text="Hi there. So long.", duration=4.25):
    words = [{"word": "hi", "punctuated_word": "Hi", "start": 0.08, "end": 0.4, "confidence": 0.9},
             {"word": "there", "punctuated_word": "there.", "start": 0.4, "end": 0.88}]
    spoken = [{"start": 0.08, "end": 1.0, "transcript": "Hi there.", "speaker": 0},
              {"start": 2.5, "end": 3.75, "transcript": "So long.", "speaker": 1}]
    return {"metadata": {"request_id": "r", "duration": duration, "channels": 1},
            "results": {"channels": [{"detected_language": "en", "alternatives": [
                {"transcript": text, "confidence": 0.9, "words": words}]}], "utterances": spoken}}


def generated(part, **usage):
    return {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}],
            "usageMetadata": usage}


SPOKEN = generated({"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000",
                                   "data": base64.b64encode(PCM).decode()}},
                   promptTokenCount=8, candidatesTokenCount=48, totalTokenCount=56,
                   candidatesTokensDetails=[{"modality": "AUDIO", "tokenCount": 48}])
HEARD = dict(promptTokenCount=110, candidatesTokenCount=5, totalTokenCount=115,
             promptTokensDetails=[{"modality": "AUDIO", "tokenCount": 100}])


@pytest.fixture(scope="module")
def audio(tmp_path_factory, upstream):
    base = f"http://127.0.0.1:{upstream.port}"
    g = Gateway(tmp_path_factory.mktemp("audio"), providers_at(upstream.port) | {
        "DEEPGRAM_API_KEY": "deepgram-key", "DEEPGRAM_API_BASE": base})
    yield g
    g.stop()


class Asked:
    """The SDK's client before the gateway; each call says what its provider answers."""

    def __init__(self, run, gateway, upstream):
        self.run, self.gateway, self.upstream = run, gateway, upstream
        self.client = openai.AsyncOpenAI(api_key=KEY, base_url=gateway.url + "/v1", max_retries=0)

    def __call__(self, method, *replies, **named):
        """The SDK's raw reply, and what the provider saw."""
        script = self.upstream.answer(*replies)
        headers = {"x-script": script} | named.pop("extra_headers", {})
        raw = self.run(method.create(extra_headers=headers, **named))
        return raw, self.upstream.seen[script]

    def speech(self, *replies, **named):
        raw, (seen,) = self(self.client.audio.with_raw_response.speech, *replies, **named)
        return raw, seen

    def heard(self, *replies, **named):
        named = {"model": "deepgram/nova-3", "file": FILE} | named
        raw, (seen,) = self(self.client.audio.with_raw_response.transcriptions, *replies, **named)
        return raw, seen


@pytest.fixture
def ask(run, audio, upstream):
    a = Asked(run, audio, upstream)
    yield a
    run(a.client.close())


def reply(body, status=200, **how):
    return http_reply(status, json.dumps(body).encode(), **how)


def sound(body=MP3, framing="chunked", type_="audio/mpeg"):
    return http_reply(200, body, type_=type_, framing=framing)


def query(seen):
    return parse_qsl(urlsplit(seen.target).query, keep_blank_values=True)


def record(g, raw):
    """The log's record of a call."""
    status, body = g.get(f"/api/vas/logs/{raw.headers['x-smartflow-request-id']}",
                         {"authorization": "Bearer " + ADMIN_KEY})
    assert status == 200, body
    return json.loads(body)["data"]


# --- speech ---

def test_deepgram_speaks(ask, audio):
    raw, seen = ask.speech(sound(), model="deepgram/aura-2-thalia-en", voice="thalia", input="Grüße!")
    assert raw.content == MP3 and raw.headers["content-type"] == "audio/mpeg"
    assert urlsplit(seen.target).path == "/v1/speak"
    assert query(seen) == [("model", "aura-2-thalia-en"), ("encoding", "mp3")]
    assert seen.json() == {"text": "Grüße!"}
    assert seen.get("authorization") == "Token deepgram-key"
    assert seen.get("content-type") == "application/json" and seen.get("accept") == "audio/*"
    log = record(audio, raw)
    assert log["status"] == 200 and log["provider"] == "deepgram", log
    assert "x-smartflow-dropped-params" not in raw.headers


@pytest.mark.parametrize("form,type_,options", [
    ("opus", "audio/opus", [("encoding", "opus"), ("container", "ogg")]),
    ("aac", "audio/aac", [("encoding", "aac")]),
    ("flac", "audio/flac", [("encoding", "flac")]),
    ("wav", "audio/wav",
     [("encoding", "linear16"), ("container", "wav"), ("sample_rate", "24000")]),
    ("pcm", "audio/pcm",
     [("encoding", "linear16"), ("container", "none"), ("sample_rate", "24000")])])
def test_deepgrams_formats(ask, form, type_, options):
    raw, seen = ask.speech(sound(b"sound", "length", "audio/x"), model="deepgram/aura-2", speed=1.25,
                           voice="apollo", input="Hi", response_format=form)
    assert raw.content == b"sound" and raw.headers["content-type"] == type_
    assert raw.headers["content-length"] == "5"
    assert query(seen) == [("model", "aura-2-apollo-en"), *options, ("speed", "1.25")]


def test_sound_passes_as_it_comes(run, ask, upstream):
    """The first piece is with the client before the provider has made the second."""
    async def play(conn, _):
        await conn.send(b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\n"
                        b"transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await waiting.wait()
        await conn.send(b"6\r\nsecond\r\n0\r\n\r\n")
        return True

    async def read():
        named = {"model": "deepgram/aura-2", "voice": "apollo", "input": "Hi",
                 "extra_headers": {"x-script": script}}
        pieces = []
        async with ask.client.audio.speech.with_streaming_response.create(**named) as reply:
            async for piece in reply.iter_bytes():
                pieces.append(piece)
                waiting.set()
        return pieces

    waiting, script = asyncio.Event(), upstream.script(play)
    assert run(read(), 20) == [b"first", b"second"]


def test_sound_in_events(ask):
    raw, _ = ask.speech(sound(), model="deepgram/aura-2", voice="apollo", input="Hi",
                        stream_format="sse")
    assert raw.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(e.removeprefix("data: ")) for e in raw.text.split("\n\n") if e]
    assert events[-1] == {"type": "speech.audio.done"}
    assert {e["type"] for e in events[:-1]} == {"speech.audio.delta"}
    assert b"".join(base64.b64decode(e["audio"]) for e in events[:-1]) == MP3


def test_voices_of_others_are_declared(ask, audio):
    raw, seen = ask.speech(sound(), model="deepgram/aura-2", voice="alloy", input="Hi",
                           instructions="Be glad.")
    assert query(seen)[0] == ("model", "aura-2-thalia-en")
    assert raw.headers["x-smartflow-dropped-params"] == "voice, instructions"
    line = until(lambda: [x for x in audio.log() if x.get("request_id") == raw.headers[
        "x-smartflow-request-id"]])
    assert line[0]["dropped_params"] == "voice, instructions"


def test_gemini_speaks(ask, audio):
    raw, seen = ask.speech(reply(SPOKEN), model=TTS, voice="Kore", input="Good day",
                           instructions="Say it cheerfully.", response_format="wav")
    assert raw.headers["content-type"] == "audio/wav"
    assert raw.content[:4] == b"RIFF" and raw.content[8:16] == b"WAVEfmt "
    assert struct.unpack("<HHIIHH", raw.content[20:36]) == (1, 1, 24000, 48000, 2, 16)
    assert raw.content[44:] == PCM and len(raw.content) == 44 + len(PCM)
    assert seen.target == "/v1beta/models/gemini-2.5-flash-preview-tts:generateContent"
    assert seen.json() == {
        "contents": [{"role": "user", "parts": [{"text": "Say it cheerfully:\nGood day"}]}],
        "generationConfig": {"responseModalities": ["AUDIO"], "speechConfig": {
            "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}}}
    log = record(audio, raw)
    assert (log["prompt_tokens"], log["completion_tokens"]) == (8, 48), log
    assert float(raw.headers["x-smartflow-cost-usd"]) > 0


def test_geminis_other_formats(ask):
    raw, _ = ask.speech(reply(SPOKEN), model=TTS, voice="Kore", input="Hi")
    assert raw.headers["content-type"] == "audio/wav"
    assert raw.headers["x-smartflow-dropped-params"] == "response_format"
    raw, _ = ask.speech(reply(SPOKEN), model=TTS, voice="Kore", input="Hi", response_format="pcm")
    assert raw.content == PCM
    with pytest.raises(openai.BadRequestError) as e:
        ask(ask.client.audio.speech, reply(SPOKEN), model=TTS, voice="Kore", input="Hi",
            response_format="mp3")
    assert e.value.param == "response_format"


@pytest.mark.parametrize("named,param", [
    ({"voice": "x", "response_format": "ogg"}, "response_format"), ({"voice": 7}, "voice"),
    ({"voice": "x", "speed": 9}, "speed")])
def test_speech_that_is_refused(ask, named, param):
    with pytest.raises(openai.BadRequestError) as e:
        ask(ask.client.audio.speech, sound(), model="deepgram/aura-2", input="Hi", **named)
    assert e.value.param == param


def test_a_reply_without_sound(ask):
    for bad in (sound(b"", "length"), sound(b"", "chunked"), reply({"oops": 1})):
        with pytest.raises(openai.InternalServerError) as e:
            ask(ask.client.audio.speech, bad, model="deepgram/aura-2", voice="apollo", input="Hi")
        assert e.value.status_code == 502 and e.value.code == "upstream_bad_response"


# --- transcription ---

def test_deepgram_hears(ask, audio):
    raw, seen = ask.heard(reply(listened()))
    heard = raw.parse()
    assert heard.text == "Hi there. So long." and heard.usage.seconds == 5
    assert urlsplit(seen.target).path == "/v1/listen"
    assert query(seen) == [("model", "nova-3"), ("smart_format", "true"),
                           ("detect_language", "true")]
    assert seen.body == SOUND and seen.get("content-type") == "audio/wav"
    assert seen.get("authorization") == "Token deepgram-key"
    assert seen.get("content-length") == str(len(SOUND))
    assert float(raw.headers["x-smartflow-cost-usd"]) > 0
    log = record(audio, raw)
    assert log["provider"] == "deepgram" and log["status"] == 200
    assert log["cost_usd"] == pytest.approx(float(raw.headers["x-smartflow-cost-usd"]))


def test_options_are_encoded(ask):
    _, seen = ask.heard(reply(listened()), language="de-CH", extra_body={
        "keywords": ["Smart flow", "a&callback=http://evil"], "redact": "pci",
        "callback": "http://evil"})
    assert query(seen) == [("model", "nova-3"), ("smart_format", "true"), ("language", "de-CH"),
                           ("keyterm", "Smart flow"), ("keyterm", "a&callback=http://evil"),
                           ("redact", "pci")]


SRT = ("1\n00:00:00,080 --> 00:00:01,000\nHi there.\n\n"
       "2\n00:00:02,500 --> 00:00:03,750\nSo long.\n\n")


@pytest.mark.parametrize("form,text", [
    ("text", "Hi there. So long.\n"), ("srt", SRT),
    ("vtt", "WEBVTT\n\n00:00:00.080 --> 00:00:01.000\nHi there.\n\n"
            "00:00:02.500 --> 00:00:03.750\nSo long.\n\n")])
def test_plain_formats(ask, form, text):
    raw, seen = ask.heard(reply(listened()), response_format=form)
    assert raw.headers["content-type"] == "text/plain; charset=utf-8"
    assert (("utterances", "true") in query(seen)) == (form != "text")
    assert raw.text == text


def test_verbose(ask):
    raw, seen = ask.heard(reply(listened()), response_format="verbose_json",
                          timestamp_granularities=["word", "segment"])
    heard = raw.parse()
    assert ("utterances", "true") in query(seen)
    assert (heard.language, heard.duration, heard.text) == ("english", 4.25, "Hi there. So long.")
    assert [(w.word, w.start, w.end) for w in heard.words] == [("Hi", 0.08, 0.4),
                                                               ("there.", 0.4, 0.88)]
    assert [(s.id, s.start, s.end, s.text) for s in heard.segments] == [
        (0, 0.08, 1.0, "Hi there."), (1, 2.5, 3.75, "So long.")]


def test_speakers(ask):
    raw, seen = ask.heard(reply(listened()), response_format="diarized_json")
    assert ("diarize", "true") in query(seen) and ("utterances", "true") in query(seen)
    assert [(s.speaker, s.text) for s in raw.parse().segments] == [("A", "Hi there."),
                                                                   ("B", "So long.")]


def test_events_of_a_transcript(run, ask, upstream):
    async def read():
        stream = await ask.client.audio.transcriptions.create(
            model="deepgram/nova-3", file=FILE, stream=True,
            extra_headers={"x-script": upstream.answer(reply(listened()))})
        return [e async for e in stream]

    events = run(read())
    assert [e.type for e in events] == ["transcript.text.delta", "transcript.text.done"]
    assert events[0].delta == events[1].text == "Hi there. So long."


def test_gemini_hears(ask, audio):
    raw, seen = ask.heard(reply(generated({"text": "Hello.\n"}, **HEARD)), model="gemini-2.5-flash",
                          language="en", prompt="Smartflow")
    assert raw.parse().text == "Hello." and raw.parse().usage.input_tokens == 110
    assert seen.target == "/v1beta/models/gemini-2.5-flash:generateContent"
    prompt, recording = seen.json()["contents"][0]["parts"]
    assert recording["inlineData"]["mimeType"] == "audio/wav"
    assert base64.b64decode(recording["inlineData"]["data"]) == SOUND
    assert "Transcribe" in prompt["text"] and "is en." in prompt["text"] and "Smartflow" in prompt["text"]
    assert seen.json()["generationConfig"] == {"temperature": 0}
    log = record(audio, raw)
    assert (log["prompt_tokens"], log["completion_tokens"]) == (110, 5), log
    assert float(raw.headers["x-smartflow-cost-usd"]) > 0


def test_gemini_translates_with_times(ask):
    segments = json.dumps({"language": "de", "segments": [{"start": 0, "end": 1.5, "text": "Hi."}]})
    raw, (seen,) = ask(ask.client.audio.with_raw_response.translations,
                       reply(generated({"text": segments}, **HEARD)), model="gemini-2.5-flash",
                       file=FILE, response_format="srt")
    assert raw.text == "1\n00:00:00,000 --> 00:00:01,500\nHi.\n\n"
    assert "to English" in seen.json()["contents"][0]["parts"][0]["text"]
    assert seen.json()["generationConfig"]["responseMimeType"] == "application/json"


def test_deepgram_does_not_translate(ask):
    with pytest.raises(openai.BadRequestError) as e:
        ask(ask.client.audio.translations, reply(listened()), model="deepgram/nova-3", file=FILE)
    assert e.value.param == "model" and "translate" in e.value.message


def test_losses_of_a_transcription(ask):
    raw, _ = ask.heard(reply(listened()), prompt="Hello", temperature=0.5, include=["logprobs"])
    assert raw.headers["x-smartflow-dropped-params"] == "include, prompt, temperature"


@pytest.mark.parametrize("named,param", [
    ({"response_format": "xml"}, "response_format"), ({"temperature": 3}, "temperature"),
    ({"file": ("a.wav", b"")}, "file")])
def test_forms_that_are_refused(ask, upstream, named, param):
    script = upstream.answer(reply(listened()))
    with pytest.raises(openai.BadRequestError) as e:
        ask.run(ask.client.audio.transcriptions.create(
            **{"model": "deepgram/nova-3", "file": FILE} | named, extra_headers={"x-script": script}))
    assert e.value.param == param and not upstream.seen[script]


def test_a_form_that_is_cut_off(run, audio):
    body = b"--b\r\ncontent-disposition: form-data; name=model\r\n\r\ndeepgram/nova-3\r\n--b--\r\n"
    m = run(call(audio.port, "/v1/audio/transcriptions", body[:-6],
                 type_="multipart/form-data; boundary=b"))
    assert m.status == 400, m.body


# --- errors and chains ---

@pytest.mark.parametrize("status,code,error,words", [
    (400, "Bad Request", openai.BadRequestError, None),
    (401, "INVALID_AUTH", openai.InternalServerError, "provider_auth_failed"),
    (402, "ASR_PAYMENT_REQUIRED", openai.RateLimitError, "insufficient_quota"),
    (429, "TOO_MANY_REQUESTS", openai.RateLimitError, "rate_limit_exceeded")])
def test_deepgrams_errors(ask, status, code, error, words):
    said = reply({"err_code": code, "err_msg": "It was said so.", "request_id": "r"}, status)
    for method, named in ((ask.client.audio.speech, {"model": "deepgram/aura-2", "voice": "apollo",
                                                     "input": "Hi"}),
                          (ask.client.audio.transcriptions,
                           {"model": "deepgram/nova-3", "file": FILE})):
        with pytest.raises(error) as e:
            ask(method, said, **named)
        assert e.value.code == words
        assert "It was said so." in e.value.message or status == 401


def chain(admin, name, *targets):
    admin.ok("POST", "/api/routing/fallback-chains", {
        "name": name, "retries": 0, "backoff_ms": 1,
        "targets": [{"provider": p, "model": m} for p, m in targets]})
    until(lambda: admin("GET", f"/api/routing/fallback-chains/{name}")[0] == 200, limit=30)


def parts(seen):
    """Name and bytes of a form's parts."""
    boundary = seen.get("content-type").split("boundary=")[1].encode()
    found = {}
    for part in seen.body.split(b"--" + boundary)[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        found[head.split(b'name="')[1].split(b'"')[0].decode()] = data.removesuffix(b"\r\n")
    return found


def test_a_chain_from_deepgram_to_openai(ask, audio, upstream):
    """The form, larger than what is held in memory, is sent to each as it wants it."""
    async def play(conn, m):
        if m.target.startswith("/v1/listen"):
            return await conn.answer(reply({"err_code": "INTERNAL", "err_msg": "No."}, 500))
        return await conn.answer(reply({"text": "Hi", "usage": {"type": "duration", "seconds": 4}}))

    script = upstream.script(play)
    chain(Admin(audio), "hearing", ("deepgram", "nova-3"), ("openai", "whisper-1"))
    raw = ask.run(ask.client.audio.with_raw_response.transcriptions.create(
        model="hearing", file=FILE, prompt="Hello", extra_headers={"x-script": script}))
    first, second = upstream.seen[script]
    assert raw.parse().text == "Hi" and raw.headers["x-smartflow-fallbacks"] == "1"
    assert "x-smartflow-dropped-params" not in raw.headers  # OpenAI's takes the prompt
    assert first.body == SOUND and second.target == "/v1/audio/transcriptions"
    sent = parts(second)
    assert sent["model"] == b"whisper-1" and sent["file"] == SOUND and sent["prompt"] == b"Hello"
    assert second.get("content-length") == str(len(second.body))
    attempts = record(audio, raw)["routing"]["attempts"]
    assert [(a["model"], a["result"]) for a in attempts] == [("nova-3", "next"),
                                                             ("whisper-1", "served")]


def test_a_chain_from_openai_to_deepgram(ask, audio, upstream):
    async def play(conn, m):
        if m.target.startswith("/v1/listen"):
            return await conn.answer(reply(listened()))
        conn.reset()
        return False

    script = upstream.script(play)
    chain(Admin(audio), "hearing2", ("openai", "whisper-1"), ("deepgram", "nova-3"))
    raw = ask.run(ask.client.audio.with_raw_response.transcriptions.create(
        model="hearing2", file=FILE, extra_headers={"x-script": script}))
    assert raw.parse().text == "Hi there. So long."
    assert upstream.seen[script][-1].body == SOUND


def test_a_chain_of_voices(ask, audio, upstream):
    async def play(conn, m):
        if m.target.startswith("/v1/speak"):
            return await conn.answer(reply({"err_code": "INTERNAL", "err_msg": "No."}, 503))
        return await conn.answer(sound(b"spoken", "length"))

    script = upstream.script(play)
    chain(Admin(audio), "speaking", ("deepgram", "aura-2"), ("openai", "tts-1"))
    raw = ask.run(ask.client.audio.with_raw_response.speech.create(
        model="speaking", voice="alloy", input="Hi", extra_headers={"x-script": script}))
    assert raw.content == b"spoken" and "x-smartflow-dropped-params" not in raw.headers
    assert upstream.seen[script][-1].json() == {"model": "tts-1", "voice": "alloy", "input": "Hi"}
