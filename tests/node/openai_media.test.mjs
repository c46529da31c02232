// The npm package openai: audio and images.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { toFile } from 'openai';

import { PIXEL } from './samples.mjs';
import { collect, gateway } from './start.mjs';

const g = gateway();
const audio = () => toFile(Buffer.alloc(300_000, 1), 'speech.wav', { type: 'audio/wav' });
const picture = (name = 'p.png') => toFile(Buffer.from(PIXEL, 'base64'), name, { type: 'image/png' });
const heard = 'You said: file speech.wav of 300000 bytes';

describe('openai audio', () => {
    const transcribe = async (more) => g.openai().audio.transcriptions.create(
        { file: await audio(), model: 'whisper-1', ...more });

    test('transcription', async () => {
        const r = await transcribe();
        assert.equal(r.text, heard);
        assert.equal(r.usage.type, 'tokens');
    });

    test('transcription in every format', async () => {
        const verbose = await transcribe({ response_format: 'verbose_json',
            timestamp_granularities: ['word', 'segment'] });
        assert.equal(verbose.segments[0].text, heard);
        assert.equal((await transcribe({ response_format: 'text' })).trim(), heard);
        assert.match(await transcribe({ response_format: 'srt' }), /^1\n00:00:00,000 --> /);
        assert.match(await transcribe({ response_format: 'vtt' }), /^WEBVTT/);
    });

    test('transcription as a stream', async () => {
        const events = await collect(await transcribe({ model: 'gpt-4o-transcribe', stream: true }));
        assert.equal(events.at(-1).type, 'transcript.text.done');
        assert.equal(events.slice(0, -1).map((e) => e.delta).join(''), heard);
    });

    test('translation', async () => {
        const api = g.openai().audio.translations;
        assert.equal((await api.create({ file: await audio(), model: 'whisper-1' })).text, heard);
        const verbose = await api.create(
            { file: await audio(), model: 'whisper-1', response_format: 'verbose_json' });
        assert.equal(verbose.duration, 1);
    });

    test('speech in several formats', async () => {
        const beginnings = { mp3: /^\xff\xfb/, wav: /^RIFF....WAVE/s, pcm: /^\0\0/ };
        for (const [response_format, begins] of Object.entries(beginnings)) {
            const r = await g.openai().audio.speech.create(
                { model: 'tts-1', voice: 'alloy', input: 'Hello', response_format });
            const data = Buffer.from(await r.arrayBuffer());
            assert.match(data.toString('latin1'), begins);
            assert.match(r.headers.get('content-type'), /^audio\//);
        }
    });

    test('speech as events', async () => {
        const r = await g.openai().audio.speech.create(
            { model: 'gpt-4o-mini-tts', voice: 'alloy', input: 'one two', stream_format: 'sse' });
        const events = (await r.text()).split('\n').filter((x) => x.startsWith('data: '))
            .map((x) => JSON.parse(x.slice(6)));
        assert.equal(events.at(-1).type, 'speech.audio.done');
        assert.ok(events.slice(0, -1).every((e) => e.audio.length > 0));
    });
});

describe('openai images', () => {
    const model = 'gpt-image-1';

    test('generate', async () => {
        const r = await g.openai().images.generate({ model, prompt: 'a white pixel', n: 2 });
        assert.deepEqual(r.data.map((d) => d.b64_json), [PIXEL, PIXEL]);
        assert.ok(r.usage.total_tokens > 0);
    });

    test('generate an address', async () => {
        const r = await g.openai().images.generate(
            { model: 'dall-e-3', prompt: 'x', response_format: 'url' });
        assert.match(r.data[0].url, /^https:/);
    });

    test('generate as a stream', async () => {
        const events = await collect(await g.openai().images.generate(
            { model, prompt: 'x', stream: true, partial_images: 2 }));
        assert.deepEqual(events.map((e) => e.type), ['image_generation.partial_image',
            'image_generation.partial_image', 'image_generation.completed']);
        assert.equal(events.at(-1).b64_json, PIXEL);
    });

    test('edit one picture and several', async () => {
        const one = await g.openai().images.edit({ model, image: await picture(), prompt: 'bluer' });
        assert.equal(one.data.length, 1);
        const several = await g.openai().images.edit({ model, prompt: 'join', n: 2,
            image: [await picture('a.png'), await picture('b.png')], mask: await picture('mask.png') });
        assert.equal(several.data.length, 2);
    });

    test('edit as a stream', async () => {
        const events = await collect(await g.openai().images.edit(
            { model, image: await picture(), prompt: 'x', stream: true, partial_images: 1 }));
        assert.deepEqual(events.map((e) => e.type),
            ['image_edit.partial_image', 'image_edit.completed']);
    });

    test('variation', async () => {
        const r = await g.openai().images.createVariation(
            { model: 'dall-e-2', image: await picture(), n: 3, response_format: 'b64_json' });
        assert.equal(r.data.length, 3);
    });
});
