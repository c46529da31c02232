// A provider that does what a test tells it: each request is kept and handed to the next of the
// handlers that the test has queued.

import { once } from 'node:events';
import { createServer } from 'node:http';

export class Upstream {
    requests = [];
    #handlers = [];
    #server = createServer((request, reply) => this.#serve(request, reply));

    async start() {
        this.#server.listen(0, '127.0.0.1');
        await once(this.#server, 'listening');
        this.url = `http://127.0.0.1:${this.#server.address().port}`;
    }

    async stop() {
        this.#server.closeAllConnections();
        this.#server.close();
        await once(this.#server, 'close');
    }

    /** Forgets what was, and queues what comes. */
    script(...handlers) {
        this.requests = [];
        this.#handlers = handlers;
    }

    async #serve(request, reply) {
        const pieces = [];
        for await (const piece of request)
            pieces.push(piece);
        const handle = this.#handlers.shift();
        const body = Buffer.concat(pieces).toString();
        this.requests.push({ method: request.method, url: request.url, headers: request.headers, body });
        if (handle)
            handle(request, reply);
        else
            answer(500, { error: { message: 'the test has no answer left' } })(request, reply);
    }
}

export function answer(status, body, headers = {}) {
    return (request, reply) => {
        reply.writeHead(status, { 'content-type': 'application/json', ...headers });
        reply.end(JSON.stringify(body));
    };
}

/** Sends these events and then nothing more. closed resolves when the connection is closed. */
export function stalledStream(...events) {
    const { promise: closed, resolve: tell } = Promise.withResolvers();
    const handle = (request, reply) => {
        request.socket.once('close', () => tell(performance.now()));
        reply.writeHead(200, { 'content-type': 'text/event-stream' });
        for (const event of events)
            reply.write(event);
    };
    return { handle, closed };
}

/** Takes the request and never answers. */
export function silence() {
    const { promise: closed, resolve: tell } = Promise.withResolvers();
    const { promise: arrived, resolve: tellArrival } = Promise.withResolvers();
    const handle = (request) => {
        request.socket.once('close', () => tell(performance.now()));
        tellArrival();
    };
    return { handle, closed, arrived };
}
