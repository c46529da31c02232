// The npm package openai with its Azure client: deployments in the path, the key in "api-key".

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { AzureOpenAI } from 'openai';

import { user } from './samples.mjs';
import { collect, gateway, KEY } from './start.mjs';

const g = gateway();
const azure = (options = {}) => new AzureOpenAI({ endpoint: `${g.url}/azure`, apiKey: KEY,
    apiVersion: '2024-10-21', maxRetries: 0, ...options });

describe('azure openai', () => {
    test('chat, plain and streamed', async () => {
        const r = await azure().chat.completions.create({ model: 'gpt-4o', messages: user('hi') });
        assert.equal(r.choices[0].message.content, 'You said: hi');
        const chunks = await collect(await azure().chat.completions.create(
            { model: 'gpt-4o', messages: user('hi'), stream: true }));
        assert.equal(chunks.map((c) => c.choices[0]?.delta.content ?? '').join(''), 'You said: hi');
    });

    test('a client for one deployment', async () => {
        const r = await azure({ deployment: 'gpt-4o-mini' }).chat.completions.create(
            { model: 'gpt-4o-mini', messages: user('hi') });
        assert.equal(r.choices[0].message.content, 'You said: hi');
    });

    test('embeddings', async () => {
        const r = await azure().embeddings.create({ model: 'text-embedding-3-small', input: ['a', 'b'] });
        assert.equal(r.data.length, 2);
    });

    test('a transcription', async () => {
        const r = await azure().audio.transcriptions.create(
            { model: 'whisper-1', file: new File(['abc'], 'a.wav') });
        assert.equal(r.text, 'You said: file a.wav of 3 bytes');
    });

    test('responses, which have no deployment in their path', async () => {
        const r = await azure({ apiVersion: '2025-04-01-preview' }).responses.create(
            { model: 'gpt-4o', input: 'hi' });
        assert.equal(r.output_text, 'You said: hi');
    });

    test('a token instead of a key', async () => {
        const client = azure({ apiKey: undefined, azureADTokenProvider: async () => KEY });
        const r = await client.chat.completions.create({ model: 'gpt-4o', messages: user('hi') });
        assert.equal(r.choices[0].message.content, 'You said: hi');
    });

    test('a key that is wrong', async () => {
        const call = azure({ apiKey: 'sk-sf-wrong-0123456789' }).chat.completions.create(
            { model: 'gpt-4o', messages: user('hi') });
        await assert.rejects(call, (e) => e.status === 401 && e.code === 'invalid_api_key');
    });
});
