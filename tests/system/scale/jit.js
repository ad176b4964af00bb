// SPDX-License-Identifier: GPL-2.0-or-later
// V8's compilers, threads and memory tricks; tests/system/scale.py knows the results.
'use strict';
const crypto = require('crypto');
const zlib = require('zlib');
const { Worker, isMainThread, workerData } = require('worker_threads');
const { execFileSync } = require('child_process');

function hash(n) {
    let h = 1;
    for (let i = 1; i <= n; i++)
        h = (Math.imul(h, 65599) + i % 256) | 0;
    return h;
}

function float(n) {
    let x = 0;
    for (let i = 1; i <= n; i++)
        x = x * 0.999 + 1 / i;
    return x;
}

function random(seed) {
    return () => seed = Number((BigInt(seed) * 1103515245n + 12345n) % 2147483648n);
}

function sorted(n) {
    const r = random(1), t = [];
    for (let i = 0; i < n; i++)
        t.push(r());
    t.sort((a, b) => a - b);
    let sum = 0;
    t.forEach((v, i) => sum = (sum + v * ((i + 1) % 1000)) % 4294967296);
    return sum;
}

function strings(n) {
    const seen = new Map();
    let length = 0;
    for (let i = 1; i <= n; i++) {
        const s = 'key' + i % 5000 + 'x'.repeat(i % 7);
        seen.set(s, (seen.get(s) || 0) + 1);
        length += s.length;
    }
    return length + ' ' + seen.size;
}

// New code all the time, optimized and thrown away again when types change.
function generated(n) {
    let sum = 0;
    for (let i = 1; i <= n; i++) {
        const f = new Function('a', `for (let k = 1; k <= 200; k++) a += k % ${i}; return a`);
        sum += f(i);
    }
    const add = (a, b) => a + b;
    let text = '';
    for (let i = 0; i < 100000; i++) {
        sum += add(i, 1);
        if (i % 1000 === 0)
            text = add(text, 'x');
    }
    return sum + ' ' + text.length;
}

// A loop in WebAssembly: h = h * 65599 + (i & 255), i from 1 to n, in locals 2, 1 and 0; h is stored
// at 0, too. V8 finds accesses beyond the memory by page faults.
const section = (id, ...bytes) => [id, bytes.length, ...bytes];
const BODY = [
    1, 2, 0x7f, // two locals of type i32
    0x41, 1, 0x21, 2, 0x03, 0x40, // h = 1; loop
    0x20, 1, 0x41, 1, 0x6a, 0x21, 1, // i++
    0x20, 2, 0x41, 0xbf, 0x80, 4, 0x6c, 0x20, 1, 0x41, 0xff, 1, 0x71, 0x6a, 0x21, 2, // h = ...
    0x20, 1, 0x20, 0, 0x49, 0x0d, 0, 0x0b, // while i < n
    0x41, 0, 0x20, 2, 0x36, 2, 0, 0x20, 2, 0x0b];
const PEEK = [0, 0x20, 0, 0x28, 2, 0, 0x0b]; // the word at the address in local 0
const name = text => [text.length, ...Buffer.from(text)];
const MODULE = Uint8Array.from([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, 1, 0x60, 1, 0x7f, 1, 0x7f),
    ...section(3, 2, 0, 0),
    ...section(5, 1, 0, 1),
    ...section(7, 3, ...name('hash'), 0, 0, ...name('peek'), 0, 1, ...name('m'), 2, 0),
    ...section(10, 2, BODY.length, ...BODY, PEEK.length, ...PEEK)]);

function wasm(n) {
    const { hash, peek, m } = new WebAssembly.Instance(new WebAssembly.Module(MODULE)).exports;
    let outside = 0;
    const h = hash(n);
    for (let i = 0; i < 1000; i++) {
        try {
            peek(65536 + i * 4096);
        } catch (e) {
            outside += e instanceof WebAssembly.RuntimeError;
        }
    }
    return `${h} ${peek(0)} ${new Int32Array(m.buffer)[0]} ${outside}`;
}

function exceptions(n) {
    let caught = 0;
    for (let i = 0; i < n; i++) {
        try {
            if (i % 3 === 0)
                null.x;
            else if (i % 3 === 1)
                throw new Error('thrown');
        } catch (e) {
            caught++;
        }
    }
    try {
        (function deeper() { return deeper() + 1; })();
    } catch (e) {
        caught += e instanceof RangeError;
    }
    return caught;
}

function packed() {
    const data = Buffer.alloc(4 << 20);
    for (let i = 0; i < data.length; i++)
        data[i] = i * i >> 8;
    const back = zlib.gunzipSync(zlib.gzipSync(data));
    return crypto.createHash('sha256').update(back).digest('hex');
}

function garbage(n) {
    let keep = [], sum = 0;
    for (let i = 0; i < n; i++) {
        keep.push({ number: i, text: 'n' + i, list: [i, i + 1] });
        if (keep.length === 50000) {
            keep = keep.filter(o => o.number % 7 === 0);
            sum += keep.length;
        }
    }
    return sum + keep.reduce((s, o) => s + o.list[1], 0);
}

function workers(n) {
    const shared = new Int32Array(new SharedArrayBuffer(8));
    const all = [];
    for (let i = 0; i < n; i++)
        all.push(new Promise((done, failed) => {
            const w = new Worker(__filename, { workerData: shared });
            w.on('error', failed);
            w.on('exit', done);
        }));
    return Promise.all(all).then(() => shared[0] + ' ' + shared[1]);
}

async function main() {
    console.log('hash', hash(3000000));
    console.log('float', float(1000000));
    console.log('sorted', sorted(50000));
    console.log('strings', strings(200000));
    console.log('generated', generated(2000));
    console.log('wasm', wasm(3000000));
    console.log('exceptions', exceptions(30000));
    console.log('packed', packed());
    console.log('big', ((3n ** 5000n) % (10n ** 30n)).toString());
    console.log('garbage', garbage(300000));
    console.log('workers', await workers(4));
    console.log('child', execFileSync(process.execPath, ['-p', '6 * 7']).toString().trim());
    console.log('timers', await new Promise(done => setTimeout(() => done('fired'), 20)));
}

if (isMainThread) {
    main();
} else {
    for (let i = 0; i < 100000; i++)
        Atomics.add(workerData, 0, 1);
    Atomics.add(workerData, 1, hash(100000) & 0xffff);
}
