// Both SDKs where things go wrong: error classes, retries, cut streams, cancellation; many calls at
// once; and every form of the base URL.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';

import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

import { CLAUDE, user } from './samples.mjs';
import { collect, gateway } from './start.mjs';
import { Upstream, answer, silence, stalledStream } from './upstream.mjs';

const demo = gateway();
const upstream = new Upstream();
await upstream.start();
const scripted = gateway({
    OPENAI_API_KEY: 'sk-provider-openai', OPENAI_API_BASE: upstream.url,
    ANTHROPIC_API_KEY: 'sk-provider-anthropic', ANTHROPIC_API_BASE: upstream.url,
});
after(() => upstream.stop());

const chat = (client, content = 'hi', more = {}, options = {}) =>
    client.chat.completions.create({ model: 'gpt-4o', messages: user(content), ...more }, options);
const message = (client, content = 'hi', more = {}, options = {}) => client.messages.create(
    { model: CLAUDE, max_tokens: 2000, messages: user(content), ...more }, options);

const chatReply = { id: 'chatcmpl-1', object: 'chat.completion', created: 1, model: 'gpt-4o',
    choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'fine' } }],
    usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } };
const messageReply = { id: 'msg_1', type: 'message', role: 'assistant', model: CLAUDE,
    content: [{ type: 'text', text: 'fine' }], stop_reason: 'end_turn', stop_sequence: null,
    usage: { input_tokens: 1, output_tokens: 1 } };
const chunk = `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1,
    model: 'gpt-4o', choices: [{ index: 0, delta: { content: 'a' }, finish_reason: null }] })}\n\n`;
const messageStart = `event: message_start\ndata: ${JSON.stringify(
    { type: 'message_start', message: { ...messageReply, content: [], stop_reason: null } })}\n\n`;
const limited = answer(429, { error: { message: 'slow down', type: 'rate_limit_error', code: 'rate' } },
    { 'retry-after-ms': '5' });

/** The error that a call ends with. */
async function failure(call) {
    try {
        await call;
    } catch (e) {
        return e;
    }
    return assert.fail('the call did not fail');
}

describe('errors of a provider', () => {
    const classes = [[400, 'BadRequestError'], [403, 'PermissionDeniedError'], [404, 'NotFoundError'],
        [409, 'ConflictError'], [422, 'UnprocessableEntityError'],
        [429, 'RateLimitError'], [500, 'InternalServerError'], [503, 'InternalServerError'],
        [529, 'InternalServerError']];

    for (const [status, name] of classes) {
        test(`openai ${status}`, async () => {
            const e = await failure(chat(demo.openai(), `demo:status=${status}`));
            assert.ok(e instanceof OpenAI[name], e.constructor.name);
            assert.equal(e.status, status);
            assert.match(e.message, /told to fail/);
            assert.ok(e.type);
            assert.ok(e.requestID);
        });

        test(`anthropic ${status}`, async () => {
            const e = await failure(message(demo.anthropic(), `demo:status=${status}`));
            assert.ok(e instanceof Anthropic.APIError, e.constructor.name);
            assert.ok(e instanceof Anthropic[name] || status === 529, e.constructor.name);
            assert.equal(e.status, status);
            assert.equal(e.error.type, 'error');
            assert.ok(e.type);
            assert.ok(e.requestID);
        });
    }

    test('a provider that refuses the gateway is the gateway\'s fault, and not tried again', async () => {
        const refused = answer(401, { error: { message: 'bad key', code: 'invalid_api_key' } });
        upstream.script(refused);
        const o = await failure(chat(scripted.openai({ maxRetries: 2 })));
        assert.equal(o.status, 502);
        assert.equal(o.code, 'provider_auth_failed');
        assert.match(o.message, /OPENAI_API_KEY/);
        upstream.script(refused);
        const a = await failure(message(scripted.anthropic({ maxRetries: 2 })));
        assert.equal(a.status, 502);
        assert.equal(a.type, 'api_error');
        assert.equal(upstream.requests.length, 1);
    });

    test('a code passes', async () => {
        const e = await failure(chat(demo.openai(), 'demo:status=429'));
        assert.equal(e.code, 'rate_limit_exceeded');
        assert.equal(e.headers.get('retry-after'), '1');
    });

    test('streams that fail before they begin', async () => {
        const o = await failure(chat(demo.openai(), 'demo:status=429', { stream: true }));
        assert.ok(o instanceof OpenAI.RateLimitError);
        const a = await failure(message(demo.anthropic(), 'demo:status=529', { stream: true }));
        assert.equal(a.status, 529);
        assert.equal(a.type, 'overloaded_error');
    });

    test('streams that fail in their middle', async () => {
        const seen = [];
        const o = await failure((async () => {
            for await (const c of await chat(demo.openai(), 'demo:error_after=4,chunks=20', { stream: true }))
                seen.push(c);
        })());
        assert.ok(o instanceof OpenAI.APIError, o.constructor.name);
        assert.match(o.message, /told to fail here/);
        assert.equal(seen.length, 4);
        const a = await failure(demo.anthropic().messages.stream({ model: CLAUDE,
            max_tokens: 2000, messages: user('demo:error_after=5,chunks=20') }).finalMessage());
        assert.ok(a instanceof Anthropic.APIError, a.constructor.name);
        assert.equal(a.type, 'overloaded_error');
    });

    test('streams that break off', async () => {
        const o = await failure((async () => collect(
            await chat(demo.openai(), 'demo:cut_after=3000,chunks=200', { stream: true })))());
        assert.ok(o instanceof OpenAI.APIError, `${o}`);
        const a = await failure(demo.anthropic().messages.stream({ model: CLAUDE,
            max_tokens: 2000, messages: user('demo:cut_after=3000,chunks=200') }).finalMessage());
        assert.ok(a instanceof Anthropic.AnthropicError, `${a}`);
        const r = await failure((async () => collect(await demo.openai().responses.create(
            { model: 'gpt-5', stream: true, input: 'demo:cut_after=3000,chunks=200' })))());
        assert.ok(r instanceof OpenAI.APIError, `${r}`);
    });

    test('replies that break off, plain', async () => {
        const o = await failure(chat(demo.openai(), 'demo:cut_after=100'));
        assert.equal(o.status, 502);
        assert.equal(o.code, 'upstream_closed');
        const a = await failure(message(demo.anthropic(), 'demo:lie_length=50'));
        assert.equal(a.status, 502);
    });
});

