// The npm package openai: files, uploads in parts, batches.

import assert from 'node:assert/strict';
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import OpenAI, { toFile } from 'openai';

import { user } from './samples.mjs';
import { collect, gateway } from './start.mjs';

const g = gateway();
const bytes = (n) => Buffer.from(Array.from({ length: n }, (_, i) => (i * 7 + (i >> 8)) & 255));
const contentOf = async (id) => Buffer.from(await (await g.openai().files.content(id)).arrayBuffer());

describe('openai files', () => {
    test('create, retrieve, content, delete', async () => {
        const data = bytes(5000);
        const made = await g.openai().files.create(
            { file: await toFile(data, 'naïve "name".bin'), purpose: 'user_data' });
        assert.equal(made.bytes, 5000);
        assert.equal(made.purpose, 'user_data');
        assert.equal(made.filename.normalize(), 'naïve "name".bin'.normalize());
        assert.equal((await g.openai().files.retrieve(made.id)).id, made.id);
        assert.deepEqual(await contentOf(made.id), data);
        assert.equal((await g.openai().files.delete(made.id)).deleted, true);
        await assert.rejects(g.openai().files.retrieve(made.id), OpenAI.NotFoundError);
    });

    test('a file that streams from the disk', async () => {
        const folder = mkdtempSync(join(tmpdir(), 'smartflow-file-'));
        const data = bytes(3 << 20);
        writeFileSync(join(folder, 'large.bin'), data);
        const made = await g.openai().files.create(
            { file: createReadStream(join(folder, 'large.bin')), purpose: 'assistants' });
        rmSync(folder, { recursive: true });
        assert.equal(made.filename, 'large.bin');
        assert.ok((await contentOf(made.id)).equals(data), 'the content differs');
    });

    test('an empty file', async () => {
        const made = await g.openai().files.create({ file: new File([], 'empty'), purpose: 'user_data' });
        assert.equal(made.bytes, 0);
        assert.equal((await contentOf(made.id)).length, 0);
    });

    test('lists, page by page', async () => {
        const made = [];
        for (const name of ['a', 'b', 'c'])
            made.push((await g.openai().files.create(
                { file: new File([name], name), purpose: 'user_data' })).id);
        const page = await g.openai().files.list({ limit: 2 });
        assert.equal(page.data.length, 2);
        assert.ok(page.hasNextPage());
        const ids = (await collect(g.openai().files.list({ limit: 2 }))).map((f) => f.id);
        assert.equal(new Set(ids).size, ids.length);
        assert.ok(made.every((id) => ids.includes(id)));
    });

    test('waitForProcessing', async () => {
        const made = await g.openai().files.create({ file: new File(['x'], 'x'), purpose: 'user_data' });
        assert.equal((await g.openai().files.waitForProcessing(made.id)).status, 'processed');
    });
});

describe('openai uploads', () => {
    const start = (filename, size) => g.openai().uploads.create(
        { filename, bytes: size, mime_type: 'text/plain', purpose: 'user_data' });

    test('in parts', async () => {
        const data = bytes(600_000);
        const upload = await start('parts.bin', data.length);
        assert.equal(upload.status, 'pending');
        const parts = [];
        for (let at = 0; at < data.length; at += 250_000) {
            const piece = new Blob([data.subarray(at, at + 250_000)]);
            parts.push((await g.openai().uploads.parts.create(upload.id, { data: piece })).id);
        }
        assert.equal(new Set(parts).size, 3);
        const done = await g.openai().uploads.complete(upload.id, { part_ids: parts });
        assert.equal(done.status, 'completed');
        assert.equal(done.file.filename, 'parts.bin');
        assert.ok((await contentOf(done.file.id)).equals(data), 'the content differs');
    });

    test('cancel', async () => {
        const upload = await start('never.bin', 10);
        assert.equal((await g.openai().uploads.cancel(upload.id)).status, 'cancelled');
    });
});

describe('openai batches', () => {
    const line = (id, text) => JSON.stringify({ custom_id: id, method: 'POST', url: '/v1/chat/completions',
        body: { model: 'gpt-4o-mini', messages: user(text) } });
    const submit = async (metadata) => {
        const input = await g.openai().files.create({ purpose: 'batch',
            file: new File([[line('a', 'one'), line('b', 'two')].join('\n')], 'in.jsonl') });
        return g.openai().batches.create({ input_file_id: input.id, endpoint: '/v1/chat/completions',
            completion_window: '24h', metadata });
    };

    test('from the input file to the output file', async () => {
        const batch = await submit({ job: 'nightly' });
        assert.equal(batch.status, 'validating');
        const done = await g.openai().batches.retrieve(batch.id);
        assert.equal(done.status, 'completed');
        assert.deepEqual(done.request_counts, { total: 2, completed: 2, failed: 0 });
        assert.equal(done.metadata.job, 'nightly');
        const lines = (await contentOf(done.output_file_id)).toString().trim().split('\n').map(JSON.parse);
        assert.deepEqual(lines.map((x) => [x.custom_id, x.response.body.choices[0].message.content]),
            [['a', 'You said: one'], ['b', 'You said: two']]);
    });

    test('list and cancel', async () => {
        const batch = await submit();
        assert.equal((await g.openai().batches.cancel(batch.id)).status, 'cancelling');
        const all = await collect(g.openai().batches.list({ limit: 1 }));
        assert.ok(all.some((b) => b.id === batch.id));
    });

    test('an input file that does not exist', async () => {
        await assert.rejects(g.openai().batches.create({ input_file_id: 'file-none',
            endpoint: '/v1/chat/completions', completion_window: '24h' }), OpenAI.BadRequestError);
    });
});
