// The npm package openai: the Responses API, also over its WebSocket, and conversations.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import OpenAI from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import { ResponsesWS } from 'openai/resources/responses/ws';
import { z } from 'zod';

import { PIXEL, TOOLS } from './samples.mjs';
import { collect, gateway } from './start.mjs';

const g = gateway();
const model = 'gpt-5';
const tools = TOOLS.map(([name, parameters]) => ({ type: 'function', name, parameters, strict: true }));
const missing = 'resp_00000000000000000000000000000000';

describe('openai responses', () => {
    test('create', async () => {
        const r = await g.openai().responses.create({ model, input: 'Hello', instructions: 'Be brief.' });
        assert.equal(r.output_text, 'You said: Hello');
        assert.equal(r.status, 'completed');
        assert.equal(r.instructions, 'Be brief.');
        assert.deepEqual([r.usage.input_tokens, r.usage.output_tokens], [3, 3]);
        assert.ok(r._request_id);
    });

    test('input of several items with an image', async () => {
        const r = await g.openai().responses.create({ model, input: [
            { role: 'developer', content: 'x' },
            { role: 'user', content: [{ type: 'input_text', text: 'Look' },
                { type: 'input_image', image_url: `data:image/png;base64,${PIXEL}`, detail: 'low' }] }] });
        assert.equal(r.output_text, 'I see 1 image. You said: Look');
    });

    test('the length limit', async () => {
        const r = await g.openai().responses.create({ model, input: 'one two three', max_output_tokens: 2 });
        assert.equal(r.status, 'incomplete');
        assert.equal(r.incomplete_details.reason, 'max_output_tokens');
    });

    test('stream', async () => {
        const events = await collect(await g.openai().responses.create({ model, input: 'a b c', stream: true }));
        const types = events.map((e) => e.type);
        assert.equal(types[0], 'response.created');
        assert.equal(types.at(-1), 'response.completed');
        assert.deepEqual(events.map((e) => e.sequence_number), events.map((_, i) => i));
        const deltas = events.filter((e) => e.type === 'response.output_text.delta');
        assert.equal(deltas.map((e) => e.delta).join(''), 'You said: a b c');
        assert.equal(events.at(-1).response.usage.total_tokens, 3 + 5);
    });

    test('the stream helper', async () => {
        const stream = g.openai().responses.stream({ model, input: 'hi' });
        let text = '';
        stream.on('response.output_text.delta', (e) => { text = e.snapshot; });
        const r = await stream.finalResponse();
        assert.equal(text, 'You said: hi');
        assert.equal(r.output_text, 'You said: hi');
    });

    test('tools, plain and streamed, and their results back', async () => {
        const first = await g.openai().responses.create({ model, input: 'use tools', tools });
        const calls = first.output.filter((i) => i.type === 'function_call');
        assert.deepEqual(calls.map((c) => [c.name, JSON.parse(c.arguments)]),
            TOOLS.map(([name, , args]) => [name, args]));
        const next = await g.openai().responses.create({ model, tools, previous_response_id: first.id,
            input: calls.map((c) => ({ type: 'function_call_output', call_id: c.call_id, output: 'fine' })) });
        assert.match(next.output_text, /^The tool said: .*fine/);
        const stream = g.openai().responses.stream({ model, input: 'use tools', tools });
        const streamed = await stream.finalResponse();
        assert.deepEqual(streamed.output.map((c) => JSON.parse(c.arguments)), TOOLS.map(([, , a]) => a));
    });

    test('parse with a zod schema', async () => {
        const Event = z.object({ title: z.string(), guests: z.array(z.string()) });
        const r = await g.openai().responses.parse(
            { model, input: 'plan', text: { format: zodTextFormat(Event, 'event') } });
        assert.deepEqual(r.output_parsed, { title: 'demo', guests: ['demo'] });
    });

    test('retrieve, list input items, delete', async () => {
        const made = await g.openai().responses.create({ model, input: 'keep me' });
        const got = await g.openai().responses.retrieve(made.id);
        assert.equal(got.id, made.id);
        assert.equal(got.output_text, 'You said: keep me');
        const items = await collect(g.openai().responses.inputItems.list(made.id));
        assert.equal(items[0].content[0].text, 'keep me');
        await g.openai().responses.delete(made.id);
        await assert.rejects(g.openai().responses.retrieve(made.id), OpenAI.NotFoundError);
    });

    test('retrieve as a stream', async () => {
        const made = await g.openai().responses.create({ model, input: 'again' });
        const events = await collect(await g.openai().responses.retrieve(made.id, { stream: true }));
        assert.equal(events.at(-1).type, 'response.completed');
        assert.equal(events.at(-1).response.id, made.id);
    });

    test('background, cancelled', async () => {
        const made = await g.openai().responses.create({ model, input: 'slowly', background: true });
        assert.equal(made.status, 'queued');
        const cancelled = await g.openai().responses.cancel(made.id);
        assert.equal(cancelled.status, 'cancelled');
        assert.equal((await g.openai().responses.retrieve(made.id)).status, 'cancelled');
    });

    test('a response that was not stored is not found', async () => {
        const made = await g.openai().responses.create({ model, input: 'forget', store: false });
        await assert.rejects(g.openai().responses.retrieve(made.id), OpenAI.NotFoundError);
    });

    test('previous_response_id', async () => {
        const first = await g.openai().responses.create({ model, input: 'one' });
        const second = await g.openai().responses.create(
            { model, input: 'two', previous_response_id: first.id });
        assert.equal(second.previous_response_id, first.id);
        await assert.rejects(
            g.openai().responses.create({ model, input: 'x', previous_response_id: missing }),
            (e) => e instanceof OpenAI.BadRequestError && /not found/.test(e.message));
    });

    test('inputTokens.count', async () => {
        const r = await g.openai().responses.inputTokens.count({ model, input: 'one two three' });
        assert.equal(r.object, 'response.input_tokens');
        assert.equal(r.input_tokens, 3);
    });

    test('compact', async () => {
        const r = await g.openai().responses.compact({ model, input: [{ role: 'user', content: 'long' }] });
        assert.equal(r.object, 'response.compaction');
        assert.equal(r.output[0].type, 'compaction');
        assert.equal(r.usage.input_tokens, 1);
    });
});

