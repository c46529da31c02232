// The npm package @anthropic-ai/sdk: messages, tools, thinking, token counts, batches, models, files.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import Anthropic, { toFile } from '@anthropic-ai/sdk';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import { z } from 'zod';

import { CLAUDE, PIXEL, TOOLS, user } from './samples.mjs';
import { collect, gateway, KEY } from './start.mjs';

const g = gateway();
const model = CLAUDE;
const max_tokens = 1000;
const tools = TOOLS.map(([name, input_schema]) => ({ name, description: 'd', input_schema }));
const calls = TOOLS.map(([name, , input]) => [name, input]);
const create = (content, more) => g.anthropic().messages.create(
    { model, max_tokens, messages: user(content), ...more });

describe('anthropic messages', () => {
    test('plain', async () => {
        const { data, request_id } = await g.anthropic().messages.create(
            { model, max_tokens, system: 'Be kind.', messages: user('Hello there') }).withResponse();
        assert.deepEqual(data.content, [{ type: 'text', text: 'You said: Hello there' }]);
        assert.equal(data.model, model);
        assert.equal(data.stop_reason, 'end_turn');
        assert.deepEqual([data.usage.input_tokens, data.usage.output_tokens], [4, 4]);
        assert.ok(request_id);
        assert.equal(data._request_id, request_id);
    });

    test('the virtual key does not reach the provider, the version does', async () => {
        let version;
        const client = g.anthropic({ fetch: (url, init) => {
            version = init.headers.get('anthropic-version');
            return fetch(url, init);
        } });
        const r = await client.messages.create({ model, max_tokens, messages: user('demo:echo=headers') });
        assert.doesNotMatch(r.content[0].text, new RegExp(KEY));
        assert.match(version, /^\d{4}-\d\d-\d\d$/);
        assert.equal(JSON.parse(r.content[0].text)['anthropic-version'], version);
    });

    test('a key as a bearer token', async () => {
        const r = await g.anthropic({ apiKey: null, authToken: KEY }).messages.create(
            { model, max_tokens, messages: user('hi') });
        assert.equal(r.content[0].text, 'You said: hi');
    });

    test('all parameters arrive as they were sent', async () => {
        const body = {
            model, max_tokens, messages: user([{ type: 'text', text: 'demo:echo=body',
                cache_control: { type: 'ephemeral' } }]),
            system: [{ type: 'text', text: 'Grüße 🌍' }], temperature: 0.5, top_k: 5,
            metadata: { user_id: 'someone' }, service_tier: 'auto',
        };
        const r = await g.anthropic().messages.create(body);
        assert.deepEqual(JSON.parse(r.content[0].text), body);
    });

    test('the mark of long contexts is cut off', async () => {
        const r = await create('hi', { model: model + '[1m]' });
        assert.equal(r.model, model);
    });

    test('stream', async () => {
        const events = await collect(await create('a b c', { stream: true }));
        assert.equal(events[0].type, 'message_start');
        assert.equal(events.at(-1).type, 'message_stop');
        const deltas = events.filter((e) => e.type === 'content_block_delta');
        assert.equal(deltas.map((e) => e.delta.text).join(''), 'You said: a b c');
        const end = events.find((e) => e.type === 'message_delta');
        assert.equal(end.delta.stop_reason, 'end_turn');
        assert.equal(end.usage.output_tokens, 5);
    });

    test('the stream helper', async () => {
        const stream = g.anthropic().messages.stream({ model, max_tokens, messages: user('hello') });
        const texts = [];
        stream.on('text', (delta) => texts.push(delta));
        const message = await stream.finalMessage();
        assert.equal(texts.join(''), 'You said: hello');
        assert.equal(await stream.finalText(), 'You said: hello');
        assert.equal(message.usage.output_tokens, 3);
        assert.ok(stream.request_id);
    });

    test('a stream of a thousand chunks', async () => {
        const stream = g.anthropic().messages.stream(
            { model, max_tokens: 4000, messages: user('demo:chunks=1000') });
        let deltas = 0;
        stream.on('text', () => { deltas++; });
        assert.equal((await stream.finalText()).split(' ').length, 1000);
        assert.equal(deltas, 1000);
    });

    test('the length limit and a stop sequence', async () => {
        const cut = await create('one two three', { max_tokens: 2 });
        assert.equal(cut.stop_reason, 'max_tokens');
        const stopped = await create('one two three', { stop_sequences: ['two'] });
        assert.equal(stopped.stop_reason, 'stop_sequence');
        assert.equal(stopped.stop_sequence, 'two');
    });

    test('images and documents', async () => {
        const r = await create([
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PIXEL } },
            { type: 'image', source: { type: 'url', url: 'https://example.com/a.png' } },
            { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: 'JVBERg==' } },
            { type: 'text', text: 'look' },
        ]);
        assert.equal(r.content[0].text, 'I see 2 images. I see 1 file. You said: look');
    });

    test('thinking, plain and streamed', async () => {
        const thinking = { type: 'enabled', budget_tokens: 1024 };
        const r = await create('hard', { max_tokens: 2000, thinking });
        assert.deepEqual(r.content.map((b) => b.type), ['thinking', 'text']);
        assert.ok(r.content[0].signature);
        const stream = g.anthropic().messages.stream(
            { model, max_tokens: 2000, thinking, messages: user('hard') });
        const thoughts = [];
        stream.on('thinking', (delta) => thoughts.push(delta));
        const message = await stream.finalMessage();
        assert.equal(thoughts.join(''), message.content[0].thinking);
        assert.equal(message.content[0].signature, r.content[0].signature);
        assert.equal(message.content[1].text, 'You said: hard');
    });

    test('adaptive thinking', async () => {
        const r = await create('hard', { thinking: { type: 'adaptive' }, output_config: { effort: 'low' } });
        assert.deepEqual(r.content.map((b) => b.type), ['thinking', 'text']);
    });

    test('parse with a zod schema', async () => {
        const Answer = z.object({ title: z.string(), ok: z.boolean() });
        const r = await g.anthropic().messages.parse({ model, max_tokens, messages: user('plan'),
            output_config: { format: zodOutputFormat(Answer) } });
        assert.deepEqual(r.parsed_output, { title: 'demo', ok: true });
    });

    test('countTokens', async () => {
        const r = await g.anthropic().messages.countTokens({ model, messages: user('one two three') });
        assert.equal(r.input_tokens, 3);
    });

    test('a reply of many megabytes that the provider compresses', async () => {
        const r = await g.anthropic({ timeout: 60_000 }).messages.create(
            { model, max_tokens: 1_000_000, messages: user(`demo:gzip=1,size=${2 << 20}`) });
        assert.equal(r.content[0].text.length, 2 << 20);
    });
});

