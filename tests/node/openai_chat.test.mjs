// The npm package openai: chat completions, completions, embeddings, moderations, models.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

import { PIXEL, TOOLS, user } from './samples.mjs';
import { collect, gateway, KEY } from './start.mjs';

const g = gateway();
const model = 'gpt-4o-mini';
const tools = TOOLS.map(([name, parameters]) => ({ type: 'function', function: { name, parameters } }));

const text = (chunks) => chunks.map((c) => c.choices[0]?.delta.content ?? '').join('');

describe('openai chat', () => {
    test('plain', async () => {
        const { data, response, request_id } = await g.openai().chat.completions
            .create({ model, messages: user('Hello there') }).withResponse();
        assert.equal(data.choices[0].message.content, 'You said: Hello there');
        assert.equal(data.choices[0].message.role, 'assistant');
        assert.equal(data.choices[0].finish_reason, 'stop');
        assert.equal(data.object, 'chat.completion');
        assert.equal(data.model, model);
        assert.deepEqual([data.usage.prompt_tokens, data.usage.completion_tokens, data.usage.total_tokens],
            [2, 4, 6]);
        assert.ok(request_id);
        assert.equal(data._request_id, request_id);
        assert.ok(response.headers.get('x-smartflow-request-id') ?? response.headers.get('x-request-id'));
    });

    test('the virtual key does not reach the provider', async () => {
        const r = await g.openai().chat.completions.create({ model, messages: user('demo:echo=headers') });
        const seen = r.choices[0].message.content;
        assert.doesNotMatch(seen, new RegExp(KEY));
        assert.match(JSON.parse(seen)['user-agent'], /OpenAI/);
    });

    test('all parameters arrive as they were sent', async () => {
        const body = {
            model, messages: [{ role: 'system', content: 'Grüße, 世界 🌍' }, ...user('demo:echo=body')],
            temperature: 0.25, top_p: 0.5, seed: 7, metadata: { a: 'b' },
            logit_bias: { 50256: -100 }, reasoning_effort: 'low', user: 'someone', store: false,
        };
        const r = await g.openai().chat.completions.create(body);
        assert.deepEqual(JSON.parse(r.choices[0].message.content), body);
    });

    test('stream', async () => {
        const stream = await g.openai().chat.completions.create(
            { model, messages: user('one two three'), stream: true });
        const chunks = await collect(stream);
        assert.equal(text(chunks), 'You said: one two three');
        assert.equal(chunks[0].choices[0].delta.role, 'assistant');
        assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');
        assert.ok(chunks.length > 5);
        assert.ok(chunks.every((c) => c.usage === undefined), 'usage shows though nobody asked for it');
    });

    test('stream with usage', async () => {
        const stream = await g.openai().chat.completions.create({
            model, messages: user('one two'), stream: true, stream_options: { include_usage: true } });
        const chunks = await collect(stream);
        assert.deepEqual(chunks.at(-1).choices, []);
        assert.equal(chunks.at(-1).usage.total_tokens, 2 + 4);
        assert.ok(chunks.slice(0, -1).every((c) => c.usage === null));
    });

    test('a stream of a thousand chunks', async () => {
        const stream = await g.openai().chat.completions.create(
            { model, messages: user('demo:chunks=1000'), stream: true });
        const chunks = await collect(stream);
        assert.equal(text(chunks).split(' ').length, 1000);
        assert.equal(chunks.length, 1002);
    });

    test('a stream whose chunks come one by one', async () => {
        const stream = await g.openai().chat.completions.create(
            { model, messages: user('demo:chunks=10,interval=20'), stream: true });
        const times = [];
        for await (const _ of stream)
            times.push(performance.now());
        assert.equal(times.length, 12);
        assert.ok(times.at(-1) - times[0] > 100, 'they came at once');
    });

    test('a stream read as a ReadableStream, and split with tee()', async () => {
        const stream = await g.openai().chat.completions.create({ model, messages: user('a b'), stream: true });
        const [left, right] = stream.tee();
        const [a, b] = await Promise.all([collect(left), collect(right)]);
        assert.equal(text(a), 'You said: a b');
        assert.deepEqual(a, b);
        const again = await g.openai().chat.completions.create({ model, messages: user('c'), stream: true });
        const lines = (await new Response(again.toReadableStream()).text()).trim().split('\n');
        assert.equal(text(lines.map((x) => JSON.parse(x))), 'You said: c');
    });

    test('the stream helper', async () => {
        const runner = g.openai().chat.completions.stream(
            { model, messages: user('hello'), stream_options: { include_usage: true } });
        const deltas = [];
        runner.on('content', (delta) => deltas.push(delta));
        assert.equal(await runner.finalContent(), 'You said: hello');
        assert.equal(deltas.join(''), 'You said: hello');
        assert.equal((await runner.finalChatCompletion()).choices[0].finish_reason, 'stop');
        assert.equal((await runner.totalUsage()).total_tokens, 1 + 3);
    });

    test('several choices', async () => {
        const r = await g.openai().chat.completions.create({ model, messages: user('x'), n: 3 });
        assert.deepEqual(r.choices.map((c) => [c.index, c.message.content]),
            [0, 1, 2].map((i) => [i, 'You said: x']));
        const runner = g.openai().chat.completions.stream({ model, messages: user('x'), n: 2 });
        const all = await runner.finalChatCompletion();
        assert.deepEqual(all.choices.map((c) => c.message.content), ['You said: x', 'You said: x']);
    });

    test('the length limit and a stop word', async () => {
        const cut = await g.openai().chat.completions.create(
            { model, messages: user('one two three'), max_completion_tokens: 3 });
        assert.equal(cut.choices[0].finish_reason, 'length');
        assert.equal(cut.usage.completion_tokens, 3);
        const stopped = await g.openai().chat.completions.create(
            { model, messages: user('one two three'), stop: 'two' });
        assert.equal(stopped.choices[0].message.content, 'You said: one ');
    });

    test('log probabilities', async () => {
        const r = await g.openai().chat.completions.create({ model, messages: user('a b'), logprobs: true });
        assert.equal(r.choices[0].logprobs.content.map((t) => t.token).join(''), 'You said: a b');
        const runner = g.openai().chat.completions.stream({ model, messages: user('a b'), logprobs: true });
        const all = await runner.finalChatCompletion();
        assert.equal(all.choices[0].logprobs.content.length, 4);
    });

    test('images, audio and files in a message', async () => {
        const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${PIXEL}` } };
        const r = await g.openai().chat.completions.create({ model, messages: user([
            { type: 'text', text: 'What is this?' }, image, image,
            { type: 'input_audio', input_audio: { data: 'UklGRg==', format: 'wav' } },
            { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,JVBERg==' } },
        ]) });
        assert.equal(r.choices[0].message.content,
            'I see 2 images. I see 1 audio clip. I see 1 file. You said: What is this?');
    });

    test('a request of many megabytes', async () => {
        const url = 'data:image/png;base64,' + 'A'.repeat(8 << 20);
        const r = await g.openai().chat.completions.create(
            { model, messages: user([{ type: 'image_url', image_url: { url } }, { type: 'text', text: 'big' }]) });
        assert.equal(r.choices[0].message.content, 'I see 1 image. You said: big');
    });

    test('a reply of many megabytes, plain and streamed', async () => {
        const messages = user(`demo:size=${4 << 20}`);
        const r = await g.openai().chat.completions.create({ model, messages });
        assert.equal(r.choices[0].message.content.length, 4 << 20);
        const stream = await g.openai().chat.completions.create({ model, messages, stream: true });
        assert.equal(text(await collect(stream)), r.choices[0].message.content);
    });

    test('replies that the provider compresses', async () => {
        const messages = user('demo:gzip=1 hello');
        const r = await g.openai().chat.completions.create({ model, messages });
        assert.equal(r.choices[0].message.content, 'You said: demo:gzip=1 hello');
        const stream = await g.openai().chat.completions.create({ model, messages, stream: true });
        assert.equal(text(await collect(stream)), 'You said: demo:gzip=1 hello');
    });
});

describe('openai chat with tools', () => {
    test('one call, and its result back', async () => {
        const messages = user('please use tool get_time');
        const r = await g.openai().chat.completions.create({ model, messages, tools });
        const [call] = r.choices[0].message.tool_calls;
        assert.equal(r.choices[0].finish_reason, 'tool_calls');
        assert.equal(call.function.name, 'get_time');
        assert.deepEqual(JSON.parse(call.function.arguments), TOOLS[1][2]);
        const next = await g.openai().chat.completions.create({ model, tools, messages: [
            ...messages, r.choices[0].message, { role: 'tool', tool_call_id: call.id, content: 'noon' }] });
        assert.equal(next.choices[0].message.content, 'The tool said: noon');
    });

    test('parallel calls', async () => {
        const r = await g.openai().chat.completions.create(
            { model, messages: user('use tools'), tools, parallel_tool_calls: true });
        const calls = r.choices[0].message.tool_calls;
        assert.deepEqual(calls.map((c) => [c.function.name, JSON.parse(c.function.arguments)]),
            TOOLS.map(([name, , args]) => [name, args]));
        assert.equal(new Set(calls.map((c) => c.id)).size, 2);
    });

    test('parallel calls in a stream', async () => {
        const runner = g.openai().chat.completions.stream({ model, messages: user('use tools'), tools });
        const message = await runner.finalMessage();
        assert.deepEqual(message.tool_calls.map((c) => [c.function.name, JSON.parse(c.function.arguments)]),
            TOOLS.map(([name, , args]) => [name, args]));
    });

    test('a choice that is named, required, or none', async () => {
        const make = (tool_choice) => g.openai().chat.completions.create(
            { model, messages: user('hi'), tools, tool_choice });
        const named = await make({ type: 'function', function: { name: 'get_time' } });
        assert.equal(named.choices[0].message.tool_calls[0].function.name, 'get_time');
        const required = await make('required');
        assert.equal(required.choices[0].finish_reason, 'tool_calls');
        const none = await make('none');
        assert.equal(none.choices[0].message.content, 'You said: hi');
    });

    test('custom tools', async () => {
        const custom = [{ type: 'custom', custom: { name: 'shell', description: 'runs' } }];
        const r = await g.openai().chat.completions.create(
            { model, messages: user('use tool shell'), tools: custom });
        assert.equal(r.choices[0].message.tool_calls[0].custom.input, 'demo input');
    });

    test('runTools calls the function and finishes', async () => {
        const called = [];
        const runner = g.openai().chat.completions.runTools({ model, messages: user('use tool get_weather'),
            tools: [{ type: 'function', function: {
                name: 'get_weather', parameters: TOOLS[0][1], parse: JSON.parse,
                function: (args) => { called.push(args); return 'sunny'; },
            } }] });
        assert.equal(await runner.finalContent(), 'The tool said: sunny');
        assert.deepEqual(called, [TOOLS[0][2]]);
    });

    test('runTools over streams', async () => {
        const runner = g.openai().chat.completions.runTools({ model, stream: true,
            messages: user('use tool get_weather'),
            tools: [{ type: 'function', function: {
                name: 'get_weather', parameters: TOOLS[0][1], parse: JSON.parse, function: () => 'rain',
            } }] });
        assert.equal(await runner.finalContent(), 'The tool said: rain');
    });
});

describe('openai chat with structured answers', () => {
    const Recipe = z.object({ name: z.string(), steps: z.array(z.string()), minutes: z.number() });

    test('JSON mode', async () => {
        const r = await g.openai().chat.completions.create(
            { model, messages: user('hi'), response_format: { type: 'json_object' } });
        assert.deepEqual(JSON.parse(r.choices[0].message.content), { answer: 'You said: hi' });
    });

    test('parse with a zod schema', async () => {
        const r = await g.openai().chat.completions.parse(
            { model, messages: user('cook'), response_format: zodResponseFormat(Recipe, 'recipe') });
        assert.deepEqual(r.choices[0].message.parsed, { name: 'demo', steps: ['demo'], minutes: 1 });
    });

    test('parse in a stream', async () => {
        const runner = g.openai().chat.completions.stream(
            { model, messages: user('cook'), response_format: zodResponseFormat(Recipe, 'recipe') });
        const r = await runner.finalChatCompletion();
        assert.deepEqual(r.choices[0].message.parsed, { name: 'demo', steps: ['demo'], minutes: 1 });
    });

    test('parse of tool arguments', async () => {
        const r = await g.openai().chat.completions.parse({ model, messages: user('use tool cook'),
            tools: [zodFunction({ name: 'cook', parameters: Recipe })] });
        assert.equal(r.choices[0].message.tool_calls[0].function.parsed_arguments.name, 'demo');
    });
});

describe('openai completions', () => {
    const legacy = 'gpt-3.5-turbo-instruct';

    test('plain', async () => {
        const r = await g.openai().completions.create({ model: legacy, prompt: 'Once upon' });
        assert.equal(r.object, 'text_completion');
        assert.equal(r.choices[0].text, 'You said: Once upon');
        assert.equal(r.usage.total_tokens, 6);
    });

    test('stream', async () => {
        const chunks = await collect(await g.openai().completions.create(
            { model: legacy, prompt: 'Once upon', stream: true }));
        assert.equal(chunks.map((c) => c.choices[0].text).join(''), 'You said: Once upon');
        assert.ok(chunks.every((c) => !c.usage));
    });

    test('stream with usage', async () => {
        const chunks = await collect(await g.openai().completions.create(
            { model: legacy, prompt: 'Once', stream: true, stream_options: { include_usage: true } }));
        assert.equal(chunks.at(-1).usage.prompt_tokens, 1);
    });
});

describe('openai embeddings', () => {
    const embed = 'text-embedding-3-small';

    test('one text, several texts', async () => {
        const one = await g.openai().embeddings.create({ model: embed, input: 'a b c' });
        assert.equal(one.data[0].embedding.length, 64);
        assert.equal(one.usage.prompt_tokens, 3);
        const two = await g.openai().embeddings.create({ model: embed, input: ['a b c', 'd'] });
        assert.deepEqual(two.data.map((d) => d.index), [0, 1]);
        assert.deepEqual(Array.from(two.data[0].embedding), Array.from(one.data[0].embedding));
        assert.notDeepEqual(two.data[1].embedding, two.data[0].embedding);
    });

    test('base64, as the SDK asks for by itself, equals floats', async () => {
        const floats = await g.openai().embeddings.create(
            { model: embed, input: 'same', encoding_format: 'float', dimensions: 16 });
        const packed = await g.openai().embeddings.create({ model: embed, input: 'same', dimensions: 16 });
        assert.equal(packed.data[0].embedding.length, 16);
        packed.data[0].embedding.forEach((x, i) =>
            assert.ok(Math.abs(x - floats.data[0].embedding[i]) < 1e-5));
    });

    test('tokens as input', async () => {
        const r = await g.openai().embeddings.create({ model: embed, input: [[1, 2, 3], [4]] });
        assert.equal(r.data.length, 2);
    });
});

describe('openai moderations', () => {
    test('one text and several', async () => {
        const r = await g.openai().moderations.create({ input: 'peace' });
        assert.equal(r.results[0].flagged, false);
        const many = await g.openai().moderations.create(
            { model: 'omni-moderation-latest', input: ['peace', 'violence'] });
        assert.deepEqual(many.results.map((x) => x.flagged), [false, true]);
        assert.equal(many.results[1].categories.violence, true);
        assert.ok(many.results[1].category_scores.violence > 0.5);
    });
});

describe('openai models', () => {
    test('list', async () => {
        const page = await g.openai().models.list();
        assert.ok(page.data.some((m) => m.id === 'gpt-4o'));
        assert.ok((await collect(g.openai().models.list())).every((m) => m.object === 'model'));
    });

    test('retrieve and delete', async () => {
        assert.equal((await g.openai().models.retrieve('gpt-4o')).id, 'gpt-4o');
        assert.equal((await g.openai().models.retrieve('ft:gpt-4o:acme::1')).id, 'ft:gpt-4o:acme::1');
        assert.equal((await g.openai().models.delete('ft:gpt-4o:acme::1')).deleted, true);
    });
});