describe('openai responses over a WebSocket', () => {
    const open = (client = g.openai()) => {
        const ws = new ResponsesWS(client);
        const failed = new Promise((_, reject) => ws.on('error', reject));
        failed.catch(() => {});
        return { ws, failed };
    };
    const closed = (ws) => new Promise((resolve) => ws.on('close', (code) => resolve(code)));
    const until = (ws, type) => new Promise((resolve) => ws.on(type, resolve));

    test('two responses on one connection', async () => {
        const { ws, failed } = open();
        const deltas = [];
        ws.on('response.output_text.delta', (e) => deltas.push(e.delta));
        const first = until(ws, 'response.completed');
        ws.send({ type: 'response.create', model, input: 'first one' });
        const one = (await Promise.race([first, failed])).response;
        assert.equal(deltas.join(''), 'You said: first one');
        const second = until(ws, 'response.completed');
        ws.send({ type: 'response.create', model, input: 'second', previous_response_id: one.id });
        const two = (await Promise.race([second, failed])).response;
        assert.equal(two.previous_response_id, one.id);
        const end = closed(ws);
        ws.close();
        assert.equal(await end, 1000);
    });

    test('the iterator', async () => {
        const { ws } = open();
        const types = [];
        for await (const event of ws.stream()) {
            if (event.type === 'open')
                ws.send({ type: 'response.create', model, input: 'hi' });
            if (event.type === 'message')
                types.push(event.message.type);
            if (types.at(-1) === 'response.completed')
                break;
        }
        ws.close();
        assert.equal(types[0], 'response.created');
    });

    test('an error, after which the connection serves on', async () => {
        const { ws, failed } = open();
        ws.send({ type: 'response.create', model, input: 'x', previous_response_id: missing });
        const error = await failed.then(() => assert.fail('no error'), (e) => e);
        assert.equal(error.error.status, 400);
        const done = until(ws, 'response.completed');
        ws.send({ type: 'response.create', model, input: 'still here' });
        assert.equal((await done).response.output[0].content[0].text, 'You said: still here');
        ws.close();
    });

    test('a key that is wrong', async () => {
        const { failed } = open(g.openai({ apiKey: 'sk-sf-wrong-0123456789' }));
        await assert.rejects(failed, /401|[Ii]nvalid|key/);
    });
});

describe('openai conversations', () => {
    test('create, retrieve, update, delete', async () => {
        const api = g.openai().conversations;
        const made = await api.create({ metadata: { topic: 'a' } });
        assert.equal((await api.retrieve(made.id)).metadata.topic, 'a');
        assert.equal((await api.update(made.id, { metadata: { topic: 'b' } })).metadata.topic, 'b');
        assert.equal((await api.delete(made.id)).deleted, true);
        await assert.rejects(api.retrieve(made.id), OpenAI.NotFoundError);
    });

    test('items: create, list, retrieve, delete', async () => {
        const { conversations } = g.openai();
        const { id } = await conversations.create(
            { items: [{ type: 'message', role: 'user', content: 'first' }] });
        const added = await conversations.items.create(
            id, { items: [{ type: 'message', role: 'user', content: 'second' }] });
        const listed = await collect(conversations.items.list(id));
        assert.deepEqual(listed.map((i) => i.content[0].text), ['first', 'second']);
        const item = await conversations.items.retrieve(added.data[0].id, { conversation_id: id });
        assert.equal(item.content[0].text, 'second');
        await conversations.items.delete(item.id, { conversation_id: id });
        assert.equal((await collect(conversations.items.list(id))).length, 1);
    });

    test('a response joins its conversation', async () => {
        const { id } = await g.openai().conversations.create();
        const r = await g.openai().responses.create({ model, input: 'hello', conversation: id });
        assert.equal(r.conversation.id, id);
        const stream = g.openai().responses.stream({ model, input: 'more', conversation: { id } });
        await stream.finalResponse();
        const items = await collect(g.openai().conversations.items.list(id));
        assert.deepEqual(items.map((i) => i.role), ['user', 'assistant', 'user', 'assistant']);
    });
});
