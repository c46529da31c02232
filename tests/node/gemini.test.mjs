// The npm package @google/genai: content, streams, tools, counts, embeddings, models, errors.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { ApiError, GoogleGenAI } from '@google/genai';

import { PIXEL, TOOLS } from './samples.mjs';
import { collect, gateway, KEY } from './start.mjs';

const g = gateway();
const model = 'gemini-2.5-flash';
const client = (base = '', options = {}) => new GoogleGenAI(
    { apiKey: KEY, httpOptions: { baseUrl: g.url + base }, ...options });
const tools = [{ functionDeclarations: TOOLS.map(([name, parametersJsonSchema]) => (
    { name, description: 'd', parametersJsonSchema })) }];
const calls = TOOLS.map(([name, , args]) => [name, args]);
const called = (r) => r.functionCalls.map((c) => [c.name, c.args]);

describe('gemini', () => {
    test('generateContent', async () => {
        const r = await client().models.generateContent({ model, contents: 'Hello there' });
        assert.equal(r.text, 'You said: Hello there');
        assert.equal(r.candidates[0].finishReason, 'STOP');
        assert.deepEqual([r.usageMetadata.promptTokenCount, r.usageMetadata.candidatesTokenCount], [2, 4]);
    });

    test('the virtual key does not reach the provider', async () => {
        const r = await client().models.generateContent({ model, contents: 'demo:echo=headers' });
        assert.doesNotMatch(r.text, new RegExp(KEY));
        assert.match(JSON.parse(r.text)['x-goog-api-client'], /google-genai-sdk/);
    });

    test('generateContentStream', async () => {
        const chunks = await collect(await client().models.generateContentStream(
            { model, contents: 'demo:chunks=100' }));
        assert.equal(chunks.map((c) => c.text ?? '').join('').split(' ').length, 100);
        assert.equal(chunks.at(-1).usageMetadata.candidatesTokenCount, 100);
    });

    test('a picture, a system instruction, a limit', async () => {
        const r = await client().models.generateContent({ model,
            contents: [{ inlineData: { mimeType: 'image/png', data: PIXEL } }, { text: 'look closely' }],
            config: { systemInstruction: 'Be kind.', maxOutputTokens: 3 } });
        assert.equal(r.text, 'I see 1');
        assert.equal(r.candidates[0].finishReason, 'MAX_TOKENS');
    });

    test('parallel calls and their results back', async () => {
        const asked = { role: 'user', parts: [{ text: 'use tools' }] };
        const r = await client().models.generateContent({ model, contents: [asked], config: { tools } });
        assert.deepEqual(called(r), calls);
        const results = r.functionCalls.map((c) => (
            { functionResponse: { name: c.name, id: c.id, response: { output: 'fine' } } }));
        const next = await client().models.generateContent({ model, config: { tools },
            contents: [asked, r.candidates[0].content, { role: 'user', parts: results }] });
        assert.match(next.text, /^The tool said: .*fine/);
    });

    test('calls in a stream', async () => {
        const chunks = await collect(await client().models.generateContentStream(
            { model, contents: 'use tools', config: { tools } }));
        assert.deepEqual(chunks.flatMap((c) => (c.functionCalls ? called(c) : [])), calls);
    });

    test('JSON by a schema', async () => {
        const r = await client().models.generateContent({ model, contents: 'plan', config: {
            responseMimeType: 'application/json', responseJsonSchema: TOOLS[0][1] } });
        assert.deepEqual(JSON.parse(r.text), TOOLS[0][2]);
    });

    test('thoughts', async () => {
        const r = await client().models.generateContent({ model, contents: 'hard',
            config: { thinkingConfig: { includeThoughts: true } } });
        assert.ok(r.candidates[0].content.parts.some((p) => p.thought));
        assert.ok(r.usageMetadata.thoughtsTokenCount > 0);
    });

    test('a chat of two turns, plain and streamed', async () => {
        const chat = client().chats.create({ model });
        assert.equal((await chat.sendMessage({ message: 'one' })).text, 'You said: one');
        const chunks = await collect(await chat.sendMessageStream({ message: 'two' }));
        assert.equal(chunks.map((c) => c.text ?? '').join(''), 'You said: two');
        assert.equal(chat.getHistory().at(-1).role, 'model');
        assert.equal((await chat.sendMessage({ message: 'three' })).text, 'You said: three');
    });

    test('countTokens', async () => {
        assert.equal((await client().models.countTokens({ model, contents: 'one two three' })).totalTokens, 3);
    });

    test('embedContent', async () => {
        const r = await client().models.embedContent(
            { model: 'gemini-embedding-001', contents: ['a', 'b'], config: { outputDimensionality: 16 } });
        assert.deepEqual(r.embeddings.map((e) => e.values.length), [16, 16]);
        assert.notDeepEqual(r.embeddings[0].values, r.embeddings[1].values);
    });

    test('models', async () => {
        const all = await collect(await client().models.list());
        assert.ok(all.some((m) => m.name === `models/${model}`));
        assert.equal((await client().models.get({ model })).name, `models/${model}`);
    });

    test('errors', async () => {
        const failure = (contents, ai = client()) => ai.models.generateContent({ model, contents })
            .then(() => assert.fail('the call did not fail'), (e) => e);
        const limited = await failure('demo:status=429');
        assert.ok(limited instanceof ApiError);
        assert.equal(limited.status, 429);
        assert.match(limited.message, /RESOURCE_EXHAUSTED/);
        const wrong = await failure('hi', new GoogleGenAI(
            { apiKey: 'sk-sf-wrong-0123456789', httpOptions: { baseUrl: g.url } }));
        assert.equal(wrong.status, 401);
        assert.match(wrong.message, /UNAUTHENTICATED/);
    });

    test('an abort', async () => {
        const controller = new AbortController();
        const stream = await client().models.generateContentStream({ model,
            contents: 'demo:interval=20,chunks=500', config: { abortSignal: controller.signal } });
        await assert.rejects(async () => {
            for await (const _ of stream)
                controller.abort();
        }, /abort/i);
    });

    for (const base of ['', '/', '/gemini', '/gemini/'])
        for (const apiVersion of ['v1beta', 'v1'])
            test(`at '${base}' with ${apiVersion}`, async () => {
                const r = await client(base, { apiVersion }).models.generateContent({ model, contents: 'hi' });
                assert.equal(r.text, 'You said: hi');
            });
});
