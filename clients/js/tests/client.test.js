// Against a real service: STEMWRIGHT_URL, STEMWRIGHT_SONG (a wav file), STEMWRIGHT_TOKEN and STEMWRIGHT_OLD_TOKEN, which has expired.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer, request as httpRequest } from "node:http";
import { test } from "node:test";
import { Stemwright, StemwrightError } from "../dist/index.js";

const { STEMWRIGHT_URL: baseUrl, STEMWRIGHT_SONG: path, STEMWRIGHT_TOKEN: token, STEMWRIGHT_OLD_TOKEN: old } = process.env;
const song = await readFile(path);
let made = 0;

/** Bytes of a song that nobody has sent: the last samples differ. */
function another() {
  const bytes = new Uint8Array(song);
  new DataView(bytes.buffer).setUint32(bytes.length - 4, process.pid * 1000 + made++, true);
  return bytes;
}

/** A way to the service that may be cut. */
async function way() {
  const open = new Set();
  const state = { refuse: 0, asked: [] };
  const server = createServer((asked, answer) => {
    state.asked.push(`${asked.method} ${asked.url}`);
    if (state.refuse-- > 0) return void asked.socket.destroy();
    const on = httpRequest(baseUrl + asked.url, { method: asked.method, headers: asked.headers }, (said) => {
      answer.writeHead(said.statusCode, said.headers);
      said.pipe(answer);
      said.on("error", () => answer.destroy());
    });
    on.on("error", () => answer.destroy());
    answer.on("close", () => on.destroy());
    asked.pipe(on);
  });
  server.on("connection", (socket) => open.add(socket.on("close", () => open.delete(socket))));
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    state,
    url: `http://127.0.0.1:${server.address().port}`,
    cut: () => open.forEach((socket) => socket.destroy()),
    close: () => (server.close(), server.closeAllConnections()),
  };
}

test("a song goes in, and its stems come out", async () => {
  const client = new Stemwright({ baseUrl, token });
  const sent = [];
  const { fileId, existed } = await client.upload(another(), { filename: "a.wav", onProgress: (bytes) => sent.push(bytes) });
  assert.equal(existed, false);
  assert.equal(sent.at(-1), song.length);
  assert.deepEqual(sent, [...sent].sort((a, b) => a - b));
  const { jobId, skipped } = await client.process({ file_id: fileId, model: "gain" });
  assert.equal(skipped, false);
  const heard = [];
  const job = await client.wait(fileId, jobId, { onProgress: ({ progress }) => heard.push(progress.percent) });
  assert.equal(job.status, "completed");
  assert.equal(heard.at(-1), 100);
  for (const output of job.outputs) {
    const bytes = Buffer.from(await (await client.download(output)).arrayBuffer());
    assert.equal(createHash("sha256").update(bytes).digest("hex"), output.sha256);
  }
  assert.equal((await client.status(fileId)).jobs[0].job_id, jobId);
  assert.equal((await client.job(jobId)).status, "completed");
});

test("a song that is there is found, before a byte is sent and by the bytes alone", async () => {
  const client = new Stemwright({ baseUrl, token });
  const bytes = another();
  const { fileId } = await client.upload(bytes);
  const never = () => assert.fail("it was sent");
  assert.deepEqual(await client.upload(bytes, { onProgress: never }), { fileId, existed: true });
  assert.deepEqual(await client.upload(bytes, { findDuplicate: false }), { fileId, existed: true });
});

test("work that is done is skipped, and one key is one job", async () => {
  const client = new Stemwright({ baseUrl, token });
  const { fileId } = await client.upload(another());
  const first = await client.process({ file_id: fileId, model: "gain" });
  await client.wait(fileId, first.jobId);
  assert.deepEqual(await client.process({ file_id: fileId, model: "gain" }), { jobId: first.jobId, status: "completed", skipped: true });
  const key = `key-${process.pid}`;
  const request = { file_id: fileId, model: "gain", params: { segments: 2 } };
  const twice = await Promise.all([client.process(request, { key }), client.process(request, { key })]);
  assert.equal(twice[0].jobId, twice[1].jobId);
});