describe('errors of the gateway', () => {
    test('a key that is wrong, and none', async () => {
        const o = await failure(chat(demo.openai({ apiKey: 'sk-sf-wrong-0123456789' })));
        assert.ok(o instanceof OpenAI.AuthenticationError);
        assert.equal(o.code, 'invalid_api_key');
        assert.ok(o.requestID);
        const a = await failure(message(demo.anthropic({ apiKey: 'sk-sf-wrong-0123456789' })));
        assert.ok(a instanceof Anthropic.AuthenticationError);
        assert.equal(a.type, 'authentication_error');
        const none = await failure(chat(demo.openai({ defaultHeaders: { authorization: null } })));
        assert.equal(none.status, 401);
    });

    test('a model that nobody has', async () => {
        const o = await failure(chat(demo.openai(), 'hi', { model: 'gtp-4o' }));
        assert.ok(o instanceof OpenAI.NotFoundError);
        assert.equal(o.code, 'model_not_found');
        assert.equal(o.param, 'model');
        assert.match(o.message, /gpt-4o/);
        const a = await failure(message(demo.anthropic(), 'hi', { model: 'cloude-sonnet' }));
        assert.ok(a instanceof Anthropic.NotFoundError);
        assert.equal(a.type, 'not_found_error');
    });

    test('a field that is missing or of a wrong type', async () => {
        const missing = await failure(demo.openai().chat.completions.create({ messages: user('hi') }));
        assert.equal(missing.status, 400);
        assert.equal(missing.param, 'model');
        const wrong = await failure(chat(demo.openai(), 'hi', { messages: 'text' }));
        assert.equal(wrong.status, 400);
        assert.equal(wrong.param, 'messages');
        const a = await failure(message(demo.anthropic(), 'hi', { model: 7 }));
        assert.ok(a instanceof Anthropic.BadRequestError);
        assert.match(a.message, /model/);
    });

    test('a path that does not exist', async () => {
        const o = await failure(demo.openai().post('/chat/completion', { body: {} }));
        assert.equal(o.status, 404);
        assert.match(o.message, /\/v1\/chat\/completions/);
    });

    test('a provider without a key is not tried again', async () => {
        let calls = 0;
        const count = (url, init) => { calls++; return fetch(url, init); };
        const o = await failure(chat(scripted.openai({ maxRetries: 2, fetch: count }), 'hi', { model: 'grok-4' }));
        assert.equal(o.status, 503);
        assert.match(o.message, /XAI_API_KEY/);
        assert.equal(calls, 1);
    });

    test('a model whose provider has nothing for the endpoint', async () => {
        const o = await failure(scripted.openai().embeddings.create({ model: CLAUDE, input: 'hi' }));
        assert.equal(o.status, 400);
        assert.equal(o.code, 'unsupported_dialect');
        assert.match(o.message, /\/v1\/embeddings/);
    });

    test('a model of another dialect is translated, and its provider\'s error, too', async () => {
        upstream.script(answer(200, messageReply));
        const o = await chat(scripted.openai(), 'hi', { model: CLAUDE });
        assert.equal(o.choices[0].message.content, 'fine');
        assert.equal(o.model, CLAUDE);
        upstream.script(limited);
        const a = await failure(message(scripted.anthropic({ maxRetries: 0 }), 'hi', { model: 'gpt-4o' }));
        assert.equal(a.status, 429);
        assert.equal(a.type, 'rate_limit_error');
    });
});