describe('anthropic tools', () => {
    const used = (message) => message.content.filter((b) => b.type === 'tool_use')
        .map((b) => [b.name, b.input]);

    test('one call, and its result back', async () => {
        const r = await create('use tool get_time', { tools });
        assert.equal(r.stop_reason, 'tool_use');
        assert.deepEqual(used(r), [calls[1]]);
        const next = await g.anthropic().messages.create({ model, max_tokens, tools, messages: [
            ...user('use tool get_time'), { role: 'assistant', content: r.content },
            { role: 'user', content: [{ type: 'tool_result', tool_use_id: r.content[0].id, content: 'noon' }] },
        ] });
        assert.equal(next.content[0].text, 'The tool said: noon');
    });

    test('parallel calls, plain and streamed', async () => {
        assert.deepEqual(used(await create('use tools', { tools })), calls);
        const stream = g.anthropic().messages.stream(
            { model, max_tokens, tools, messages: user('use tools') });
        const pieces = [];
        stream.on('inputJson', (delta) => pieces.push(delta));
        const message = await stream.finalMessage();
        assert.deepEqual(used(message), calls);
        assert.equal(new Set(message.content.map((b) => b.id)).size, 2);
        assert.ok(pieces.length > 2);
    });

    test('a choice that is named, any, or none', async () => {
        const named = await create('hi', { tools, tool_choice: { type: 'tool', name: 'get_time' } });
        assert.deepEqual(used(named), [calls[1]]);
        assert.equal((await create('hi', { tools, tool_choice: { type: 'any' } })).stop_reason, 'tool_use');
        assert.equal((await create('use tools', { tools, tool_choice: { type: 'none' } })).stop_reason,
            'end_turn');
    });

    test('the tool runner', async () => {
        const asked = [];
        const final = await g.anthropic().beta.messages.toolRunner({ model, max_tokens,
            messages: user('use tool get_weather'),
            tools: [{ ...tools[0], run: (input) => { asked.push(input); return 'sunny'; },
                parse: (input) => input }] });
        assert.deepEqual(asked, [TOOLS[0][2]]);
        assert.equal(final.content[0].text, 'The tool said: sunny');
    });
});