test("a token that has expired is renewed, in the middle of work", async () => {
  const asked = [];
  const client = new Stemwright({ baseUrl, token: (renew) => (asked.push(renew), renew ? token : old) });
  const { fileId } = await client.upload(another());
  assert.ok(fileId);
  assert.deepEqual([...new Set(asked)], [false, true]);
  const stubborn = new Stemwright({ baseUrl, token: () => old });
  await assert.rejects(stubborn.status(fileId), { name: "StemwrightError", status: 401, code: "unauthenticated" });
});

test("what the service refuses is an error with its code, and is not tried again", async () => {
  const between = await way();
  const client = new Stemwright({ baseUrl: between.url, token });
  await assert.rejects(client.status("none"), { status: 404, code: "file_not_found" });
  await assert.rejects(client.process({ model: "nobody" }), { status: 422, code: "unknown_model" });
  assert.equal(between.state.asked.length, 2);
  await assert.rejects(client.upload(new Uint8Array([1, 2, 3])), (error) => error instanceof StemwrightError && error.status >= 400);
  between.close();
});

test("a connection that is refused a few times is made in the end", async () => {
  const between = await way();
  const client = new Stemwright({ baseUrl: between.url, token });
  between.state.refuse = 2;
  assert.equal((await client.health()).status, "ok");
  between.state.refuse = 2;
  const { fileId } = await client.upload(another());
  between.state.refuse = 1;
  const { jobId } = await client.process({ file_id: fileId, model: "gain" });
  assert.equal((await client.wait(fileId, jobId)).status, "completed");
  assert.equal((await client.status(fileId)).jobs.length, 1); // asked for twice, it is one job
  between.close();
});

test("a stream that breaks goes on, and nothing comes twice", async () => {
  const between = await way();
  const client = new Stemwright({ baseUrl: between.url, token });
  const { fileId } = await client.upload(another());
  const before = await client.process({ file_id: fileId, model: "gain" });
  await client.wait(fileId, before.jobId);
  const { jobId } = await client.process({ file_id: fileId, model: "gain", params: { segments: 20, sleep: 0.1 } });
  const seen = [];
  const ended = [];
  const all = client.events(fileId, { signal: AbortSignal.timeout(60_000) });
  const following = (async () => {
    for await (const { type, job } of all) {
      if (type === "completed") ended.push(job.job_id);
      if (job.job_id === jobId && type === "completed") return;
    }
  })();
  const job = await client.wait(fileId, jobId, {
    onProgress: ({ status, progress }) => {
      seen.push(`${status} ${progress.segments_done} ${progress.stage}`);
      if (progress.segments_done >= 5 && between.state.cut !== true) {
        between.state.cut = true;
        between.cut();
      }
    },
  });
  assert.equal(job.status, "completed");
  assert.equal(between.state.cut, true);
  assert.ok(between.state.asked.filter((each) => each.includes("/events/")).length >= 2);
  assert.deepEqual([...new Set(seen)], seen);
  await following;
  assert.deepEqual(ended, [before.jobId, jobId]); // the one that had ended before is not told of again
  between.close();
});

test("an upload that was cut off is taken up again under its own id", async () => {
  const bytes = another();
  const broken = (url, init) => (init?.method === "PUT" ? Promise.reject(new TypeError("cut off")) : fetch(url, init));
  let announced;
  const cut = new Stemwright({ baseUrl, token, tries: 2, fetch: broken });
  await assert.rejects(cut.upload(bytes, { onAnnounced: (said) => (announced = said) }), { status: 0, code: "no_answer" });
  const client = new Stemwright({ baseUrl, token });
  assert.deepEqual(await client.upload(bytes, { resume: announced }), { fileId: announced.fileId, existed: false });
});

test("a job is called off, and waiting ends with a signal", async () => {
  const client = new Stemwright({ baseUrl, token });
  const { fileId } = await client.upload(another());
  const { jobId } = await client.process({ file_id: fileId, model: "gain", params: { segments: 100, sleep: 0.2 } });
  const control = new AbortController();
  const waiting = client.wait(fileId, jobId, { signal: control.signal, onProgress: () => control.abort(new Error("enough")) });
  await assert.rejects(waiting, { message: "enough" });
  assert.equal(await client.cancel(jobId), "canceled");
  assert.equal((await client.wait(fileId, jobId)).status, "canceled");
  assert.equal((await client.models())[0].name, "gain");
});
