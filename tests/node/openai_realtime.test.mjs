// The npm package openai: the Realtime API. The SDK speaks to wss:// alone, so the gateway serves TLS
// here, with a certificate that only these tests trust.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { rootCertificates, setDefaultCACertificates } from 'node:tls';

import { OpenAIRealtimeWebSocket } from 'openai/realtime/websocket';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';

import { certificate, gateway } from './start.mjs';

const g = gateway((folder) => {
    const { cert, key, pem } = certificate(folder);
    setDefaultCACertificates([...rootCertificates, pem.toString()]);
    return { SMARTFLOW_DEMO: 'true', SMARTFLOW_TLS_CERT: cert, SMARTFLOW_TLS_KEY: key };
});
const model = 'gpt-realtime';

function connect(client = g.openai(), target = { model }) {
    const rt = new OpenAIRealtimeWS(target, client);
    const failed = new Promise((_, reject) => rt.on('error', reject));
    failed.catch(() => {});
    const next = (type) => Promise.race([failed, new Promise((resolve) => rt.once(type, resolve))]);
    return { rt, failed, next };
}

async function disconnect(rt) {
    const closed = new Promise((resolve) => rt.socket.once('close', resolve));
    rt.close();
    assert.equal(await closed, 1000);
}

describe('openai realtime', () => {
    test('a session with a text and its answer', async () => {
        const { rt, next } = connect();
        const created = await next('session.created');
        assert.equal(created.session.model, model);
        rt.send({ type: 'session.update', session: { type: 'realtime', output_modalities: ['text'] } });
        await next('session.updated');
        const deltas = [];
        rt.on('response.output_text.delta', (e) => deltas.push(e.delta));
        rt.send({ type: 'conversation.item.create', item: { type: 'message', role: 'user',
            content: [{ type: 'input_text', text: 'Hello over there' }] } });
        await next('conversation.item.done');
        rt.send({ type: 'response.create' });
        const done = await next('response.done');
        assert.equal(done.response.output[0].content[0].text, 'You said: Hello over there');
        assert.equal(deltas.join(''), 'You said: Hello over there');
        assert.equal(done.response.usage.output_tokens, 5);
        await disconnect(rt);
    });

    test('audio in', async () => {
        const { rt, next } = connect();
        await next('session.created');
        const audio = Buffer.alloc(30_000).toString('base64');
        for (let i = 0; i < 10; i++)
            rt.send({ type: 'input_audio_buffer.append', audio });
        rt.send({ type: 'input_audio_buffer.commit' });
        await next('input_audio_buffer.committed');
        rt.send({ type: 'response.create' });
        const done = await next('response.done');
        assert.equal(done.response.output[0].content[0].text, 'You said: 400000 characters of audio');
        await disconnect(rt);
    });

    test('an event that the provider refuses', async () => {
        const { rt, next, failed } = connect();
        await next('session.created');
        rt.send({ type: 'no.such.event' });
        await assert.rejects(failed, /does not know this event/);
        await disconnect(rt);
    });

    test('a browser, which has its key in the subprotocol', async () => {
        const rt = new OpenAIRealtimeWebSocket({ model, dangerouslyAllowBrowser: true }, g.openai());
        const failed = new Promise((_, reject) => rt.on('error', reject));
        const created = new Promise((resolve) => rt.on('session.created', resolve));
        assert.equal((await Promise.race([created, failed])).session.model, model);
        const closed = new Promise((resolve) => rt.socket.addEventListener('close', resolve));
        rt.close();
        assert.equal((await closed).code, 1000);
    });

    test('a session that transcribes, and one of a call', async () => {
        for (const target of [{ intent: 'transcription' }, { callID: 'rtc_demo' }]) {
            const { rt, next } = connect(g.openai(), target);
            assert.equal((await next('session.created')).type, 'session.created');
            await disconnect(rt);
        }
    });

    test('a key that is wrong', async () => {
        const { failed } = connect(g.openai({ apiKey: 'sk-sf-wrong-0123456789' }));
        await assert.rejects(failed, /401|[Ii]nvalid|key/);
    });

    test('client secrets', async () => {
        const r = await g.openai().realtime.clientSecrets.create({ session: { type: 'realtime', model } });
        assert.match(r.value, /^ek_/);
        assert.equal(r.session.model, model);
    });

    test('calls', async () => {
        const r = await g.openai().realtime.calls.create(
            { sdp: 'v=0\r\n', session: { type: 'realtime', model } });
        assert.match(await r.text(), /^v=0/);
        assert.match(r.headers.get('location'), /\/v1\/realtime\/calls\/rtc_/);
    });

    test('plain calls over TLS', async () => {
        const r = await g.openai().chat.completions.create(
            { model: 'gpt-4o', messages: [{ role: 'user', content: 'hi' }] });
        assert.equal(r.choices[0].message.content, 'You said: hi');
    });
});
