"""The official OpenAI SDK: audio, images, and the two WebSockets: Realtime and Responses."""

import base64

import pytest

from sdk_fixtures import PIXEL

SOUND = ("hello.wav", b"RIFF" + bytes(400_000), "audio/wav")
PICTURE = ("in.png", base64.b64decode(PIXEL), "image/png")
HEARD = f"You said: file hello.wav of {len(SOUND[1])} bytes"


# --- audio ---

def test_transcription(gpt):
    reply = gpt.audio.transcriptions.create(model="whisper-1", file=SOUND, language="en")
    assert reply.text == HEARD
    assert reply.usage.input_tokens > 0


def test_transcription_formats(gpt):
    def heard(form):
        return gpt.audio.transcriptions.create(model="whisper-1", file=SOUND, response_format=form)

    assert heard("text").strip() == HEARD
    assert heard("srt").startswith("1\n00:00:00,000 -->") and HEARD in heard("srt")
    assert heard("vtt").startswith("WEBVTT")
    assert heard("verbose_json").segments[0].text == HEARD


def test_transcription_stream(gpt):
    events = list(gpt.audio.transcriptions.create(model="gpt-4o-transcribe", file=SOUND, stream=True))
    assert "".join(e.delta for e in events[:-1]) == events[-1].text == HEARD
    assert events[-1].type == "transcript.text.done"


def test_translation(gpt):
    assert gpt.audio.translations.create(model="whisper-1", file=SOUND).text == HEARD


def test_the_model_after_a_large_file(gpt):
    """Form fields may come in any order; here the model's name follows the file."""
    reply = gpt.post("/audio/transcriptions", cast_to=object, files=[
        ("file", SOUND), ("model", (None, b"whisper-1"))],
        options={"headers": {"Content-Type": "multipart/form-data"}})
    assert reply["text"] == HEARD


@pytest.mark.parametrize("form,magic", [("mp3", b"\xff\xfb"), ("wav", b"RIFF"), ("pcm", b"\0\0")])
def test_speech(gpt, form, magic):
    reply = gpt.audio.speech.create(model="tts-1", voice="alloy", input="Hi", response_format=form)
    assert reply.content.startswith(magic) and len(reply.content) > 1000


def test_speech_as_a_stream(gpt, tmp_path):
    with gpt.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input="Say demo:size=300000", response_format="pcm") as reply:
        pieces = list(reply.iter_bytes(16384))
        assert reply.headers["content-type"] == "audio/pcm"
    assert len(pieces) > 1 and sum(map(len, pieces)) == 300000
    with gpt.audio.speech.with_streaming_response.create(model="tts-1", voice="alloy", input="Hi") as reply:
        reply.stream_to_file(tmp_path / "out.mp3")
    assert (tmp_path / "out.mp3").read_bytes().startswith(b"\xff\xfb")


# --- images ---

def test_image_generation(gpt):
    reply = gpt.images.generate(model="gpt-image-1", prompt="A cat", n=2)
    assert [base64.b64decode(d.b64_json)[:4] for d in reply.data] == [b"\x89PNG"] * 2
    assert reply.usage.output_tokens == 10
    url = gpt.images.generate(model="dall-e-3", prompt="A cat", response_format="url").data[0].url
    assert url.startswith("https://")


def test_image_stream(gpt):
    events = list(gpt.images.generate(model="gpt-image-1", prompt="A cat", stream=True, partial_images=2))
    assert [e.type for e in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert events[-1].usage.output_tokens == 10


def test_image_edit(gpt):
    big = ("big.png", bytes(600_000), "image/png")
    reply = gpt.images.edit(model="gpt-image-1", image=[PICTURE, big], mask=PICTURE, prompt="Add a hat")
    assert base64.b64decode(reply.data[0].b64_json).startswith(b"\x89PNG")
    events = list(gpt.images.edit(model="gpt-image-1", image=PICTURE, prompt="A hat", stream=True))
    assert [e.type for e in events] == ["image_edit.completed"]


def test_image_variation(gpt):
    reply = gpt.images.create_variation(image=PICTURE, model="dall-e-2", n=2, response_format="b64_json")
    assert len(reply.data) == 2
    assert gpt.images.create_variation(image=PICTURE).data  # the model is the provider's own choice


# --- WebSockets ---

def talk(connection, text):
    connection.conversation.item.create(item={
        "type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
    connection.response.create()
    said = ""
    for event in connection:
        assert event.type != "error", event
        if event.type == "response.output_text.delta":
            said += event.delta
        elif event.type == "response.done":
            return said, event.response


def test_realtime(gpt):
    with gpt.realtime.connect(model="gpt-realtime") as connection:
        first = connection.recv()
        assert first.type == "session.created" and first.session.model == "gpt-realtime"
        connection.session.update(session={"type": "realtime", "instructions": "Be brief."})
        assert connection.recv().type == "session.updated"
        said, response = talk(connection, "Hello ü")
        assert said == "You said: Hello ü" and response.usage.input_tokens == 2
        said, _ = talk(connection, "Again")
        assert said == "You said: Again"


def test_realtime_audio(gpt):
    with gpt.realtime.connect(model="gpt-realtime") as connection:
        assert connection.recv().type == "session.created"
        for _ in range(20):
            connection.input_audio_buffer.append(audio=base64.b64encode(bytes(30_000)).decode())
        connection.input_audio_buffer.commit()
        assert connection.recv().type == "input_audio_buffer.committed"
        connection.response.create()
        done = next(e for e in connection if e.type == "response.done")
        assert done.response.output[0].content[0].text == "You said: 800000 characters of audio"


def test_realtime_client_secrets(gpt):
    made = gpt.realtime.client_secrets.create(session={"type": "realtime", "model": "gpt-realtime"})
    assert made.value.startswith("ek_") and made.session.model == "gpt-realtime"


def test_realtime_call(gpt):
    reply = gpt.realtime.calls.create(sdp="v=0\r\n", session={"type": "realtime", "model": "gpt-realtime"})
    assert reply.content.startswith(b"v=0")


def test_realtime_refuses_a_bad_key(make_gpt):
    from websockets.exceptions import InvalidStatus
    with pytest.raises(InvalidStatus) as e:
        with make_gpt("/v1", api_key="sk-sf-unknown-key-0000").realtime.connect(model="gpt-realtime"):
            pass
    assert e.value.response.status_code == 401


def test_responses_over_a_websocket(gpt):
    with gpt.responses.connect() as connection:
        previous = None
        for text in ("First", "Second"):
            more = {"previous_response_id": previous} if previous else {}
            connection.response.create(model="gpt-4o", input=text, **more)
            deltas = ""
            for event in connection:
                assert event.type != "error", event
                if event.type == "response.output_text.delta":
                    deltas += event.delta
                elif event.type == "response.completed":
                    break
            assert deltas == event.response.output_text == f"You said: {text}"
            previous = event.response.id
    assert gpt.responses.retrieve(previous).output_text == "You said: Second"


def test_an_error_over_a_websocket(gpt):
    with gpt.responses.connect() as connection:
        connection.response.create(model="no-such-model-at-all", input="Hi")
        event = connection.recv()
        assert event.type == "error" and event.status == 404
        assert event.error.code == "model_not_found" and "no-such-model-at-all" in event.error.message
