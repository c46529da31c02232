// The program as these tests run it: one for each file, started with free ports before the file's
// tests and ended by its process id after them. Ending it asserts exit code 0 and that no sanitizer
// wrote anything. Its providers are the built-in demo, unless a file sets others.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before } from 'node:test';

import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

export const KEY = 'sk-sf-' + '0123456789abcdef'.repeat(3);
const REPORT = /Sanitizer|runtime error:|panic:|must\(/;
const START_MS = 60_000;
const STOP_MS = 60_000;
const top = resolve(import.meta.dirname, '../..');

const isKept = (name) =>
    ['PATH', 'HOME', 'LANG', 'TMPDIR', 'LD_LIBRARY_PATH'].includes(name) || name.endsWith('SAN_OPTIONS');

/** Nothing of the caller's environment may configure a gateway under test. */
function environment(folder, settings) {
    const kept = Object.entries(process.env).filter(([name]) => isKept(name));
    if (process.getuid() !== 0) // the leak check needs to look at its own process
        kept.push(['SMARTFLOW_CORE_DUMPS', 'true']);
    return {
        ...Object.fromEntries(kept),
        PROXY_PORT: '0',
        MANAGEMENT_PORT: '0',
        SMARTFLOW_THREADS: '2',
        SMARTFLOW_DATA: join(folder, 'data'),
        SMARTFLOW_DEMO_KEY: KEY,
        ...settings,
    };
}

/** What a process writes to one pipe. */
class Output {
    text = '';
    ended = false;
    #waiting = new Set();

    constructor(pipe) {
        pipe.setEncoding('utf8');
        pipe.on('data', (piece) => this.#tell(() => { this.text += piece; }));
        pipe.on('close', () => this.#tell(() => { this.ended = true; }));
    }

    #tell(change) {
        change();
        for (const look of [...this.#waiting])
            look();
    }

    /** The match of a pattern in what has come, or comes in time; null when it does not. */
    match(pattern, milliseconds) {
        return new Promise((resolve) => {
            const end = (found) => {
                clearTimeout(timer);
                this.#waiting.delete(look);
                resolve(found);
            };
            const look = () => {
                const found = pattern.exec(this.text);
                if (found || this.ended)
                    end(found);
            };
            const timer = setTimeout(end, milliseconds, null);
            this.#waiting.add(look);
            look();
        });
    }
}

export class Gateway {
    #settings;
    #folder;
    #child;
    #ended;

    constructor(settings = {}) {
        this.#settings = settings;
    }

    async start() {
        const program = process.env.SMARTFLOW_BIN || join(top, 'build-asan', 'smartflow');
        accessSync(program, constants.X_OK);
        this.#folder = mkdtempSync(join(tmpdir(), 'smartflow-node-'));
        const settings = typeof this.#settings === 'function'
            ? await this.#settings(this.#folder)
            : this.#settings;
        this.#child = spawn(program, ['serve'], {
            cwd: this.#folder,
            env: environment(this.#folder, settings),
            stdio: ['ignore', 'pipe', 'pipe'],
        });
        this.#ended = once(this.#child, 'close');
        this.out = new Output(this.#child.stdout);
        this.log = new Output(this.#child.stderr);
        const up = await this.out.match(/^ {2}data .*$/m, START_MS);
        assert.ok(up, `${program} did not start\n${this.out.text}${this.log.text}`);
        this.url = /^ {2}proxy +(\w+:\/\/[^/ ]+)/m.exec(this.out.text)[1];
    }

    /** Ends it as an orchestrator would, and asserts that all was well. */
    async stop() {
        if (!this.#child)
            return;
        const limit = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
        this.#child.kill('SIGTERM');
        const [code, signal] = await this.#ended;
        clearTimeout(limit);
        rmSync(this.#folder, { recursive: true, force: true });
        assert.doesNotMatch(this.log.text, REPORT);
        assert.equal(signal, null, `ended by ${signal}\n${this.log.text.slice(-3000)}`);
        assert.equal(code, 0, this.log.text.slice(-3000));
    }

    openai(options = {}) {
        const { base = '/v1', ...rest } = options;
        return new OpenAI({ apiKey: KEY, baseURL: this.url + base, maxRetries: 0, ...rest });
    }

    anthropic(options = {}) {
        const { base = '', ...rest } = options;
        return new Anthropic({ apiKey: KEY, baseURL: this.url + base, maxRetries: 0, ...rest });
    }
}

/** A gateway for the tests of the file that calls this. settings: a map, or a function of its folder. */
export function gateway(settings = { SMARTFLOW_DEMO: 'true' }) {
    const g = new Gateway(settings);
    before(() => g.start());
    after(() => g.stop());
    return g;
}

/** A certificate for 127.0.0.1 that signs itself. */
export function certificate(folder) {
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
        '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=localhost',
        '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'], { stdio: 'pipe' });
    return { cert, key, pem: readFileSync(cert) };
}

/** The items of an asynchronous iterable. */
export async function collect(items) {
    const all = [];
    for await (const item of items)
        all.push(item);
    return all;
}