describe('anthropic beta', () => {
    test('messages and countTokens with betas', async () => {
        const betas = ['context-1m-2025-08-07'];
        const r = await g.anthropic().beta.messages.create(
            { model, max_tokens, betas, messages: user('demo:echo=headers') });
        assert.equal(JSON.parse(r.content[0].text)['anthropic-beta'], betas[0]);
        const count = await g.anthropic().beta.messages.countTokens({ model, betas, messages: user('a b') });
        assert.equal(count.input_tokens, 2);
        const stream = g.anthropic().beta.messages.stream({ model, max_tokens, betas, messages: user('x') });
        assert.equal(await stream.finalText(), 'You said: x');
    });

    test('files', async () => {
        const { files } = g.anthropic().beta;
        const made = await files.upload({ file: await toFile(Buffer.from('abc'), 'a.txt') });
        assert.equal((await files.retrieveMetadata(made.id)).size_bytes, 3);
        assert.equal(await (await files.download(made.id)).text(), 'abc');
        await files.delete(made.id);
    });
});

describe('anthropic batches', () => {
    const request = (custom_id, text) => (
        { custom_id, params: { model, max_tokens, messages: user(text) } });

    test('from create to results, all through the gateway', async () => {
        const hosts = new Set();
        const client = g.anthropic({ fetch: (url, init) => {
            hosts.add(new URL(url).origin);
            return fetch(url, init);
        } });
        const { batches } = client.messages;
        const batch = await batches.create({ requests: [request('a', 'one'), request('b', 'two')] });
        assert.equal(batch.processing_status, 'in_progress');
        const done = await batches.retrieve(batch.id);
        assert.equal(done.processing_status, 'ended');
        assert.equal(done.request_counts.succeeded, 2);
        const results = await collect(await batches.results(batch.id));
        assert.deepEqual(results.map((r) => [r.custom_id, r.result.message.content[0].text]),
            [['a', 'You said: one'], ['b', 'You said: two']]);
        assert.deepEqual([...hosts], [g.url]);
    });

    test('list, cancel, delete', async () => {
        const { batches } = g.anthropic().messages;
        const made = [];
        for (const id of ['x', 'y', 'z'])
            made.push((await batches.create({ requests: [request(id, id)] })).id);
        const ids = (await collect(batches.list({ limit: 2 }))).map((b) => b.id);
        assert.ok(made.every((id) => ids.includes(id)));
        assert.ok((await batches.cancel(made[0])).cancel_initiated_at);
        assert.equal((await batches.delete(made[1])).id, made[1]);
        await assert.rejects(batches.retrieve(made[1]), Anthropic.NotFoundError);
    });

    test('results of a beta batch', async () => {
        const { batches } = g.anthropic({ base: '/anthropic' }).beta.messages;
        const batch = await batches.create({ requests: [request('a', 'one')] });
        const results = await collect(await batches.results(batch.id));
        assert.equal(results[0].result.type, 'succeeded');
    });
});

describe('anthropic models', () => {
    test('list and retrieve', async () => {
        const all = await collect(g.anthropic().models.list());
        assert.ok(all.some((m) => m.id.startsWith('claude-')));
        assert.equal((await g.anthropic().models.retrieve(model)).type, 'model');
    });
});

describe('anthropic files', () => {
    test('upload, metadata, download, list, delete', async () => {
        const { files } = g.anthropic();
        const data = Buffer.alloc(700_000, 'abc');
        const made = await files.upload({ file: await toFile(data, 'a.bin', { type: 'application/x-a' }) });
        assert.equal(made.size_bytes, data.length);
        const seen = await files.retrieveMetadata(made.id);
        assert.deepEqual([seen.filename, seen.mime_type], ['a.bin', 'application/x-a']);
        const back = Buffer.from(await (await files.download(made.id)).arrayBuffer());
        assert.ok(back.equals(data), 'the content differs');
        assert.ok((await collect(files.list())).some((f) => f.id === made.id));
        assert.equal((await files.delete(made.id)).id, made.id);
        await assert.rejects(files.retrieveMetadata(made.id), Anthropic.NotFoundError);
    });
});