describe('retries', () => {
    test('openai: 429, then success', async () => {
        upstream.script(limited, answer(200, chatReply));
        const r = await chat(scripted.openai({ maxRetries: 2 }));
        assert.equal(r.choices[0].message.content, 'fine');
        assert.deepEqual(upstream.requests.map((x) => x.headers['x-stainless-retry-count']), ['0', '1']);
        assert.equal(upstream.requests[0].body, upstream.requests[1].body);
        assert.equal(upstream.requests[0].headers.authorization, 'Bearer sk-provider-openai');
    });

    test('anthropic: overloaded, then success', async () => {
        const overloaded = answer(529, { type: 'error', error: { type: 'overloaded_error', message: 'o' } },
            { 'retry-after-ms': '5' });
        upstream.script(overloaded, answer(200, messageReply));
        const r = await message(scripted.anthropic({ maxRetries: 2 }));
        assert.equal(r.content[0].text, 'fine');
        assert.deepEqual(upstream.requests.map((x) => x.headers['x-stainless-retry-count']), ['0', '1']);
        assert.equal(upstream.requests[0].headers['x-api-key'], 'sk-provider-anthropic');
    });

    test('the SDK gives up after its retries', async () => {
        upstream.script(limited, limited, limited);
        const e = await failure(chat(scripted.openai({ maxRetries: 2 })));
        assert.ok(e instanceof OpenAI.RateLimitError);
        assert.equal(e.code, 'rate');
        assert.equal(upstream.requests.length, 3);
    });

    test('x-should-retry: false stops, true goes on', async () => {
        const stop = answer(500, { error: { message: 'no' } }, { 'x-should-retry': 'false' });
        upstream.script(stop, answer(200, chatReply));
        assert.equal((await failure(chat(scripted.openai({ maxRetries: 2 })))).status, 500);
        assert.equal(upstream.requests.length, 1);
        const go = answer(400, { type: 'error', error: { type: 'invalid_request_error', message: 'again' } },
            { 'x-should-retry': 'true', 'retry-after-ms': '5' });
        upstream.script(go, answer(200, messageReply));
        assert.equal((await message(scripted.anthropic({ maxRetries: 2 }))).content[0].text, 'fine');
        assert.equal(upstream.requests.length, 2);
    });

    test('a provider that closes the connection, then success', async () => {
        upstream.script((request) => request.socket.destroy(), answer(200, chatReply));
        const r = await chat(scripted.openai({ maxRetries: 2 }));
        assert.equal(r.choices[0].message.content, 'fine');
        assert.equal(upstream.requests.length, 2);
    });

    test('the time limit of the SDK', async () => {
        const { handle, closed } = silence();
        upstream.script(handle);
        const e = await failure(chat(scripted.openai({ timeout: 200 })));
        assert.ok(e instanceof OpenAI.APIConnectionTimeoutError);
        await closed;
    });
});

describe('cancellation closes the upstream', () => {
    const soon = (from, at) => assert.ok(at - from < 1000, `it took ${at - from} ms`);

    test('openai: break out of a stream', async () => {
        const { handle, closed } = stalledStream(chunk, chunk);
        upstream.script(handle);
        let began;
        for await (const _ of await chat(scripted.openai(), 'hi', { stream: true })) {
            began = performance.now();
            break;
        }
        soon(began, await closed);
    });

    test('openai: AbortController on a stream', async () => {
        const { handle, closed } = stalledStream(chunk);
        upstream.script(handle);
        const controller = new AbortController();
        const stream = await chat(scripted.openai(), 'hi', { stream: true }, { signal: controller.signal });
        const items = stream[Symbol.asyncIterator]();
        assert.equal((await items.next()).value.choices[0].delta.content, 'a');
        const began = performance.now();
        controller.abort();
        soon(began, await closed);
        assert.equal((await items.next()).done, true);
    });

    test('openai: AbortController before a reply', async () => {
        const { handle, closed, arrived } = silence();
        upstream.script(handle);
        const controller = new AbortController();
        const call = failure(chat(scripted.openai(), 'hi', {}, { signal: controller.signal }));
        await arrived;
        const began = performance.now();
        controller.abort();
        assert.ok((await call) instanceof OpenAI.APIUserAbortError);
        soon(began, await closed);
    });

    test('anthropic: abort of the stream helper', async () => {
        const { handle, closed } = stalledStream(messageStart);
        upstream.script(handle);
        const stream = scripted.anthropic().messages.stream(
            { model: CLAUDE, max_tokens: 10, messages: user('hi') });
        const began = await new Promise((resolve) =>
            stream.on('streamEvent', () => resolve(performance.now())));
        stream.abort();
        assert.ok((await failure(stream.done())) instanceof Anthropic.APIUserAbortError);
        soon(began, await closed);
    });

    test('anthropic: AbortController before a reply', async () => {
        const { handle, closed, arrived } = silence();
        upstream.script(handle);
        const controller = new AbortController();
        const call = failure(message(scripted.anthropic(), 'hi', {}, { signal: controller.signal }));
        await arrived;
        const began = performance.now();
        controller.abort();
        assert.ok((await call) instanceof Anthropic.APIUserAbortError);
        soon(began, await closed);
    });

    test('the gateway serves on', async () => {
        upstream.script(answer(200, chatReply));
        assert.equal((await chat(scripted.openai())).choices[0].message.content, 'fine');
    });
});

describe('fifty calls at once', () => {
    const fifty = Array.from({ length: 50 }, (_, i) => `call-${i}`);

    test('openai, plain and streamed', async () => {
        const client = demo.openai();
        const plain = fifty.map(async (x) => (await chat(client, x)).choices[0].message.content);
        const streamed = fifty.map((x) => client.chat.completions.stream(
            { model: 'gpt-4o', messages: user(x) }).finalContent());
        const wanted = fifty.map((x) => `You said: ${x}`);
        assert.deepEqual(await Promise.all([...plain, ...streamed]), [...wanted, ...wanted]);
    });

    test('anthropic, plain and streamed', async () => {
        const client = demo.anthropic();
        const plain = fifty.map(async (x) => (await message(client, x)).content[0].text);
        const streamed = fifty.map((x) => client.messages.stream(
            { model: CLAUDE, max_tokens: 99, messages: user(x) }).finalText());
        const wanted = fifty.map((x) => `You said: ${x}`);
        assert.deepEqual(await Promise.all([...plain, ...streamed]), [...wanted, ...wanted]);
    });

    test('slow streams side by side', async () => {
        const began = performance.now();
        const all = await Promise.all(fifty.map((x) => demo.openai().chat.completions.stream(
            { model: 'gpt-4o', messages: user(`demo:interval=20,chunks=20 ${x}`) }).finalContent()));
        all.forEach((text, i) => assert.match(text, new RegExp(`call-${i}\\b`)));
        assert.ok(performance.now() - began < 50 * 20 * 20 / 4, 'they came one after the other');
    });

    test('half of them aborted', async () => {
        const client = demo.openai();
        const ends = await Promise.allSettled(fifty.map(async (x, i) => {
            const stream = await chat(client, `demo:interval=10,chunks=30 ${x}`, { stream: true });
            const seen = [];
            for await (const c of stream) {
                seen.push(c);
                if (i % 2 && seen.length === 3)
                    break;
            }
            return seen.length;
        }));
        assert.deepEqual(ends.map((e) => e.value), fifty.map((_, i) => (i % 2 ? 3 : 32)));
    });
});

describe('base URLs', () => {
    for (const base of ['', '/', '/v1', '/v1/', '/cursor', '/cursor/v1', '/v1/v1'])
        test(`openai at '${base}'`, async () => {
            const r = await chat(demo.openai({ base }));
            assert.equal(r.choices[0].message.content, 'You said: hi');
            assert.ok((await demo.openai({ base }).models.list()).data.length > 0);
        });

    for (const base of ['', '/', '/v1', '/anthropic', '/anthropic/', '/anthropic/v1', '/cursor', '/cursor/v1'])
        test(`anthropic at '${base}'`, async () => {
            const r = await message(demo.anthropic({ base }));
            assert.equal(r.content[0].text, 'You said: hi');
            const count = await demo.anthropic({ base }).messages.countTokens(
                { model: CLAUDE, messages: user('a b') });
            assert.equal(count.input_tokens, 2);
            assert.equal((await demo.anthropic({ base }).models.list()).data[0].type, 'model');
        });
});
